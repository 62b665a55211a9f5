"""Status of a run, at work and finished."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3

import pytest
from support.clouds import CONFIG, OTHER, P, cloud_of, contents
from support.ledgers import of_another_version
from support.processes import begin
from support.runs import export, run_cli, wait_for

from inventory.cli.status import as_text
from inventory.emulator import Emulator, Fault, Faults, FileCloud
from inventory.errors import OutputError, UsageError
from inventory.ledger.writer import Ledger
from inventory.outcome import Outcome
from inventory.pipeline.rebuild import rebuild_tables
from inventory.progress import ProgressObserver
from inventory.runs.status import read_status
from inventory.storage import file_lock

NOW = 1_800_000_000.0
LOADED = {"format": ["parquet"]}


def outcome(urn, status, age, message=None):
    kind = "timeout" if status == "failed" else None
    finished = round((NOW - age) * 1e6)
    return Outcome(urn, status, kind, None, None, message, b"", "Show", 1, 0, None, 1.0, finished)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        urns = [f"{base}f{number:03}" for base in (P, OTHER) for number in range(50)]
        with ledger.loading():
            ledger.set_fact("started", "2027-01-15T07:00:00Z")
            ledger.add_urns(urns)
            ledger.count_scopes([tuple(base.split(":")[2:4]) for base in (P, OTHER)])
            ledger.set_fact("loaded", LOADED)
        for number, urn in enumerate(urns[:40]):
            status = "failed" if number % 10 == 3 else "configured"
            ledger.record(
                outcome(urn, status, 3600 if number < 10 else 30 - (number - 10), "no answer\x1b[31m in time")
            )
            ledger.count_call(*urn.split(":")[2:4], "Show", 200)
        ledger.commit()
        yield ledger


def test_a_run_at_work_is_shown_with_rate_and_time_left(ledger, tmp_path):
    found = read_status(tmp_path, NOW)
    assert (found.state, found.at_work, found.started) == ("asking", True, "2027-01-15T07:00:00Z")
    assert (found.urns, found.left, found.calls) == (100, 60, 40)
    assert (found.per_second, found.seconds_left) == (1.0, 60), "30 URNs in the 30 s since the first of them"
    assert {scope.region: (scope.urns, scope.calls) for scope in found.scopes} == {
        "ap-southeast-1": (50, 0),
        "cn-north-4": (50, 40),
    }
    statuses = {scope.region: {name: count for name, count in scope.status.items() if count} for scope in found.scopes}
    assert statuses == {
        "ap-southeast-1": {"not_attempted": 50},
        "cn-north-4": {"configured": 36, "failed": 4, "not_attempted": 10},
    }
    assert [tuple(one) for one in found.failures] == [("timeout", 4, f"{P}f003", "no answer\x1b[31m in time")]
    assert found.next == "wait: a process is working on it"


def test_people_read_the_same(ledger, tmp_path):
    lines = as_text(read_status(tmp_path, NOW)).splitlines()
    assert lines == [
        f"{tmp_path}: asking",
        "started 2027-01-15T07:00:00Z; 40 calls so far",
        "100 URNs: 36 configured, 4 failed, 60 not_attempted",
        "60 URNs left at 1 per second, 1 min 0 s left",
        "  ap-southeast-1/fedcba9876543210fedcba9876543210: 50 URNs, 0 calls: 50 not_attempted",
        "  cn-north-4/0123456789abcdef0123456789abcdef: 50 URNs, 40 calls: 36 configured, 4 failed, 10 not_attempted",
        rf"failed with timeout: 4, such as {P}f003: no answer\x1b[31m in time",
        "next: wait: a process is working on it",
    ]


@pytest.mark.parametrize(("now", "rate"), [(NOW + 3600, None), (NOW - 7200, None), (NOW - 1, 1.0)])
def test_a_clock_that_jumps_makes_no_nonsense(ledger, tmp_path, now, rate):
    found = read_status(tmp_path, now)
    assert found.per_second is None if rate is None else found.per_second >= rate
    assert found.seconds_left is None or found.seconds_left > 0


def test_a_run_that_no_process_works_on_has_stopped(ledger, tmp_path):
    ledger.close()
    before = sorted(path.name for path in tmp_path.iterdir())
    found = read_status(tmp_path, NOW)
    assert (found.state, found.at_work, found.per_second, found.finished) == ("stopped", False, None, None)
    assert re.fullmatch(rf"continue with: .*export --resume --output {tmp_path}", found.next)
    assert sorted(path.name for path in tmp_path.iterdir()) == before == ["ledger.sqlite"]


def test_tables_being_written_are_told(ledger, tmp_path):
    ledger.sort_outcomes()
    for base in (P, OTHER):
        for number in range(50):
            ledger.record(outcome(f"{base}f{number:03}", "configured", 1))
    ledger.commit()
    assert read_status(tmp_path, NOW).state == "writing tables"
    ledger.close()
    found = read_status(tmp_path, NOW)
    assert found.state == "stopped"
    assert found.next.startswith("write its tables, without a call, with: ")
    assert found.next.endswith(f" tables {tmp_path}")


def test_a_list_that_is_read_and_one_that_was_not_read_to_its_end(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger, ledger.loading():
        ledger.add_urns([f"{P}a"])
        found = read_status(tmp_path, NOW)
        assert (found.state, found.urns, found.started) == ("reading the list", 0, None)
        assert "its list is not loaded yet" in as_text(found)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger._db.execute("DELETE FROM urns")
    found = read_status(tmp_path, NOW)
    assert (found.state, found.next.split(":")[0]) == ("stopped", "its list was not read to its end")


async def test_a_run_is_looked_at_while_it_runs_and_is_not_disturbed(tmp_path, write_list):
    cloud = cloud_of(120)
    async with Emulator(cloud, faults=Faults.parse("latency=20ms")) as server:
        path = write_list(cloud.urns())
        await export(path, tmp_path / "calm", endpoint=server.url)
        task = asyncio.create_task(export(path, tmp_path / "run", endpoint=server.url, max_workers=4))
        seen = []
        while not task.done():
            await asyncio.sleep(0.01)
            if (tmp_path / "run" / "ledger.sqlite-wal").exists() and not task.done():
                try:
                    seen.append(await asyncio.to_thread(read_status, tmp_path / "run"))
                except OutputError as error:  # its first moment
                    assert "holds no list yet" in str(error)  # noqa: PT017 - most looks bring no error
        await task
    asking = [one.urns - one.left for one in seen if one.state == "asking"]
    assert asking == sorted(asking)
    assert len(set(asking)) > 3
    calm, run = contents(tmp_path / "calm"), contents(tmp_path / "run")
    for table in ("functions", "destinations", "rejects"):
        assert calm[f"{table}.parquet"] == run[f"{table}.parquet"]
    assert read_status(tmp_path / "run").state == "complete"


async def test_what_is_at_its_end_says_so(tmp_path, write_list):
    async with Emulator(FileCloud({f"{P}a:latest": CONFIG, f"{P}b:latest": CONFIG})) as server:
        path = write_list(server.urns())
        await export(path, tmp_path / "complete", endpoint=server.url)
        server.plan({f"{P}a:latest": [Fault.BAD_GATEWAY]})
        await export(path, tmp_path / "finished", endpoint=server.url, attempts=1)
    await export(path, tmp_path / "stopped", endpoint="http://127.0.0.1:1", attempts=1)
    found = {name: read_status(tmp_path / name) for name in ("complete", "finished", "stopped")}
    assert {name: one.state for name, one in found.items()} == {name: name for name in found}
    assert [one.exit_code for one in found.values()] == [0, 1, 5]
    assert all(one.finished >= one.started for one in found.values())
    assert found["complete"].next == "nothing: every URN is answered and the tables are complete"
    assert found["finished"].next.startswith("retry the failed URNs with: ")
    assert found["finished"].failures[0].example_urn == f"{P}a:latest"
    assert "502" in found["finished"].failures[0].example
    (tmp_path / "complete" / "manifest.json").unlink()
    assert read_status(tmp_path / "complete").next.startswith("write its tables, without a call")


async def test_a_run_without_a_urn_and_one_without_bodies_say_what_is_left(tmp_path, write_list):
    await export(write_list(["odd"], "odd.txt"), tmp_path / "empty")
    assert "contains no URN" in read_status(tmp_path / "empty").next
    async with Emulator(cloud_of(2)) as server:
        await export(write_list(server.urns()), tmp_path / "run", endpoint=server.url)
    rebuild_tables(tmp_path / "run", {}, ProgressObserver(), drop_bodies=True)
    found = read_status(tmp_path / "run")
    assert (found.bodies_dropped, found.state) == (True, "complete")
    assert found.next == "nothing; its bodies are dropped, so its tables cannot be built again"


def test_the_command_shows_a_process_at_work_and_its_death(tmp_path, write_list):
    with Emulator(functions=200, faults=Faults(latency=0.2)).in_thread() as server:
        path = write_list(server.urns())
        place = ("--endpoint", server.url, "--max-workers", "8", "--output", tmp_path / "run", "--quiet")
        run = begin("export", path, *place)
        wait_for(lambda: sum(server.counts.values()) >= 30)
        server.faults = Faults(latency=5.0)  # however slow this machine is, the run is at work when it is looked at
        working = run_cli("status", tmp_path / "run", token=None)
        second = run_cli("export", "--resume", "--output", tmp_path / "run")
        tables = run_cli("tables", tmp_path / "run", token=None)
        as_json = run_cli("status", tmp_path / "run", "--format", "json", token=None)
        with run:
            run.kill()
        killed = run_cli("status", tmp_path / "run", token=None)
        server.faults = None
        at_once = ("--max-per-second", "0", "--max-workers", "64")
        assert run_cli("export", "--resume", "--output", tmp_path / "run", *at_once).returncode == 0
    assert (working.returncode, working.stderr) == (0, "")
    assert f"{tmp_path / 'run'}: asking" in working.stdout
    assert (second.returncode, tables.returncode) == (4, 4)
    assert "in use by another inventory process" in second.stderr
    assert "in use by another inventory process" in tables.stderr
    reported = json.loads(as_json.stdout)
    assert reported["at_work"] is True
    assert sum(scope["status"]["not_attempted"] for scope in reported["scopes"]) == reported["left"] > 0
    assert (killed.returncode, "export --resume --output" in killed.stdout) == (0, True)


def test_a_folder_without_a_run_is_refused(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(UsageError, match=r"contains no run"):
            read_status(path)
    assert run_cli("status", tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(of_another_version, "ledger 99, not 5"), (lambda path: path.write_bytes(b"no database" * 100), "is damaged")],
)
def test_a_ledger_of_no_use_is_one_sentence(tmp_path, spoil, words):
    spoil(tmp_path / "ledger.sqlite")
    done = run_cli("status", tmp_path)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (4, "", 1)
    assert words in done.stderr


def test_where_nobody_can_look_on_that_is_said(ledger, tmp_path, monkeypatch):
    ledger.close()
    monkeypatch.setattr(file_lock, "_LOCKS", None)
    with Ledger(tmp_path / "ledger.sqlite") as at_work:
        at_work.set_fact("x", 1)
        connect = sqlite3.connect
        monkeypatch.setattr("sqlite3.connect", lambda *args, **more: connect(*args, **{**more, "timeout": 0.0}))
        with pytest.raises(OutputError, match="in use by another inventory process"):
            read_status(tmp_path, NOW)


async def test_a_folder_of_any_name_is_looked_into(tmp_path, write_list):
    folder = tmp_path / os.fsdecode(b"run?mode=rw#%41\xff")
    async with Emulator(cloud_of(2)) as server:
        await export(write_list(server.urns()), folder, endpoint=server.url)
    assert read_status(folder).state == "complete"
    with Ledger(folder / "ledger.sqlite"):
        assert read_status(folder).at_work
    done = await asyncio.to_thread(run_cli, "status", folder, "--format", "json")
    assert json.loads(done.stdout)["urns"] == 2
