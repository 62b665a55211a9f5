import re
from pathlib import Path

import pytest

from inventory.cli import summary
from inventory.errors import ErrorKind, ExitCode, Status
from inventory.runs.finish import Result
from inventory.runs.output import Output


def result(*, stopped=(), statuses=None, kinds=None, entries=10, examples=None):
    urns = sum((statuses or {}).values())
    scopes = [
        {"region": "r", "project_id": f"p{n}", "endpoint": "https://x", "stopped": text, "limit_learnt": None}
        for n, text in enumerate(stopped)
    ]
    return Result(
        Output(Path("a run")),
        {
            "input": {"files": [{"path": "urns.txt"}], "entries": entries, "urns": urns, "duplicates": 0, "rejects": 0},
            "counts": {
                "status": {status.value: (statuses or {}).get(status.value, 0) for status in Status},
                "error_kind": {kind.value: (kinds or {}).get(kind.value, 0) for kind in ErrorKind},
            },
            "requests": {"total": 12345, "retries": 1, "throttled": 2, "saved_by_lists": 34},
            "started": "S",
            "finished": "F",
            "scopes": scopes,
        },
        ExitCode.ANSWERED,
        examples=examples or {},
    )


def test_a_complete_run_has_no_problems():
    assert summary.problems(result(stopped=[None], statuses={"configured": 5, "not_configured": 5})) == []


@pytest.mark.parametrize("exit_code", ExitCode)
def test_an_incomplete_demo_suggests_its_status_and_no_call_to_the_ended_emulator(exit_code):
    steps = summary.next_steps(result()._replace(exit_code=exit_code))
    status = ["status 'a run'"] if exit_code else []
    assert [step.partition(" ")[2] for step in steps[: len(status)]] == status
    assert len(steps) == 3 + len(status)
    assert not any("--resume" in step for step in steps)


def test_cleaned_entries_are_in_the_summary():
    run = result(statuses={"configured": 5})
    assert "invisible" not in summary.summary_lines(run)
    run.manifest["input"]["cleaned"] = 1200
    assert "1,200 entries had invisible characters at the ends, which were removed" in summary.summary_lines(run)


def test_each_kind_of_failure_has_an_example():
    messages = summary.problems(
        result(
            statuses={"configured": 5, "failed": 3},
            kinds={"server_error": 2, "timeout": 1},
            examples={"server_error": "500 FSS.0500 " + "x" * 500, "timeout": "no complete response in time"},
        )
    )
    assert messages[0].startswith("1 failed with timeout, such as: no complete response in time")
    assert messages[1].startswith("2 failed with server_error, such as: 500 FSS.0500 xxx")
    assert len(messages[1]) < 250
    assert messages[2].startswith("3 URNs failed; export them again with: ")
    assert messages[2].endswith("export --resume --output 'a run'")


@pytest.mark.parametrize(
    ("stopped", "advice"),
    [
        ("refused: 401 APIGW.0301 dead", "get a token of the right account and project"),
        ("forbidden: 403 APIGW.0802 no", "check that the token is of this project"),
        ("throttled: 429 APIGW.0308 slow", "ask the account's owner for a higher limit"),
        ("blocked: 418", "lower --max-per-second"),
        ("connection: refused", "check that the endpoint is correct and reachable"),
        ("wrong_endpoint: 404", "check that the endpoint is correct and reachable"),
    ],
)
def test_advice_depends_on_the_reason_of_a_stop(stopped, advice):
    kind = stopped.split(":")[0]
    messages = summary.problems(
        result(
            stopped=[stopped, None],
            statuses={"failed": 3, "not_attempted": 7},
            kinds={kind: 3},
            examples={kind: stopped},
        )
    )
    assert messages[0] == f"r/p0 at https://x was stopped: {stopped}"
    assert messages[1].startswith("7 URNs were not attempted: ")
    assert advice in messages[1]
    assert len(messages) == 2


def test_two_reasons_give_two_pieces_of_advice():
    messages = summary.problems(result(stopped=["blocked: 418", "refused: 401"], statuses={"not_attempted": 7}))
    assert "firewall" in messages[2]
    assert "get a token" in messages[2]


def test_the_summary_adds_up():
    text = "\n".join(summary.summary_lines(result(statuses={"configured": 1234, "failed": 1}, kinds={"timeout": 1})))
    assert text.splitlines() == [
        "  configured         1,234",
        "  failed                 1",
        "    failed: timeout      1",
        "  -----------------  -----",
        "  URNs               1,235",
        "10 entries read: 1,235 URNs, 0 duplicates, 0 rejects",
        "12,345 calls (1 retry, 2 throttled, 34 saved by lists) from S to F",
    ]


def test_the_summary_says_how_many_functions_have_no_failure_destination():
    run = result(statuses={"configured": 1500, "failed": 1})
    for silent, end in ((None, None), (0, "0 of 1,500 configured functions have no on_failure destination")):
        lines = summary.summary_lines(run._replace(without_failure_destination=silent))
        assert [line for line in lines if "no on_failure" in line] == ([end] if end else [])
    line = summary.summary_lines(run._replace(without_failure_destination=1200))[-1]
    assert line.startswith("1,200 of 1,500 configured functions have no on_failure destination; list them with: ")
    assert "open_snapshot('\"'\"'a run'\"'\"')" in line


def test_counts_of_one_are_singular():
    run = result(statuses={"configured": 1}, entries=1)
    run.manifest["input"].update(duplicates=1, rejects=1, cleaned=1)
    run.manifest["requests"].update(total=1)
    run.manifest["counts"]["named_otherwise"] = 1
    text = "\n".join(summary.summary_lines(run._replace(without_failure_destination=1)))
    plurals = "entries|URNs|duplicates|rejects|calls|retries|answers|configured functions"
    assert not re.search(rf"\b1 ({plurals})\b", text)
    assert "1 of 1 configured function has no on_failure destination" in text
    failed = result(statuses={"failed": 1}, kinds={"timeout": 1}, examples={"timeout": "x"})
    assert summary.problems(failed)[-1].startswith("1 URN failed; ")
    assert summary.problems(result(statuses={"not_attempted": 1}))[-1].startswith("1 URN was not attempted")
