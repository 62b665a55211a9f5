"""Share of events that an outage of a given length drops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from inventory.reviews import columns

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    lengths = np.asarray(list(outages_s), dtype=np.float64)
    age = columns.to_floats(functions, "max_async_event_age_in_seconds")
    has_age = columns.is_one_of(functions, "status", ["configured"]) & ~np.isnan(age)
    no_destination = columns.is_null(functions, "on_failure_destination")[has_age]
    ages, index = np.unique(age[has_age], return_inverse=True)  # few distinct ages, many URNs
    urns = np.bincount(index, minlength=len(ages))
    urns_without_destination = np.bincount(index, weights=no_destination, minlength=len(ages))
    excess = np.maximum(0.0, lengths[:, None] - np.maximum(0.0, ages)[None, :])
    lost = np.divide(excess, lengths[:, None], out=np.zeros_like(excess), where=lengths[:, None] > 0)
    total = urns.sum()
    shares = {
        name: (lost @ weight) / total if total else np.full(len(lengths), np.nan)
        for name, weight in (("lost_share", urns), ("untold_share", urns_without_destination))
    }
    losing = ((excess > 0) @ urns).astype(int)
    return pd.DataFrame({"outage_s": lengths, "urns_that_lose": losing, **shares})
