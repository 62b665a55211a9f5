from __future__ import annotations

import json
import re

import pytest

from inventory.cloud.pages import Operation
from inventory.errors import ErrorKind, ExitCode, OutputError, RateLimit, Status
from inventory.ledger.records import AnswerCount, ScopeCount, SourceRead
from inventory.outcome import Outcome
from inventory.runs import manifest, manifest_reader
from inventory.runs.manifest import Counts, ScopeReport
from inventory.settings import AccountSettings, ExportSettings
from inventory.settings_sources.combine import describe
from inventory.tables.writer import TableFile

ANSWERS = [
    AnswerCount("r", "p", Operation.LIST_CONFIGS, 200, 2),
    AnswerCount("r", "p", Operation.SHOW_CONFIG, 0, 1),
    AnswerCount("r", "p", Operation.SHOW_CONFIG, 200, 5),
    AnswerCount("r", "p", Operation.SHOW_CONFIG, 429, 2),
    AnswerCount("s", "q", Operation.SHOW_CONFIG, 200, 3),
]


def outcome(status: Status, kind: ErrorKind | None = None, attempts: int = 1) -> Outcome:
    return Outcome(
        "urn:fss:r:p:function:default:u", status, kind, None, None, None, b"", "Show", attempts, 3, None, 0.0, 0
    )


def described(**changed) -> dict[str, object]:
    blocks = {
        "started": "2026-01-01T00:00:00Z",
        "finished": "2026-01-01T00:01:00Z",
        "input_read": manifest.describe_input([], 0, 0),
        "counts": Counts(),
        "requests": manifest.describe_requests([], Counts()),
        "scopes": [],
        "tables": [],
        "settings": {"region": None},
        "exit_code": ExitCode.ANSWERED,
    }
    return manifest.describe(**blocks | changed)


def test_every_urn_is_counted_by_its_status_and_kind():
    counts = Counts()
    for settled in (
        None,
        outcome(Status.CONFIGURED, attempts=3),
        outcome(Status.NOT_FOUND),
        outcome(Status.FAILED, ErrorKind.TIMEOUT, attempts=4),
        outcome(Status.FAILED, ErrorKind.THROTTLED, attempts=0),
        outcome(Status.CONFIGURED, attempts=2)._replace(operation=Operation.LIST_CONFIGS),
    ):
        counts.add("urn:fss:r:p:function:default:f", settled)
    blocks = described(counts=counts)["counts"]
    assert blocks["status"] == {"configured": 2, "not_configured": 0, "not_found": 1, "failed": 2, "not_attempted": 1}
    assert {kind: count for kind, count in blocks["error_kind"].items() if count} == {"timeout": 1, "throttled": 1}
    assert len(blocks["error_kind"]) == 10
    assert (counts.retries, counts.told_by_lists) == (5, 1)


def test_of_each_kind_of_failure_the_first_is_told_in_words():
    counts = Counts()
    failed = outcome(Status.FAILED, ErrorKind.SERVER_ERROR)
    for settled in (
        failed._replace(http_status=500, error_code="FSS.0500", error_msg="first"),
        failed._replace(http_status=500, error_code="FSS.0500", error_msg="second"),
        outcome(Status.FAILED, ErrorKind.TIMEOUT)._replace(http_status=None, error_code=None, error_msg="no answer"),
    ):
        counts.add("urn:fss:r:p:function:default:f", settled)
    assert counts.examples == {"server_error": "500 FSS.0500 first", "timeout": "no answer"}


def test_the_first_equation_holds():
    sources = [SourceRead("a.txt", "aa", 10), SourceRead("b.csv", "bb", 5)]
    assert manifest.describe_input(iter(sources), urns=9, rejects=4) == {
        "files": [{"path": "a.txt", "sha256": "aa", "entries": 10}, {"path": "b.csv", "sha256": "bb", "entries": 5}],
        "entries": 15,
        "urns": 9,
        "duplicates": 2,
        "rejects": 4,
        "cleaned": 0,
        "listed": None,
    }


