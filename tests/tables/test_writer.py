from __future__ import annotations

import csv
import gc
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.errors import OutputError
from inventory.storage.files import temporary_name
from inventory.tables import schema
from inventory.tables import writer as tables
from inventory.tables.writer import TableWriter, guard, read_table

INT64 = st.integers(-(2**63), 2**63 - 1)
TIMES = st.integers(-62135596800000000, 253402300799999999)
TEXTS = st.text(max_size=12) | st.sampled_from(
    [
        "",
        "=1+1",
        "+1",
        "-1",
        "@x",
        "\tx",
        "\rx",
        "\nx",
        "'",
        "''=x",
        '"',
        '""',
        "a,b",
        "a\r\nb",
        "\0",
        "\\",
        "NULL",
        "nan",
    ]
)
VALUES = {
    "string": TEXTS,
    "int64": INT64,
    "bool": st.booleans(),
    "double": st.floats(allow_nan=False),
    "timestamp[us, tz=UTC]": TIMES,
}
BOTH = ("parquet", "csv")


def rows_of(table: schema.Table) -> st.SearchStrategy[list[tuple[object, ...]]]:
    return st.lists(st.tuples(*(st.none() | VALUES[column.type] for column in table.columns)), max_size=6)


def write(table: schema.Table, folder, rows, formats=BOTH):
    with TableWriter(table, folder, formats) as writer:
        for row in rows:
            writer.add(row, 100)
        writer.finish()
        return writer.publish()


def test_tables_are_on_disk_in_full_before_they_have_their_names(tmp_path, monkeypatch):
    synced = []
    replace = Path.replace

    def synced_then_renamed(source, target):
        assert source.stat().st_ino in synced
        return replace(source, target)

    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    monkeypatch.setattr(Path, "replace", synced_then_renamed)
    with TableWriter(schema.CALLS, tmp_path, BOTH) as writer:
        writer.add(call(1), 100)
        writer.finish()
        assert not synced
        assert {tmp_path / file.path for file in writer.publish()} == set(tmp_path.iterdir())
    assert len(synced) == len(BOTH)


def call(number: int) -> tuple[object, ...]:
    return (f"urn-{number:06d}", "Show", number % 5, 0, None if number % 3 else "r", number / 7, 10**15 + number)


def breaking_off(rows: int, error: type[BaseException]):
    yield from map(call, range(rows))
    raise error


@pytest.mark.parametrize("table", schema.TABLES.values(), ids=lambda table: table.name)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_csv_and_parquet_hold_the_same_cells(tmp_path, table, data):
    rows = data.draw(rows_of(table))
    write(table, tmp_path, rows)
    parquet, text = (read_table(tmp_path / f"{table.name}.{suffix}") for suffix in BOTH)
    assert parquet.schema.equals(text.schema)
    assert parquet.equals(text)
    for position, column in enumerate(table.columns):
        cells = text.column(position)
        read = cells.cast("int64") if column.type.startswith("timestamp") else cells
        assert read.to_pylist() == [row[position] for row in rows]


