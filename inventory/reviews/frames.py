"""Loads frames of a snapshot into the database of a review."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from inventory.reviews.database import COLUMNS, RunTables, open_database
from inventory.reviews.rule import load_builtin_rules
from inventory.settings import AssumedDefaults
from inventory.tables import schema
from inventory.tables.batches import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import duckdb


@contextmanager
def database_of(
    functions: pd.DataFrame,
    destinations: pd.DataFrame | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens a database with the tables that rules read, from the frames ``functions`` and ``destinations``.

    Without the ``manifest`` of the run, it is not known what the service listed in full.
    """
    frames = {"functions": functions, "destinations": destinations}
    tables = {name: iter(_to_batches(name, frame)) for name, frame in frames.items() if frame is not None}
    run = {"finished": "1970-01-01T00:00:00Z", "input": {}, **(manifest or {})}
    with open_database(RunTables("frames", run, tables), AssumedDefaults()) as connection:
        yield connection


@cache
def rule_query(rule: str) -> str:
    """Returns the query of a rule of the package, by id."""
    return load_builtin_rules()[rule].sql


def select(connection: duckdb.DuckDBPyConnection, query: str, values: dict[str, Any] | None = None) -> pd.DataFrame:
    """Runs a query; texts are objects, and null is None or NaN."""
    frame: pd.DataFrame = connection.sql(query, params=values).to_df()
    return frame


def _to_batches(name: str, frame: pd.DataFrame) -> list[pa.RecordBatch]:
    declared = arrow_schema(schema.find_table(name))
    fields = pa.schema([declared.field(column) for column in COLUMNS[name]])
    arrays = [_to_array(frame, field) for field in fields]
    batches: list[pa.RecordBatch] = pa.Table.from_arrays(arrays, schema=fields).to_batches()
    return batches


def _to_array(frame: pd.DataFrame, field: pa.Field) -> pa.Array | pa.ChunkedArray:
    if field.name not in frame:
        return pa.nulls(len(frame), field.type)
    column = frame[field.name]
    if not isinstance(column.dtype, pd.ArrowDtype):
        return pa.array(column.astype(object), field.type, from_pandas=True)
    return pa.array(column).cast(field.type)
