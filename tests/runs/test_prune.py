"""Retention policy and removal of runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.histories import at, nights, one_run
from support.project import ROOT
from typer.testing import CliRunner

import inventory
from inventory.cli.app import app
from inventory.errors import OutputError, UsageError
from inventory.ledger.database import lock_path
from inventory.ledger.writer import Ledger
from inventory.runs.catalog import State
from inventory.runs.facts import record_output
from inventory.runs.output import Output
from inventory.runs.prune import Policy, RunTime, keep_reasons, plan_prune, remove_run
from inventory.runs.upload import FILE_NAME as RECORD
from inventory.storage.file_lock import Lock
from inventory.storage.object_store import parse

GONE = {State.HALF_REMOVED, State.FOREIGN}
"""What a run is without its ledger: to be removed to its end, or an empty folder."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return one_run(tmp_path_factory.mktemp("prune"), rows_per_file=10)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "output").mkdir()
    return tmp_path / "output"


def prune(folder, *options):
    done = CliRunner().invoke(app, ["prune", str(folder), *options])
    return done.exit_code, done.stdout.splitlines(), done.stderr


def content(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def old(path, day=1):
    for one in path.iterdir():
        os.utime(one, (86400 * day, 86400 * day), follow_symlinks=False)


def test_a_dry_run_says_what_is_done_then(run, folder):
    made = nights(run, folder, 5)
    at(run, folder, "october", "2026-10-31T01:00:00Z")
    before = content(folder)
    options = ("--keep-last", "1", "--keep-daily", "2", "--keep-monthly", "2")
    code, gone, reported = prune(folder, *options, "--dry-run")
    assert (code, gone) == (0, [str(path) for path in made[:3]])
    assert content(folder) == before
    assert f"kept {folder / 'october'}: month 2026-10\n" in reported
    assert f"kept {made[4]}: last, day 2026-11-05, month 2026-11, newest, newest of the most complete\n" in reported
    assert reported.endswith("3 runs would be removed, 3 kept, 0 left alone\n")
    assert prune(folder, *options)[:2] == (0, gone)
    assert content(folder) == {
        path: cell
        for path, cell in before.items()
        if not path.is_relative_to(folder) or (path.relative_to(folder).parts[0] not in {one.name for one in made[:3]})
    }
    assert prune(folder, *options)[:2] == (0, [])


def test_without_a_rule_nothing_is_removed(run, folder):
    (made,) = nights(run, folder, 1)
    before = content(folder)
    for options in ((), ("--dry-run",), ("--keep-last", "0"), ("--keep-daily", "-1")):
        assert prune(folder, *options)[:2] == (2, [])
    assert "what to keep; give --keep-last" in prune(folder)[2]
    assert "is a run itself" in prune(made, "--keep-last", "1")[2]
    assert "a lifecycle rule" in prune("s3://bucket/runs", "--keep-last", "1")[2]
    assert prune(folder / "nowhere", "--keep-last", "1")[0] == 2
    assert content(folder) == before


def test_incomplete_runs_go_only_when_told_and_when_a_newer_one_is_whole(run, folder):
    (whole,) = nights(run, folder, 1)
    for name in ("stopped", "damaged", "fresh"):
        shutil.copytree(run, folder / name)
    (folder / "stopped" / "manifest.json").unlink()
    (folder / "fresh" / "manifest.json").unlink()
    (folder / "damaged" / "manifest.json").write_bytes(b"{")
    old(folder / "stopped")
    old(folder / "damaged")
    os.utime(folder / "fresh" / "ledger.sqlite", (4e9, 4e9))
    code, gone, reported = prune(folder, "--keep-last", "1")
    assert (code, gone) == (0, [])
    assert reported.count("(--incomplete removes it)") == 3
    code, gone, reported = prune(folder, "--incomplete")
    assert (code, gone) == (0, [str(folder / "damaged"), str(folder / "stopped")])
    assert "there is no newer complete run" in reported
    assert sorted(folder.iterdir()) == [whole, folder / "fresh"]


def test_a_run_at_work_stays(run, folder):
    first, second, _ = nights(run, folder, 3)
    (second / "manifest.json").unlink()
    old(second)
    locks = [Lock(lock_path(path / "ledger.sqlite")) for path in (first, second)]
    for lock in locks:
        lock.take("in use", "")
    before = content(folder)
    code, gone, reported = prune(folder, "--keep-last", "1", "--incomplete")
    assert (code, gone, content(folder)) == (0, [], before)
    assert reported.count("a process is working on it") == 2
    with pytest.raises(OutputError, match="in use by another inventory process"):
        remove_run(first)
    assert content(folder) == before
    for lock in locks:
        lock.release()


def test_without_locks_sqlite_keeps_a_run_at_work(run, folder, monkeypatch):
    monkeypatch.setattr("inventory.storage.file_lock._LOCKS", None)
    (first,) = nights(run, folder, 1)
    with Ledger(first / "ledger.sqlite"), pytest.raises(OutputError, match="in use"):
        remove_run(first)
    assert inventory.open_snapshot(first).functions is not None
    assert remove_run(first) == []


def test_what_is_not_ours_stays_and_no_link_is_followed(run, folder, tmp_path):
    first, _ = nights(run, folder, 2)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(run / "functions-csv", elsewhere)
    shutil.rmtree(first / "functions-csv")
    (first / "functions-csv").symlink_to(elsewhere)
    (first / "rejects.csv").unlink()
    (elsewhere / "rejects.csv").write_bytes((run / "rejects.csv").read_bytes())
    (first / "rejects.csv").symlink_to(elsewhere / "rejects.csv")
    (first / "notes.txt").write_text("mine")
    (first / "functions" / "mine.parquet").write_text("mine")
    (folder / "link").symlink_to(first)
    (folder / "a file").write_text("mine")
    before = content(elsewhere)
    code, gone, reported = prune(folder, "--keep-last", "1", "--quiet")
    assert (code, gone) == (0, [str(first)])
    others = "functions, functions-csv, notes.txt, rejects.csv"
    assert reported == f"inventory: {first} stays, with files that are not of the run: {others}\n"
    assert [path.name for path in (first / "functions").iterdir()] == ["mine.parquet"]
    assert content(elsewhere) == before
    assert (folder / "link").is_symlink()
    assert (folder / "a file").exists()


def test_results_that_are_not_in_their_store_yet_stay(run, folder):
    first, _ = nights(run, folder, 2)
    with Ledger(first / "ledger.sqlite") as ledger:
        record_output(ledger, Output(first, parse("s3://bucket/runs/first")))
    code, gone, reported = prune(folder, "--keep-last", "1")
    assert (code, gone) == (0, [])
    assert "its results are not in s3://bucket/runs/first yet" in reported
    (first / RECORD).write_text("{}")
    assert prune(folder, "--keep-last", "1")[1] == []


def record_upload(path, *, done):
    with Ledger(path / "ledger.sqlite") as ledger:
        record_output(ledger, Output(path, parse("s3://bucket/runs/first")))
    content = (path / "manifest.json").read_bytes()
    sent = [len(content), hashlib.sha256(content).hexdigest()] if done else [1, "x"]
    files = {"manifest.json": {"sent": sent, "found": [sent[0], 1]}}
    (path / RECORD).write_text(json.dumps({"url": "s3://bucket/runs/first", "files": files}))


def test_a_run_goes_when_its_upload_is_recorded_for_this_url_and_manifest(run, folder):
    first, second, third, _ = nights(run, folder, 4)
    record_upload(first, done=True)
    record_upload(second, done=False)
    record_upload(third, done=True)
    record = json.loads((third / RECORD).read_text())
    (third / RECORD).write_text(json.dumps({**record, "url": "s3://bucket/runs/other"}))
    code, gone, reported = prune(folder, "--keep-last", "1")
    assert (code, gone) == (0, [str(first)])
    assert reported.count("its results are not in s3://bucket/runs/first yet") == 2


def empty_ledger(path):
    (path / "ledger.sqlite").write_bytes(b"")


def damaged_ledger(path):
    (path / "ledger.sqlite").write_bytes(b"x" * 5_000)


def delivered_without_manifest(path):
    record_upload(path, done=True)
    (path / "manifest.json").unlink()


@pytest.fixture
def unreadable(monkeypatch):
    refused = set()

    def guarded(real):
        def call(path, *arguments, **more):
            name = Path(os.fsdecode(path))
            if refused.intersection([name, *name.parents]) and (name not in refused or real is not lstat):
                raise PermissionError(13, "Permission denied")
            return real(path, *arguments, **more)

        return call

    lstat = Path.lstat
    monkeypatch.setattr(Path, "lstat", guarded(lstat))
    monkeypatch.setattr(os, "open", guarded(os.open))
    monkeypatch.setattr(os, "listdir", guarded(os.listdir))
    return refused


def assert_skipped(folder, made, message):
    before = content(made[1])
    code, gone, reported = prune(folder, "--keep-last", "1", "--incomplete", "--quiet")
    assert (code, gone) == (4, [str(made[0]), str(made[2])]), reported
    assert (reported.count("\n"), message in reported) == (1, True), reported
    assert content(made[1]) == before
    assert prune(folder, "--keep-last", "1", "--incomplete", "--quiet")[:2] == (4, [])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (empty_ledger, "ledger.sqlite holds no list yet"),
        (damaged_ledger, "ledger.sqlite is damaged"),
        (delivered_without_manifest, "manifest.json cannot be read: No such file"),
    ],
)
def test_an_odd_run_is_named_and_skipped_and_the_others_go(run, folder, spoil, message):
    made = nights(run, folder, 4)
    spoil(made[1])
    old(made[1])
    assert_skipped(folder, made, message)
    dry_run = prune(folder, "--keep-last", "1", "--incomplete", "--dry-run")
    assert (dry_run[0], f"left alone {made[1]}: " in dry_run[2]) == (4, True)


