from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.documents import blocks
from support.histories import at, describe, nights, one_run
from support.object_store import BUCKET
from support.runs import manifest_of, rows

import inventory
from inventory.errors import OutputError, UsageError
from inventory.ledger.database import lock_path
from inventory.runs.catalog import State
from inventory.storage.file_lock import Lock

COLUMNS = ["function_urn", "status", "max_async_retry_attempts", "last_modified", "enable_async_status_log"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return one_run(tmp_path_factory.mktemp("history"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "output").mkdir()
    return tmp_path / "output"


def names(history):
    return [run.path.name for run in history.runs]


def test_runs_are_sorted_by_time(run, folder):
    at(run, folder, "a", "2026-11-03T01:00:00Z")
    at(run, folder, "b", "2026-11-01T01:00:00Z")
    at(run, folder, "c", "2026-11-02T23:00:00-05:00", exit_code=5)
    history = inventory.history(folder)
    assert names(history) == ["b", "a", "c"]
    assert len(history) == 3
    assert history[0].path == folder / "b"
    assert history.latest.path == folder / "c"
    assert [snapshot.path.name for snapshot in history] == ["b", "a", "c"]
    assert names(history[1:]) == ["a", "c"]
    assert names(history.answered) == ["b", "a"]


def test_other_entries_are_listed_with_a_reason(run, folder):
    nights(run, folder, 2)
    for name in ("stopped", "working", "damaged", "holed", "lost"):
        shutil.copytree(run, folder / name)
    for name in ("stopped", "working"):
        (folder / name / "manifest.json").unlink()
    (folder / "damaged" / "manifest.json").write_bytes(b"{")
    (folder / "holed" / "calls.parquet").unlink()
    describe(folder / "lost", finished="yesterday")
    (folder / "site").mkdir()
    (folder / "site" / "manifest.json").write_text('{"name": "a web page"}')
    (folder / "notes").mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "latest").symlink_to(folder / "20261102T010000Z")
    lock = Lock(lock_path(folder / "working" / "ledger.sqlite"))
    lock.take("in use", "")
    history = inventory.history(folder)
    lock.release()
    states = {other.path.name: other.state for other in history.incomplete}
    damaged, foreign = State.DAMAGED, State.FOREIGN
    assert states == {
        **dict.fromkeys(("damaged", "holed", "lost"), damaged),
        **dict.fromkeys(("site", "notes", "notes.txt", "latest"), foreign),
        "stopped": State.STOPPED,
        "working": State.AT_WORK,
    }
    assert len(history) == 2
    assert all(other.reason for other in history.incomplete)


def test_load_concatenates_the_columns_of_all_runs(run, folder):
    nights(run, folder, 3)
    frame = inventory.history(folder).load(COLUMNS)
    assert list(frame.columns) == ["snapshot_time", *COLUMNS]
    cells = [{name: row[name] for name in COLUMNS} for row in rows(run)]
    times = [datetime(2026, 11, day, 1, tzinfo=UTC) for day in (1, 2, 3)]
    expected = [{"snapshot_time": time, **row} for time in times for row in cells]
    assert pa.Table.from_pandas(frame, preserve_index=False).to_pylist() == expected
    assert frame.dtypes["snapshot_time"] == pd.ArrowDtype(pa.timestamp("us", "UTC"))
    assert frame.dtypes["max_async_retry_attempts"] == pd.ArrowDtype(pa.int64())


def test_the_column_run_is_the_folder_name(run, folder):
    first, second = nights(run, folder, 2)
    describe(second, finished=manifest_of(first)["finished"])
    history = inventory.history(folder)
    frame = history.load(["status", "run"])
    assert list(frame.columns) == ["snapshot_time", "status", "run"]
    assert frame.groupby("run").size().to_dict() == dict.fromkeys((first.name, second.name), len(rows(run)))
    describe(second, finished="2026-11-09T00:00:00Z")
    assert inventory.history(folder)[::-1].latest.path == second
    with pytest.raises(IndexError, match=r"there is no run 2: .* contains 2 finished runs"):
        history[2]


@pytest.mark.parametrize("table", ["functions", "destinations", "calls", "rejects"])
def test_all_columns_are_loaded_by_default(run, folder, table):
    nights(run, folder, 2)
    history = inventory.history(folder)
    frame = history.load(table=table)
    assert list(frame.columns) == ["snapshot_time", *rows(run, table)[0]]
    pd.testing.assert_frame_equal(frame, history.load(list(rows(run, table)[0]), table))
    assert sum(part.num_rows for part in history.tables(table=table)) == len(frame)
    with pytest.raises(UsageError, match="name the columns"):
        history.load([], table)


@pytest.mark.parametrize("table", ["destinations", "calls", "rejects"])
def test_every_table_can_be_loaded_from_both_formats(run, folder, table):
    nights(run, folder, 2)
    history = inventory.history(folder)
    columns = list(rows(run, table)[0])
    frame = history.load(columns, table)
    for one in history.runs:
        describe(one.path, tables=[file for file in one.manifest["tables"] if file["format"] == "csv"])
    pd.testing.assert_frame_equal(inventory.history(folder).load(columns, table), frame)
    assert len(frame) == 2 * len(rows(run, table))


def test_only_the_chosen_columns_are_read(run, folder):
    (path,) = nights(run, folder, 1)
    file = path / "functions.parquet"
    chunk = pq.ParquetFile(file).metadata.row_group(0).column(pq.read_schema(file).names.index("function_urn"))
    begin = chunk.dictionary_page_offset or chunk.data_page_offset
    content = bytearray(file.read_bytes())
    content[begin : begin + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    file.write_bytes(content)
    history = inventory.history(folder)
    assert len(history.load(["status", "qualifier"])) == len(rows(run))
    with pytest.raises(OutputError, match=r"functions\.parquet cannot be read"):
        history.load("function_urn")


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_column_that_an_older_schema_lacks_is_null(run, folder, form):
    old, new = nights(run, folder, 2)
    file = old / f"functions.{form}"
    if form == "parquet":
        pq.write_table(pq.read_table(file).drop_columns(["function_exists"]), file)
    else:
        lines = file.read_text().splitlines()
        assert lines[0].endswith(',"function_exists"')
        file.write_text("".join(f"{line.rpartition(',')[0]}\n" for line in lines))
    for one in (old, new):
        files = [file for file in manifest_of(one)["tables"] if file["format"] == form]
        describe(one, tables=[{**file, "bytes": (one / file["path"]).stat().st_size} for file in files])
    first, second = inventory.history(folder).tables(["status", "function_exists"])
    assert first["function_exists"].null_count == len(first) == len(second)
    assert second["function_exists"].to_pylist() == [row["function_exists"] for row in rows(run)]
    assert first["status"] == second["status"]


def test_tables_are_read_one_run_at_a_time(run, folder):
    first, second = nights(run, folder, 2)
    tables = inventory.history(folder).tables("status", "functions")
    shutil.rmtree(second)
    assert next(tables).num_rows == len(rows(first))
    with pytest.raises(OutputError, match="20261102T010000Z"):
        next(tables)


def test_invalid_requests_are_usage_errors(run, folder, tmp_path):
    nights(run, folder, 1)
    history = inventory.history(folder)
    with pytest.raises(UsageError, match=r"no column 'colour'; it has function_urn, region, .*function_exists"):
        history.load(["status", "colour"])
    with pytest.raises(UsageError, match="name the columns"):
        history.load([])
    with pytest.raises(UsageError, match="there is no table 'function'"):
        history.load(["status"], "function")
    with pytest.raises(UsageError, match="is a run itself; open it with open_snapshot"):
        inventory.history(history.latest.path)
    with pytest.raises(UsageError, match="there is no folder"):
        inventory.history(folder / "nowhere")
    (tmp_path / "empty").mkdir()
    for ask in (lambda empty: empty.latest, lambda empty: empty.load("status")):
        with pytest.raises(UsageError, match="contains 0 finished runs"):
            ask(inventory.history(tmp_path / "empty"))


def test_a_history_shows_itself(run, folder):
    nights(run, folder, 22)
    describe(folder / "20261122T010000Z", exit_code=1)
    (folder / "<b>notes").write_text("mine")
    history = inventory.history(folder)
    urns = len(rows(run))
    assert "22 finished runs, and 1 other entry" in repr(history)
    assert "... 2 older" in repr(history)
    assert f"\n20261122T010000Z  2026-11-22 01:00:00  {urns}  " in repr(history)
    html = history._repr_html_()
    left, right = ('<td style="text-align:left">', '<td style="text-align:right">')
    assert f"<tr>{left}20261122T010000Z</td>{left}2026-11-22 01:00:00</td>{right}{urns}</td>" in html
    assert html.count("<th ") == 6
    assert "&lt;b&gt;notes: a file" in html
    summary = history.summary()
    assert list(summary["exit_code"]) == [0] * 21 + [1]
    statuses = summary[["configured", "not_configured", "not_found", "failed", "not_attempted"]]
    assert list(statuses.sum(axis=1)) == list(summary["urns"]) == [urns] * 22


def test_the_snippet_of_the_guide_counts_every_urn(run, folder, monkeypatch, capsys):
    nights(run, folder, 2)
    monkeypatch.chdir(folder.parent)
    (snippet,) = blocks("history.md", "python")
    exec(snippet.code, {})  # noqa: S102 - the guide is ours
    output = capsys.readouterr().out
    counts = re.findall(r"^(?:2026\S+ \S+)? +[a-z_]+ +(\d+)$", output, re.MULTILINE)
    assert sum(map(int, counts)) == 2 * len(rows(run))


def test_a_prefix_of_a_store_is_a_history(store, run, folder):
    first, _ = nights(run, folder, 2)
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "ledger.sqlite":
            key = f"runs/{path.relative_to(folder)}"
            store.client().put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    store.client().put_object(Bucket=BUCKET, Key="runs/half/functions.parquet", Body=b"half")
    history = inventory.history(f"s3://{BUCKET}/runs")
    assert [str(other.path) for other in history.incomplete] == [f"s3://{BUCKET}/runs/half"]
    pd.testing.assert_frame_equal(history.load(COLUMNS), inventory.history(folder).load(COLUMNS))
    assert str(history[0].path) == f"s3://{BUCKET}/runs/{first.name}"
    for place, message in ((f"runs/{first.name}", "is a run itself"), ("none", "contains no folder of a run")):
        with pytest.raises(UsageError, match=message):
            inventory.history(f"s3://{BUCKET}/{place}")
