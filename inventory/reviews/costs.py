"""What the configurations cost: calls, objects and logs a month, and money where the reader names a price.

Owns the arithmetic. It knows no price and no traffic: without the reader's number there is no number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from inventory.errors import UsageError
from inventory.reviews import columns
from inventory.reviews.cost_inputs import number, traffic
from inventory.reviews.targets import canonical, distinct, resolve

if TYPE_CHECKING:
    from inventory.reviews.columns import Numbers

_KILOBYTES_PER_GIGABYTE: Final = 1e6
_DAYS_PER_MONTH: Final = 30.0
_CALLS_PER_PRICE: Final = 1e6
_PER_CALLS, _PER_STORED, _PER_LOG = "price_per_million_calls", "price_per_gigabyte_month", "price_per_gigabyte_of_log"

ITEMS: Final = (
    ("first calls", "calls", _PER_CALLS, "each event is one call"),
    ("retries", "calls", _PER_CALLS, "the failing share fails each time, until retries run out; configured URNs only"),
    ("calls by destinations", "calls", _PER_CALLS, "one step; the failing share to on_failure, the rest to on_success"),
    ("OBS, never expires", "GB", _PER_STORED, "an object a result; amount of the first month: each month adds as much"),
    ("OBS, expiry not said", "GB", _PER_STORED, "the same: param has no expires, and no page says what then holds"),
    ("OBS, expires", "GB", _PER_STORED, "what lies there once full: results of a day, times days until they expire"),
    ("status log", "GB", _PER_LOG, "each event writes; only where enable_async_status_log is true"),
)
"""Items of the bill: a column of :func:`volumes`, its unit, its price, and what is assumed."""

_OBS_ITEMS: Final = {"never": ITEMS[3][0], "not_said": ITEMS[4][0], "expires": ITEMS[5][0]}


def volumes(functions: pd.DataFrame, destinations: pd.DataFrame, given: pd.DataFrame) -> pd.DataFrame:
    """What each URN makes in a month, by the reader's traffic.

    Args:
        functions: the table ``functions``.
        destinations: the table ``destinations`` of the same run.
        given: the reader's table: ``quantity``, ``of``, ``value``. ``events_per_month`` may be given ``of`` everything
            (``*``), of a package or of a URN, and the closest holds; ``failing_share``, ``object_kilobytes`` and
            ``log_kilobytes_per_event`` of everything.

    Returns:
        What names the URN, ``events``, and a column for each of ``ITEMS``.

    Shape:
        A row for each ``configured`` or ``not_configured`` URN; one that the list names twice counts once.

    Units:
        a month: events, calls, GB (10^9 bytes; a kilobyte is 1,000).

    Raises:
        UsageError: a quantity is missing, is no number, or cannot be.

    Assumptions:
        Those beside ``ITEMS``. What is ``failed`` or ``not_attempted`` makes no row: it is missing in each sum.
    """
    share = number(given, "failing_share")
    if share > 1:
        raise UsageError(f"the reader's table: failing_share is {share:g}; it lies between 0 and 1")
    log = number(given, "log_kilobytes_per_event") / _KILOBYTES_PER_GIGABYTE
    listed = distinct(functions)
    listed = listed[columns.one_of(listed, "status", ["configured", "not_configured"])].reset_index(drop=True)
    found = columns.plain(listed, ["urn", "region", "project_id", "package", "function_name", "qualifier", "status"])
    events = traffic(found, given)
    found["events"] = events
    found["first calls"] = events
    retries = np.nan_to_num(columns.numbers(listed, "max_async_retry_attempts"))
    found["retries"] = events * share * np.maximum(0.0, retries)
    links = resolve(functions, destinations).drop_duplicates(["source", "event"])
    links = links[~links["target_status"].isin(["not_found", "not_a_function_urn"])]
    found["calls by destinations"] = events * _sums(found, links["source"], _shares(links, share))
    objects = obs_retention(destinations).drop_duplicates(["urn", "event"])
    sizes = _shares(objects, share) * number(given, "object_kilobytes") / _KILOBYTES_PER_GIGABYTE
    for kept, item in _OBS_ITEMS.items():
        alike = (objects["kept"] == kept).to_numpy()
        months = objects["obs_expires_days"].to_numpy()[alike] / _DAYS_PER_MONTH if kept == "expires" else 1.0
        found[item] = events * _sums(found, objects["urn"][alike], sizes[alike] * months)
    found["status log"] = events * log * columns.is_true(listed, "enable_async_status_log")
    return found


def bill(made: pd.DataFrame, given: pd.DataFrame) -> pd.DataFrame:
    """Adds the volumes up, and prices those that the reader has a price for.

    Args:
        made: of :func:`volumes`.
        given: the reader's table; a price is a row of it, with an empty value where there is none.

    Returns:
        ``item``, ``volume``, ``unit``, ``price`` and ``amount`` (NaN without a price), ``assumption``.

    Shape:
        A row for each of ``ITEMS``.

    Units:
        a month; amounts in the currency of the reader's prices. Calls are priced by the million.
    """
    rows = []
    for item, unit, price_name, assumption in ITEMS:
        price = number(given, price_name, needed=False)
        volume = float(made[item].sum())
        units = volume / _CALLS_PER_PRICE if unit == "calls" else volume
        rows.append((item, volume, unit, price, units * price, assumption))
    return pd.DataFrame(rows, columns=["item", "volume", "unit", "price", "amount", "assumption"])


def obs_retention(destinations: pd.DataFrame) -> pd.DataFrame:
    """How long the objects of OBS destinations are kept.

    Args:
        destinations: the table ``destinations``.

    Returns:
        ``urn`` (canonical), ``event``, ``obs_bucket``, ``obs_prefix``, ``obs_expires_days``, and ``kept``: ``never`` (0
        days: it never expires), ``expires``, or ``not_said`` (``param`` has no number of days, or one below 0).

    Shape:
        A row an OBS destination.

    Units:
        days.

    Source:
        api-facts.md section 2: ``expires`` is 0 to 365 days, 0 means never. What holds without it no page says.
    """
    sent = destinations[columns.one_of(destinations, "destination", ["OBS"])]
    found = columns.plain(sent, ["event", "obs_bucket", "obs_prefix"])
    days = columns.numbers(sent, "obs_expires_days")
    urns = [canonical(str(urn)) for urn in columns.texts(sent, "function_urn")]
    found.insert(0, "urn", pd.Series(urns, dtype=object))
    kept = np.select([days == 0, days > 0], ["never", "expires"], default="not_said")
    return found.assign(obs_expires_days=days, kept=kept)


def stored_gigabytes(made: pd.DataFrame, months: int) -> pd.DataFrame:
    """What lies in OBS after so many months, nothing being removed by hand.

    Args:
        made: of :func:`volumes`.
        months: how far to look.

    Returns:
        A column for each way of keeping; what expires is at its full height from the first month on.

    Shape:
        A row a month, from 1.

    Units:
        GB.
    """
    month = np.arange(1, months + 1)
    sums = {kept: float(made[item].sum()) for kept, item in _OBS_ITEMS.items()}
    stored = {
        _OBS_ITEMS[kept]: total * (np.ones(months) if kept == "expires" else month) for kept, total in sums.items()
    }
    return pd.DataFrame(stored, index=pd.Index(month, name="month"))


def _shares(rows: pd.DataFrame, failing: float) -> Numbers:
    """Which part of a URN's events goes the way of each row."""
    return np.where((rows["event"] == "on_failure").to_numpy(), failing, 1 - failing)


def _sums(found: pd.DataFrame, urns: pd.Series[str], amounts: Numbers) -> Numbers:
    """The amounts by URN, in the order of ``found``; 0 where there are none."""
    sums = pd.Series(amounts, index=urns.to_numpy(dtype=object), dtype=float).groupby(level=0).sum()
    return np.asarray(sums.reindex(found["urn"].tolist()).fillna(0.0), dtype=np.float64)