@pytest.mark.parametrize("name", ["", "manifest.json", "functions"])
def test_a_path_that_cannot_be_read_is_named_and_its_run_skipped(run, folder, unreadable, name):
    made = nights(run, folder, 4)
    unreadable.add(made[1] / name)
    assert_skipped(folder, made, "Permission denied")
    unreadable.clear()
    assert sorted(path.name for path in made[1].rglob("*")) == sorted(path.name for path in run.rglob("*"))


def test_what_another_prune_removed_is_no_error(run, folder, monkeypatch):
    made = nights(run, folder, 4)
    plan = plan_prune(folder, Policy(last=1))
    shutil.rmtree(made[0])
    (made[1] / "ledger.sqlite").unlink()
    (made[1] / "manifest.json").unlink()
    for table in made[1].rglob("*.*"):
        table.unlink()
    monkeypatch.setattr("inventory.runs.prune.plan_prune", lambda *_args, **_more: plan)
    code, gone, reported = prune(folder, "--keep-last", "1")
    assert (code, gone) == (0, [str(made[2])])
    assert reported.count("another process has removed it") == 2
    assert reported.endswith("1 run removed, 1 kept, 0 left alone\n")


def test_a_run_that_another_process_works_on_is_skipped_with_exit_code_4(run, folder, monkeypatch):
    made = nights(run, folder, 3)
    plan = plan_prune(folder, Policy(last=1))
    monkeypatch.setattr("inventory.runs.prune.plan_prune", lambda *_args, **_more: plan)
    lock = Lock(lock_path(made[0] / "ledger.sqlite"))
    lock.take("in use", "")
    code, gone, reported = prune(folder, "--keep-last", "1", "--quiet")
    lock.release()
    assert (code, gone) == (4, [str(made[1])])
    message = f"{made[0] / 'ledger.sqlite'} is in use by another inventory process; wait until it ends"
    assert reported == f"inventory: {message}\n"


