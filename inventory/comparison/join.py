"""Joins the tables of two runs by their keys in DuckDB.

DuckDB gets keys and returns row numbers: large values are not copied. It opens no files except its own temporary ones,
and no text from a table becomes part of an SQL statement.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.comparison.windows import BYTES_PER_WINDOW, is_ascending
from inventory.errors import OutputError, Status
from inventory.tables import schema
from inventory.tables.arrow import (
    TYPES,
    ArrowStream,
    combine_chunks,
    compare_columns,
    take_rows,
    to_array,
    to_flags,
    to_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inventory.tables.arrow import Flags, Numbers

NUMBERS: Final = ("max_async_event_age_in_seconds", "max_async_retry_attempts", "enable_async_status_log")
TIMES: Final = ("created_time", "last_modified")
SIDE_FIELDS: Final = ("destination", "extra", "param")
UNANSWERED: Final = (Status.FAILED.value, Status.NOT_ATTEMPTED.value)
_RAW: Final = ("answered_urn", *NUMBERS, *(f"{name}_raw" for name in TIMES), "extra")
COLUMNS: Final = {
    schema.FUNCTIONS: ("function_urn", "status", "error_kind", "function_exists", *_RAW, *TIMES),
    schema.DESTINATIONS: ("function_urn", "event", *SIDE_FIELDS),
}
"""The columns that are read from the joined tables."""

ROWS_PER_JOIN: Final = 1_024
"""A join takes some milliseconds even for one row: rows that differ are collected up to this number."""
_MEMORY: Final = "200MB"
_THREADS: Final = 1
"""A window is too small for a second thread, and the next window is read at the same time."""


def _join_statement(table: str, keys: str) -> str:
    return f"""
        SELECT {keys}, old.row AS old_row, new.row AS new_row
        FROM old_{table} AS old FULL JOIN new_{table} AS new USING ({keys})
    """  # noqa: S608 - only names of tables and columns


_JOINS: Final = {
    schema.FUNCTIONS: _join_statement("functions", "function_urn"),
    schema.DESTINATIONS: _join_statement("destinations", "function_urn, event"),
}
_KEYS: Final = {table: table.sorted_by for table in _JOINS}


class Pairs(NamedTuple):
    """Rows of two tables with equal keys.

    Attributes:
        keys: columns of the key, sorted.
        rows: row numbers in OLD and in NEW; -1 if the key is only in the other.
        tables: rows of OLD and of NEW.
    """

    keys: pa.Table
    rows: tuple[Numbers, Numbers]
    tables: tuple[pa.Table, pa.Table]

    def column(self, name: str, places: Numbers | None = None) -> tuple[pa.Array, pa.Array]:
        """Values of OLD and NEW in some of the pairs, or in all; null if a run has no such row."""
        old, new = (
            take_rows(combine_chunks(table[name]), rows if places is None else rows[places])
            for table, rows in zip(self.tables, self.rows, strict=True)
        )
        return old, new

    def side(self, index: int, places: Numbers) -> pa.Table:
        """Rows of OLD (0) or NEW (1) in some of the pairs; all null if the run has no such row."""
        return take_rows(self.tables[index], self.rows[index][places])


class Window(NamedTuple):
    """Rows that have to be joined.

    Attributes:
        end: the last URN of the window.
        old_rows: number of functions of OLD in the window, including those that are not joined.
        functions: rows of OLD and of NEW.
        destinations: rows of OLD and of NEW.
    """

    end: str
    old_rows: int
    functions: tuple[pa.Table, pa.Table]
    destinations: tuple[pa.Table, pa.Table]


def skip_equal_rows(windows: Iterator[tuple[str, list[pa.Table]]]) -> Iterator[Window]:
    """Removes rows that are equal at the same position in both runs, as most are, and collects the others."""
    collected: list[list[pa.Table]] = []
    old_rows = rows = size = 0
    for end, tables in windows:
        old_rows += tables[0].num_rows
        collected.append(_remove_equal_rows(tables))
        rows += max(table.num_rows for table in collected[-1])
        size += sum(table.nbytes for table in collected[-1])
        if rows >= ROWS_PER_JOIN or size >= BYTES_PER_WINDOW:
            yield _concatenate(end, old_rows, collected)
            collected, old_rows, rows, size = [], 0, 0, 0
    if collected:
        yield _concatenate(end, old_rows, collected)


def _concatenate(end: str, old_rows: int, pieces: list[list[pa.Table]]) -> Window:
    old, new, old_destinations, new_destinations = (pa.concat_tables(tables) for tables in zip(*pieces, strict=True))
    return Window(end, old_rows, (old, new), (old_destinations, new_destinations))


def _remove_equal_rows(tables: list[pa.Table]) -> list[pa.Table]:
    functions, destinations = tables[:2], tables[2:]
    is_unequal = _find_unequal_rows(destinations, SIDE_FIELDS, ("function_urn", "event"))
    if is_unequal is not None:
        destinations = [take_rows(rows, np.flatnonzero(is_unequal)) for rows in destinations]
    is_unequal = _find_unequal_rows(functions, ("status", *_RAW), ("function_urn",))
    if is_unequal is not None:
        old, new = functions
        is_unequal |= to_flags(pc.is_in(new["status"], value_set=to_array(UNANSWERED, pa.string())))
        for rows in destinations:
            is_unequal |= to_flags(pc.is_in(old["function_urn"], value_set=combine_chunks(rows["function_urn"])))
        functions = [take_rows(rows, np.flatnonzero(is_unequal)) for rows in functions]
    return [*functions, *destinations]


def _find_unequal_rows(tables: Sequence[pa.Table], columns: Sequence[str], key: Sequence[str]) -> Flags | None:
    """Whether each row differs from the row at the same position in the other run; None if the keys differ."""
    old, new = tables
    if not all(old[name].equals(new[name]) for name in key):
        return None
    flags = np.zeros(old.num_rows, np.bool_)
    for name in columns:
        flags |= compare_columns(old[name], new[name])
    return flags


class JoinedTables:
    """A DuckDB database in memory that joins windows of the tables of two runs.

    Use it in one thread, but not in the main thread: there DuckDB handles signals itself, and the exception of our
    signal handler would be lost. :meth:`interrupt` may be called from any thread.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._sources: dict[str, ArrowStream] = {}
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._is_interrupted = False
        self._joins: dict[schema.Table, duckdb.DuckDBPyRelation] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack, _translate_errors():
            self._connection = connection = stack.enter_context(_connect(_temporary_folder(stack)))
            for table, statement in _JOINS.items():
                for side in ("old", "new"):
                    name = f"{side}_{table.name}"
                    self._sources[name] = ArrowStream(_with_row_numbers(_empty(table, _KEYS[table])))
                    connection.register(name, self._sources[name])
                self._joins[table] = connection.sql(statement)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection = None
        self._stack.close()

    def interrupt(self) -> None:
        """Cancels the join that runs in another thread."""
        self._is_interrupted = True
        connection = self._connection
        if connection is not None:
            connection.interrupt()

    def is_interrupted(self) -> bool:
        """Whether :meth:`interrupt` was called."""
        return self._is_interrupted

    def join(self, window: Window) -> tuple[Pairs, Pairs]:
        """Joins the functions and the destinations of a window by their keys, in Arrow if the keys are equal.

        Raises:
            OutputError: DuckDB has not enough memory or not enough space for temporary files.
        """
        return self._join(schema.FUNCTIONS, window.functions), self._join(schema.DESTINATIONS, window.destinations)

    def _join(self, table: schema.Table, sides: tuple[pa.Table, pa.Table]) -> Pairs:
        old, new = (rows.select(list(_KEYS[table])) for rows in sides)
        if old.equals(new):
            numbers = np.arange(old.num_rows)
            return Pairs(old, (numbers, numbers), sides)
        for name, keys in (("old", old), ("new", new)):
            self._sources[f"{name}_{table.name}"].rows = _with_row_numbers(keys)
        with _translate_errors():
            joined = self._joins[table].to_arrow_table()
        keys = joined.select(list(_KEYS[table]))
        # Most joins keep the order, and sorting in DuckDB takes three times as long.
        if not is_ascending([combine_chunks(key) for key in keys.columns]):
            order = pc.sort_indices(keys, [(name, "ascending") for name in _KEYS[table]])
            joined, keys = joined.take(order), keys.take(order)
        return Pairs(keys, (to_numbers(joined["old_row"], -1), to_numbers(joined["new_row"], -1)), sides)


