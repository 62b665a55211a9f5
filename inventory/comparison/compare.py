"""Compares two runs: joined rows become rows of changes, in the order of URNs.

Decides what is a change. A URN is ``removed`` only if the service said so in NEW, or if NEW has the complete list of
the service and the URN is not on it. Error and request id of a failed call are not compared.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.comparison.fields import FIELDS, FieldChanges, find_field_changes
from inventory.comparison.join import COLUMNS, NUMBERS, SIDE_FIELDS, TIMES, UNANSWERED, JoinedTables, skip_equal_rows
from inventory.comparison.kinds import CHANGES, Kind
from inventory.comparison.windows import TableReader, read_ahead, read_windows
from inventory.errors import OutputError, Status
from inventory.exact_json import json_text, parsed
from inventory.runs.listing_coverage import read_coverage
from inventory.tables import schema
from inventory.tables.arrow import combine_chunks, from_flags, take_rows, to_array, to_flags, to_objects, to_scalar
from inventory.tables.writer import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from inventory.comparison.join import Window
    from inventory.runs.files import RunFiles
    from inventory.tables.arrow import Numbers

    Cells = dict[str, Any]
    Row = tuple[Any, ...]
    Sides = tuple[str, Cells | None, Cells | None]

_THERE: Final = (Status.CONFIGURED.value, Status.NOT_CONFIGURED.value)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OF_OLD: Final = frozenset({Kind.UNKNOWN, Kind.NOT_LISTED})
_FULL_URN_PARTS: Final = 7
_TEXT: Final = pa.string()
_SCHEMA: Final = arrow_schema(CHANGES)
_CHANGE_COLUMNS: Final = list(_SCHEMA)[7:]
"""The columns after those that identify the function."""
_EVENTS: Final = to_array([event for event, _ in FIELDS], _TEXT)
_FIELDS: Final = to_array([name for _, name in FIELDS], _TEXT)
_LAST_MODIFIED: Final = FIELDS.index((None, "last_modified"))
_SAVED_AGAIN: Final = to_array([None, "saved again: no other field differs"], _TEXT)


def kind_of(old: str | None, new: str | None) -> Kind | None:  # noqa: PLR0911 - a line a case
    """What two statuses say of a URN; None where the configs, if there are any, have to be looked at.

    Args:
        old: status in OLD; None: not on its list.
        new: the same of NEW.
    """
    if new is None:
        return Kind.NOT_LISTED
    if new in UNANSWERED:
        return Kind.UNKNOWN
    if old is None:
        return Kind.ADDED if new in _THERE else Kind.NEWLY_LISTED
    if old in UNANSWERED:
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
    """Compares OLD and NEW; :meth:`changes` is consumed once, and then :attr:`counts` is complete.

    Attributes:
        counts: URNs by kind, and ``unchanged``.
        fields: differing fields, by name, with their event before it.
    """

    def __init__(self, old: RunFiles, new: RunFiles) -> None:
        self.counts: Counter[str] = Counter()
        self.fields: Counter[str] = Counter()
        self._runs = old, new
        self._coverage = read_coverage(old.manifest), read_coverage(new.manifest)
        self._finished = tuple(microseconds(run.manifest["finished"]) for run in (old, new))
        self._calls = TableReader(old, schema.CALLS, ("function_urn", "finished_at"))

    def changes(self) -> Iterator[pa.Table]:
        """Yields the rows of :data:`inventory.comparison.kinds.CHANGES`, sorted, some URNs at a time.

        Raises:
            OutputError: a table cannot be read or is not sorted, or there is not enough memory or disk space.
        """
        readers = [TableReader(run, table, columns) for table, columns in COLUMNS.items() for run in self._runs]
        tables = JoinedTables()
        with ExitStack() as stack:
            for reader in (*readers, self._calls):
                stack.callback(reader.close)
            joins = stack.enter_context(closing(read_ahead(_join(tables, readers), tables.interrupt)))
            for window, functions, destinations in joins:
                identity = _identify(combine_chunks(functions["function_urn"]))
                by_status = to_flags(functions["by_status"])
                fields = find_field_changes(functions, destinations, by_status)
                self._count(fields)
                known = int(np.count_nonzero(by_status & to_flags(functions["in_old"])))
                self.counts["unchanged"] += window.old_rows - known - int(np.count_nonzero(fields.is_first))
                status_rows = np.flatnonzero(by_status)
                status_changes = self._status_changes(_sides_of(functions, status_rows, destinations), window.end)
                yield _merge(identity, fields, status_rows, status_changes)

    def _count(self, fields: FieldChanges) -> None:
        if len(fields.rows):
            self.counts[Kind.CHANGED] += int(np.count_nonzero(fields.is_first))
            for (event, name), count in zip(FIELDS, np.bincount(fields.numbers, minlength=len(FIELDS)), strict=True):
                if count:
                    self.fields[f"{event}.{name}" if event else name] += int(count)

    def _status_changes(self, sides: list[Sides], end: str) -> list[Row | None]:
        """The cells of the rows of URNs whose statuses decide, without the columns that identify the function."""
        kinds = [self._kind(*both) for both in sides]
        old_answers = [
            urn
            for (urn, before, _), kind in zip(sides, kinds, strict=True)
            if kind in _OF_OLD and before is not None and before["status"] not in UNANSWERED
        ]
        answered = self._answer_times(old_answers, end) if old_answers else {}
        self.counts.update("unchanged" if kind is None else kind for kind in kinds)
        return [
            None if kind is None else self._status_change(kind, both, answered.get(both[0]))
            for kind, both in zip(kinds, sides, strict=True)
        ]

    def _status_change(self, kind: Kind, sides: Sides, known_at: int | None) -> Row:
        urn, before, after = sides
        return (
            kind.value,
            None,
            None,
            config_text(before),
            config_text(after),
            None if before is None else str(before["status"]),
            None if after is None else str(after["status"]),
            None if after is None else after["error_kind"],
            known_at,
            # Rounded up: a run ends at a whole second, and its last answer may have come within that second.
            None if known_at is None else -((known_at - self._finished[1]) // 1_000_000),
            self._note(urn, kind, before, after),
        )

    def _kind(self, urn: str, before: Cells | None, after: Cells | None) -> Kind | None:
        was, now = (None if cells is None else str(cells["status"]) for cells in (before, after))
        kind = kind_of(was, now)
        if kind == Kind.NOT_LISTED and before is not None and self._coverage[1].covers(urn):
            kind = _gone_from_list(before)
        return kind

    def _answer_times(self, urns: list[str], end: str) -> dict[str, int]:
        """When OLD got its answers. URNs come in order, so the table is read once, and only if there are any."""
        wanted = to_array(urns, _TEXT)
        times: dict[str, int] = {}
        for batch in self._calls.through(end):
            for cells in to_objects(batch.filter(pc.is_in(batch.column(0), value_set=wanted))):
                times[cells["function_urn"]] = cells["finished_at"]
        return times

    def _note(self, urn: str, kind: Kind, before: Cells | None, after: Cells | None) -> str | None:
        if kind == Kind.ADDED:
            return self._how_added(urn, before, after or {})
        if kind == Kind.REMOVED and after is None:
            return "the list that the service gave NEW does not hold it"
        if kind == Kind.STATUS_CHANGED and after is not None:
            return _how_status_changed(after)
        if kind == Kind.UNKNOWN and before is None:
            return "not on OLD's list either: nothing is known"
        was_unknown = before is not None and before["status"] in UNANSWERED
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


def microseconds(moment: str) -> int:
    """A moment of a manifest as Arrow counts it."""
    return (datetime.fromisoformat(moment) - _EPOCH) // timedelta(microseconds=1)


def config_text(cells: Cells | None) -> str | None:
    """A config as one JSON text; None where a side has none."""
    if cells is None or cells["status"] != Status.CONFIGURED:
        return None
    config = {name: cells[name] for name in ("answered_urn", *NUMBERS)}
    config |= {name: cells[f"{name}_raw"] for name in TIMES}
    config["extra"] = parsed(cells["extra"])[0]
    for event, side in cells["sides"].items():
        param, _ = parsed(side["param"])
        shown = {"destination": side["destination"], "param": param if isinstance(param, dict) else side["param"]}
        config[event] = shown | ({} if side["extra"] is None else {"extra": parsed(side["extra"])[0]})
    return json_text({name: value for name, value in config.items() if value is not None})


def _join(tables: JoinedTables, readers: Sequence[TableReader]) -> Generator[tuple[Window, pa.Table, pa.Table]]:
    with tables:
        for window in skip_equal_rows(read_windows(readers, tables.is_interrupted)):
            yield window, *tables.join(window)


def _sides_of(functions: pa.Table, rows: Numbers, destinations: pa.Table) -> list[Sides]:
    """Joined rows as URN, cells of OLD and cells of NEW; None if a run does not list the URN."""
    if not len(rows):
        return []
    joined = take_rows(functions, rows)
    urns = joined["function_urn"].to_pylist()
    sides: list[list[Cells | None]] = []
    for run in ("old", "new"):
        events: dict[str, dict[str, Cells]] = {}
        keys = zip(destinations["function_urn"].to_pylist(), destinations["event"].to_pylist(), strict=True)
        for (urn, event), cells in zip(keys, _cells_of(destinations, run, SIDE_FIELDS), strict=True):
            if cells is not None:
                events.setdefault(urn, {})[event] = cells
        of_run = _cells_of(joined, run, COLUMNS[schema.FUNCTIONS][1:])
        for urn, cells in zip(urns, of_run, strict=True):
            if cells is not None:
                cells["sides"] = events.get(urn, {})
        sides.append(of_run)
    return list(zip(urns, *sides, strict=True))


def _cells_of(joined: pa.Table, run: str, names: Sequence[str]) -> list[Cells | None]:
    """The cells of one run; None if it does not have the row."""
    cells = to_objects(joined.select([f"{run}_{name}" for name in names]).rename_columns(list(names)))
    is_present = joined[f"in_{run}"].to_pylist()
    return [row if present else None for row, present in zip(cells, is_present, strict=True)]


def _merge(identity: list[pa.Array], fields: FieldChanges, rows: Numbers, changes: list[Row | None]) -> pa.Table:
    """Changes of fields and of statuses as one table, sorted.

    Args:
        identity: the columns that identify the functions of the join.
        fields: changes of fields.
        rows: row numbers of the functions whose statuses decide.
        changes: the change of each of them, or None.
    """
    columns = _columns_of_fields(fields)
    order = fields.rows
    if found := [change for change in changes if change is not None]:
        has_change = np.fromiter((change is not None for change in changes), np.bool_, len(changes))
        cells = zip(zip(*found, strict=True), _CHANGE_COLUMNS, strict=True)
        more = [to_array(values, field.type) for values, field in cells]
        order = np.concatenate([fields.rows, rows[has_change]])
        places = np.argsort(order, kind="stable")
        columns = [take_rows(pa.concat_arrays(pieces), places) for pieces in zip(columns, more, strict=True)]
        order = order[places]
    return pa.Table.from_arrays([*(take_rows(column, order) for column in identity), *columns], schema=_SCHEMA)


def _columns_of_fields(fields: FieldChanges) -> list[pa.Array]:
    count = len(fields.rows)
    kind, status = (_repeat(word, count) for word in (Kind.CHANGED.value, Status.CONFIGURED.value))
    nulls = [pa.nulls(count, field.type) for field in _CHANGE_COLUMNS]
    return [
        kind,
        take_rows(_EVENTS, fields.numbers),
        take_rows(_FIELDS, fields.numbers),
        fields.before,
        fields.after,
        status,
        status,
        *nulls[7:10],
        take_rows(_SAVED_AGAIN, fields.is_alone(_LAST_MODIFIED).astype(np.int64)),
    ]


def _identify(urns: pa.Array) -> list[pa.Array]:
    parts = pc.split_pattern(urns, ":")
    offsets = np.frombuffer(parts.buffers()[1], np.int32, len(parts) + 1, parts.offset * 4).astype(np.int64)
    counts = np.diff(offsets)
    for number in np.flatnonzero(counts < _FULL_URN_PARTS)[:1].tolist():
        raise OutputError(
            f"{str(urns[number])!r} is no full function URN, so this is no table of a run: export it again"
        )
    region, project_id, package, name = (take_rows(parts.values, offsets[:-1] + index) for index in (2, 3, 5, 6))
    has_qualifier = counts > _FULL_URN_PARTS
    last = take_rows(parts.values, np.where(has_qualifier, offsets[:-1] + _FULL_URN_PARTS, offsets[:-1]))
    nothing = to_scalar(None, _TEXT)
    last = pc.if_else(from_flags(has_qualifier), last, nothing)
    is_alias = pc.starts_with(last, "!")
    qualifier = pc.if_else(is_alias, pc.utf8_slice_codeunits(last, 1), last)
    alias, version = to_scalar("alias", _TEXT), to_scalar("version", _TEXT)
    return [urns, region, project_id, package, name, qualifier, pc.if_else(is_alias, alias, version)]


def _repeat(word: str, count: int) -> pa.Array:
    return take_rows(to_array([word], _TEXT), np.zeros(count, np.int64))