@pytest.mark.parametrize("step", range(30))
def test_of_two_prunes_at_once_each_step_is_safe(run, folder, monkeypatch, step):
    made = nights(run, folder, 3)
    results, left = [], step
    real_unlink, real_rmdir = Path.unlink, Path.rmdir

    def interrupted(real):
        def call(path, *arguments, **more):
            nonlocal left
            left -= 1
            if left == -1:
                try:
                    results.append(remove_run(made[0]))
                except OutputError as error:
                    results.append(str(error))
            return real(path, *arguments, **more)

        return call

    monkeypatch.setattr("inventory.storage.file_lock.PATIENCE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", interrupted(real_unlink))
        patch.setattr(Path, "rmdir", interrupted(real_rmdir))
        results.append(remove_run(made[0]))
    assert not made[0].exists()
    in_use = f"{made[0] / 'ledger.sqlite'} is in use by another inventory process; wait until it ends"
    assert all(result in (None, [], in_use) for result in results), results
    assert [] in results or None in results
    assert sorted(folder.iterdir()) == made[1:]


class Killed(BaseException):
    """The process ends here."""


def remove_killed_after(path, steps, monkeypatch):
    left = steps

    def count(real):
        def call(*arguments, **more):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return real(*arguments, **more)

        return call

    def release(lock, real=Lock.release):
        if left >= 0:
            real(lock)
        elif lock.held:
            os.close(lock._descriptor)  # as the kernel does for a process that is no more
            lock._descriptor = None

    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(Lock, "release", release)
        for name in ("unlink", "replace", "rmdir", "touch"):
            patch.setattr(Path, name, count(getattr(Path, name)))
        remove_run(path)
        return True
    return False


