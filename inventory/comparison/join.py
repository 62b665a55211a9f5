"""Joins the tables of two runs in DuckDB: which rows differ.

DuckDB reads and returns Arrow tables. It opens no files except its own temporary ones, and no text from a table becomes
part of an SQL statement.
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
from inventory.tables.arrow import TYPES, combine_chunks, compare_columns, from_flags, to_array, to_flags

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inventory.tables.arrow import Flags

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


def _differ(columns: tuple[str, ...]) -> str:
    return " OR ".join(f"old.{name} IS DISTINCT FROM new.{name}" for name in columns)


def _both(columns: tuple[str, ...]) -> str:
    return ", ".join(f"{side}.{name} AS {side}_{name}" for side in ("old", "new") for name in columns)


# Only column names and statuses become part of these statements.
_JOINED_DESTINATIONS: Final = f"""
    SELECT
        function_urn, event, old.function_urn IS NOT NULL AS in_old, new.function_urn IS NOT NULL AS in_new,
        {_both(SIDE_FIELDS)}
    FROM old_destinations AS old FULL JOIN new_destinations AS new USING (function_urn, event)
    WHERE old.function_urn IS NULL OR new.function_urn IS NULL OR {_differ(SIDE_FIELDS)}
"""  # noqa: S608 - as above
_JOINED_FUNCTIONS: Final = f"""
    SELECT
        function_urn, old.function_urn IS NOT NULL AS in_old, new.function_urn IS NOT NULL AS in_new,
        old.status IS DISTINCT FROM new.status OR new.status IN {UNANSWERED} AS by_status,
        {_both(COLUMNS[schema.FUNCTIONS][1:])}
    FROM old_functions AS old FULL JOIN new_functions AS new USING (function_urn)
    WHERE {_differ(("status", *_RAW))} OR new.status IN {UNANSWERED}
        OR function_urn IN (SELECT function_urn FROM destinations)
"""  # noqa: S608 - as above


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
        destinations = [rows.filter(from_flags(is_unequal)) for rows in destinations]
    is_unequal = _find_unequal_rows(functions, ("status", *_RAW), ("function_urn",))
    if is_unequal is not None:
        old, new = functions
        is_unequal |= to_flags(pc.is_in(new["status"], value_set=to_array(UNANSWERED, pa.string())))
        for rows in destinations:
            is_unequal |= to_flags(pc.is_in(old["function_urn"], value_set=combine_chunks(rows["function_urn"])))
        functions = [rows.filter(from_flags(is_unequal)) for rows in functions]
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


class _Source:
    """A table for DuckDB; its rows are replaced before each query."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.rows.__arrow_c_stream__(requested_schema)


class JoinedTables:
    """A DuckDB database in memory that joins windows of the tables of two runs.

    Use it in one thread, but not in the main thread: there DuckDB handles signals itself, and the exception of our
    signal handler would be lost. :meth:`interrupt` may be called from any thread.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._sources: dict[str, _Source] = {}
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._is_interrupted = False

    def __enter__(self) -> Self:
        with ExitStack() as stack, _translate_errors():
            self._connection = connection = stack.enter_context(_connect(_temporary_folder(stack)))
            for table, columns in COLUMNS.items():
                for side in ("old", "new"):
                    self._add(f"{side}_{table.name}", _empty(table, columns), connection)
            self._destinations = connection.sql(_JOINED_DESTINATIONS)
            self._no_destinations = self._destinations.to_arrow_table()
            self._add("destinations", self._no_destinations, connection)
            self._functions = connection.sql(_JOINED_FUNCTIONS)
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

    def join(self, window: Window) -> tuple[pa.Table, pa.Table]:
        """Joins the rows of a window.

        Returns:
            The functions that differ, that are unanswered in NEW, or whose destinations differ, sorted; and the
            destinations that differ. Each row has the cells of both runs, as ``old_status`` and ``new_status``.
            ``by_status`` is true if the statuses alone decide the kind of change.

        Raises:
            OutputError: DuckDB has not enough memory or not enough space for temporary files.
        """
        with _translate_errors():
            changed = self._no_destinations
            if any(rows.num_rows for rows in window.destinations):
                self._put("destinations", window.destinations)
                changed = self._destinations.to_arrow_table()
            self._sources["destinations"].rows = changed
            self._put("functions", window.functions)
            return _sort(self._functions.to_arrow_table()), changed

    def _put(self, table: str, sides: tuple[pa.Table, pa.Table]) -> None:
        self._sources[f"old_{table}"].rows, self._sources[f"new_{table}"].rows = sides

    def _add(self, name: str, rows: pa.Table, connection: duckdb.DuckDBPyConnection) -> None:
        self._sources[name] = _Source(rows)
        connection.register(name, self._sources[name])


def _sort(rows: pa.Table) -> pa.Table:
    """Sorts rows by URN. Most joins keep the order, and sorting in DuckDB takes three times as long."""
    urns = combine_chunks(rows["function_urn"])
    return rows if is_ascending([urns]) else rows.take(pc.sort_indices(urns))


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
