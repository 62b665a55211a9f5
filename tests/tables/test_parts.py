"""Tables in parts: a folder is one complete dataset or absent."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pandas as pd
import pyarrow.dataset as ds
import pytest

from inventory.errors import OutputError
from inventory.tables import paths as layout
from inventory.tables import schema
from inventory.tables.parts import PartsWriter, read_parts
from inventory.tables.writer import TableWriter, read_table

BOTH = ("parquet", "csv")
CALLS = schema.TABLES["calls"]


def call(number: int) -> tuple[object, ...]:
    return (f"urn-{number:06d}", "Show", number % 5, 0, None if number % 3 else "=r", number / 7, 10**15 + number)


def write(folder, rows, rows_per_file, formats=BOTH, max_rows=None):
    most = rows if max_rows is None else max_rows
    with PartsWriter(CALLS, folder, formats, rows_per_file=rows_per_file, max_rows=most) as writer:
        for number in range(rows):
            writer.add(call(number), 100)
        writer.finish()
        return writer.publish()


def whole(folder, rows):
    folder.mkdir()
    with TableWriter(CALLS, folder, ("parquet",)) as writer:
        for number in range(rows):
            writer.add(call(number), 100)
        writer.publish()
    return read_table(folder / "calls.parquet")


def test_more_rows_than_a_file_may_have_make_a_folder_of_parts(tmp_path):
    files = write(tmp_path, 25, 10)
    assert [(file.path, file.rows) for file in files] == [
        ("calls/part-00000.parquet", 10),
        ("calls/part-00001.parquet", 10),
        ("calls/part-00002.parquet", 5),
        ("calls-csv/part-00000.csv", 10),
        ("calls-csv/part-00001.csv", 10),
        ("calls-csv/part-00002.csv", 5),
    ]
    for file in files:
        content = (tmp_path / file.path).read_bytes()
        assert (file.name, len(content), hashlib.sha256(content).hexdigest()) == ("calls", file.bytes, file.sha256)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls", "calls-csv"]


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize("rows", [11, 20, 25])
def test_the_parts_hold_the_cells_of_the_one_file(tmp_path, rows, form):
    paths = [tmp_path / file.path for file in write(tmp_path, rows, 10, (form,))]
    assert read_parts("calls", paths).equals(whole(tmp_path / "one", rows))


@pytest.mark.parametrize("rows", [0, 9, 10])
def test_few_rows_are_one_file(tmp_path, rows):
    files = write(tmp_path, rows, 10)
    assert [file.path for file in files] == ["calls.parquet", "calls.csv"]
    whole(tmp_path / "one", rows)
    assert (tmp_path / "calls.parquet").read_bytes() == (tmp_path / "one" / "calls.parquet").read_bytes()


def test_readers_take_the_folder_for_one_dataset(tmp_path):
    write(tmp_path, 35, 10)
    expected = whole(tmp_path / "one", 35)
    assert ds.dataset(tmp_path / "calls", format="parquet").to_table().equals(expected)
    assert pd.read_parquet(tmp_path / "calls").equals(expected.to_pandas())
    assert ds.dataset(tmp_path / "calls-csv", format="csv").count_rows() == 35


def test_the_same_rows_make_the_same_parts(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert write(tmp_path / "one", 25, 4) == write(tmp_path / "two", 25, 4)


def test_many_parts_are_sorted_by_name_still(tmp_path):
    files = write(tmp_path, 3, 1, ("parquet",), max_rows=1_000_000)
    assert [file.path for file in files] == [f"calls/part-000000{number}.parquet" for number in range(3)]


def test_a_folder_has_its_name_when_all_parts_are_whole(tmp_path):
    write(tmp_path, 25, 10)
    before = {path: path.read_bytes() for path in (tmp_path / "calls").iterdir()}
    with PartsWriter(CALLS, tmp_path, BOTH, rows_per_file=10, max_rows=35) as writer:
        for number in range(35):
            writer.add(call(number + 1), 100)
        writer.finish()
        assert {path: path.read_bytes() for path in (tmp_path / "calls").iterdir()} == before
        assert len(writer.publish()) == 8
    assert len(list((tmp_path / "calls").iterdir())) == 4
    assert read_parts("calls", sorted((tmp_path / "calls").iterdir())).num_rows == 35


def break_off(folder, error):
    with PartsWriter(CALLS, folder, BOTH, rows_per_file=10, max_rows=99) as writer:
        for number in range(25):
            writer.add(call(number), 100)
        raise error


@pytest.mark.parametrize("error", [OutputError("full"), KeyboardInterrupt()])
def test_nothing_is_left_after_an_error(tmp_path, error):
    with pytest.raises(type(error)):
        break_off(tmp_path, error)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed(tmp_path):
    code = (
        "import os, sys; sys.path[:0] = ['tests', 'tests/tables']; from pathlib import Path; import test_parts as t\n"
        "with t.PartsWriter(t.CALLS, Path(sys.argv[1]), t.BOTH, rows_per_file=3, max_rows=9) as writer:\n"
        "    [writer.add(t.call(number), 100) for number in range(8)]; os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == 9
    assert [path.name for path in tmp_path.iterdir()] == [".calls.part"]
    assert len(write(tmp_path, 5, 10)) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls.csv", "calls.parquet"]


@pytest.mark.parametrize("what", ["a folder with something in it", "a file"])
def test_what_is_not_ours_is_not_written_over(tmp_path, what):
    other = tmp_path / "calls" if what == "a file" else tmp_path / "calls" / "notes.txt"
    other.parent.mkdir(exist_ok=True)
    other.write_text("mine")
    with pytest.raises(OutputError, match="calls is in the way of the parts of a table"):
        write(tmp_path, 25, 10)
    assert other.read_text() == "mine"
    assert len(write(tmp_path, 5, 10)) == 2, "few rows need no folder"


def test_a_folder_that_is_gone_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="table calls cannot be written: No such file"):
        write(tmp_path / "gone", 5, 10)


@pytest.mark.parametrize("kind", ["folder link", "file link", "file"])
def test_what_was_planted_at_the_staging_folder_is_replaced(tmp_path, kind):
    other, run = tmp_path / "other", tmp_path / "run"
    other.mkdir()
    run.mkdir()
    (other / "file").write_text("of another")
    place = layout.staging_folder(run, "calls")
    if kind == "file":
        place.write_text("x")
    else:
        place.symlink_to(other if kind == "folder link" else other / "file")
    write(run, 25, 10, ("parquet",))
    assert (other / "file").read_text() == "of another"
    assert [file.name for file in run.iterdir()] == ["calls"]


def test_parts_behind_a_link_are_not_ours(tmp_path):
    other, run = tmp_path / "other", tmp_path / "run"
    for folder in (other, run):
        folder.mkdir()
    write(other, 25, 10, ("parquet",))
    before = sorted(other.rglob("*"))
    (run / "calls").symlink_to(other / "calls")
    assert not [path for path in layout.table_files(run) if path.parent.name == "calls"]
    with pytest.raises(OutputError, match="is in the way of the parts of a table"):
        write(run, 25, 10, ("parquet",))
    assert sorted(other.rglob("*")) == before
