"""CSV rows of any length."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.written_runs import config, leading, side, urn, write_run

import inventory
from inventory.errors import OutputError
from inventory.tables import csv_blocks, schema
from inventory.tables.csv_blocks import iterate_csv, read_csv
from inventory.tables.writer import TableWriter, read_table

AS_TEXT = pa_csv.ConvertOptions(column_types={"a": pa.string(), "b": pa.int64()})


def write_csv(path, lengths):
    rows = [("x\n" * (length // 2), number) for number, length in enumerate(lengths)]
    path.write_text("a,b\n" + "".join(f'"{text}",{number}\n' for text, number in rows))
    return [{"a": text, "b": number} for text, number in rows]


@given(lengths=st.lists(st.sampled_from([2, 60, 300, 5_000, 70_000]), min_size=1, max_size=12))
@settings(deadline=None, max_examples=40)
def test_blocks_of_any_size_read_every_row_once(tmp_path_factory, lengths):
    path = tmp_path_factory.mktemp("blocks") / "a.csv"
    rows = write_csv(path, lengths)
    assert pa.Table.from_batches(iterate_csv(path, AS_TEXT, 64)).to_pylist() == rows
    assert read_csv(path, AS_TEXT).to_pylist() == rows


def test_a_batch_has_about_one_block(tmp_path):
    write_csv(tmp_path / "a.csv", [100] * 1_000)
    assert max(batch.nbytes for batch in iterate_csv(tmp_path / "a.csv", AS_TEXT, 10_000)) < 20_000


@pytest.mark.parametrize("text", ['a,b\n"x,1\n' + "y,2\n" * 100, "a,b\nx\n", "a,b\nx,y\n"])
def test_text_that_is_no_csv_is_refused_with_any_block(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    for read in (lambda path: list(iterate_csv(path, AS_TEXT, 16)), lambda path: read_csv(path, AS_TEXT)):
        with pytest.raises(pa.ArrowInvalid):
            read(tmp_path / "a.csv")


def test_a_row_longer_than_the_first_block_is_read_back(tmp_path):
    rows = [("s", 1, "a", "r"), ("s", 2, "\"'\n" * csv_blocks.FIRST_BLOCK_BYTES, "r"), ("s", 3, "=b", "r")]
    with TableWriter(schema.REJECTS, tmp_path, ("parquet", "csv")) as writer:
        for row in rows:
            writer.add(row, 1_000)
        writer.publish()
    tables = [read_table(tmp_path / f"rejects.{form}") for form in ("csv", "parquet")]
    assert [tuple(row.values()) for row in tables[0].to_pylist()] == rows
    assert tables[0].equals(tables[1])


def test_a_snapshot_and_a_diff_read_rows_of_megabytes(tmp_path):
    def run(form, count):
        side_of_megabytes = side("OBS", {"bucket": "b", "note": '"' * count})
        functions = {urn("f"): leading(on_failure=side_of_megabytes), urn("g"): config()}
        return write_run(tmp_path / f"{form}-{count}", functions, formats=(form,))

    runs = {form: [run(form, 3_000_000), run(form, 3_000_001)] for form in ("csv", "parquet")}
    tables = [inventory.open_snapshot(runs[form][0]).table("destinations") for form in runs]
    assert tables[0].equals(tables[1])
    changes = [inventory.diff(*runs[form]).table() for form in runs]
    assert changes[0].num_rows == 1
    assert changes[0].equals(changes[1])


@pytest.mark.parametrize("name", ["calls.csv", "calls.parquet"])
def test_a_pipe_in_a_tables_place_is_an_error_at_once(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(OutputError, match=f"{name} cannot be read as a table: .*It is no file"):
        read_table(tmp_path / name)
