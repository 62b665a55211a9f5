import asyncio
import json
import re
import shutil
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from support.contrast import contrast
from support.runs import export

import inventory
from inventory.api import summary
from inventory.emulator import Fault
from inventory.errors import OutputError, Status, UsageError
from inventory.tables import schema

PANDAS_3 = int(pd.__version__.split(".")[0]) >= 3


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with inventory.Emulator(functions=60) as server:
        urns = list(server.urns())
        server.plan({urn: [Fault.HTML] * 9 for urn in urns[:7]})
        (folder / "urns.txt").write_text("\n".join([*urns, "odd"]))
        asyncio.run(
            export(folder / "urns.txt", folder / "run", endpoint=server.url, attempts=1, batch=False, rows_per_file=50)
        )
    return folder / "run"


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def change(folder, **values):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_the_four_tables_are_frames(run, copy, form):
    change(copy, tables=[t for t in json.loads((run / "manifest.json").read_text())["tables"] if t["format"] == form])
    snapshot = inventory.open_snapshot(copy)
    functions, types = snapshot.functions, snapshot.functions.dtypes.astype(str)
    assert len(functions) == snapshot.manifest["input"]["urns"] > 50
    assert (types["region"], types["max_async_retry_attempts"]) == ("string[pyarrow]", "int64[pyarrow]")
    assert types["created_time"] == "timestamp[us, tz=UTC][pyarrow]"
    categories = {
        f"{name}.{column}"
        for name in ("functions", "destinations", "calls", "rejects", "scopes")
        for column, dtype in getattr(snapshot, name).dtypes.items()
        if dtype == "category"
    }
    assert categories == ({"functions.status", "destinations.event", "calls.operation"} if PANDAS_3 else set())
    assert list(snapshot.rejects["text"]) == ["odd"]


def test_common_operations_on_frames(run):
    functions = inventory.open_snapshot(run).functions
    counts = functions["status"].value_counts()
    assert counts["failed"] == 7
    assert sorted(counts.index) == sorted(functions["status"].unique())
    grouped = functions[functions["status"] == "failed"].groupby(["region", "status"]).size()
    assert list(grouped.reset_index(name="n")["n"]) == [7]
    assert functions["on_failure_destination"].isna().any()
    assert functions["error_kind"].fillna("none").value_counts()["bad_answer"] == 7
    assert (functions["region"].map({"cn-north-4": 1.5}) * 2).sum() == 3.0 * len(functions)
    assert (functions["region"] + "/" + functions["project_id"]).str.startswith("cn-north-4/").all()
    assert functions.query("status == 'failed' and error_kind.notna()").shape[0] == 7
    joined = functions.merge(pd.DataFrame({"status": ["failed"], "owner": ["us"]}), on="status", how="left")
    assert joined["owner"].notna().sum() == 7
    table = pd.crosstab(functions["region"], functions["status"]).assign(total=1).reset_index()
    assert {"failed", "total", "region"} <= set(table.columns)
    assert "failed" in functions.to_csv()


def test_chosen_columns_are_read(run):
    snapshot = inventory.open_snapshot(run)
    assert snapshot.table("functions", ["status", "region"]).column_names == ["status", "region"]
    assert list(snapshot.frame("destinations", columns=["event", "destination"]).columns) == ["event", "destination"]
    with pytest.raises(UsageError, match="table calls has no column 'region'; its columns are function_urn, operation"):
        snapshot.table("calls", ["region"])
    with pytest.raises(UsageError, match=r"give a list: columns=\['status'\]"):
        snapshot.frame("functions", "status")
    with pytest.raises(UsageError, match="there is no table 'function'"):
        snapshot.table("function")


class _Texts(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"style", "title"}

    def handle_data(self, data):
        self.texts.append(data)


def test_a_snapshot_shows_itself(run, monkeypatch):
    snapshot = inventory.open_snapshot(run)
    monkeypatch.setattr(type(snapshot), "frame", None)
    urns = snapshot.manifest["input"]["urns"]
    shown = " ".join(_Texts(snapshot._repr_html_()).texts)
    share = f"{100 * (urns - 7) / urns:.1f}% answered, {700 / urns:.1f}% unknown"
    for message in (f"{urns} URNs", share, "bad_answer", "on_failure", "7 URNs failed", "no function URN"):
        assert message in shown, message
    text = repr(snapshot)
    assert text.startswith(f"Snapshot({str(run)!r}: {urns} URNs, {share}, ")
    assert "\n  finished, but some URNs failed\n  ! 7 URNs failed (7 bad_answer): " in text


def test_foreign_text_is_escaped():
    evil = "<script>x</script>\x1b[2J\"'&"
    scope = {"region": evil, "project_id": evil, "stopped": evil}
    manifest = {
        "finished": "2026-11-20T00:00:00Z",
        "exit_code": 5,
        "input": {"urns": 2, "entries": 3, "duplicates": 0, "rejects": 1},
        "counts": {"status": {"configured": 1, "not_attempted": 1}, "error_kind": {evil: 1}},
        "scopes": [scope] * 9,
        "requests": {"total": 1, "throttled": 0},
    }
    facts = summary.SummaryData(evil, manifest, bodies_dropped=True, now=datetime(2026, 11, 25, tzinfo=UTC))
    page = _Texts(summary.to_html(facts, summary.DestinationCounts({evil: {"on_success": 1}})))
    assert page.tags <= {"div", "span", "b", "code", "table", "tr", "th", "td", "br"}
    shown = " ".join(page.texts)
    for message in (
        "5 days ago",
        "stopped by the service",
        "4 more stopped scopes",
        "1 URN was not attempted",
        "dropped",
    ):
        assert message in shown
    assert "\x1b" not in shown + summary.to_text(facts)
    assert summary.to_html(facts, summary.DestinationCounts(None, evil)).count("<script") == 0