def test_killed_at_any_step_no_half_of_a_run_looks_whole(run, folder, monkeypatch):
    newest = at(run, folder, "newest", "2026-11-02T01:00:00Z")
    whole = inventory.open_snapshot(run).table("functions")
    for steps in range(200):
        (first,) = nights(run, folder, 1)
        if remove_killed_after(first, steps, monkeypatch):
            break
        history = inventory.history(folder)
        if len(history) == 2:
            assert history[0].table("functions").equals(whole)
        else:
            (left,) = history.incomplete
            assert left.state in ({State.STOPPED} if (first / "ledger.sqlite").exists() else GONE)
            with pytest.raises(UsageError):
                inventory.open_snapshot(first)
        old(first)
        prune(folder, "--keep-last", "1", "--incomplete")
        assert not first.exists() or not list(first.iterdir())
        shutil.rmtree(first, ignore_errors=True)
    assert 20 < steps < 199
    assert list(folder.iterdir()) == [newest]


def test_a_folder_that_may_not_be_written_is_one_sentence(run, folder, monkeypatch):
    first, second, third = nights(run, folder, 3)

    def refuse(path, target):
        if path.is_relative_to(second):
            raise PermissionError(13, "Permission denied")
        return replace(path, target)

    replace = Path.replace
    monkeypatch.setattr(Path, "replace", refuse)
    code, gone, reported = prune(folder, "--keep-last", "1", "--quiet")
    assert (code, gone) == (4, [str(first)])
    words = "Permission denied; check that this folder is writable, then prune again"
    assert reported == f"inventory: {second} cannot be removed: {words}\n"
    assert inventory.history(folder).latest.path == third
    assert len(inventory.history(folder)) == 2


