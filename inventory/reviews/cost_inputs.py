"""User-supplied cost inputs: traffic, failure share, object sizes, prices."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from inventory.errors import UsageError

FloatArray: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

_COLONS_WITH_QUALIFIER: Final = 7
EVERYTHING: Final = "*"
TRAFFIC: Final = "events_per_month"


def read_number(cost_inputs: pd.DataFrame, quantity: str, *, required: bool = True) -> float:
    """Reads a quantity that applies to everything.

    Returns:
        The number; NaN if it is missing and not required.

    Raises:
        UsageError: it is missing, negative, infinite or not a number.
    """
    rows = ((cost_inputs["quantity"] == quantity) & (cost_inputs["of"] == EVERYTHING)).to_numpy(dtype=bool)
    values = [value for value in cost_inputs["value"][rows].tolist() if not pd.isna(value)]
    if values:
        return _parse_number(quantity, values[-1])
    if required:
        raise UsageError(f"cost inputs: {quantity} of {EVERYTHING!r} is missing; add that row")
    return float("nan")


def read_traffic(functions: pd.DataFrame, cost_inputs: pd.DataFrame) -> FloatArray:
    """Reads the traffic of each URN: the value of the URN, else of its package, else of everything.

    Raises:
        UsageError: a value is invalid, or none applies to everything.
    """
    events = np.full(len(functions), read_number(cost_inputs, TRAFFIC))
    traffic = cost_inputs[(cost_inputs["quantity"] == TRAFFIC).to_numpy(dtype=bool)]
    pairs = zip(traffic["of"].astype(str), traffic["value"].tolist(), strict=True)
    by_name = {name: _parse_number(TRAFFIC, value) for name, value in pairs if not pd.isna(value)}
    by_urn = {
        name if name.count(":") == _COLONS_WITH_QUALIFIER else f"{name}:latest": value
        for name, value in by_name.items()
        if name.startswith("urn:")
    }
    for column, values in (("package", by_name), ("urn", by_urn)):
        specific = np.array([values.get(name, np.nan) for name in functions[column]], dtype=np.float64)
        events = np.where(np.isnan(specific), events, specific)
    return events


def _parse_number(quantity: str, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        raise UsageError(f"cost inputs: {quantity} is {value!r}, not a number") from None
    if not 0 <= number < float("inf"):
        raise UsageError(f"cost inputs: {quantity} is {number:g}; it must be finite and not negative")
    return number