def test_a_run_with_unanswered_urns_can_be_raised(run, copy):
    snapshot = inventory.open_snapshot(run)
    assert snapshot.exit_code == 1
    with pytest.raises(inventory.UnansweredError, match=r"7 URNs failed.*; export .*resume=True") as caught:
        snapshot.raise_for_unanswered()
    assert caught.value.exit_code == 1
    for code, known in ((0, None), (5, 5)):
        change(copy, exit_code=code)
        snapshot = inventory.open_snapshot(copy)
        assert snapshot.exit_code == code
        if known is None:
            assert snapshot.raise_for_unanswered() is snapshot
        else:
            with pytest.raises(inventory.UnansweredError) as caught:
                snapshot.raise_for_unanswered()
            assert caught.value.exit_code == known


@pytest.mark.parametrize("name", ["functions", "destinations", "calls", "rejects", "scopes"])
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_table_without_columns_keeps_its_rows(run, copy, form, name):
    change(copy, tables=[t for t in json.loads((run / "manifest.json").read_text())["tables"] if t["format"] == form])
    snapshot = inventory.open_snapshot(copy)
    table = snapshot.table(name, [])
    assert (table.column_names, table.num_rows) == ([], snapshot.table(name).num_rows)
    assert snapshot.frame(name, []).shape == (table.num_rows, 0)


def test_what_is_no_finished_run_is_an_error(copy, tmp_path):
    for path, message in (
        (tmp_path / "none", "there is no such folder; name the folder of a run"),
        (copy / "rejects.csv", f"is a file; name the folder of its run: {copy}"),
        (copy / "functions", r"contains no run \(no manifest.json\); name the folder"),
        (tmp_path, f"but folders with runs: {copy}; name one"),
    ):
        with pytest.raises(UsageError, match=message):
            inventory.open_snapshot(path)
    (copy / "manifest.json").unlink()
    with pytest.raises(UsageError, match=f"is not finished .*continue with: inventory export --resume --output {copy}"):
        inventory.open_snapshot(copy)


def test_a_damaged_table_is_an_error(copy):
    (copy / "calls" / "part-00000.parquet").unlink()
    (copy / "rejects.parquet").write_bytes(b"PAR1 damaged")
    snapshot = inventory.open_snapshot(copy)
    for name in ("calls", "rejects"):
        with pytest.raises(
            OutputError, match=rf"{name}.*cannot be read as a table: .*again with: inventory tables {copy}"
        ):
            snapshot.table(name)
    for file in copy.glob("destinations*/*"):
        file.unlink()
    (copy / "destinations.parquet").unlink(missing_ok=True)
    assert "not counted" in snapshot._repr_html_()


def test_a_newer_schema_is_refused(copy):
    change(copy, schema_version=schema.VERSION + 1, tool_version="9.1")
    with pytest.raises(OutputError, match=r"of a newer inventory \(9.1, schema \d+; .*upgrade functiongraph-inventory"):
        inventory.open_snapshot(copy)


def test_the_docstrings_have_the_shapes_of_the_tables():
    for name, table in schema.TABLES.items():
        shape = re.search(r"\(.*, (\d+)\), sorted by (.*)\.", getattr(inventory.Snapshot, name).__doc__)
        assert int(shape[1]) == len(table.columns)
        assert re.findall(r"`(\w+)`", shape[2]) == list(table.sorted_by)


def test_the_types_travel_with_the_package():
    assert Path(inventory.__file__).with_name("py.typed").exists()


@pytest.mark.parametrize("page", ["#ffffff", "#111111", "#1e1e1e"])
@pytest.mark.parametrize("status", Status)
def test_a_colour_of_the_card_is_visible_on_light_and_dark_pages(status, page):
    assert contrast(summary.COLOURS[status], page) >= 3  # for graphics: WCAG 2.2, 1.4.11


def test_the_text_of_the_card_has_the_colour_of_the_page(run):
    styles = re.findall(r'style="([^"]*)"', inventory.open_snapshot(run)._repr_html_())
    assert styles
    assert not [style for style in styles if re.search(r"(?<![\w-])color:|opacity", style)]
    backgrounds = {style.partition("background:")[2] for style in styles} - {""}
    assert len(backgrounds) == len(set(re.findall(r"#[0-9a-f]{6}", " ".join(backgrounds)))) > 2


def test_numbers_of_the_card_are_right_aligned(run):
    shown = inventory.open_snapshot(run)._repr_html_()
    cells = re.findall(r'<td style="text-align:(\w+)">(?:<span[^>]*></span> )?([^<]*)', shown)
    assert {side for side, text in cells if re.fullmatch(r"[\d,.]+%?", text)} == {"right"}
    assert {side for side, text in cells if text.isidentifier()} == {"left"}