def _with_row_numbers(keys: pa.Table) -> pa.Table:
    numbers = np.arange(keys.num_rows)
    rows = pa.Array.from_buffers(pa.int64(), keys.num_rows, [None, pa.py_buffer(numbers)])
    return keys.append_column("row", rows)


def _connect(folder: str) -> duckdb.DuckDBPyConnection:
    """Opens a database that loads no extensions and opens no files outside the folder."""
    options: dict[str, Any] = {
        "threads": _THREADS,
        "memory_limit": _MEMORY,
        "temp_directory": folder,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "python_enable_replacements": False,
    }
    connection = duckdb.connect(config=options)
    connection.execute("SET TimeZone = 'UTC'; SET enable_external_access = false; SET lock_configuration = true")
    return connection


def _empty(table: schema.Table, columns: tuple[str, ...]) -> pa.Table:
    types = {column.name: TYPES[column.type] for column in table.columns}
    return pa.Table.from_batches([], pa.schema([(name, types[name]) for name in columns]))


def _temporary_folder(stack: ExitStack) -> str:
    """Creates a folder for data that does not fit into memory; returns "" if that fails, as most joins need none."""
    try:
        return stack.enter_context(tempfile.TemporaryDirectory(prefix="inventory-"))
    except OSError:
        return ""


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise OutputError(
            f"the runs cannot be compared with {_MEMORY} of memory, and {_temporary_place()} has no space for the "
            "rest; free disk space there, or set TMPDIR"
        ) from None
    except duckdb.IOException as error:
        reason = str(error).splitlines()[0].rpartition(": ")[2]
        raise OutputError(
            f"the temporary files of the comparison cannot be written to {_temporary_place()}: {reason}; free disk "
            "space, or set TMPDIR"
        ) from None


def _temporary_place() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:
        return "the temporary folder"
