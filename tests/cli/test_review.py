import json
import os
import pty
import signal
import subprocess
import sys
import threading

import duckdb
import pytest
from support.runs import call_cli
from support.written_runs import FAILED, config, leading, side, urn, write_run

from inventory.cli.signals import interrupted_by_signals
from inventory.errors import InterruptedRunError
from inventory.reviews.database import translate_errors

SAFE = leading(on_failure=side("SMN", {"topic_urn": "urn:smn:cn-north-4:p:t"}))


@pytest.fixture
def run(tmp_path):
    write_run(tmp_path / "run", {urn("silent"): config(), urn("safe"): SAFE, urn("failed"): FAILED})
    return tmp_path


def review(folder, *arguments, only=("--only", "FGA101")):
    return call_cli("review", "run", *only, *arguments, cwd=folder)


def suppress(folder, **fields):
    values = {"rule": "FGA101", "subjects": ["*:silent:*"], "reason": "accepted", "by": "team", "until": "2999-01-01"}
    lines = [f"{name} = {json.dumps(value)}" for name, value in {**values, **fields}.items()]
    (folder / "inventory.toml").write_text("\n".join(["max-per-second = 50", "[[suppress]]", *lines]))
    return "--settings", "inventory.toml"


def test_a_review_is_text_on_stdout_and_exits_with_0(run):
    done = review(run)
    assert done.returncode == 0
    assert "1. high FGA101" in done.stdout
    assert "Coverage 66.7%: 1 pass, 1 fail, 1 not checked, 0 not applicable" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "messages"),
    [
        (["--fail-on", "high"], 1, ["1 finding at or above high"]),
        (["--fail-on", "info"], 1, ["1 finding at or above info"]),
        (["--fail-on", "critical"], 0, []),
        (["--min-coverage", "0.99"], 6, ["coverage 0.6666 is below --min-coverage 0.99; unknown: not_answered 1"]),
        (["--min-coverage", "0.6"], 0, []),
        (["--fail-on", "high", "--min-coverage", "0.99"], 1, ["1 finding at or above", "is below --min-coverage"]),
        (["--new-only", "--baseline", "run", "--fail-on", "high"], 0, []),
    ],
)
def test_exit_codes(run, arguments, code, messages):
    done = review(run, *arguments)
    assert done.returncode == code
    assert all(message in done.stderr for message in messages)
    assert bool(done.stderr) == bool(messages)


def test_unknown_never_fails_a_review(run):
    write_run(run / "run", {urn("failed"): FAILED})
    assert review(run, "--fail-on", "info").returncode == 0


def test_a_suppressed_finding_does_not_fail_a_review(run):
    done = review(run, "--fail-on", "high", *suppress(run))
    assert (done.returncode, done.stderr) == (0, "")
    assert "--show suppressed" in done.stdout


def test_an_expired_suppression_is_a_warning_and_the_finding_is_back(run):
    done = review(run, "--fail-on", "high", "--as-of", "2027-02-01", *suppress(run, until="2027-01-31"))
    assert done.returncode == 1
    assert "expired on 2027-01-31" in done.stderr
    assert review(run, "--fail-on", "high", "--as-of", "2027-01-31", *suppress(run, until="2027-01-31")).returncode == 0


def test_a_suppression_that_matches_nothing_is_a_warning_and_with_strict_an_error(run):
    options = suppress(run, subjects=["nothing"])
    done = review(run, *options)
    assert done.returncode == 0
    assert "warning: suppression 1 (FGA101 on nothing, by team) matches no finding" in done.stderr
    assert review(run, "--strict", *options).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none"], 2, "none: there is no such folder"),
        (["run", "--table", "exposure"], 2, "--table needs --format csv, parquet or json"),
        (["run", "--only", "FGA999"], 2, "there is no such rule; the nearest is"),
        (["run", "--as-of", "tomorrow"], 2, "--as-of 'tomorrow' is no day"),
        (["run", "--as-of", "2026-1-2"], 2, "--as-of '2026-1-2' is no day"),
        (["run", "--as-of", "20260102"], 2, "--as-of '20260102' is no day"),
        (["run", "--new-only"], 2, "--new-only needs --baseline or --history"),
        (["run", "--baseline", "run", "--history", "."], 2, "give one of them"),
        (["run", "--baseline", "none.csv"], 4, "none.csv cannot be read as findings"),
        (["run", "--rules", "none"], 4, "none cannot be read as a folder of rules"),
        (["run", "--settings", "none.toml"], 2, "none.toml cannot be read"),
        (["run", "--output", "run/x/y"], 4, "cannot be written"),
        (["run", "--show", "all"], 2, "all"),
        (["run", "--fail-on", "urgent"], 2, "urgent"),
        (["run", "--min-coverage", "2"], 2, "--min-coverage"),
        (["run", "--min-coverage", "nan"], 2, "--min-coverage"),
        (["run", "--rule-timeout", "nan"], 2, "--rule-timeout"),
        (["run", "--rule-timeout", "inf"], 2, "--rule-timeout"),
    ],
)
def test_wrong_usage_is_one_sentence(run, arguments, code, message):
    done = call_cli("review", *arguments, cwd=run)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_an_own_rule_runs_beside_the_others_and_a_broken_one_is_named(run):
    (run / "own").mkdir()
    header = '/*\nid = "OWN001"\nname = "own"\ntitle = "Own"\narea = "hygiene"\nseverity = "low"\nsubject = "urn"\n'
    header += 'why = "w"\nfix = "f"\nsource = "s"\n*/\n'
    path = run / "own" / "OWN001.sql"
    query = "SELECT subject, contains(subject, 'safe') AS fails FROM subjects"
    path.write_text(f"{header}{query}")
    done = review(run, "--rules", "own", "--format", "json", only=("--only", "OWN001"))
    assert done.returncode == 0, done.stderr
    assert [(row["verdict"], row["subject"].split(":")[6]) for row in json.loads(done.stdout)["findings"]] == [
        ("unknown", "failed"),
        ("fail", "safe"),
    ]
    path.write_text(f"{header}COPY (SELECT 1) TO 'x'")
    done = review(run, "--rules", "own")
    assert done.returncode == 2
    assert "OWN001.sql: a rule is exactly one SELECT statement" in done.stderr