def test_a_run_whose_outcomes_are_damaged_goes_like_any_other(run, folder):
    made = nights(run, folder, 2)
    with closing(sqlite3.connect(made[0] / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE outcomes SET status = 'other'")
    assert prune(folder, "--keep-last", "1")[:2] == (0, [str(made[0])])
    assert not made[0].exists()


BEGIN = datetime(2026, 1, 30, tzinfo=UTC)
histories = st.lists(
    st.builds(
        RunTime,
        st.integers(0, 24 * 70).map(lambda hours: BEGIN + timedelta(hours=hours)),
        st.sampled_from([0, 0, 0, 1, 2, 5]),
    ),
    max_size=40,
)
counts = st.integers(0, 5)
policies = st.builds(Policy, counts, counts, counts)


def kept(history, policy):
    return {index for index, words in enumerate(keep_reasons(history, policy)) if words}


def run_times(*moments, code=0):
    return [RunTime(datetime(2026, *moment, tzinfo=UTC), code) for moment in moments]


def test_the_newest_of_each_day_and_month_stays():
    history = run_times((9, 1, 8), (9, 30, 7), (9, 30, 23), (10, 2, 1), (10, 2, 2), (10, 3, 1))
    assert keep_reasons(history, Policy(daily=2)) == [
        *[()] * 4,
        ("day 2026-10-02",),
        ("day 2026-10-03", "newest", "newest of the most complete"),
    ]
    assert kept(history, Policy(monthly=2)) == {2, 5}
    assert kept(history, Policy(last=3)) == {3, 4, 5}


def test_periods_without_a_run_do_not_count():
    assert kept(run_times((3, 1), (6, 1), (8, 1), (8, 2)), Policy(daily=3)) == {1, 2, 3}


def test_a_run_that_answered_all_stands_for_its_day():
    (morning,), (noon,), (evening,) = run_times((5, 1, 8)), run_times((5, 1, 12), code=1), run_times((5, 1, 20), code=5)
    tomorrow = run_times((5, 2, 8))
    assert kept([morning, noon, evening, *tomorrow], Policy(daily=2)) == {0, 3}
    assert kept([noon, evening, *tomorrow], Policy(daily=2)) == {0, 2}


def test_broken_nights_do_not_push_out_the_last_good_run():
    history = [*run_times((5, 1), (5, 2)), *run_times((5, 3), (5, 4), (5, 5), code=5)]
    assert kept(history, Policy(last=2)) == {1, 3, 4}


@given(histories, policies, policies)
def test_a_policy_that_asks_for_more_keeps_more(history, one, other):
    larger = Policy(*map(max, one, other))
    assert kept(history, one) | kept(history, other) <= kept(history, larger)


@given(histories, policies)
def test_what_was_kept_is_kept_again(history, policy):
    words = [one for one in keep_reasons(history, policy) if one]
    left = [run for run, one in zip(history, keep_reasons(history, policy), strict=True) if one]
    assert keep_reasons(left, policy) == words


@given(histories, policies)
def test_the_rules_keep_what_they_say(history, policy):
    words = keep_reasons(history, policy)
    if history:
        newest = max(range(len(history)), key=lambda index: (history[index].time, index))
        assert "newest" in words[newest]
    said = [one for each in words for one in each]
    periods = [one for one in said if one.startswith(("day", "month"))]
    assert len(periods) == len(set(periods))
    assert said.count("last") == min(policy.last, len(history))
    for form, name, wanted in (("%Y-%m-%d", "day", policy.daily), ("%Y-%m", "month", policy.monthly)):
        there = {run.time.strftime(form) for run in history}
        expected = sorted(there, reverse=True)[:wanted]
        assert sorted(one for one in periods if one.startswith(name)) == sorted(f"{name} {one}" for one in expected)


def test_the_rules_apply_to_a_run_that_ended_early(run, folder):
    at(run, folder, "early", "2026-11-01T01:00:00Z", exit_code=5, complete=False)
    at(run, folder, "later", "2026-11-02T01:00:00Z")
    assert prune(folder, "--keep-last", "1")[:2] == (0, [str(folder / "early")])
    guide = (ROOT / "inventory" / "docs" / "history.md").read_text()
    assert "The rules also apply to a run that ended with exit code 3 or 5" in guide
