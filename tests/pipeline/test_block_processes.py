"""Tables that several processes build: the same bytes, and errors as one sentence."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.ledgers import R, urn

from inventory.errors import InterruptedRunError, LedgerUnusableError, OutputError
from inventory.ledger.chained import ChainedLedger
from inventory.ledger.records import Reject
from inventory.ledger.writer import Ledger
from inventory.outcome import Outcome
from inventory.pipeline import block_processes, build_tables, urn_blocks
from inventory.progress import ProgressObserver
from inventory.runs.facts import record_list, record_start
from inventory.settings import ExportSettings

BOTH = ("parquet", "csv")
PROJECTS = ("a", "a-b", "b")
NAMES = [f"f{number:03}" for number in range(70)]
BODIES = [
    b'{"func_urn":"u"}',
    b'{"func_urn":"=u","x":1,"created_time":"2024-01-02 03:04:05"}',
    b'{"func_urn":"u","destination_config":{"on_failure":{"destination":"OBS","param":"-1"}}}',
]


def outcomes_of(project):
    for number, name in enumerate(NAMES):
        if number % 10 == 9:
            continue
        failed = number % 7 == 6
        status, kind = ("failed", "timeout") if failed else ("configured", None)
        body = b"" if failed else BODIES[number % 3]
        finished = 1_700_000_000_000_000 + number
        yield Outcome(urn(name, project), status, kind, 200, None, "-m", body, "Show", 2, 1, None, 1.5, finished)


def write(path, projects=PROJECTS, *, settled=True):
    with Ledger(path) as ledger:
        with ledger.loading():
            record_start(ledger, "2026-11-28T10:00:00Z")
            ledger.add_urns(urn(name, project) for project in projects for name in NAMES)
            ledger.add_rejects([Reject("list", 4, "=odd", "not a URN")])
            ledger.count_scopes([(R, project) for project in projects])
            record_list(ledger, ExportSettings(), 0, None)
        for project in projects if settled else ():
            for outcome in outcomes_of(project):
                ledger.record(outcome)
        ledger.commit()
        ledger.sort_outcomes()
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write(tmp_path_factory.mktemp("ledger") / "ledger.sqlite")


@pytest.fixture
def ledger(written, tmp_path):
    with Ledger(Path(shutil.copy(written, tmp_path / "ledger.sqlite"))) as ledger:
        yield ledger


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(urn_blocks, "URNS_PER_BLOCK", 32)


def build(ledger, folder, processes, monkeypatch, observer=None, **settings):
    monkeypatch.setattr(build_tables, "_count_processes", lambda *_: processes)
    folder.mkdir(parents=True)
    options = ExportSettings(format=BOTH, naive_timezone="Asia/Shanghai", **settings)
    return build_tables.build_tables(ledger, folder, options, [], observer or ProgressObserver())


@pytest.mark.parametrize("rows_per_file", [0, 50])
def test_the_tables_are_the_same_with_any_number_of_processes(ledger, tmp_path, monkeypatch, rows_per_file):
    one = build(ledger, tmp_path / "one", 1, monkeypatch, rows_per_file=rows_per_file)
    assert one[1].status == {"configured": 162, "failed": 27, "not_attempted": 21}
    for processes in (2, 9):
        several = build(ledger, tmp_path / str(processes), processes, monkeypatch, rows_per_file=rows_per_file)
        assert several == one


def test_the_tables_of_chained_ledgers_are_the_same_too(ledger, tmp_path, monkeypatch):
    one = build(ledger, tmp_path / "one", 1, monkeypatch)
    parts = {(R, project): write(tmp_path / f"{project}.sqlite", [project]) for project in PROJECTS}
    with ChainedLedger(write(tmp_path / "list.sqlite", settled=False)) as chained:
        chained.attach(parts)
        assert build(chained, tmp_path / "two", 2, monkeypatch)[0] == one[0]


def test_a_damaged_body_is_named_as_in_one_process(ledger, tmp_path, monkeypatch):
    ledger.record(next(outcomes_of("a"))._replace(urn=urn("f069", "b"), body=b"[]"))
    ledger.commit()
    messages = set()
    for processes in (1, 2):
        with pytest.raises(LedgerUnusableError) as error:
            build(ledger, tmp_path / str(processes), processes, monkeypatch)
        messages.add(str(error.value))
        assert list((tmp_path / str(processes)).iterdir()) == []
    assert len(messages) == 1


class Stopped(ProgressObserver):
    """Is cancelled after the first block."""

    def on_build_tables(self, urns, _total):
        if urns:
            self.cancel(signal.SIGTERM)


def test_a_killed_process_is_one_sentence(ledger, tmp_path, monkeypatch):
    started = []

    def start(*arguments, **options):
        started.append(popen(*arguments, **options))
        return started[-1]

    popen = subprocess.Popen
    monkeypatch.setattr(block_processes, "_MESSAGES_AHEAD", 1)
    monkeypatch.setattr(block_processes.subprocess, "Popen", start)
    monkeypatch.setattr(block_processes._Process, "receive", killing(block_processes._Process.receive, started))
    with pytest.raises(OutputError) as error:
        build(ledger, tmp_path / "out", 2, monkeypatch)
    assert str(error.value) == (
        "the tables cannot be built: a process that reads the ledger was killed by SIGKILL; "
        "rerun with --resume, or run inventory tables"
    )
    assert list((tmp_path / "out").iterdir()) == []
    assert all(process.poll() is not None for process in started)


def killing(receive, started):
    def killed_first(self, check_cancelled):
        started[0].kill()
        started[0].wait()
        return receive(self, check_cancelled)

    return killed_first


def test_where_no_process_can_be_started_there_is_one(ledger, tmp_path, monkeypatch):
    one = build(ledger, tmp_path / "one", 1, monkeypatch)
    popen, started = subprocess.Popen, []

    def start(*arguments, **options):
        if started:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(block_processes.subprocess, "Popen", start)
    assert build(ledger, tmp_path / "two", 2, monkeypatch) == one
    assert started[0].returncode == -signal.SIGKILL


def test_a_list_without_urns_needs_no_process(tmp_path, monkeypatch):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert build(ledger, tmp_path / "one", 1, monkeypatch) == build(ledger, tmp_path / "two", 2, monkeypatch)


def test_a_stop_ends_the_processes(ledger, tmp_path, monkeypatch):
    with pytest.raises(InterruptedRunError):
        build(ledger, tmp_path / "out", 2, monkeypatch, Stopped())
    assert list((tmp_path / "out").iterdir()) == []


def test_a_process_ends_without_a_word_when_nothing_reads_it(written):
    task = block_processes._Task(str(written), [], [("", "v")] * 500, None, listed=False)
    program = [sys.executable, "-m", "inventory.pipeline.block_processes"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        process.stdin.write(block_processes.msgspec.msgpack.encode(task))
        process.stdin.close()
        assert (process.wait(), process.stderr.read()) == (0, b"")


@pytest.mark.parametrize(
    ("urns", "cores", "memory", "is_shared", "processes"),
    [
        (199_999, 8, None, True, 1),
        (200_000, 8, None, True, 4),
        (200_000, 2, 2**31, True, 2),
        (200_000, 1, 2**31, True, 1),
        (200_000, 8, 2**29, True, 1),
        (200_000, 8, None, False, 1),
    ],
)
def test_processes_are_for_large_runs_on_a_machine_with_room(monkeypatch, urns, cores, memory, is_shared, processes):
    monkeypatch.setattr(build_tables, "count_cores", lambda: cores)
    monkeypatch.setattr(build_tables, "free_memory", lambda: memory)
    assert build_tables._count_processes(type("Stub", (), {"is_shared": is_shared}), urns) == processes


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_a_signal_to_the_command_stops_its_processes(written, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(written, run / "ledger.sqlite")
    program = (
        "import sys, time, inventory.pipeline.build_tables as b; from inventory.pipeline import block_processes as p\n"
        "b._PARALLEL_FROM = 0\n"
        "b.count_cores = lambda: 2\n"
        "def slowly(self, check):\n"
        "    print(self._process.pid, file=sys.stderr, flush=True)\n"
        "    while True: time.sleep(0.05); check()\n"
        "p._Process.receive = slowly\n"
        "from inventory.__main__ import main; main()"
    )
    command = [sys.executable, "-c", program, "tables", run]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        child = int(process.stderr.readline())
        process.send_signal(signal.SIGTERM)
        _, words = process.communicate()
    assert process.returncode == 143
    assert words.splitlines()[-1].startswith("inventory: stopped by SIGTERM")
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert [file.name for file in run.iterdir() if "functions" in file.name] == []
