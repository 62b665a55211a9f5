"""DuckDB joins two runs: it is shut in, its errors are ours, and a signal cancels it."""

import subprocess
import sys

import duckdb
import pyarrow as pa
import pytest
from support.written_runs import FAILED, config, leading, side, urn, write_many, write_run

import inventory
from inventory.comparison.join import COLUMNS, JoinedTables, _translate_errors, skip_equal_rows
from inventory.comparison.windows import TableReader, read_windows
from inventory.errors import ExitCode, OutputError
from inventory.runs.files import open_run


def windows_of(*folders):
    runs = [open_run(folder) for folder in folders]
    return list(skip_equal_rows(read_windows([TableReader(run, *one) for one in COLUMNS.items() for run in runs])))


def test_rows_that_are_equal_are_not_joined(tmp_path):
    old = {urn(name): config() for name in "abcd"} | {urn("e"): FAILED, urn("f"): leading(on_failure=side("X", "{}"))}
    new = old | {urn("b"): config(max_async_retry_attempts=1), urn("f"): leading(on_failure=side("Y", "{}"))}
    (window,) = windows_of(write_run(tmp_path / "old", old), write_run(tmp_path / "new", new, day=1))
    expected = [urn("b"), urn("e"), urn("f")]
    assert [rows.column(0).to_pylist() for rows in window.functions] == [expected, expected]
    assert [rows.column(0).to_pylist() for rows in window.destinations] == [[urn("f")], [urn("f")]]
    assert (window.end, window.old_rows) == (urn("f"), 6)


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT * FROM read_csv('{folder}/x.csv')", duckdb.PermissionException),
        ("SELECT * FROM read_parquet('s3://bucket/x.parquet')", duckdb.Error),
        ("COPY (SELECT 1) TO '{folder}/y.csv'", duckdb.PermissionException),
        ("INSTALL httpfs", duckdb.Error),
        ("SET memory_limit = '8GB'", duckdb.InvalidInputException),
        ("SELECT * FROM a_python_variable", duckdb.CatalogException),
    ],
)
def test_the_database_is_closed_to_the_outside(tmp_path, statement, error):
    (tmp_path / "x.csv").write_text("a\n1\n")
    a_python_variable = pa.Table.from_batches([], pa.schema([("x", pa.int64())]))
    with JoinedTables() as tables, pytest.raises(error):
        tables._connection.sql(statement.format(folder=tmp_path)).fetchall()
    assert a_python_variable.num_rows == 0
    assert not (tmp_path / "y.csv").exists()


def test_the_database_is_in_memory_and_in_utc(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with JoinedTables() as tables:
        (place, zone), *_ = tables._connection.sql(
            "SELECT current_setting('temp_directory'), current_setting('TimeZone')"
        ).fetchall()
        assert [str(path) for path in tmp_path.iterdir()] == [place]
        assert zone == "UTC"
    assert list(tmp_path.iterdir()) == []


def test_without_a_temporary_folder_memory_is_enough(tmp_path, monkeypatch):
    runs = [write_run(tmp_path / name, {urn("a"): config(odd=name)}) for name in ("old", "new")]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert inventory.diff(*runs).counts["changed"] == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate"),
            r"cannot be compared with 200MB of memory",
        ),
        (
            duckdb.IOException('IO Error: Could not write file "x.tmp": No space left on device'),
            "No space left on device",
        ),
    ],
)
def test_missing_memory_and_disk_space_are_output_errors(error, words):
    with pytest.raises(OutputError, match=words) as caught, _translate_errors():
        raise error
    assert caught.value.exit_code == ExitCode.OUTPUT
    assert "\n" not in str(caught.value)
    assert "TMPDIR" in str(caught.value)


def test_too_little_memory_is_reported(tmp_path, monkeypatch):
    old, new = (write_many(tmp_path / name, rows) for name, rows in (("old", 30_000), ("new", 29_999)))
    monkeypatch.setattr("inventory.comparison.join._MEMORY", "1MB")
    monkeypatch.setattr("inventory.comparison.join._temporary_folder", lambda _stack: "")
    with pytest.raises(OutputError, match="cannot be compared with 1MB of memory"):
        inventory.diff(old, new)


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_cancels_a_join(tmp_path, number, code):
    runs = [write_run(tmp_path / name, {urn(name): config()}) for name in ("old", "new")]
    program = (
        "import os, signal, sys\n"
        "number = getattr(signal, sys.argv.pop(1))\n"
        "from inventory.comparison import join\n"
        "endless = 'SELECT count(*) FROM range(1000000000000000) AS t(i) WHERE hash(i) = 1'\n"
        "join._JOINS[join.schema.FUNCTIONS] = endless\n"
        "original = join.JoinedTables.join\n"
        "def join_and_stop(self, window):\n"
        "    os.kill(os.getpid(), number)\n"
        "    return original(self, window)\n"
        "join.JoinedTables.join = join_and_stop\n"
        "from inventory.__main__ import main\n"
        "main()\n"
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program, number, "diff", *runs],
        env={"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"inventory: stopped by {number}\n")
    assert list(temporary.iterdir()) == []
