"""Flattens one settled URN into rows; any JSON becomes rows without loss."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory import urn as urns
from inventory.cloud.models import AsyncInvokeConfig, read_config
from inventory.cloud.responses import MISSING_FUNCTION, read_error_body
from inventory.errors import Status
from inventory.exact_json import json_text
from inventory.outcome import Outcome
from inventory.tables.destinations import Parameters
from inventory.tables.schema import CALLS, DESTINATIONS, FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory.cloud.models import Destination
    from inventory.tables.schema import Table

Row = tuple[Any, ...]

# fromisoformat reads any separator, counts of milliseconds and letters before the zone; newer ones also hour 24.
_TIME: Final = re.compile(
    r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}[Tt ](?:[01][0-9]|2[0-3])(?::?[0-9]{2}(?::?[0-9]{2}(?:[.,][0-9]+)?)?)?"
    r" ?(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_LEAP_SECOND: Final = re.compile(r"(.{8,10}[Tt ][0-9]{2}:?[0-9]{2}:?)60(?![0-9])(.*)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_NO_CONFIG: Final = AsyncInvokeConfig(None, None, None, None, None, None, None, None, {})
_NOT_ATTEMPTED: Final = Outcome("", Status.NOT_ATTEMPTED, None, None, None, None, b"", "", 0, 0, None, 0.0, 0)


class Rows(NamedTuple):
    """The rows of one URN; ``answered_urn`` is the URN in the config."""

    function: Row
    destinations: list[Row]
    call: Row | None
    answered_urn: str | None


class UrnRow:
    """One settled URN: the attributes that ``Column.value`` in :mod:`inventory.tables.schema` names."""

    __slots__ = (
        "config",
        "created_time",
        "extra_text",
        "function_exists",
        "function_urn",
        "last_modified",
        "on_failure_destination",
        "on_success_destination",
        "outcome",
        "urn",
    )

    def __init__(self, function_urn: str, outcome: Outcome | None, naive_zone: tzinfo | None, *, listed: bool) -> None:
        self.function_urn = function_urn
        self.urn = urns.split_urn(function_urn)
        self.outcome = _NOT_ATTEMPTED if outcome is None else outcome
        extra: dict[str, Any]
        if outcome is None:
            config, extra = _NO_CONFIG, {}
        elif outcome.status == Status.CONFIGURED:
            config = read_config(outcome.body)
            extra = config.extra
        else:
            config, extra = _NO_CONFIG, read_error_body(outcome.body).rest
        self.config = config
        self.on_success_destination = None if config.on_success is None else config.on_success.destination
        self.on_failure_destination = None if config.on_failure is None else config.on_failure.destination
        self.created_time = read_time(config.created_time, naive_zone)
        is_unmodified = config.last_modified == config.created_time
        self.last_modified = self.created_time if is_unmodified else read_time(config.last_modified, naive_zone)
        self.extra_text = json_text(extra) if extra else None
        self.function_exists = _function_exists(self.outcome, listed=listed)


class DestinationRow(Parameters):
    """One destination of a URN, as :class:`UrnRow`, with its parameters."""

    def __init__(self, row: UrnRow, event: str, side: Destination) -> None:
        param = side.param_object
        self.function_urn = row.function_urn
        self.urn = row.urn
        self.event = event
        self.side = side
        self.param_valid = param is not None
        self.extra_text = json_text(side.extra) if side.extra else None
        if param:
            self.read_parameters(side.destination, param)


def _reader(table: Table) -> Callable[[object], Row]:
    """Reads all values of a row at once: half the time of single cells."""
    return attrgetter(*(column.value for column in table.columns))


_read_function: Final = _reader(FUNCTIONS)
_read_destination: Final = _reader(DESTINATIONS)
_read_call: Final = _reader(CALLS)


def flatten(
    function_urn: str, outcome: Outcome | None, naive_zone: tzinfo | None = None, *, listed: bool = False
) -> Rows:
    """Turns one URN and its outcome into rows.

    Args:
        function_urn: a full function URN.
        outcome: None without an attempt.
        naive_zone: of times without a zone; None: they are not read.
        listed: the service listed the function in this run.

    Raises:
        ValueError: the body of a configured URN is not a config.
    """
    row = UrnRow(function_urn, outcome, naive_zone, listed=listed)
    config = row.config
    destinations = []
    if config.on_failure is not None:
        destinations.append(_read_destination(DestinationRow(row, "on_failure", config.on_failure)))
    if config.on_success is not None:
        destinations.append(_read_destination(DestinationRow(row, "on_success", config.on_success)))
    call = None if outcome is None else _read_call(row)
    return Rows(_read_function(row), destinations, call, config.func_urn)


def read_time(text: str | None, naive_zone: tzinfo | None = None) -> int | None:
    """Reads a time of the cloud; None without a valid time or a zone.

    A leap second is the first second of the next month.

    Units: microseconds since 1970-01-01 UTC.
    """
    text = "" if text is None else text.strip()
    if not _TIME.fullmatch(text):
        return None
    try:
        return _microseconds(datetime.fromisoformat(text), naive_zone)
    except (ValueError, OverflowError):  # OverflowError: outside the years 1 to 9999
        return _read_irregular_time(text, naive_zone)


def _read_irregular_time(text: str, naive_zone: tzinfo | None) -> int | None:
    """Reads what RFC 3339 allows and Python does not: ``z``, and second 60 at the end of a month in UTC."""
    text = f"{text[:-1]}Z" if text.endswith("z") else text
    leap = _LEAP_SECOND.fullmatch(text)
    try:
        if leap is None:
            return _microseconds(datetime.fromisoformat(text), naive_zone)
        microseconds = _microseconds(datetime.fromisoformat(f"{leap[1]}59{leap[2]}") + _SECOND, naive_zone)
        time = _EPOCH if microseconds is None else _EPOCH + microseconds * _MICROSECOND
    except (ValueError, OverflowError):
        return None
    return microseconds if (time.day, time.hour, time.minute, time.second) == (1, 0, 0, 0) else None


def _microseconds(time: datetime, naive_zone: tzinfo | None) -> int | None:
    if time.tzinfo is None:
        if naive_zone is None:
            return None
        time = time.replace(tzinfo=naive_zone)
    return (time.astimezone(UTC) - _EPOCH) // _MICROSECOND


def _function_exists(outcome: Outcome, *, listed: bool) -> bool | None:
    """Whether the function (not its version or alias) exists; None if unknown."""
    if outcome.error_code == MISSING_FUNCTION:
        return False
    return True if listed or outcome.status == Status.CONFIGURED else None
