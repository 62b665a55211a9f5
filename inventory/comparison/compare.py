"""Two runs become changes: a merge of two sorted lists of URNs, a span at a time.

Owns what is a change and what is none. Never says ``removed`` of what NEW does not know: it was told so of the URN, or
the service listed all to NEW, and this was not there. Knows no form of output.

A time is compared by its text, then by its moment; ``param`` and ``extra`` by what they say (:mod:`json_value
<inventory.json_value>`). What a failed call brought (error, request id) is no change of the cloud, and is not compared.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from inventory.comparison.alignment import Aligned, align, among, differing, taken
from inventory.comparison.kinds import Kind
from inventory.comparison.sorted_rows import SortedRows
from inventory.errors import OutputError, Status
from inventory.exact_json import canonical, json_text, parsed, same_text
from inventory.runs.listing_coverage import read_coverage
from inventory.tables import schema
from inventory.tables.arrow import to_objects
from inventory.urn import split_urn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inventory.runs.files import RunFiles

    Cells = dict[str, Any]
    Row = tuple[Any, ...]

_NUMBERS: Final = ("max_async_event_age_in_seconds", "max_async_retry_attempts", "enable_async_status_log")
_TIMES: Final = ("created_time", "last_modified")
FIELDS: Final = tuple(sorted(("answered_urn", *_NUMBERS, *_TIMES, "extra")))
"""What of ``functions`` is the config's, in the order of the rows; where destinations lead ``destinations`` tells."""
EVENTS: Final = ("on_failure", "on_success")
SIDE_FIELDS: Final = ("destination", "extra", "param")
_JSON: Final = frozenset({"param", "extra"})
_RAW: Final = ("answered_urn", *_NUMBERS, *(f"{name}_raw" for name in _TIMES), "extra")
_FUNCTIONS: Final = ("function_urn", "status", "error_kind", "function_exists", *_RAW, *_TIMES)
_DESTINATIONS: Final = ("function_urn", "event", *SIDE_FIELDS)
_UNANSWERED: Final = (Status.FAILED.value, Status.NOT_ATTEMPTED.value)
_THERE: Final = (Status.CONFIGURED.value, Status.NOT_CONFIGURED.value)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OF_OLD: Final = frozenset({Kind.UNKNOWN, Kind.NOT_LISTED})


def kind_of(old: str | None, new: str | None) -> Kind | None:  # noqa: PLR0911 - a line a case
    """What two statuses say of a URN; None where the configs, if there are any, have to be looked at.

    Args:
        old: status in OLD; None: not on its list.
        new: the same of NEW.
    """
    if new is None:
        return Kind.NOT_LISTED
    if new in _UNANSWERED:
        return Kind.UNKNOWN
    if old is None:
        return Kind.ADDED if new in _THERE else Kind.NEWLY_LISTED
    if old in _UNANSWERED:
        return Kind.NEWLY_KNOWN
    if old == new:
        return None
    if new == Status.NOT_FOUND:
        return Kind.REMOVED
    return Kind.ADDED if old == Status.NOT_FOUND else Kind.STATUS_CHANGED


def _how_status_changed(after: Cells) -> str:
    if after["status"] == Status.CONFIGURED:
        return "a config was set"
    if after["function_exists"]:
        return "its config was removed"
    return "its config is gone; the service does not say whether the function is"


def _gone_from_list(before: Cells) -> Kind | None:
    """What it says that the service listed all to NEW, but not this: nothing of what was never known to be there."""
    if before["status"] == Status.NOT_FOUND:
        return None
    return Kind.REMOVED if before["function_exists"] else Kind.NOT_LISTED


