"""Reads the configurations of a run, function by function, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.errors import OutputError
from inventory.tables.parts import iterate_parts
from inventory.urn import LATEST, FunctionUrn, split_urn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inventory.runs.files import RunFiles

EVENTS: Final = ("on_success", "on_failure")
_FUNCTIONS: Final = (
    "function_urn",
    "status",
    "error_kind",
    "max_async_event_age_in_seconds",
    "max_async_retry_attempts",
    "enable_async_status_log",
    "extra",
    "on_success_destination",
    "on_failure_destination",
)
_DESTINATIONS: Final = ("function_urn", "event", "destination", "param", "extra")


class Side(NamedTuple):
    """The destination of one event, as in the table ``destinations``."""

    destination: str
    param: str | None
    extra: str | None


class Config(NamedTuple):
    """One URN of a run.

    Attributes:
        sides: destinations by event.
        extra: JSON object of fields that the tables do not have, or None.
    """

    urn: str
    status: str
    error_kind: str | None
    age_s: int | None
    retries: int | None
    status_log: bool | None
    extra: str | None
    sides: dict[str, Side]


class Function(NamedTuple):
    """The URNs of one function; ``urn`` has no qualifier."""

    urn: str
    configs: list[Config]


def canonical(urn: str) -> str:
    """Returns a URN with the version that the service reads without one."""
    return urn if split_urn(urn).qualifier is not None else f"{urn}:{LATEST}"


def function_of(parts: FunctionUrn) -> str:
    """Returns the URN without version or alias."""
    return str(parts._replace(qualifier=None, qualifier_type=None))


def read_functions(run: RunFiles) -> Iterator[Function]:
    """Yields the functions of a run; those of one project follow each other.

    Raises:
        OutputError: a table cannot be read, or the tables contradict each other.
    """
    return _group(_read_configs(run))


def _group(configs: Iterable[Config]) -> Iterator[Function]:
    """Collects the URNs of each function.

    Rows are sorted by URN, and ``f-x`` is between ``f`` and ``f:1``: a function is complete after its last possible
    URN. Open functions are few, as each name begins with the one before.
    """
    still_open: list[Function] = []
    for config in configs:
        while still_open and config.urn >= f"{still_open[-1].urn};":  # the character after ":"
            yield still_open.pop()
        urn = function_of(split_urn(config.urn))
        if not still_open or still_open[-1].urn != urn:
            still_open.append(Function(urn, []))
        still_open[-1].configs.append(config)
    yield from reversed(still_open)


def _read_configs(run: RunFiles) -> Iterator[Config]:
    destinations = _rows(run, "destinations", _DESTINATIONS)
    upcoming = next(destinations, None)
    for row in _rows(run, "functions", _FUNCTIONS):
        urn, status, error_kind, age_s, retries, status_log, extra, *types = row.values()
        sides: dict[str, Side] = {}
        while upcoming is not None and upcoming["function_urn"] == urn:
            _, event, *cells = upcoming.values()
            sides[event] = Side(*cells)
            upcoming = next(destinations, None)
        expected = {event: name for event, name in zip(EVENTS, types, strict=True) if name is not None}
        if {event: side.destination for event, side in sides.items()} != expected:
            raise OutputError(
                f"the tables of {run.name} contradict each other about the destinations of {urn}; build them again "
                "with inventory tables"
            )
        yield Config(urn, status, error_kind, age_s, retries, status_log, extra, sides)


def _rows(run: RunFiles, table: str, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for file in run.of_table(table):
        with run.on_disk(file) as path:
            for batch in iterate_parts(table, [path], columns):
                for start in range(0, len(batch), 1_024):  # few rows are Python objects at a time
                    yield from batch.slice(start, 1_024).to_pylist()
