"""The forms of a difference, the sides that it takes, and what it costs."""

import csv
import io
import json
import re
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.object_store import BUCKET
from support.runs import export
from support.written_runs import (
    FAILED,
    NOT_ATTEMPTED,
    NOT_FOUND,
    config,
    leading,
    scope_block,
    side,
    urn,
    write_manifest,
    write_many,
    write_run,
)
from typer.testing import CliRunner

import inventory
from inventory.cli.app import app
from inventory.comparison.kinds import CHANGES
from inventory.emulator import Emulator, Fault, FileCloud
from inventory.errors import OutputError, UsageError
from inventory.runs.files import RunFiles
from inventory.tables.writer import guard

OLD = {
    urn("a"): config(),
    urn("b"): config(),
    urn("c"): leading(on_failure=side("OBS", {"bucket": "x", "prefix": "p|q"})),
    urn("d"): config(),
    urn("e"): config(),
    urn("f"): config(note="=1+1"),
}
NEW = {
    urn("a"): config(max_async_retry_attempts=0, last_modified="2026-11-20T00:00:00Z"),
    urn("b"): NOT_FOUND,
    urn("c"): leading(on_failure=side("OBS", {"bucket": "\x1b[31m`y`", "prefix": "p|q"})),
    urn("d"): FAILED,
    urn("f"): config(note="@SUM(A1)"),
    urn("g"): None,
}


@pytest.fixture
def runs(tmp_path):
    return write_run(tmp_path / "old", OLD), write_run(tmp_path / "new", NEW, day=1)


def command(*words):
    done = CliRunner().invoke(app, ["diff", *map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout_bytes, done.stderr


def test_all_forms_hold_the_same_rows(runs):
    expected = inventory.diff(*runs).table().to_pylist()
    code, text, _ = command(*runs, "--format", "json")
    document = json.loads(text)
    assert code == 0
    assert document["counts"] | {"unchanged": 0} == dict(inventory.diff(*runs).counts)
    written = [{**row, "known_at": row["known_at"] and row["known_at"].isoformat()[:-6] + "Z"} for row in expected]
    assert document["changes"] == written
    cells = list(csv.DictReader(io.StringIO(command(*runs, "--format", "csv")[1].decode())))
    for row, read in zip(expected, cells, strict=True):
        texts = {name: guard(value) or "" for name, value in row.items() if name not in {"known_at", "age_seconds"}}
        assert {name: read[name] for name in texts} == texts
    assert pq.read_table(pa.BufferReader(command(*runs, "--format", "parquet")[1])).to_pylist() == expected
    for form in ("text", "markdown"):
        shown = command(*runs, "--format", form)[1].decode()
        assert all(row["function_urn"].split(":", 5)[5] in shown for row in expected)
        assert "\x1b" not in shown
        assert "max_async_retry_attempts" in shown
    assert r"p\|q" in shown


def test_text_shows_a_part_of_the_changes(runs):
    everything = command(*runs)[1].decode()
    shown = command(*runs, "--limit", "2")[1].decode()
    assert shown.splitlines()[-1] == "5 more URNs: --limit 0 shows all, --kind filters, --output writes a file"
    assert shown.count("urn:fss") < everything.count("urn:fss")
    assert command(*runs, "--limit", "0")[1].decode() == everything
    of_kind = command(*runs, "--kind", "removed", "--kind", "unknown")[1].decode()
    assert f"- {urn('b')}" in of_kind
    assert f"? {urn('d')}" in of_kind
    assert f"~ {urn('a')}" not in of_kind


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kind", "gone"], "--kind 'gone' is no kind of change: added, removed"),
        (["--limit", "3", "--format", "json"], "--kind and --limit need --format text"),
    ],
)
def test_a_wrong_part_is_one_sentence(runs, options, message):
    code, _, error = command(*runs, *options)
    assert (code, message in error) == (2, True), error


def test_a_terminal_gets_the_first_changes(runs, monkeypatch, tmp_path):
    many = {urn(f"f{number:02}"): config() for number in range(25)}
    changed = {name: config(max_async_retry_attempts=0) for name in many}
    old, new = write_run(tmp_path / "many", many), write_run(tmp_path / "changed", changed, day=1)
    monkeypatch.setattr("inventory.cli.runs.is_terminal", lambda: True)
    shown = command(old, new)[1].decode()
    assert shown.splitlines()[-1].startswith("5 more URNs: ")
    command(old, new, "--output", tmp_path / "all.txt")
    assert (tmp_path / "all.txt").read_text().count("urn:fss") == 25