class Comparison:
    """Compares OLD and NEW; :meth:`rows` is gone through once, and then :attr:`counts` is whole.

    Attributes:
        counts: URNs by kind, and ``unchanged``.
        fields: differing fields, by name, with their event before it.
    """

    def __init__(self, old: RunFiles, new: RunFiles) -> None:
        self.counts: Counter[str] = Counter()
        self.fields: Counter[str] = Counter()
        self._old, self._new = old, new
        self._coverage = read_coverage(old.manifest), read_coverage(new.manifest)
        self._finished = tuple(microseconds(run.manifest["finished"]) for run in (old, new))

    def rows(self) -> Iterator[Row]:
        """The rows of :data:`inventory.comparison.kinds.CHANGES`, in order.

        Raises:
            OutputError: a table cannot be read, or is not sorted.
        """
        with ExitStack() as stack:
            old, new = (stack.enter_context(closing(_Side(run))) for run in (self._old, self._new))
            while ends := [end for end in (old.functions.last(), new.functions.last()) if end is not None]:
                yield from self._span(old, new, min(ends))

    def _span(self, old: _Side, new: _Side, end: str) -> Iterator[Row]:
        """The changes of all URNs up to one that is at hand on a side, so that a span is no larger than a batch."""
        functions = old.functions.through(end), new.functions.through(end)
        destinations = old.destinations.through(end), new.destinations.through(end)
        aligned = align(*functions)
        suspicious = differing(*functions, aligned, ("status", *_RAW))
        suspicious |= among(functions[1].column("status"), _UNANSWERED)[aligned.new]
        if moved := _moved(*destinations):
            suspicious |= among(functions[0].column("function_urn"), moved)[aligned.old]
        self.counts["unchanged"] += len(aligned.old) - int(np.count_nonzero(suspicious))
        before = _objects(functions[0], np.concatenate([aligned.old[suspicious], aligned.only_old]))
        after = _objects(functions[1], np.concatenate([aligned.new[suspicious], aligned.only_new]))
        urns = sorted(before.keys() | after.keys())
        for cells, sides in ((before, destinations[0]), (after, destinations[1])):
            _put_destinations(cells, sides)
        for urn in urns:
            yield from self._changes(urn, before.get(urn), after.get(urn), old)

    def _changes(self, urn: str, before: Cells | None, after: Cells | None, old: _Side) -> Iterator[Row]:
        was, now = (None if cells is None else str(cells["status"]) for cells in (before, after))
        kind = kind_of(was, now)
        if kind == Kind.NOT_LISTED and before is not None and self._coverage[1].covers(urn):
            kind = _gone_from_list(before)
        if kind is None:
            yield from self._field_changes(urn, before or {}, after or {})
            return
        self.counts[kind] += 1
        known_at = old.answered_at(urn, before) if kind in _OF_OLD else None
        yield (
            *_identity(urn),
            kind.value,
            None,
            None,
            config_text(before),
            config_text(after),
            was,
            now,
            None if after is None else after["error_kind"],
            known_at,
            # Rounded up: a run's end is told in whole seconds, and its last answer may stand in the same one.
            None if known_at is None else -((known_at - self._finished[1]) // 1_000_000),
            self._note(urn, kind, before, after),
        )

    def _field_changes(self, urn: str, before: Cells, after: Cells) -> Iterator[Row]:
        changes = list(_differences(before, after)) if before["status"] == Status.CONFIGURED else []
        self.counts[Kind.CHANGED if changes else "unchanged"] += 1
        alone = all(field == "last_modified" for _event, field, _old, _new in changes)
        note = "saved again: no other field differs" if alone else None
        for event, field, was, now in changes:
            self.fields[f"{event}.{field}" if event else field] += 1
            statuses = before["status"], after["status"]
            what = (Kind.CHANGED.value, event, field, was, now)
            yield (*_identity(urn), *what, *statuses, None, None, None, note)

    def _note(self, urn: str, kind: Kind, before: Cells | None, after: Cells | None) -> str | None:
        if kind == Kind.ADDED:
            return self._how_added(urn, before, after or {})
        if kind == Kind.REMOVED and after is None:
            return "the list that the service gave NEW does not hold it"
        if kind == Kind.STATUS_CHANGED and after is not None:
            return _how_status_changed(after)
        if kind == Kind.UNKNOWN and before is None:
            return "not on OLD's list either: nothing is known"
        was_unknown = before is not None and before["status"] in _UNANSWERED
        return "unknown in OLD too: nothing is known" if kind == Kind.UNKNOWN and was_unknown else None

    def _how_added(self, urn: str, before: Cells | None, after: Cells) -> str:
        if before is not None:
            return "OLD asked for it, and it was not there"
        if self._coverage[0].covers(urn):
            return "the list that the service gave OLD did not hold it"
        made = after["created_time"]
        if made is None:
            return "newly listed: OLD did not ask for it"
        age = "younger" if made > self._finished[0] else "older"
        return f"newly listed: OLD did not ask for it; its config is {age} than OLD"


class _Side:
    """The tables of one run, as far as they are read."""

    def __init__(self, run: RunFiles) -> None:
        self.functions = SortedRows(run, schema.FUNCTIONS, _FUNCTIONS)
        self.destinations = SortedRows(run, schema.DESTINATIONS, _DESTINATIONS)
        self._calls = SortedRows(run, schema.CALLS, ("function_urn", "finished_at"))
        self._answered: tuple[list[str], list[int | None]] = ([], [])

    def close(self) -> None:
        for rows in (self.functions, self.destinations, self._calls):
            rows.close()

    def answered_at(self, urn: str, cells: Cells | None) -> int | None:
        """When a URN was answered; URNs are asked for in order, and the table is read where one is."""
        if cells is None or cells["status"] in _UNANSWERED:
            return None
        while not self._answered[0] or self._answered[0][-1] < urn:
            end = self._calls.last()
            if end is None:
                return None
            calls = self._calls.through(end)
            times = calls.column("finished_at").cast(pa.int64()).to_pylist()
            self._answered = calls.column("function_urn").to_pylist(), times
        urns, times = self._answered
        place = bisect_left(urns, urn)
        return times[place] if urns[place] == urn else None


def microseconds(moment: str) -> int:
    """A moment of a manifest as Arrow counts it."""
    return (datetime.fromisoformat(moment) - _EPOCH) // timedelta(microseconds=1)


def config_text(cells: Cells | None) -> str | None:
    """A config as one JSON text; None where a side has none."""
    if cells is None or cells["status"] != Status.CONFIGURED:
        return None
    config = {name: cells[name] for name in ("answered_urn", *_NUMBERS)}
    config |= {name: cells[f"{name}_raw"] for name in _TIMES}
    config["extra"] = parsed(cells["extra"])[0]
    for event, side in cells["sides"].items():
        param, _ = parsed(side["param"])
        shown = {"destination": side["destination"], "param": param if isinstance(param, dict) else side["param"]}
        config[event] = shown | ({} if side["extra"] is None else {"extra": parsed(side["extra"])[0]})
    return json_text({name: value for name, value in config.items() if value is not None})


def _moved(old: pa.Table, new: pa.Table) -> set[str]:
    """The URNs of which a destination may differ."""
    aligned: Aligned = align(old, new)
    other = differing(old, new, aligned, SIDE_FIELDS)
    urns: set[str] = set()
    for rows, numbers in ((old, aligned.old[other]), (old, aligned.only_old), (new, aligned.only_new)):
        urns.update(taken(rows.select(["function_urn"]), numbers).column(0).to_pylist())
    return urns


def _objects(rows: pa.Table, numbers: Any) -> dict[str, Cells]:  # noqa: ANN401 - numpy's
    return {cells["function_urn"]: {**cells, "sides": {}} for cells in to_objects(taken(rows, numbers))}


def _put_destinations(cells: dict[str, Cells], destinations: pa.Table) -> None:
    if cells and destinations.num_rows:
        numbers = np.flatnonzero(among(destinations.column("function_urn"), cells))
        for side in taken(destinations, numbers).to_pylist():
            cells[side["function_urn"]]["sides"][side["event"]] = side


def _differences(before: Cells, after: Cells) -> Iterator[tuple[str | None, str, str | None, str | None]]:
    """Event, field, and both values as texts."""
    for name in FIELDS:
        raw = f"{name}_raw" if name in _TIMES else name
        was, now = before[raw], after[raw]
        moments = (before[name], after[name]) if name in _TIMES else (None, None)
        if was == now or (moments[0] is not None and moments[0] == moments[1]):
            continue
        if name not in _JSON or not same_text(was, now):
            yield None, name, _text(was), _text(now)
    for event in EVENTS:
        sides = before["sides"].get(event, {}), after["sides"].get(event, {})
        if sides[0] == sides[1]:
            continue
        for name in SIDE_FIELDS:
            was, now = (side.get(name) for side in sides)
            if was != now and not (name in _JSON and same_text(was, now)):
                yield event, name, canonical(was) if name in _JSON else was, canonical(now) if name in _JSON else now


def _text(value: Any) -> str | None:  # noqa: ANN401 - a cell
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def _identity(urn: str) -> Row:
    try:
        parts = split_urn(urn)
    except ValueError:
        raise OutputError(f"{urn!r} is no full function URN, so this is no table of a run: export it again") from None
    return (
        urn,
        parts.region,
        parts.project_id,
        parts.package,
        parts.function_name,
        parts.qualifier,
        parts.qualifier_type,
    )
