"""What an outage of a given length loses: the age of an event against the length of the outage.

Owns that arithmetic and its assumptions. Knows no time of day and no traffic but a constant one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from inventory.reviews import columns

if TYPE_CHECKING:
    from collections.abc import Sequence


def outage_losses(functions: pd.DataFrame, outages_s: Sequence[float]) -> pd.DataFrame:
    """How much of the traffic of an outage is dropped because its events grew too old.

    In an outage of L seconds nothing can be run. An event that may wait T seconds is dropped when it came in more
    than T seconds before the end: of a constant stream, ``max(0, L - T) / L``.

    Args:
        functions: the table ``functions``.
        outages_s: lengths of outages.

    Returns:
        ``outage_s``; ``urns_that_lose``, how many have an age below the outage; ``lost_share``, the mean of the formula
        over the URNs of which the age is known, so each counts as much as another; ``untold_share``, the part of it of
        URNs without a failure destination.

    Shape:
        A row a length, in the order given; shares are NaN where no age is known.

    Units:
        seconds; shares from 0 to 1 of the events that come in during the outage.

    Assumptions:
        Traffic is constant, and the same for each URN; what may still be run when the outage ends is run at once; no
        retry is used up while it lasts. Where retries run out first, more is lost. Whether the failure destination is
        told of an event that grew too old the vendor does not say.
    """
    lengths = np.asarray(list(outages_s), dtype=np.float64)
    age = columns.numbers(functions, "max_async_event_age_in_seconds")
    counted = columns.one_of(functions, "status", ["configured"]) & ~np.isnan(age)
    untold = columns.is_null(functions, "on_failure_destination")[counted]
    ages, place = np.unique(age[counted], return_inverse=True)  # ages are few, URNs are many
    urns = np.bincount(place, minlength=len(ages))
    urns_untold = np.bincount(place, weights=untold, minlength=len(ages))
    waited = np.maximum(0.0, lengths[:, None] - np.maximum(0.0, ages)[None, :])
    lost = np.divide(waited, lengths[:, None], out=np.zeros_like(waited), where=lengths[:, None] > 0)
    total = urns.sum()
    shares = {
        name: (lost @ weight) / total if total else np.full(len(lengths), np.nan)
        for name, weight in (("lost_share", urns), ("untold_share", urns_untold))
    }
    losing = ((waited > 0) @ urns).astype(int)
    return pd.DataFrame({"outage_s": lengths, "urns_that_lose": losing, **shares})