async def test_zones_of_real_runs_are_compared(tmp_path, write_list):
    cloud = FileCloud({urn("a"): config()})
    async with Emulator(cloud) as server:
        await export(write_list(cloud.urns()), tmp_path / "old", endpoint=server.url)
        zone = "Asia/Shanghai"
        await export(write_list(cloud.urns()), tmp_path / "new", endpoint=server.url, naive_timezone=zone)
    (warning,) = inventory.diff(tmp_path / "old", tmp_path / "new").warnings
    assert "in no zone by OLD and in Asia/Shanghai by NEW" in warning


def test_text_is_for_reading(runs):
    _, text, words = command(*runs)
    shown = text.decode()
    assert "+ 1 added" in shown.partition("urn:fss")[0]
    assert f"\n~ {urn('a')}\n    changed\n    last_modified: " in shown
    assert "\n    max_async_retry_attempts: 3 -> 0\n" in shown
    assert f"\n- {urn('b')}\n    removed: configured -> not_found\n" in shown
    assert '    on_failure.param.bucket: "x" -> "\\u001b[31m`y`"\n\n' in shown
    assert f"\n? {urn('d')}\n    unknown: configured -> failed (throttled)\n    OLD's answer was 1 d 1 h old" in shown
    assert (
        words == "5 of 7 URNs changed; unknown, as they failed in NEW or were not attempted: 1; not on NEW's list: 1\n"
    )


def test_a_value_stays_on_its_line(tmp_path):
    runs = [
        write_run(tmp_path / name, {urn("a"): leading(on_failure=side("X", param))}, day=day)
        for day, (name, param) in enumerate((("old", "x"), ("new", f"\n\n- {urn('b')}\n    removed")))
    ]
    shown = command(*runs)[1].decode()
    assert f"    on_failure.param: x -> \\n\\n- {urn('b')}\\n    removed\n" in shown


@pytest.mark.parametrize("block", [{"finished": "yesterday"}, {"finished": "2026-11-20T00:00:00"}, {"input": {}}])
def test_a_manifest_of_another_hand_is_told(runs, block):
    path = runs[1] / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | block))
    code, _, words = command(*runs)
    assert code == 4
    assert re.search(rf"new/manifest\.json is damaged: it is no manifest \(.*\$\.{next(iter(block))}", words)


def test_exit_codes_are_fit_for_ci(tmp_path, runs):
    assert command(*runs)[0] == 0
    assert command(*runs, "--exit-code")[0] == 1
    assert command(runs[0], runs[0], "--exit-code", "--strict")[0] == 0
    for number, answer in enumerate((FAILED, NOT_ATTEMPTED)):
        unknown = write_run(tmp_path / f"unknown{number}", {**OLD, urn("a"): answer}, day=1)
        assert command(runs[0], unknown, "--exit-code")[0] == 0
        assert command(runs[0], unknown, "--exit-code", "--strict")[0] == 1
    assert command(*runs, "--strict")[0] == 2
    assert command(tmp_path / "nothing", runs[1])[0] == 2
    (runs[1] / "functions.parquet").write_bytes(b"PAR1")
    code, text, words = command(*runs, "--format", "csv", "--output", tmp_path / "changes.csv")
    assert (code, text) == (4, b"")
    assert "or choose another --output" in command(runs[0], runs[0], "--output", tmp_path / "no/x")[2]
    assert "functions.parquet cannot be read as a table" in words
    assert not (tmp_path / "changes.csv").exists()


def test_a_file_gets_what_stdout_would(tmp_path, runs):
    path = tmp_path / "changes.md"
    assert command(*runs, "--format", "markdown", "--output", path)[1] == b""
    assert path.read_bytes() == command(*runs, "--format", "markdown")[1]


