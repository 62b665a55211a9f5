"""Manifests and facts of a ledger that were edited, or that another version wrote: one sentence, never a traceback."""

from __future__ import annotations

import copy
import json
import shutil

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.histories import one_run
from support.runs import call_cli, manifest_of

import inventory
from inventory.errors import ExitCode, LedgerUnusableError, OutputError
from inventory.ledger.schema import with_checksum
from inventory.ledger.writer import Ledger
from inventory.runs import manifest_reader
from inventory.runs.facts import RunFacts
from inventory.settings import ExportSettings
from inventory.storage import files
from inventory.tables import schema

VALUES = [None, True, -1, 10**30, 1.5, "", "text", "2026-02-30T00:00:00Z", "../manifest.json", [], [[1]], {}, {"a": {}}]
"""Each type of JSON, and odd values of some."""
FACTS = ["started", "loaded", "shape", "listed", "cleaned", "ended", "store", "limits", "bodies-dropped"]
NEITHER = (None, "nothing")
DAMAGED = [b"", b"[]", b"null", b"\xff", b"{", b"[" * 100_000, b'{"schema_version":' * 100_000, b"\xef\xbb\xbf{}"]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return one_run(tmp_path_factory.mktemp("records"), rows_per_file=10)


@pytest.fixture
def run(original, tmp_path):
    shutil.copytree(original, tmp_path / "output" / "run")
    shutil.copytree(original, tmp_path / "output" / "other")
    return tmp_path / "output" / "run"


def places(value, path=()):
    """The path of each key and of each item in a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def changed(document, path, value):
    """The document with another value at a path; NEITHER: without the key."""
    if not path:
        return value
    document = copy.deepcopy(document)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    if value is NEITHER:
        holder.pop(path[-1])
    else:
        holder[path[-1]] = value
    return document


def commands(run):
    """All commands that read a manifest or a ledger; ends at a traceback."""
    other = run.parent / "other"
    return [
        call_cli(*arguments, cwd=run.parent)
        for arguments in (
            ("status", run),
            ("diff", other, run),
            ("diff", run, other),
            ("prune", run.parent, "--keep-last", "1", "--dry-run"),
            ("export", "--resume", "--output", run, "--endpoint", "http://127.0.0.1:1", "--max-time", "1"),
            ("tables", run),
        )
    ]


def assert_one_sentence(done):
    assert done.returncode in {*ExitCode} - {ExitCode.BUG}, done.stderr
    if done.returncode == ExitCode.OUTPUT:
        assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_a_changed_manifest_is_read_completely_or_refused(original, data):
    document = manifest_of(original)
    path = data.draw(st.sampled_from(sorted(places(document), key=str)))
    value = data.draw(st.sampled_from([*VALUES, NEITHER])) if path else data.draw(st.sampled_from(VALUES))
    content = json.dumps(changed(document, path, value)).encode()
    try:
        read = manifest_reader.decode(content, "manifest.json")
    except OutputError as refused:
        error = refused
    else:
        error = None
    if error is not None:
        assert str(error).startswith("manifest.json is")
        assert "\n" not in str(error)
        return
    assert read.keys() == document.keys()
    assert manifest_reader.decode(msgspec.json.encode(read), "manifest.json") == read


def test_a_manifest_is_read_with_all_keys_that_an_export_writes(original):
    assert manifest_reader.read(original / "manifest.json") == manifest_of(original)


@pytest.mark.parametrize("value", [*VALUES, NEITHER], ids=str)
def test_each_command_refuses_a_changed_manifest_in_one_sentence(run, value):
    document = manifest_of(run)
    for path in (("tables",), ("scopes", 0), ("counts", "status"), ("settings",), ("exit_code",), ("finished",)):
        (run / "manifest.json").write_text(json.dumps(changed(document, path, value)))
        for number, done in enumerate(commands(run)):
            assert_one_sentence(done)
            if number == 1 and not done.returncode:  # what is accepted was read as a whole
                manifest_reader.read(run / "manifest.json")


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_file_that_is_no_manifest_is_one_sentence_in_each_reader(run, content):
    (run / "manifest.json").write_bytes(content)
    with pytest.raises(OutputError, match=r"manifest\.json is damaged"):
        inventory.open_snapshot(run)
    assert [entry.state for entry in inventory.history(run.parent).incomplete] == ["damaged"]
    for done in commands(run):
        assert_one_sentence(done)


def test_a_manifest_without_end_is_not_read(run, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    with pytest.raises(OutputError, match=r"manifest\.json cannot be read: It has more than 1,000 bytes"):
        inventory.open_snapshot(run)
    assert len(inventory.history(run.parent).incomplete) == 2


def test_a_manifest_of_a_newer_version_is_left_alone_by_prune(run):
    (run / "manifest.json").write_text(json.dumps({"schema_version": schema.VERSION + 1, "tool_version": "9.1"}))
    done = call_cli("prune", run.parent, "--incomplete", "--keep-last", "1", cwd=run.parent)
    assert (done.returncode, "of a newer inventory (9.1" in done.stderr) == (4, True)
    assert (run / "ledger.sqlite").exists()


def record(run, name, value):
    with Ledger(run / "ledger.sqlite") as ledger:
        ledger.set_fact(name, value)


@pytest.mark.parametrize("name", FACTS)
def test_each_command_refuses_a_changed_fact_in_one_sentence(run, name):
    kept = (run / "ledger.sqlite").read_bytes()
    manifest = (run / "manifest.json").read_bytes()
    for value in VALUES:
        (run / "ledger.sqlite").write_bytes(kept)
        (run / "manifest.json").write_bytes(manifest)
        record(run, name, value)
        for arguments in (("tables", run), ("status", run), ("prune", run.parent, "--keep-last", "1", "--dry-run")):
            assert_one_sentence(call_cli(*arguments, cwd=run.parent))


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_part_of_a_fact_that_changed_is_read_or_refused(original, tmp_path, data):
    path = tmp_path / "ledger.sqlite"
    shutil.copyfile(original / "ledger.sqlite", path)
    with Ledger(path) as ledger:
        name = data.draw(st.sampled_from([name for name in FACTS if isinstance(ledger.fact(name), dict)]))
        fact = ledger.fact(name)
        place = data.draw(st.sampled_from(sorted(places(fact), key=str)))
        ledger.set_fact(name, changed(fact, place, data.draw(st.sampled_from(VALUES))))
        facts = RunFacts(ledger)
        try:
            readings = facts.started, facts.settings, facts.table_options, facts.ended, facts.limits, facts.listed
            earlier = facts.latest_settings()
        except OutputError:
            return
    assert len(readings) == 6
    assert isinstance(earlier, ExportSettings | None)


@pytest.mark.parametrize("arguments", [("tables",), ("export", "--resume", "--output")])
def test_settings_of_a_newer_version_are_named(run, arguments):
    with Ledger(run / "ledger.sqlite") as ledger:
        ledger.set_fact("loaded", {**ledger.fact("loaded"), "a-new-option": 1})
    done = call_cli(*arguments, run, cwd=run.parent)
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "another version of inventory" in done.stderr
    assert "a-new-option" in done.stderr


def test_a_fact_that_is_no_json_is_damage(run):
    with Ledger(run / "ledger.sqlite") as ledger:
        for text in ("{", "[" * 100_000, "1e999"):
            ledger._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", with_checksum(("store", text)))
            with pytest.raises(LedgerUnusableError, match="is damaged"):
                RunFacts(ledger).store  # noqa: B018 - the reading is the test
