"""Names the subjects of findings, and puts findings in the order of their names."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.reviews.verdicts import ids
from inventory.tables.arrow import combine_chunks, from_numbers, take_rows, to_array, to_numbers

if TYPE_CHECKING:
    import duckdb

    Rows: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]
    Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

_ROWS_PER_BATCH: Final = 50_000
_DISTINCT: Final = ("subject", "function_name")
_REPEATED: Final = ("region", "project_id", "package", "qualifier")
_QUALIFIER: Final = ":[^:]*$"
_TARGETS: Final = """
SELECT
    id::INTEGER AS id, subject_id::BIGINT AS subject_id, coalesce(list_position($events, event), 0)::BIGINT AS event
FROM targets
"""


class SubjectNames:
    """The subjects of the views ``subjects``, ``targets`` and ``function_list``, by id.

    A negative id of ``targets`` is that of a URN without an answer.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def order(self, view: str, numbers: Numbers) -> Numbers:
        """Sorts ids by subject, then event, without an event first; returns their indices."""
        if view == "targets":
            subjects, events = self._of_targets(numbers)
            keys = subjects * (len(self._events) + 1) + events
        else:
            keys = self._function_ranks[numbers].astype(np.int64) if view == "function_list" else numbers
        if np.all(keys[1:] > keys[:-1]):
            return np.arange(len(keys))
        return np.argsort(keys, kind="stable")

    def of(self, view: str, numbers: Numbers) -> dict[str, pa.Array]:
        """The columns of findings that name subjects."""
        if view == "targets":
            subjects, events = self._of_targets(numbers)
            return {**self._named(subjects), "event": take_rows(self._events, events - 1)}
        columns = {**self._named(numbers), "event": pa.nulls(len(numbers), pa.string())}
        if view == "function_list":
            columns["subject"] = _without_qualifier(columns["subject"])
            columns["qualifier"] = pa.nulls(len(numbers), pa.string())
        return columns

    def _named(self, numbers: Numbers) -> dict[str, pa.Array]:
        rows = self._rows[numbers]
        indices = from_numbers(rows, pa.int32())
        return {name: column.take(indices).cast(pa.string()) for name, column in self._columns.items()}

    def _of_targets(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """Ids of the URNs of destinations, and numbers of their events; 0: none."""
        subjects, events = self._targets
        is_target = numbers >= 0
        rows = np.where(is_target, numbers, 0)
        return np.where(is_target, subjects[rows], -numbers), np.where(is_target, events[rows], 0)

    @cached_property
    def _rows(self) -> Rows:
        """The row of each id in the columns."""
        return _inverse(ids(self._connection.sql("SELECT id::INTEGER AS id FROM subjects").to_arrow_table()))

    @cached_property
    def _columns(self) -> dict[str, pa.Array]:
        def column(name: str) -> pa.ChunkedArray:
            reader = self._connection.sql(f"SELECT {name} FROM subjects").to_arrow_reader(_ROWS_PER_BATCH)  # noqa: S608 - constants
            chunks = [batch.column(0) if name in _DISTINCT else batch.column(0).dictionary_encode() for batch in reader]
            return pa.chunked_array(chunks, None if chunks else pa.string()).unify_dictionaries()

        return {name: combine_chunks(column(name)) for name in (*_DISTINCT, *_REPEATED)}

    @cached_property
    def _events(self) -> pa.Array:
        rows = self._connection.execute("SELECT DISTINCT event FROM targets WHERE event IS NOT NULL ORDER BY event")
        return to_array([event for (event,) in rows.fetchall()], pa.string())

    @cached_property
    def _targets(self) -> tuple[Numbers, Numbers]:
        """The id of the URN and the number of the event, by id of the destination."""
        values = {"events": self._events.to_pylist()}
        rows = self._connection.sql(_TARGETS, params=values).to_arrow_table()
        destinations = ids(rows)
        size = int(np.max(destinations, initial=0)) + 1
        subjects, events = np.zeros(size, np.int64), np.zeros(size, np.int64)
        subjects[destinations] = to_numbers(rows["subject_id"], 0)
        events[destinations] = to_numbers(rows["event"], 0)
        return subjects, events

    @cached_property
    def _function_ranks(self) -> Rows:
        rows = self._connection.sql("SELECT id::INTEGER AS id FROM function_list ORDER BY subject").to_arrow_table()
        return _inverse(ids(rows))


def _inverse(numbers: Rows) -> Rows:
    rows = np.zeros(int(np.max(numbers, initial=0)) + 1, np.int32)
    rows[numbers] = np.arange(len(numbers), dtype=np.int32)
    return rows


def _without_qualifier(urns: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(urns, _QUALIFIER, "")