def test_sides_of_every_make_give_the_same_rows(tmp_path, runs, store):
    expected = inventory.diff(*runs).table()
    parts = write_run(tmp_path / "parts", OLD, rows_per_file=2)
    table_of_csv = write_run(tmp_path / "csv", NEW, day=1, formats=("csv",), rows_per_file=4)
    assert (parts / "functions").is_dir()
    assert inventory.diff(parts, table_of_csv).table().equals(expected)
    for path in (path for path in table_of_csv.rglob("*") if path.is_file()):
        store.client().upload_file(str(path), BUCKET, f"new/{path.relative_to(table_of_csv)}")
    assert inventory.diff(inventory.open_snapshot(parts), f"s3://{BUCKET}/new").table().equals(expected)
    with pytest.raises(UsageError, match=r"s3://a-bucket/other holds no manifest\.json"):
        inventory.diff(parts, f"s3://{BUCKET}/other")


def test_what_cannot_be_compared_is_refused_and_what_is_odd_is_said(tmp_path, runs):
    with pytest.raises(UsageError, match=r"has tables of version 1, .* inventory tables writes them again"):
        inventory.diff(write_run(tmp_path / "one", OLD, schema_version=1), runs[1])
    elsewhere = [scope_block(endpoint="https://two")]
    odd = write_run(
        tmp_path / "odd", {urn("a"): NOT_ATTEMPTED}, day=-1, scopes=elsewhere, settings={"naive-timezone": "UTC"}
    )
    order, left, zones, endpoints = inventory.diff(runs[0], odd).warnings
    assert "check the order" in order
    assert left.startswith("NEW is incomplete: 1 URN was not attempted")
    assert "in no zone by OLD and in UTC by NEW" in zones
    assert "https://one by OLD and at https://two by NEW" in endpoints
    apart = write_run(tmp_path / "apart", OLD, scopes=[scope_block("x", "y", "z")])
    assert "no project in common" in inventory.diff(runs[0], apart).warnings[0]
    (runs[0] / "manifest.json").unlink()
    with pytest.raises(UsageError, match="contains no run"):
        inventory.diff(*runs)


@pytest.mark.parametrize("names", [["b", "a"], ["a", "a"]])
def test_a_table_that_is_not_sorted_is_told(tmp_path, runs, names):
    path = runs[1] / "functions.parquet"
    rows = {row["function_urn"]: row for row in pq.read_table(path).to_pylist()}
    pq.write_table(pa.Table.from_pylist([rows[urn(name)] for name in names], pq.read_schema(path)), path)
    with pytest.raises(OutputError, match="not sorted by function_urn, or has a row twice"):
        inventory.diff(*runs)


def test_a_diff_in_python_is_a_frame_a_table_and_a_word(runs):
    diff = inventory.diff(*runs)
    assert isinstance(diff.changes, pd.DataFrame)
    assert list(diff.changes.columns) == [column.name for column in CHANGES.columns]
    assert str(diff.changes["known_at"].dtype) == "timestamp[us, tz=UTC][pyarrow]"
    assert sum(batch.num_rows for batch in diff) == len(diff.changes)
    assert "1 removed" in repr(diff)
    assert "<b>removed</b>" in diff._repr_html_()
    assert inventory.diff(runs[0], runs[0]).changes.empty


def test_calls_are_read_only_if_an_old_answer_is_needed(tmp_path, monkeypatch):
    old = write_run(tmp_path / "old", {urn("a"): config(), urn("b"): config()})
    changed = write_run(tmp_path / "changed", {urn("a"): config(max_async_retry_attempts=1), urn("b"): config()})
    unknown = write_run(tmp_path / "unknown", {urn("a"): FAILED, urn("b"): config()})
    opened = []
    on_disk = RunFiles.on_disk
    monkeypatch.setattr(
        RunFiles, "on_disk", lambda run, file: opened.append((run.path, file["name"])) or on_disk(run, file)
    )
    assert inventory.diff(old, changed).counts["changed"] == 1
    assert "calls" not in {name for _, name in opened}
    assert inventory.diff(old, unknown).counts["unknown"] == 1
    assert [path for path, name in opened if name == "calls"] == [old]


def test_memory_does_not_grow_with_the_tables(tmp_path):
    peaks = []
    before = pa.default_memory_pool()
    for rows in (20_000, 80_000):
        old = write_many(tmp_path / f"old{rows}", rows)
        new = write_many(tmp_path / f"new{rows}", rows, day=1, changed=range(0, rows, 4))
        pool = pa.proxy_memory_pool(pa.system_memory_pool())
        pa.set_memory_pool(pool)
        try:
            assert inventory.diff(old, new).counts["changed"] == rows // 4
        finally:
            pa.set_memory_pool(before)
        peaks.append(pool.max_memory())
    assert peaks[1] < 1.25 * peaks[0]


