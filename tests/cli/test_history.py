import json

import pytest
from support.histories import at, nights, one_run
from support.runs import call_cli, run_cli

from inventory.errors import UsageError
from inventory.runs.latest import resolve_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return one_run(tmp_path_factory.mktemp("history"))


@pytest.fixture
def folder(run, tmp_path):
    """Three nights, of which the name that sorts last is the oldest; a stopped run, a file, and a run in the future."""
    nights(run, tmp_path / "output", 3)
    (tmp_path / "output" / "20261101T010000Z").rename(tmp_path / "output" / "z")
    stopped = tmp_path / "output" / "stopped"
    stopped.mkdir()
    (stopped / "ledger.sqlite").write_bytes((run / "ledger.sqlite").read_bytes())
    (tmp_path / "output" / "notes.txt").write_text("x")
    at(run, tmp_path / "output", "wrong-clock", "2999-01-01T00:00:00Z")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "run_name"),
    [
        ("latest", "20261103T010000Z"),
        ("latest~0", "20261103T010000Z"),
        ("latest~1", "20261102T010000Z"),
        ("latest~2", "z"),
        ("latest~3", "wrong-clock"),
    ],
)
def test_latest_is_by_end_time(folder, name, run_name):
    assert resolve_run(name, str(folder / "output")) == str(folder / "output" / run_name)


@pytest.mark.parametrize("name", ["output/x", "LATEST", "latest1", "./latest", "s3://bucket/latest"])
def test_any_other_name_stays(name):
    assert resolve_run(name, "nowhere") == name


def test_an_existing_folder_wins(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for name in ("latest", "latest~1", "latest~old"):
        (folder / name).mkdir()
        assert resolve_run(name, "output") == name


@pytest.mark.parametrize(
    ("name", "history", "message"),
    [
        ("latest~4", "output", r"there is no latest~4 \(.*output has 4 finished runs\); see them with: inventory runs"),
        ("latest", "empty", r"there is no latest \(.*empty has 0 finished runs\)"),
        ("latest", "nowhere", r"there is no folder .*nowhere"),
        ("latest~x", "output", "'latest~x' is no run; give latest, latest~1 or the folder of a run"),
        ("latest~-1", "output", "is no run"),
        ("latest", "output/z", "is a run itself"),
    ],
)
def test_a_run_that_does_not_exist_is_refused(folder, name, history, message):
    (folder / "empty").mkdir()
    with pytest.raises(UsageError, match=message):
        resolve_run(name, str(folder / history))


def test_commands_know_latest(folder):
    for arguments in (
        ("status", "latest", "--format", "json"),
        ("diff", "latest~1", "latest"),
        ("terraform", "latest"),
        ("tables", "latest", "--format", "csv"),
    ):
        done = call_cli(*arguments, cwd=folder)
        assert done.returncode == 0, done.stderr
        elsewhere = call_cli(*arguments, "--history", folder / "output", cwd=folder.parent)
        assert elsewhere.returncode == 0, elsewhere.stderr
    status = call_cli("status", "latest~2", "--format", "json", cwd=folder)
    assert json.loads(status.stdout)["folder"] == "output/z"


def test_review_knows_latest(folder):
    done = call_cli("review", "latest", "--baseline", "latest~1", "--only", "FGA101", cwd=folder)
    assert done.returncode == 0, done.stderr
    refused = call_cli("review", "latest~9", "--history", folder / "output", cwd=folder.parent)
    assert (refused.returncode, "there is no latest~9" in refused.stderr) == (2, True)


def test_runs_lists_a_history(folder):
    done = call_cli("runs", cwd=folder)
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert [line.split()[:4] for line in lines[1:4]] == [
        ["latest", "20261103T010000Z", "2026-11-03", "01:00"],
        ["latest~1", "20261102T010000Z", "2026-11-02", "01:00"],
        ["latest~2", "z", "2026-11-01", "01:00"],
    ]
    assert [line for line in lines if len(line) > 100 and "--resume" not in line] == []
    assert any(line.startswith("  stopped: stopped before its tables were complete") for line in lines)
    assert "  notes.txt: a file" in lines
    assert lines == call_cli("runs", folder / "output", cwd=folder).stdout.splitlines()


def test_runs_as_json(folder):
    listed = json.loads(call_cli("runs", "output", "--format", "json", cwd=folder).stdout)
    assert [entry["path"] for entry in listed["runs"]][:2] == ["output/20261103T010000Z", "output/20261102T010000Z"]
    newest = listed["runs"][0]
    assert (newest["exit_code"], newest["finished"]) == (0, "2026-11-03T01:00:00+00:00")
    assert sum(newest["status"].values()) == newest["urns"]
    assert {(entry["path"], entry["state"]) for entry in listed["others"]} == {
        ("output/notes.txt", "foreign"),
        ("output/stopped", "stopped"),
    }


def test_runs_escapes_names(folder):
    (folder / "output" / "20261103T010000Z").rename(folder / "output" / "a\nb\x1b[31m")
    done = run_cli("runs", "output", cwd=folder)
    assert "\x1b" not in done.stdout
    assert r"a\nb" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["output/z"], "is a run itself"),
        (["output/notes.txt"], "is not a folder"),
    ],
)
def test_runs_of_no_history_is_one_sentence(folder, arguments, message):
    done = call_cli("runs", *arguments, cwd=folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert message in done.stderr
