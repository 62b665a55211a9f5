"""Runs that version 0.1.0 left: a ledger and a finished run resume, open, report, and differ as they did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.runs import by_urn, call_cli, manifest_of, run_cli

import inventory
from inventory.emulator import Emulator, load_state
from inventory.errors import UsageError
from inventory.ledger.writer import Ledger

RUNS = Path(__file__).parents[1] / "data" / "run_v0_1_0"
TABLES = ("functions", "destinations", "calls", "rejects")
FORMS = {"text": "txt", "json": "json", "csv": "csv", "parquet": "parquet", "markdown": "md"}


def same_table(first, second):
    return pq.read_table(first).equals(pq.read_table(second))


def test_an_interrupted_run_resumes(tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(RUNS / "interrupted", folder)
    shutil.copy(RUNS / "urns.txt", tmp_path)
    with Emulator(load_state(RUNS / "cloud.json")).in_thread() as server:
        with Ledger(folder / "ledger.sqlite") as ledger:  # a run resumes at its endpoint, which now has another port
            loaded = ledger.fact("loaded")
            ledger.set_fact("loaded", {**loaded, "endpoint": server.url, "iam-endpoint": server.url})
        options = ("--endpoint", server.url, "--iam-endpoint", server.url, "--max-per-second", "0", "--attempts", "2")
        formats = ("--format", "parquet", "--format", "csv")
        done = run_cli("export", "urns.txt", "--resume", "--output", folder, *options, *formats, cwd=tmp_path)
        asked = len(server.requests)
    assert done.returncode == 1, done.stderr
    assert 25 <= asked < manifest_of(RUNS / "finished")["requests"]["total"], "what was answered is not asked for again"
    for table in ("functions", "destinations", "rejects"):
        name = f"{table}.csv"
        assert (folder / name).read_bytes() == (RUNS / "finished" / name).read_bytes()
        assert same_table(folder / f"{table}.parquet", RUNS / "finished" / f"{table}.parquet")
    assert manifest_of(folder)["counts"].items() >= manifest_of(RUNS / "finished")["counts"].items()


def test_a_finished_run_opens():
    snapshot = inventory.open_snapshot(RUNS / "finished")
    assert list(snapshot.functions["function_urn"]) == list(by_urn(RUNS / "finished"))
    assert snapshot.functions["status"].value_counts().to_dict() == {
        status: count for status, count in manifest_of(RUNS / "finished")["counts"]["status"].items() if count
    }
    assert len(snapshot.destinations) == 19


def test_a_finished_run_reports():
    done = run_cli("status", "finished", "--format", "json", cwd=RUNS)
    found = json.loads(done.stdout)
    assert "export --resume --output finished" in found.pop("next")
    assert found.pop("shards") is None
    assert found == json.loads((RUNS / "status.json").read_text())


def test_the_tables_of_a_finished_run_are_built_again(tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(RUNS / "finished", folder)
    for table in TABLES:
        (folder / f"{table}.csv").unlink()
        (folder / f"{table}.parquet").unlink()
    done = call_cli("tables", folder, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for table in TABLES:
        assert (folder / f"{table}.csv").read_bytes() == (RUNS / "finished" / f"{table}.csv").read_bytes()
        assert same_table(folder / f"{table}.parquet", RUNS / "finished" / f"{table}.parquet")


@pytest.mark.parametrize(("form", "suffix"), FORMS.items())
def test_two_finished_runs_differ_as_they_did(tmp_path, form, suffix):
    path = tmp_path / "changes"
    done = call_cli("diff", "finished", "later", "--format", form, "--output", path, cwd=RUNS)
    assert done.returncode == 0, done.stderr
    expected = RUNS / "diff" / f"changes.{suffix}"
    if form == "parquet":  # its bytes hold the version of Arrow and the descriptions of columns
        assert same_table(path, expected)
    else:
        assert path.read_bytes() == expected.read_bytes()


def test_the_difference_has_every_kind():
    assert all(inventory.diff(RUNS / "finished", RUNS / "later").counts.values())


LISTED = RUNS.with_name("run_schema_2") / "finished"
"""A run of ``export --all --versions --aliases`` from before the tables of facts: schema 2, ledger 3."""


def test_a_listed_run_without_facts_opens_and_differs():
    snapshot = inventory.open_snapshot(LISTED)
    assert len(snapshot.functions) == 22
    with pytest.raises(UsageError, match="has no table function_facts: only runs of export --all"):
        snapshot.function_facts  # noqa: B018 - a property
    result = inventory.diff(LISTED, LISTED)
    assert not result.changed


@pytest.mark.parametrize("command", [("tables",), ("export", "--resume", "--output")])
def test_a_listed_run_without_facts_continues(tmp_path, command):
    folder = tmp_path / "run"
    shutil.copytree(LISTED, folder)
    for table in TABLES:
        (folder / f"{table}.csv").unlink()
    done = run_cli(*command, folder, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for table in TABLES:
        assert (folder / f"{table}.csv").read_bytes() == (LISTED / f"{table}.csv").read_bytes()
    assert not list(folder.glob("function_facts*"))


def test_the_runs_name_no_machine():
    for path in (path for path in (*RUNS.rglob("*"), *LISTED.rglob("*")) if path.is_file()):
        content = path.read_bytes()
        assert not any(word in content for word in (b"/tmp/", b"/root", b"/home", b"/work", b"huaweicloud.com")), path