def test_a_table_that_the_manifest_does_not_name_is_told(runs):
    write_manifest(runs[1], [], 0, 0)
    with pytest.raises(OutputError, match="holds no table functions: its manifest does not name it"):
        inventory.diff(*runs)


def test_the_command_loads_no_pandas(runs):
    code = (
        "import sys; from inventory.cli.app import app\n"
        "for form in ('text', 'csv', 'parquet', 'json'):\n"
        "    app(['diff', *sys.argv[1:3], '--format', form, '--output', sys.argv[3]], standalone_mode=False)\n"
        "print('pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *runs, runs[0] / "out"], capture_output=True, text=True, check=False
    )
    assert done.stdout == "False\n", done.stderr


async def test_two_exports_of_a_cloud_that_changed_in_between(tmp_path, write_list):
    functions = {name: config() for name in (urn("a"), urn("b"), urn("c"), urn("d"))}
    later = {**functions, urn("a"): leading(on_success=side("DIS", {"stream_name": "s"})), urn("b"): None}
    del later[urn("c")]
    for name, cloud, plan in (("old", functions, None), ("new", later, {urn("d"): [Fault.SERVICE_ERROR]})):
        async with inventory.Emulator(FileCloud(cloud)) as server:
            server.plan(plan)
            await export(write_list(functions), tmp_path / name, endpoint=server.url, attempts=1)
    diff = inventory.diff(tmp_path / "old", tmp_path / "new")
    assert [(row["kind"], row["field"], row["after"]) for row in diff.table().to_pylist()] == [
        ("changed", "destination", "DIS"),
        ("changed", "param", '{"stream_name":"s"}'),
        ("status_changed", None, None),
        ("removed", None, None),
        ("unknown", None, None),
    ]


@pytest.mark.parametrize("number", ["0.50", "1e5", "-0", "1E400"])
def test_text_shows_numbers_with_the_digits_that_were_sent(tmp_path, number):
    sent = json.dumps(config(ratio="@", deep={"list": ["@"]})).replace('"@"', number).encode()
    before = {urn("gone"): sent, urn("failed"): sent, urn("changed"): sent}
    after = {urn("failed"): FAILED, urn("changed"): sent.replace(number.encode(), b"7")}
    runs = write_run(tmp_path / "old", before), write_run(tmp_path / "new", after, day=1)
    code, shown, _ = command(*runs)
    assert code == 0
    assert shown.decode().count(number) >= 6
    assert f"extra.ratio: {number} -> 7" in shown.decode()


def test_text_shows_only_nested_values_that_differ(tmp_path):
    before, after = {"a": 1, "b": [1, {"c": 1, "d": 2}]}, {"a": 1.0, "b": [1.0, {"c": 5, "d": 2.0}, True]}
    runs = [
        write_run(tmp_path / str(day), {urn("a"): leading(on_failure=side("OBS", param))}, day=day)
        for day, param in enumerate((before, after))
    ]
    shown = command(*runs)[1].decode()
    assert [line.strip() for line in shown.splitlines() if "->" in line] == [
        "on_failure.param.b[1].c: 1 -> 5",
        "on_failure.param.b[2]: not set -> true",
    ]


def test_one_urn_is_singular(tmp_path):
    runs = [
        write_run(tmp_path / str(day), {urn("a"): config(n=day), urn("b"): NOT_ATTEMPTED}, day=day) for day in (0, 1)
    ]
    single = [write_run(tmp_path / f"s{day}", {urn("a"): config(n=day)}, day=day) for day in (0, 1)]
    for form in ("text", "markdown"):
        _, shown, words = command(*single, "--format", form)
        assert "1 URNs" not in shown.decode() + words
        assert "1 of 1 URN changed" in words
    assert "1 more URN:" in command(*runs, "--limit", "1")[1].decode()
    assert "1 URNs" not in " ".join(
        inventory.diff(*[write_run(tmp_path / "left", {urn("b"): NOT_ATTEMPTED})] * 2).warnings
    )


def test_a_kind_without_changes_is_reported(runs):
    code, _, words = command(*runs, "--kind", "newly_listed")
    assert code == 0
    assert "no change of kind newly_listed; the runs have: 1 added, 1 removed" in words
    assert "no change of kind" not in command(*runs, "--kind", "removed")[2]