def test_requests_are_all_calls_of_all_scopes():
    assert manifest.describe_requests(iter(ANSWERS), Counts(retries=4, told_by_lists=9)) == {
        "total": 13,
        "retries": 4,
        "throttled": 2,
        "saved_by_lists": 7,
        "by_operation": {Operation.LIST_CONFIGS: 2, Operation.SHOW_CONFIG: 11},
        "by_http_status": {"200": 10, "429": 2, "none": 1},
    }


def test_scopes_say_what_was_learnt():
    reports = {
        ("r", "p"): ScopeReport("https://r.example", RateLimit(200, 60.0, "user"), 0.98765, None),
        ("s", "q"): ScopeReport("https://s.example", None, None, "blocked: 418"),
    }
    assert manifest.describe_scopes([ScopeCount("r", "p", 8), ScopeCount("s", "q", 3)], iter(ANSWERS), reports) == [
        {
            "region": "r",
            "project_id": "p",
            "endpoint": "https://r.example",
            "urns": 8,
            "requests": 10,
            "refused": 2,
            "limit_learnt": {"calls": 200, "seconds": 60.0, "policy": "user"},
            "limit_used": 0.988,
            "shared_limit": None,
            "shared_limit_used": None,
            "stopped": None,
            "account": None,
        },
        {
            "region": "s",
            "project_id": "q",
            "endpoint": "https://s.example",
            "urns": 3,
            "requests": 3,
            "refused": 0,
            "limit_learnt": None,
            "limit_used": None,
            "shared_limit": None,
            "shared_limit_used": None,
            "stopped": "blocked: 418",
            "account": None,
        },
    ]


@pytest.mark.parametrize(
    ("code", "complete"),
    [(0, True), (1, True), (2, False), (3, False), (4, False), (5, False), (130, False), (143, False)],
)
def test_a_run_is_complete_when_every_urn_was_asked(code, complete):
    written = described(exit_code=ExitCode(code))
    assert (written["complete"], written["exit_code"]) == (complete, code)


def test_the_manifest_has_the_contracts_blocks():
    file = TableFile("calls", "csv", "calls.csv", 3, 120, "cc")
    written = described(tables=[file])
    assert list(written) == [
        "tool",
        "tool_version",
        "schema_version",
        "started",
        "finished",
        "complete",
        "exit_code",
        "input",
        "counts",
        "requests",
        "scopes",
        "tables",
        "settings",
        "shards",
    ]
    assert written["tables"] == [
        {"name": "calls", "format": "csv", "path": "calls.csv", "rows": 3, "bytes": 120, "sha256": "cc"}
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", written["finished"])


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "manifest.json"
    failure = {"project": "r/p", "error_kind": "forbidden", "http_status": 403, "message": "no"}
    listed = {"projects": ["r/p"], "versions": True, "aliases": False, "failed_reports": {"quotas": [failure]}}
    written = described(
        input_read=manifest.describe_input([SourceRead("a.txt", "aa", 10)], 9, 1, listed),
        requests=manifest.describe_requests(ANSWERS, Counts()),
        scopes=manifest.describe_scopes(
            [ScopeCount("r", "p", 8)],
            ANSWERS,
            {("r", "p"): ScopeReport("https://r", RateLimit(2, 1.0, "user"), 0.5, "blocked", RateLimit(9, 60.0), 0.1)},
        ),
        tables=[TableFile("calls", "csv", "calls.csv", 3, 120, "c" * 64)],
        settings=describe(ExportSettings(accounts=(AccountSettings(name="a", regions=("r",)),))),
    )
    manifest.write(path, written)
    assert manifest_reader.read(path) == written == json.loads(path.read_bytes())
    assert path.read_bytes().endswith(b"}\n")
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"]


def test_a_manifest_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        manifest.write(tmp_path / "manifest.json", described())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        manifest.write(tmp_path / "gone" / "manifest.json", described())


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), (b"", "damaged"), (b'{"tool":', "damaged"), (b"[]", "damaged"), (b"\xff", "damaged")],
)
def test_a_manifest_that_is_none_is_an_output_error(tmp_path, content, words):
    path = tmp_path / "manifest.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OutputError, match=rf"manifest\.json.*{words}|{words}"):
        manifest_reader.read(path)
