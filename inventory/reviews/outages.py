"""Share of events that an outage of a given length drops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from inventory.reviews.frames import database_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_AGES: Final = """
SELECT greatest(age_s, 0)::DOUBLE AS age, count(*) AS urns, count(*) FILTER (NOT has_failure_destination) AS silent
FROM subjects WHERE status = 'configured' AND age_s IS NOT NULL GROUP BY age ORDER BY age
"""


def outage_losses(functions: pd.DataFrame, outages_s: Sequence[float]) -> pd.DataFrame:
    """Computes the share of an outage's events that expire before it ends.

    With a maximum event age of T and a constant rate of events, an outage of L loses ``max(0, L - T) / L``.

    Returns:
        ``outage_s``; ``urns_that_lose``, URNs with a shorter event age; ``lost_share``, the mean over URNs with a known
        age; ``untold_share``, the part of it from URNs without a failure destination.

    Shape:
        One row per length; shares are NaN if no age is known.

    Units:
        seconds; shares from 0 to 1 of the events that arrive during the outage.

    Assumptions:
        All URNs have the same traffic. Remaining events run immediately after the outage. Retries are not used up
        during it; otherwise more is lost.
    """
    with database_of(functions) as connection:
        ages = connection.sql(_AGES).fetchnumpy()
    lengths = np.asarray(list(outages_s), dtype=np.float64)
    excess = np.maximum(0.0, lengths[:, None] - ages["age"][None, :])
    lost = np.divide(excess, lengths[:, None], out=np.zeros_like(excess), where=lengths[:, None] > 0)
    total = ages["urns"].sum()
    shares = {
        name: (lost @ ages[column]) / total if total else np.full(len(lengths), np.nan)
        for name, column in (("lost_share", "urns"), ("untold_share", "silent"))
    }
    losing = ((excess > 0) @ ages["urns"]).astype(int)
    return pd.DataFrame({"outage_s": lengths, "urns_that_lose": losing, **shares})
