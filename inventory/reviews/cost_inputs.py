"""The reader's table: traffic, shares, sizes and prices, none of which a snapshot knows.

Owns how a number is found in it, and what is wrong with one that cannot be. Has no number of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from inventory.errors import UsageError
from inventory.reviews.targets import canonical

if TYPE_CHECKING:
    from inventory.reviews.columns import Numbers

EVERYTHING: Final = "*"
TRAFFIC: Final = "events_per_month"


def number(given: pd.DataFrame, quantity: str, *, needed: bool = True) -> float:
    """The reader's number of a quantity, of everything.

    Args:
        given: the reader's table: a row a number, with ``quantity``, ``of`` (``*``: everything) and ``value``.
        quantity: which one.
        needed: whether it is wrong that it is not there.

    Returns:
        The number; NaN where it is not needed and not there.

    Raises:
        UsageError: it is missing, below 0, infinite, or no number.
    """
    rows = ((given["quantity"] == quantity) & (given["of"] == EVERYTHING)).to_numpy(dtype=bool)
    values = [value for value in given["value"][rows].tolist() if not pd.isna(value)]
    if values:
        return _checked(quantity, values[-1])
    if needed:
        raise UsageError(f"the reader's table has no {quantity} of {EVERYTHING!r}: add that row")
    return float("nan")


def traffic(found: pd.DataFrame, given: pd.DataFrame) -> Numbers:
    """Events a month of each URN: the reader's number of this URN, else of its package, else of everything.

    Args:
        found: a frame with ``urn`` (canonical) and ``package``.
        given: the reader's table.

    Shape:
        A number a row of ``found``.

    Units:
        events a month.

    Raises:
        UsageError: there is no traffic of everything, or one that cannot be.
    """
    events = np.full(len(found), number(given, TRAFFIC))
    own = given[(given["quantity"] == TRAFFIC).to_numpy(dtype=bool)]
    pairs = zip(own["of"].astype(str), own["value"].tolist(), strict=True)
    named = {of: _checked(TRAFFIC, value) for of, value in pairs if not pd.isna(value)}
    by_urn = {canonical(of): value for of, value in named.items() if of.startswith("urn:")}
    for column, known in (("package", named), ("urn", by_urn)):
        closer = np.array([known.get(name, np.nan) for name in found[column]], dtype=np.float64)
        events = np.where(np.isnan(closer), events, closer)
    return events


def _checked(quantity: str, value: object) -> float:
    try:
        found = float(str(value))
    except ValueError:
        raise UsageError(f"the reader's table: {quantity} is {value!r}, not a number") from None
    if not 0 <= found < float("inf"):
        raise UsageError(f"the reader's table: {quantity} is {found:g}; it cannot be below 0 nor infinite")
    return found
