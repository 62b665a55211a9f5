"""Opens a DuckDB database with the tables that rules read, closed to files."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Final, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from inventory.errors import OutputError
from inventory.reviews.read_ahead import read_ahead
from inventory.runs.listing_coverage import read_coverage
from inventory.tables import schema
from inventory.tables.arrow import ArrowStream, from_numbers
from inventory.tables.batches import arrow_schema
from inventory.tables.parts import iterate_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from inventory.runs.files import RunFiles
    from inventory.settings import AssumedDefaults

MEMORY_LIMIT: Final = "450MB"
"""What does not fit is written to a temporary folder."""
_THREADS: Final = min(4, os.cpu_count() or 1)
_LOADING: Final = """
SET disabled_optimizers = 'join_order,build_side_probe_side'; SET memory_limit = '600MB'
"""
"""The incoming rows, whose number DuckDB does not know, are not held in memory."""
_LOADED: Final = f"""
RESET disabled_optimizers; SET memory_limit = '{MEMORY_LIMIT}'
"""

FEW_ROWS: Final = 20_000
"""Of a smaller run, each query is planned longer than it runs."""

COLUMNS: Final = {
    "functions": (
        "function_urn",
        "status",
        "error_kind",
        "max_async_event_age_in_seconds",
        "max_async_retry_attempts",
        "enable_async_status_log",
        "on_success_destination",
        "on_failure_destination",
        "created_time",
        "last_modified",
        "extra",
        "function_exists",
    ),
    "destinations": (
        "function_urn",
        "event",
        "destination",
        "param",
        "param_valid",
        "obs_bucket",
        "obs_prefix",
        "obs_expires_days",
        "smn_topic_urn",
        "dis_stream_name",
        "target_function_urn",
        "extra",
    ),
    "function_facts": (
        "function_urn",
        "timeout",
        "memory_size",
        "concurrency",
        "xrole",
        "fail_count",
        "domain_id",
        "func_vpc_id",
        "log_group_id",
    ),
    "aliases": ("function_urn", "alias", "version", "additional_version_weights"),
}
"""The tables of a run, and the columns of them that the rules of this package and the notebooks read."""

_IDENTITY: Final = ("region", "project_id", "package", "function_name", "qualifier", "version")
"""Columns that say no more than the URN."""
_ALL_FACTS: Final = tuple(column.name for column in schema.FUNCTION_FACTS.columns if column.name not in _IDENTITY)


class RunTables(NamedTuple):
    """What a review reads of a run.

    Attributes:
        name: of the run.
        manifest: of the run.
        tables: batches of rows, by name.
        columns: of each table.
        rows: number of functions.
    """

    name: str
    manifest: dict[str, Any]
    tables: Mapping[str, Iterator[pa.RecordBatch]]
    columns: Mapping[str, tuple[str, ...]] = COLUMNS
    rows: int = 0


def run_tables(run: RunFiles, *, all_facts: bool = False) -> RunTables:
    """Reads the tables of a run when they are loaded; a table that the run lacks is left out.

    Args:
        run: the run.
        all_facts: for rules of a user, which may read each fact.
    """
    present = {file["name"] for file in run.manifest["tables"]}
    columns = {**COLUMNS, "function_facts": _ALL_FACTS} if all_facts else COLUMNS
    tables = {name: _read(run, name, columns[name]) for name in columns if name in present}
    rows = sum(file["rows"] for file in run.of_table("functions"))
    return RunTables(run.name, run.manifest, tables, columns, rows)


def _read(run: RunFiles, name: str, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    for file in run.of_table(name):
        with run.on_disk(file) as path:
            yield from iterate_parts(name, [path], columns)


@contextmanager
def open_database(tables: RunTables, defaults: AssumedDefaults) -> Iterator[duckdb.DuckDBPyConnection]:
    """Loads the tables, creates the views of ``views.sql``, and forbids access to files and to the configuration.

    A database in a file is compressed, one in memory is not.

    Raises:
        OutputError: a table cannot be read, or there is no room in memory or on the disk.
    """
    with ExitStack() as stack, translate_errors():
        folder = stack.enter_context(_temporary_folder())
        connection = stack.enter_context(
            duckdb.connect(
                ":memory:" if tables.rows <= FEW_ROWS else f"{folder}/review.duckdb",
                config={
                    "threads": 1 if tables.rows <= FEW_ROWS else _THREADS,
                    "temp_directory": folder,
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                },
            )
        )
        connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA stored")
        _hide_progress_bar(connection)
        connection.execute(read_sql("macros.sql"))
        _load_run(connection, tables, defaults)
        connection.execute(_LOADING)
        _load(connection, "functions", tables)
        _sort(connection)
        connection.execute(read_sql("load/duplicates.sql"))
        _load(connection, "destinations", tables)
        _load(connection, "function_facts", tables)
        _load(connection, "aliases", tables)
        connection.execute(_LOADED)
        create_views(connection, "views.sql", tables.rows)
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        yield connection


def _hide_progress_bar(connection: duckdb.DuckDBPyConnection) -> None:
    """Turns the progress bar off; in a notebook without ipywidgets it is off, and the statement fails."""
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchall() == [(True,)]:
        connection.execute("SET enable_progress_bar = false")


@contextmanager
def registered(
    connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table | pa.RecordBatchReader
) -> Iterator[None]:
    """Gives queries in this block a table of rows."""
    connection.register(name, ArrowStream(rows))
    try:
        yield
    finally:
        connection.unregister(name)


def _load(connection: duckdb.DuckDBPyConnection, name: str, tables: RunTables) -> None:
    """Loads a table, with the number of each row as ``line``; see the files of ``load/``."""
    declared = arrow_schema(schema.find_table(name))
    fields = pa.schema([*(declared.field(column) for column in tables.columns[name]), ("line", pa.int32())])
    rows = read_ahead(_numbered(tables.tables.get(name, iter(())), fields))
    with registered(connection, "incoming", pa.RecordBatchReader.from_batches(fields, rows)):
        connection.execute(read_sql(f"load/{name}.sql"))


def _numbered(batches: Iterator[pa.RecordBatch], fields: pa.Schema) -> Iterator[pa.RecordBatch]:
    first = 1
    for batch in batches:
        lines = from_numbers(np.arange(first, first + len(batch), dtype=np.int32), pa.int32())
        yield pa.RecordBatch.from_arrays([*batch.columns, lines], schema=fields)
        first += len(batch)


def _sort(connection: duckdb.DuckDBPyConnection) -> None:
    """Sorts by canonical URN; exported tables are sorted by URN, which differs only for URNs without a qualifier."""
    before = "SELECT subject < lag(subject) OVER () AS is_before FROM stored.urns"
    if connection.execute(f"SELECT count(*) FROM ({before}) WHERE is_before").fetchall() != [(0,)]:  # noqa: S608 - constants
        connection.execute(
            "CREATE OR REPLACE TABLE stored.urns AS SELECT * REPLACE ((row_number() OVER ())::INTEGER AS id) "
            "FROM (FROM stored.urns ORDER BY subject)"
        )


def _load_run(connection: duckdb.DuckDBPyConnection, tables: RunTables, defaults: AssumedDefaults) -> None:
    coverage = read_coverage(tables.manifest)
    connection.execute("CREATE TABLE listed_projects (project VARCHAR)")
    if coverage.projects:
        connection.executemany("INSERT INTO listed_projects VALUES (?)", [[name] for name in sorted(coverage.projects)])
    connection.execute(
        "CREATE TABLE stored.defaults AS SELECT ?::BIGINT AS retries, ?::BIGINT AS age_s, ?::BOOLEAN AS status_log",
        [defaults.retries, defaults.age_s, defaults.status_log],
    )
    connection.execute(
        "CREATE TABLE run AS SELECT ?::TIMESTAMPTZ AS finished, ?::BOOLEAN AS lists_functions, "
        "?::BOOLEAN AS lists_versions, ?::BOOLEAN AS lists_aliases, ?::BOOLEAN AS has_facts, ?::BOOLEAN AS has_aliases",
        [
            tables.manifest["finished"],
            bool(coverage.projects),
            coverage.versions,
            coverage.aliases,
            "function_facts" in tables.tables,
            "aliases" in tables.tables and coverage.aliases,
        ],
    )


def create_views(connection: duckdb.DuckDBPyConnection, name: str, rows: int) -> None:
    """Runs an SQL file of this package; its views of few rows are tables, which are planned faster."""
    text = read_sql(name)
    connection.execute(text.replace("CREATE VIEW", "CREATE TABLE") if rows <= FEW_ROWS else text)


def read_sql(name: str) -> str:
    """Reads an SQL file of this package."""
    return (resources.files("inventory.reviews") / name).read_text("utf-8")


@contextmanager
def _temporary_folder() -> Iterator[str]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="inventory-")
    except OSError as error:
        raise OutputError.from_os_error(
            tempfile.gettempdir(), "cannot hold temporary files of the review", error, "{remedy}, or set TMPDIR"
        ) from None
    with folder as name:
        yield name


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turns a lack of memory or disk space into a sentence, and DuckDB's error at Ctrl-C into ``KeyboardInterrupt``.

    Raises:
        OutputError: there is no room for the tables of the review.
    """
    try:
        yield
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from None
    except (duckdb.OutOfMemoryException, duckdb.IOException):
        raise OutputError(
            f"the run cannot be reviewed with {MEMORY_LIMIT} of memory, and {tempfile.gettempdir()} has no space for "
            "the rest; free disk space there, or set TMPDIR"
        ) from None
