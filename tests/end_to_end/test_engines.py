"""DuckDB, Polars and Spark read every cell as Arrow does; the guide's snippets run."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.documents import blocks
from support.histories import nights, one_run

from inventory.tables.parts import PartsWriter
from inventory.tables.schema import BOOLEAN, FLOAT, INTEGER, LISTED_TABLES, TABLES, TEXT, TIME
from inventory.tables.writer import read_table, remove_guards

SNIPPETS = [block.code for block in blocks("reading-tables.md", "python")]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = [datetime(2026, 11, 25, 1, 2, 3, 456789, UTC), datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)]
EDGES = {
    TEXT: [None, "", "plain", "=1+1", "'quoted'", 'a "word", and\na line', "日本 🎌", " spaces ", "null"],
    INTEGER: [None, 0, -1, 2**63 - 1, -(2**63), 3600],
    BOOLEAN: [None, True, False],
    FLOAT: [None, 0.1, -1.5e300, 0.0],
    TIME: [None, *((time - EPOCH) // timedelta(microseconds=1) for time in TIMES), 0],
}
"""Values of each type that engines are known to read differently; times in microseconds."""
SPARK_READS = {
    "string": ("BYTE_ARRAY", "String"),
    "int64": ("INT64", "None"),
    "bool": ("BOOLEAN", "None"),
    "double": ("DOUBLE", "None"),
    "timestamp[us, tz=UTC]": ("INT64", "Timestamp(isAdjustedToUTC=true, timeUnit=microseconds"),
}
"""Parquet types that Spark 4.3.0 read on 2026-11-25, by our types."""


def written(table, folder, *, rows, rows_per_file):
    folder.mkdir(exist_ok=True)
    edges = [EDGES[column.type] for column in table.columns]
    with PartsWriter(table, folder, ("parquet", "csv"), rows_per_file=rows_per_file, max_rows=rows) as writer:
        for number in range(rows):
            writer.add(tuple(values[(number + shift) % len(values)] for shift, values in enumerate(edges)), 100)
        writer.publish()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    for table in TABLES.values():
        written(table, folder / "whole", rows=40, rows_per_file=100)
        written(table, folder / "empty", rows=0, rows_per_file=100)
        written(table, folder / "parts", rows=40, rows_per_file=15)
    return folder


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    run = one_run(folder)
    nights(run, folder / "output", 2)
    run.rename(folder / "output" / "today")
    return folder


def by_duckdb(path, table):
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        return database.read_parquet(str(path)).to_arrow_table()


def by_polars(path, table):
    return pl.read_parquet(path).to_arrow()


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("read", [by_duckdb, by_polars])
def test_every_cell_is_read_alike(folder, history, read, name):
    places = {"whole": f"{name}.parquet", "empty": f"{name}.parquet", "parts": f"{name}/*.parquet"}
    paths = [folder / place / file for place, file in places.items()]
    if name not in LISTED_TABLES:  # the history has no listing
        paths.append(history / "output" / "today" / f"{name}.parquet")
    for path in paths:
        reported = pq.read_table(path.parent if "*" in path.name else path)
        found = read(path, name)
        assert found.to_pylist() == reported.to_pylist(), path
        assert found.column_names == reported.column_names
        for ours, theirs in zip(reported.schema, found.schema, strict=True):
            assert pa.types.is_temporal(ours.type) == pa.types.is_temporal(theirs.type)
            if not pa.types.is_string(ours.type):
                assert theirs.type == ours.type, ours.name
    assert reported.num_rows


@pytest.mark.parametrize("name", TABLES)
def test_csv_is_read_alike(folder, name):
    path = folder / "whole" / f"{name}.csv"
    types = {TEXT: "VARCHAR", INTEGER: "BIGINT", BOOLEAN: "BOOLEAN", FLOAT: "DOUBLE", TIME: "TIMESTAMPTZ"}
    columns = {column.name: types[column.type] for column in TABLES[name].columns}
    reported = read_table(folder / "whole" / f"{name}.parquet")
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        found = database.read_csv(str(path), header=True, columns=columns, allow_quoted_nulls=False)
        assert remove_guards(found.to_arrow_table().cast(reported.schema)).to_pylist() == reported.to_pylist()
    texts = [column.name for column in TABLES[name].columns if column.type == TEXT]
    space = {"pl": pl}
    exec(SNIPPETS[-1].replace("output/today/functions.csv", str(path)), space)  # noqa: S102 - the guide is ours
    unquoted = space["table"].with_columns(pl.col(texts).str.replace("^'", ""))
    assert unquoted.select(texts).to_dicts() == reported.select(texts).to_pylist()


@pytest.mark.parametrize("code", SNIPPETS, ids=[code.split()[1] for code in SNIPPETS])
def test_the_snippets_run(history, monkeypatch, capsys, code):
    compile(code, "reading-tables.md", "exec")
    if "pyspark" in code:
        pytest.importorskip("pyspark")
    monkeypatch.chdir(history)
    exec(code, {})  # noqa: S102 - the guide is ours
    assert len(capsys.readouterr().out.splitlines()) > 5


def test_the_snippets_say_what_is_so(history, monkeypatch, capsys):
    monkeypatch.chdir(history)
    rows = read_table(history / "output" / "today" / "functions.parquet").to_pylist()
    lost = sum(row["status"] == "configured" and row["on_failure_destination"] is None for row in rows)
    assert lost
    for code in SNIPPETS[:2]:
        exec(code, {})  # noqa: S102 - the guide is ours
        counts = re.findall(r"2026-11-0[12] 01:00:00\D+(\d+)\D+(\d+)", capsys.readouterr().out)
        assert counts == [(str(lost), "0")] * 2


@pytest.mark.parametrize("name", TABLES)
def test_the_files_hold_only_what_spark_reads(folder, name):
    for place in ("whole", "empty"):
        file = pq.ParquetFile(folder / place / f"{name}.parquet")
        declared = {column.name: column.type for column in TABLES[name].columns}
        assert len({column.lower() for column in declared}) == len(declared)
        assert not re.search(r"[ ,;{}()\n\t=]", "".join(declared))
        assert file.schema.names == list(declared)
        for column in map(file.schema.column, range(len(declared))):
            physical, logical = SPARK_READS[declared[column.name]]
            assert column.physical_type == physical
            assert str(column.logical_type).startswith(logical)
            assert (column.max_definition_level, column.max_repetition_level) == (1, 0)
        for group in map(file.metadata.row_group, range(file.metadata.num_row_groups)):
            for chunk in map(group.column, range(group.num_columns)):
                assert chunk.compression == "ZSTD"
                assert set(chunk.encodings) <= {"PLAIN", "RLE", "RLE_DICTIONARY"}
