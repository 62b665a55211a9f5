"""Compares two runs: joined rows become rows of changes, column by column."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.comparison.config_json import config_texts
from inventory.comparison.fields import FIELDS, FieldChanges, find_field_changes, is_new
from inventory.comparison.join import COLUMNS, UNANSWERED, JoinedTables, skip_equal_rows
from inventory.comparison.kinds import CHANGES, Kind
from inventory.comparison.statuses import KINDS, StatusChanges
from inventory.comparison.windows import TableReader, is_large_window, read_ahead, read_windows
from inventory.errors import OutputError, Status
from inventory.runs.listing_coverage import read_coverage
from inventory.tables import schema
from inventory.tables.arrow import (
    combine_chunks,
    compare_columns,
    concat_arrays,
    from_flags,
    take_rows,
    to_array,
    to_flags,
    to_numbers,
    to_scalar,
)
from inventory.tables.batches import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from inventory.comparison.join import Pairs, Window
    from inventory.runs.files import RunFiles
    from inventory.tables.arrow import Flags

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = 1_000_000
_FULL_URN_PARTS: Final = 7
_TEXT: Final = pa.string()
_SCHEMA: Final = arrow_schema(CHANGES)
_CHANGE_COLUMNS: Final = list(_SCHEMA)[7:]
"""The columns after those that identify the function."""
_EVENTS: Final = to_array([event for event, _ in FIELDS], _TEXT)
_FIELDS: Final = to_array([name for _, name in FIELDS], _TEXT)
_KINDS: Final = to_array([kind and kind.value for kind in KINDS], _TEXT)
_LAST_MODIFIED: Final = FIELDS.index((None, "last_modified"))
_SAVED_AGAIN: Final = to_array([None, "saved again: no other field differs"], _TEXT)


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
            joins = _join(tables, readers)
            for item in stack.enter_context(closing(read_ahead(joins, tables.interrupt, is_large_window))):
                yield self._changes_of(*item)

    def _changes_of(self, window: Window, functions: Pairs, destinations: Pairs) -> pa.Table:
        old, new = functions.column("status")
        by_status = compare_columns(old, new) | to_flags(pc.is_in(new, value_set=to_array(UNANSWERED, _TEXT)))
        is_configured = to_flags(pc.equal(old, to_scalar(Status.CONFIGURED.value, _TEXT)))
        fields = find_field_changes(functions, destinations, ~by_status & is_configured)
        self._count_fields(fields)
        places = np.flatnonzero(by_status)
        known = int(np.count_nonzero(functions.rows[0][places] >= 0))
        self.counts["unchanged"] += window.old_rows - known - int(np.count_nonzero(fields.is_first))
        rows, columns = fields.rows, _columns_of_fields(fields)
        if len(places):
            statuses = StatusChanges(functions, places, self._coverage, self._finished[0])
            for kind, count in zip(KINDS, np.bincount(statuses.kinds, minlength=len(KINDS)), strict=True):
                self.counts[kind or "unchanged"] += int(count)
            is_change = statuses.kinds != KINDS.index(None)
            more = self._columns_of_statuses(statuses, window)
            rows = np.concatenate([rows, places[is_change]])
            order = np.argsort(rows, kind="stable")
            chosen = np.flatnonzero(is_change)
            columns = [
                take_rows(concat_arrays([of_field, take_rows(of_status, chosen)]), order)
                for of_field, of_status in zip(columns, more, strict=True)
            ]
            rows = rows[order]
        first = is_new(rows)
        identity = identify(take_rows(combine_chunks(functions.keys["function_urn"]), rows[first]))
        repeats = np.cumsum(first) - 1
        return pa.Table.from_arrays([*(take_rows(column, repeats) for column in identity), *columns], schema=_SCHEMA)

    def _count_fields(self, fields: FieldChanges) -> None:
        if len(fields.rows):
            self.counts[Kind.CHANGED] += int(np.count_nonzero(fields.is_first))
            for (event, name), count in zip(FIELDS, np.bincount(fields.numbers, minlength=len(FIELDS)), strict=True):
                if count:
                    self.fields[f"{event}.{name}" if event else name] += int(count)

    def _columns_of_statuses(self, changes: StatusChanges, window: Window) -> list[pa.Array]:
        """The columns after those that identify the function."""
        count = len(changes.kinds)
        nothing = pa.nulls(count, _TEXT)
        before, after = (
            config_texts(rows, destinations)
            for rows, destinations in zip((changes.old, changes.new), window.destinations, strict=True)
        )
        is_of_old = changes.is_of_old
        known_at = self._answer_times(changes.urns, is_of_old, window.end)
        times = to_numbers(known_at.cast(pa.int64()), 0)
        # Rounded up: a run ends at a whole second, and its last answer may have come within that second.
        ages = -((times - self._finished[1]) // _SECOND)
        return [
            take_rows(_KINDS, changes.kinds),
            nothing,
            nothing,
            before,
            after,
            *(
                combine_chunks(side[name])
                for side, name in ((changes.old, "status"), (changes.new, "status"), (changes.new, "error_kind"))
            ),
            known_at,
            pc.if_else(
                pc.is_valid(known_at),
                pa.Array.from_buffers(pa.int64(), count, [None, pa.py_buffer(ages)]),
                to_scalar(None, pa.int64()),
            ),
            changes.notes(),
        ]

    def _answer_times(self, urns: pa.Array, flags: Flags, end: str) -> pa.Array:
        """When OLD got its answers. URNs come in order, so the table is read once, and only if there are any."""
        column = self._calls.schema.field("finished_at").type
        if not flags.any():
            return pa.nulls(len(urns), column)
        wanted = take_rows(urns, np.flatnonzero(flags))
        batches = [batch.filter(pc.is_in(batch.column(0), value_set=wanted)) for batch in self._calls.through(end)]
        calls = pa.Table.from_batches(batches, self._calls.schema)
        found = to_numbers(pc.index_in(urns, value_set=combine_chunks(calls["function_urn"])).cast(pa.int64()), -1)
        return take_rows(combine_chunks(calls["finished_at"]), np.where(flags, found, -1))


def microseconds(moment: str) -> int:
    """A moment of a manifest as Arrow counts it."""
    return (datetime.fromisoformat(moment) - _EPOCH) // timedelta(microseconds=1)


def _join(tables: JoinedTables, readers: Sequence[TableReader]) -> Generator[tuple[Window, Pairs, Pairs]]:
    with tables:
        for window in skip_equal_rows(read_windows(readers, tables.is_interrupted)):
            yield window, *tables.join(window)


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


def identify(urns: pa.Array) -> list[pa.Array]:
    """The columns that identify the function, from full function URNs.

    Raises:
        OutputError: a text is no full function URN.
    """
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