@pytest.mark.parametrize("form", ["json", "csv", "parquet", "markdown", "sarif", "html", "text"])
def test_each_format_can_be_a_file(run, form):
    done = review(run, "--format", form, "--output", "out")
    assert (done.returncode, done.stdout) == (0, "")
    assert (run / "out").stat().st_size > 100


@pytest.mark.parametrize("form", ["html", "parquet"])
def test_a_page_goes_to_a_pipe_and_not_to_a_terminal(run, form):
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "inventory", "review", "run", "--only", "FGA101", "--format", form]
    done = subprocess.run(command, cwd=run, stdout=follower, stderr=subprocess.PIPE, check=False)
    os.close(follower)
    os.close(leader)
    assert done.returncode == 2
    assert b"a terminal cannot show this format: give --output FILE" in done.stderr
    piped = subprocess.run(command, cwd=run, capture_output=True, check=True).stdout
    assert piped.startswith({"html": b"<!DOCTYPE html>", "parquet": b"PAR1"}[form])


@pytest.mark.parametrize("table", ["findings", "exposure", "envelope", "summary"])
def test_each_table_can_be_written(run, table):
    done = review(run, "--format", "csv", "--table", table)
    assert done.returncode == 0
    first = {"findings": "finding_id", "summary": "rule"}.get(table, "subject")
    assert done.stdout.startswith(f'"{first}"')


def test_passes_are_rows_on_request(run):
    rows = json.loads(review(run, "--format", "json", "--show", "pass").stdout)["findings"]
    assert sorted(row["verdict"] for row in rows) == ["fail", "pass", "unknown"]


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_gets_text_that_fits(run, columns):
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "inventory", "review", "run", "--only", "FGA104,FGA111"]
    write_run(run / "run", {urn("f\u200b"): config(max_async_retry_attempts=0)})
    done = subprocess.run(command, cwd=run, env=environment, stdout=follower, stderr=subprocess.PIPE, check=False)
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:
            break
        shown += part
        if not part:
            break
    os.close(leader)
    assert done.returncode == 0, done.stderr
    lines = shown.decode().splitlines()
    assert any("FGA104" in line for line in lines)
    assert max(len(line) for line in lines if line.startswith("    ") and "urn:" not in line) <= columns


def run_long_query(number):
    threading.Timer(0.3, os.kill, [os.getpid(), number]).start()
    with duckdb.connect() as connection, translate_errors():
        connection.execute("SELECT count(*) FROM range(400000000) AS numbers WHERE hash(range) % 7 = 3")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_query_ends_the_command(number):
    with pytest.raises(InterruptedRunError) as caught, interrupted_by_signals():
        run_long_query(number)
    assert caught.value.exit_code == 128 + number


def test_ctrl_c_during_a_query_is_a_keyboard_interrupt_in_python():
    with pytest.raises(KeyboardInterrupt):
        run_long_query(signal.SIGINT)


def test_rules_are_listed_and_explained(run):
    done = call_cli("rules", cwd=run)
    assert done.returncode == 0
    assert "FGA101" in done.stdout
    page = call_cli("rules", "FGA106", cwd=run)
    assert "Parameter: short_age_s = 300 s" in page.stdout
    (run / "inventory.toml").write_text("[rules.FGA106]\nshort_age_s = 60\n")
    page = call_cli("rules", "FGA106", "--settings", "inventory.toml", cwd=run)
    assert "short_age_s = 60 s (default 300)" in page.stdout
    assert call_cli("rules", "FGA999", cwd=run).returncode == 2