@pytest.mark.parametrize("size", [10_000, 1_200_000])
def test_a_large_cell_is_the_same_in_both(tmp_path, size):
    row = ("s", 1, '{"' * (size // 2), "reason")
    write(schema.REJECTS, tmp_path, [row, ("s", 2, "t", "r")])
    assert read_table(tmp_path / "rejects.csv").to_pydict() == read_table(tmp_path / "rejects.parquet").to_pydict()


@pytest.mark.parametrize(
    ("text", "guarded"),
    [
        ("=SUM(A1)", "'=SUM(A1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@cmd", "'@cmd"),
        ("\tx", "'\tx"),
        ("\r", "'\r"),
        ("\n", "'\n"),
        ("'", "''"),
        ("'=x", "''=x"),
        ("a=1", "a=1"),
        ("", ""),
        (None, None),
        ("/success", "/success"),
    ],
)
def test_formulas_are_guarded(text, guarded):
    assert guard(text) == guarded


def test_a_spreadsheet_sees_no_formula(tmp_path):
    write(schema.REJECTS, tmp_path, [("=cmd()", 1, "", None)])
    raw = (tmp_path / "rejects.csv").read_bytes()
    assert raw.splitlines()[1] == b'"\'=cmd()",1,"",'
    with (tmp_path / "rejects.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["source", "line", "text", "reason"], ["'=cmd()", "1", "", ""]]


@pytest.mark.parametrize("table", schema.TABLES.values(), ids=lambda table: table.name)
def test_a_table_without_rows_is_whole(tmp_path, table):
    files = write(table, tmp_path, [])
    assert [(file.rows, file.format) for file in files] == [(0, "parquet"), (0, "csv")]
    names = [column.name for column in table.columns]
    assert read_table(tmp_path / f"{table.name}.csv").column_names == names
    assert read_table(tmp_path / f"{table.name}.parquet").column_names == names


@pytest.mark.parametrize("table", schema.TABLES.values(), ids=lambda table: table.name)
def test_parquet_describes_itself(tmp_path, table):
    write(table, tmp_path, [tuple(None for _ in table.columns)])
    file = pq.ParquetFile(tmp_path / f"{table.name}.parquet")
    for field, column in zip(file.schema_arrow, table.columns, strict=True):
        known = {b"description": column.meaning.encode(), b"source": column.source.encode()}
        known |= {b"unit": column.unit.encode()} if column.unit else {}
        assert known.items() <= field.metadata.items()
    group = file.metadata.row_group(0)
    assert {group.column(n).compression for n in range(group.num_columns)} == {"ZSTD"}
    names = [column.name for column in table.columns]
    assert [names[column.column_index] for column in group.sorting_columns] == list(table.sorted_by)
    assert file.schema_arrow.metadata[b"table"] == table.name.encode()


def test_row_groups_have_a_size_that_readers_like(tmp_path):
    write(schema.CALLS, tmp_path, map(call, range(70_000)), ("parquet",))
    metadata = pq.ParquetFile(tmp_path / "calls.parquet").metadata
    sizes = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    assert sum(sizes) == 70_000
    assert all(10_000 <= size <= 65_536 for size in sizes[:-1])


def test_what_was_written_is_said(tmp_path):
    for file in write(schema.CALLS, tmp_path, map(call, range(5000))):
        content = (tmp_path / file.path).read_bytes()
        assert (file.name, file.path, file.rows) == ("calls", f"calls.{file.format}", 5000)
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("rows", [40_000, 900])
def test_the_same_rows_make_the_same_bytes(tmp_path, rows):
    digests = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        digests.append([file.sha256 for file in write(schema.CALLS, tmp_path / name, map(call, range(rows)))])
    assert digests[0] == digests[1]


def test_rows_of_a_megabyte_do_not_add_up(tmp_path):
    with TableWriter(schema.REJECTS, tmp_path, BOTH) as writer:
        for number in range(60):
            writer.add(("s", number, "x" * 1024 * 1024, "r"), 1024 * 1024)
            assert len(writer._batches._rows) <= 4
        writer.publish()
    metadata = pq.ParquetFile(tmp_path / "rejects.parquet").metadata
    assert max(metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)) <= 36


def test_nothing_has_its_name_before_it_is_whole(tmp_path):
    with TableWriter(schema.CALLS, tmp_path, BOTH) as writer:
        for number in range(5000):
            writer.add(call(number), 100)
        assert sorted(path.name for path in tmp_path.iterdir()) == [".calls.csv.part", ".calls.parquet.part"]
        writer.finish()
        assert sorted(path.name for path in tmp_path.iterdir()) == [".calls.csv.part", ".calls.parquet.part"]
        writer.publish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls.csv", "calls.parquet"]


@pytest.mark.parametrize("rows", [0, 10, 5000])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_nothing_is_left_after_an_error(tmp_path, rows, error):
    with pytest.raises(error):
        write(schema.CALLS, tmp_path, breaking_off(rows, error))
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_an_old_table_stays_until_the_new_one_is_whole(tmp_path):
    write(schema.CALLS, tmp_path, [call(7)])
    with pytest.raises(ZeroDivisionError):
        write(schema.CALLS, tmp_path, breaking_off(5, ZeroDivisionError))
    gc.collect()
    assert read_table(tmp_path / "calls.parquet").column("function_urn").to_pylist() == ["urn-000007"]


def test_a_folder_that_is_gone_is_an_output_error(tmp_path):
    with (
        pytest.raises(OutputError, match="table calls cannot be written"),
        TableWriter(schema.CALLS, tmp_path / "gone", BOTH),
    ):
        pass


def test_a_full_disk_is_an_output_error(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tables._CsvWriter, "write", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write(schema.CALLS, tmp_path, [call(1)], ("csv",))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", BOTH)
@pytest.mark.parametrize("content", [b"", b"\0\1\2", b"a,b\n1,2\n", None])
def test_a_file_that_is_no_table_is_an_output_error(tmp_path, suffix, content):
    path = tmp_path / f"calls.{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OutputError, match=f"calls.{suffix} cannot be read"):
        read_table(path)


def test_writing_does_not_import_pandas(tmp_path):
    code = (
        "import sys; from pathlib import Path; from inventory.tables import schema\n"
        "from inventory.tables.writer import TableWriter\n"
        "with TableWriter(schema.REJECTS, Path(sys.argv[1]), ('parquet', 'csv')) as writer:\n"
        "    writer.add(('=s', 1, None, 'r'), 10); writer.finish(); writer.publish()\n"
        "print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert (tmp_path / "rejects.csv").exists()


def test_a_link_at_the_temporary_name_is_not_followed(tmp_path):
    target = tmp_path / "target"
    target.write_text("of another")
    run = tmp_path / "run"
    run.mkdir()
    temporary_name(run / "calls.csv").symlink_to(target)
    temporary_name(run / "calls.parquet").hardlink_to(target)
    (run / "calls.csv").symlink_to(target)
    with TableWriter(schema.TABLES["calls"], run, ("parquet", "csv")) as writer:
        writer.publish()
    assert target.read_text() == "of another"
    assert {file.name: file.is_symlink() for file in run.iterdir()} == {"calls.csv": False, "calls.parquet": False}


def test_a_process_can_exit_directly_after_reading(tmp_path):
    write(schema.CALLS, tmp_path, map(call, range(5)), ("parquet",))
    code = (
        "import sys; from pathlib import Path; from inventory.tables.writer import read_table\n"
        "table = read_table(Path(sys.argv[1]))"
    )
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "calls.parquet"], capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
