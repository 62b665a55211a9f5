"""Monthly calls, stored objects and logs of a run, and their price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from inventory.errors import UsageError
from inventory.reviews import columns
from inventory.reviews.cost_inputs import read_number, read_traffic
from inventory.reviews.targets import GONE, drop_duplicate_urns, normalize_urn, resolve_targets

if TYPE_CHECKING:
    from inventory.reviews.columns import FloatArray

_KILOBYTES_PER_GIGABYTE: Final = 1e6
_DAYS_PER_MONTH: Final = 30.0
_CALLS_PER_PRICE: Final = 1e6
_PER_CALLS, _PER_STORED, _PER_LOG = "price_per_million_calls", "price_per_gigabyte_month", "price_per_gigabyte_of_log"
_OBS_ITEMS: Final = {"never": "OBS, never expires", "not_said": "OBS, expiry not said", "expires": "OBS, expires"}


class CostItem(NamedTuple):
    """A column of :func:`volumes` and a line of the bill."""

    name: str
    unit: str
    price: str
    assumption: str


ITEMS: Final = (
    CostItem("first calls", "calls", _PER_CALLS, "one call per event"),
    CostItem("retries", "calls", _PER_CALLS, "the failing share fails on every attempt; configured URNs only"),
    CostItem(
        "calls by destinations",
        "calls",
        _PER_CALLS,
        "one step; the failing share to on_failure, the rest to on_success",
    ),
    CostItem(
        _OBS_ITEMS["never"],
        "GB",
        _PER_STORED,
        "one object per result; the first month, every later month adds the same",
    ),
    CostItem(_OBS_ITEMS["not_said"], "GB", _PER_STORED, "the same: param has no expires, its default is undocumented"),
    CostItem(_OBS_ITEMS["expires"], "GB", _PER_STORED, "steady state: results of a day, times days until they expire"),
    CostItem("status log", "GB", _PER_LOG, "every event is logged if enable_async_status_log is true"),
)


def volumes(
    functions: pd.DataFrame,
    destinations: pd.DataFrame,
    cost_inputs: pd.DataFrame,
    manifest: dict[str, Any] | None = None,
) -> pd.DataFrame:
    """Computes the monthly volumes of each URN.

    ``cost_inputs`` has the columns ``quantity``, ``of``, ``value``. ``events_per_month`` is of everything (``*``), a
    package or a URN; the most specific wins. ``failing_share``, ``object_kilobytes`` and ``log_kilobytes_per_event``
    are of everything. With the ``manifest`` of the run, calls of targets that are gone are left out.

    Returns:
        Identity columns, ``events``, and one column for each of ``ITEMS``.

    Shape:
        One row per distinct ``configured`` or ``not_configured`` URN; the others are missing from every sum.

    Units:
        per month: events, calls, GB (10^9 bytes; a kilobyte is 1,000).

    Raises:
        UsageError: a quantity is missing or invalid.
    """
    failing_share = read_number(cost_inputs, "failing_share")
    if failing_share > 1:
        raise UsageError(f"cost inputs: failing_share is {failing_share:g}; it must be between 0 and 1")
    log_gigabytes = read_number(cost_inputs, "log_kilobytes_per_event") / _KILOBYTES_PER_GIGABYTE
    listed = drop_duplicate_urns(functions)
    listed = listed[columns.is_one_of(listed, "status", ["configured", "not_configured"])].reset_index(drop=True)
    identity = ["urn", "region", "project_id", "package", "function_name", "qualifier", "status"]
    monthly = columns.to_object_frame(listed, identity)
    events = read_traffic(monthly, cost_inputs)
    monthly["events"] = events
    monthly["first calls"] = events
    retries = np.nan_to_num(columns.to_floats(listed, "max_async_retry_attempts"))
    monthly["retries"] = events * failing_share * np.maximum(0.0, retries)
    links = resolve_targets(functions, destinations, manifest).drop_duplicates(["source", "event"])
    links = links[~links["target_status"].isin(GONE)]
    link_shares = _event_shares(links, failing_share)
    monthly["calls by destinations"] = events * _sum_by_urn(monthly, links["source"], link_shares)
    objects = obs_retention(destinations).drop_duplicates(["urn", "event"])
    object_kilobytes = read_number(cost_inputs, "object_kilobytes")
    sizes = _event_shares(objects, failing_share) * object_kilobytes / _KILOBYTES_PER_GIGABYTE
    for kept, item in _OBS_ITEMS.items():
        matching = (objects["kept"] == kept).to_numpy()
        months = objects["obs_expires_days"].to_numpy()[matching] / _DAYS_PER_MONTH if kept == "expires" else 1.0
        monthly[item] = events * _sum_by_urn(monthly, objects["urn"][matching], sizes[matching] * months)
    monthly["status log"] = events * log_gigabytes * columns.is_true(listed, "enable_async_status_log")
    return monthly


def bill(monthly: pd.DataFrame, cost_inputs: pd.DataFrame) -> pd.DataFrame:
    """Sums the result of :func:`volumes` and multiplies it by the prices.

    Returns:
        One row for each of ``ITEMS``; ``price`` and ``amount`` are NaN without a price.

    Units:
        per month; currency of the prices. Calls are priced by the million.
    """
    rows = []
    for item in ITEMS:
        price = read_number(cost_inputs, item.price, required=False)
        volume = float(monthly[item.name].sum())
        units = volume / _CALLS_PER_PRICE if item.unit == "calls" else volume
        rows.append((item.name, volume, item.unit, price, units * price, item.assumption))
    return pd.DataFrame(rows, columns=["item", "volume", "unit", "price", "amount", "assumption"])


def obs_retention(destinations: pd.DataFrame) -> pd.DataFrame:
    """Reads how long the objects of each OBS destination are kept.

    Returns:
        ``urn`` (normalized), ``event``, ``obs_bucket``, ``obs_prefix``, ``obs_expires_days``, and ``kept``: ``never``
        (0 days), ``expires``, or ``not_said`` (missing or negative).

    Shape:
        One row per OBS destination.

    Units:
        days.

    Source:
        api-facts.md section 2: ``expires`` is 0 to 365 days, 0 means never. The default is undocumented.
    """
    stored = destinations[columns.is_one_of(destinations, "destination", ["OBS"])]
    retention = columns.to_object_frame(stored, ["event", "obs_bucket", "obs_prefix"])
    days = columns.to_floats(stored, "obs_expires_days")
    urns = [normalize_urn(str(urn)) for urn in columns.to_strings(stored, "function_urn")]
    retention.insert(0, "urn", pd.Series(urns, dtype=object))
    kept = np.select([days == 0, days > 0], ["never", "expires"], default="not_said")
    return retention.assign(obs_expires_days=days, kept=kept)


def stored_gigabytes(monthly: pd.DataFrame, months: int) -> pd.DataFrame:
    """Adds up the OBS objects of :func:`volumes` over months, if nothing is deleted by hand.

    Objects that expire have their steady state from the first month.

    Shape:
        One row per month, from 1; one column per kind of retention.

    Units:
        GB.
    """
    month = np.arange(1, months + 1)
    sums = {kept: float(monthly[item].sum()) for kept, item in _OBS_ITEMS.items()}
    stored = {
        _OBS_ITEMS[kept]: total * (np.ones(months) if kept == "expires" else month) for kept, total in sums.items()
    }
    return pd.DataFrame(stored, index=pd.Index(month, name="month"))


def _event_shares(rows: pd.DataFrame, failing_share: float) -> FloatArray:
    return np.where((rows["event"] == "on_failure").to_numpy(), failing_share, 1 - failing_share)


def _sum_by_urn(monthly: pd.DataFrame, urns: pd.Series[str], amounts: FloatArray) -> FloatArray:
    """Sums ``amounts`` by URN, in the order of ``monthly``; 0 for the other URNs."""
    sums = pd.Series(amounts, index=urns.to_numpy(dtype=object), dtype=float).groupby(level=0).sum()
    return np.asarray(sums.reindex(monthly["urn"].tolist()).fillna(0.0), dtype=np.float64)
