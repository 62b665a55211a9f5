"""Monthly calls, stored objects and logs of a run, and their price."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from inventory.errors import UsageError
from inventory.reviews.cost_inputs import read_number, read_traffic
from inventory.reviews.frames import database_of, rule_query, select

_KILOBYTES_PER_GIGABYTE: Final = 1e6
_CALLS_PER_PRICE: Final = 1e6
_PER_CALLS, _PER_STORED, _PER_LOG = "price_per_million_calls", "price_per_gigabyte_month", "price_per_gigabyte_of_log"
_OBS_ITEMS: Final = {"never": "OBS, never expires", "not_said": "OBS, expiry not said", "expires": "OBS, expires"}


_RETENTION: Final = """
SELECT
    t.subject AS urn, t.event, t.obs_bucket, t.obs_prefix, t.obs_expires_days::DOUBLE AS obs_expires_days,
    CASE WHEN never.fails THEN 'never' WHEN t.obs_expires_days > 0 THEN 'expires' ELSE 'not_said' END AS kept,
    t.destination_row
FROM targets AS t JOIN ({never_expires}) AS never USING (id)
WHERE t.type = 'OBS'
"""
_VOLUMES: Final = f"""
WITH called AS (
    SELECT source AS urn, sum(CASE event WHEN 'on_failure' THEN $failing_share ELSE 1 - $failing_share END) AS calls
    FROM edges GROUP BY source
), stored AS (
    SELECT
        urn, kept, CASE event WHEN 'on_failure' THEN $failing_share ELSE 1 - $failing_share END * $object_gigabytes
            * CASE kept WHEN 'expires' THEN obs_expires_days / 30 ELSE 1 END AS gigabytes
    FROM ({_RETENTION})
), stored_by_urn AS (
    SELECT
        urn, sum(gigabytes) FILTER (kept = 'never') AS never, sum(gigabytes) FILTER (kept = 'not_said') AS not_said,
        sum(gigabytes) FILTER (kept = 'expires') AS expires
    FROM stored GROUP BY urn
)
SELECT
    subject AS urn, region, project_id, package, function_name, qualifier, status,
    1.0::DOUBLE AS "first calls", ($failing_share * greatest(coalesce(retries, 0), 0))::DOUBLE AS retries,
    coalesce(calls, 0)::DOUBLE AS "calls by destinations", coalesce(never, 0)::DOUBLE AS "{_OBS_ITEMS["never"]}",
    coalesce(not_said, 0)::DOUBLE AS "{_OBS_ITEMS["not_said"]}",
    coalesce(expires, 0)::DOUBLE AS "{_OBS_ITEMS["expires"]}",
    CASE WHEN status_log THEN $log_gigabytes ELSE 0 END::DOUBLE AS "status log"
FROM subjects LEFT JOIN called ON called.urn = subject LEFT JOIN stored_by_urn ON stored_by_urn.urn = subject
WHERE is_known
ORDER BY row_number
"""  # noqa: S608 - constants


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
    values = {
        "failing_share": failing_share,
        "log_gigabytes": read_number(cost_inputs, "log_kilobytes_per_event") / _KILOBYTES_PER_GIGABYTE,
        "object_gigabytes": read_number(cost_inputs, "object_kilobytes") / _KILOBYTES_PER_GIGABYTE,
    }
    with database_of(functions, destinations, manifest) as connection:
        monthly = select(connection, _VOLUMES.format(never_expires=rule_query("FGA301")), values)
    events = read_traffic(monthly, cost_inputs)
    for item in ITEMS:
        monthly[item.name] *= events
    monthly.insert(monthly.columns.tolist().index(ITEMS[0].name), "events", events)
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
    sources = destinations[["function_urn"]].drop_duplicates().assign(status="configured")
    with database_of(sources, destinations) as connection:
        query = f"FROM ({_RETENTION}) SELECT * EXCLUDE (destination_row) ORDER BY destination_row"
        return select(connection, query.format(never_expires=rule_query("FGA301")))


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
