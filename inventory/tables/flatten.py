"""One settled URN becomes rows: a pure function of what the cloud said.

Owns the flattening. Total: whatever JSON the cloud sends, it gives rows and loses nothing. Knows no file, no Arrow and
no network. The order of the values is the order of the columns in :mod:`inventory.tables.schema`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory import urn as urns
from inventory.cloud.models import AsyncInvokeConfig, Destination, parse_int, read_config
from inventory.cloud.responses import MISSING_FUNCTION, read_error_body
from inventory.errors import Status
from inventory.exact_json import json_text

if TYPE_CHECKING:
    from inventory.outcome import Outcome

Row = tuple[Any, ...]

# fromisoformat takes any character between date and time, and so reads a year out of a count of milliseconds.
_DATE_AND_TIME: Final = re.compile(r"\s*\d{4}-?\d{2}-?\d{2}[Tt ]\d")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FUNC_URN: Final = 12
_NOTHING: Final[dict[str, Any]] = {}
_NO_CONFIG: Final = AsyncInvokeConfig(None, None, None, None, None, None, None, None, {})


class Rows(NamedTuple):
    """What one URN adds to the tables.

    Attributes:
        function: its row of ``functions``.
        destinations: its rows of ``destinations``, sorted by event: none, one or two.
        call: its row of ``calls``; None where no call was made.
    """

    function: Row
    destinations: list[Row]
    call: Row | None

    @property
    def named(self) -> str | None:
        """The URN that the config names."""
        name: str | None = self.function[_FUNC_URN]
        return name


def flatten(
    function_urn: str, outcome: Outcome | None, naive_zone: tzinfo | None = None, *, listed: bool = False
) -> Rows:
    """Turns one URN and its outcome into rows.

    Args:
        function_urn: a full function URN.
        outcome: how it was settled; None where it was not attempted.
        naive_zone: the zone in which a time without a zone is read; None: it is not read.
        listed: whether the service itself listed the function, in this run.
    """
    urn = urns.split_urn(function_urn)
    there = _exists(outcome, listed=listed)
    if outcome is None:
        return Rows(_function_row(function_urn, urn, None, _NO_CONFIG, None, there), [], None)
    if outcome.status == Status.CONFIGURED:
        config = read_config(outcome.body)
        extra = config.extra
    else:
        config, extra = _NO_CONFIG, read_error_body(outcome.body).rest
    destinations = [
        _destination_row(function_urn, urn, event, side)
        for event, side in (("on_failure", config.on_failure), ("on_success", config.on_success))
        if side is not None
    ]
    call = (
        function_urn,
        outcome.operation,
        outcome.attempts,
        outcome.throttled,
        outcome.request_id,
        outcome.duration_ms,
        outcome.finished_at,
    )
    return Rows(_function_row(function_urn, urn, outcome, config, naive_zone, there, extra), destinations, call)


def read_time(text: str | None, naive_zone: tzinfo | None = None) -> int | None:
    """Reads a time of the cloud.

    Units: microseconds since 1970-01-01 UTC. None where the text is no time, or has no zone and none was given.
    """
    if text is None or not _DATE_AND_TIME.match(text):
        return None
    try:
        when = datetime.fromisoformat(text.strip())
        if when.tzinfo is None:
            if naive_zone is None:
                return None
            when = when.replace(tzinfo=naive_zone)
        # A moment that no calendar of ours holds overflows.
        passed = when.astimezone(UTC) - _EPOCH
        return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
    except (ValueError, OverflowError):
        return None


def _exists(outcome: Outcome | None, *, listed: bool) -> bool | None:
    """Whether the function is there; its version or alias may still be missing. None where nobody said."""
    if outcome is not None and outcome.error_code == MISSING_FUNCTION:
        return False
    return True if listed or (outcome is not None and outcome.status == Status.CONFIGURED) else None


def _function_row(
    function_urn: str,
    urn: urns.FunctionUrn,
    outcome: Outcome | None,
    config: AsyncInvokeConfig,
    naive_zone: tzinfo | None,
    function_exists: bool | None,  # noqa: FBT001 - a cell
    extra: dict[str, Any] | None = None,
) -> Row:
    return (
        function_urn,
        urn.region,
        urn.project_id,
        urn.package,
        urn.function_name,
        urn.qualifier,
        urn.qualifier_type,
        Status.NOT_ATTEMPTED if outcome is None else outcome.status,
        None if outcome is None else outcome.error_kind,
        None if outcome is None else outcome.http_status,
        None if outcome is None else outcome.error_code,
        None if outcome is None else outcome.error_msg,
        config.func_urn,
        config.max_async_event_age_in_seconds,
        config.max_async_retry_attempts,
        config.enable_async_status_log,
        None if config.on_success is None else config.on_success.destination,
        None if config.on_failure is None else config.on_failure.destination,
        read_time(config.created_time, naive_zone),
        config.created_time,
        read_time(config.last_modified, naive_zone),
        config.last_modified,
        json_text(extra) if extra else None,
        function_exists,
    )


def _destination_row(function_urn: str, urn: urns.FunctionUrn, event: str, side: Destination) -> Row:
    param = side.param_object or _NOTHING
    kind = side.destination
    obs = param if kind == "OBS" else _NOTHING
    return (
        function_urn,
        urn.region,
        urn.project_id,
        urn.function_name,
        urn.qualifier,
        event,
        kind,
        side.param,
        side.param_object is not None,
        _text(obs, "bucket"),
        _text(obs, "prefix"),
        parse_int(obs.get("expires"))[0],
        _text(param, "topic_urn") if kind == "SMN" else None,
        _text(param, "stream_name") if kind == "DIS" else None,
        _text(param, "func_urn") if kind == "FunctionGraph" else None,
        json_text(side.extra) if side.extra else None,
    )


def _text(param: dict[str, Any], name: str) -> str | None:
    """A text of ``param``; what is of another type stays in ``param`` only."""
    value = param.get(name)
    return value if isinstance(value, str) else None
