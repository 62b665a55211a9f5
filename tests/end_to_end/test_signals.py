"""SIGINT, SIGTERM and SIGHUP: the first ends a run in order, a second at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from support.processes import CODES, SECONDS, WORKERS, begin, command, run, stopped
from support.runs import TOKEN, manifest_of, wait_for

import inventory
from inventory.cli import process as console
from inventory.emulator import Emulator, Fault
from inventory.errors import InterruptedRunError
from inventory.ledger import database as ledger_file
from inventory.ledger.database import is_in_use
from inventory.runs import status as standing
from inventory.scheduling import threads

pty = pytest.importorskip("pty", reason="signals of POSIX")


@pytest.fixture
def server():
    with Emulator(functions=60, token=TOKEN).in_thread() as server:
        hangs = set(sorted(server.urns())[20:])
        server.plan(lambda urn, _times: Fault.STALLED if urn in hangs else None)
        yield server


@pytest.fixture
def asking(tmp_path, write_list, server):
    with begin(*command(server, write_list(server.urns()), tmp_path / "run", "--no-batch")) as process:
        wait_for(lambda: server._number >= 20 + WORKERS)
        yield process


@pytest.mark.parametrize("number", CODES)
def test_a_signal_does_not_wait_for_answers_that_do_not_come(tmp_path, asking, server, number):
    words, seconds = stopped(asking, number)
    assert asking.returncode == CODES[number]
    assert seconds < SECONDS
    assert f"stopped by {number.name}; what was answered is kept; continue with: " in words
    assert words.rstrip().endswith(f"export --resume --output {tmp_path / 'run'}")
    server.plan(None)
    answered = [request.path for request in server.requests if request.status == 200]
    server.clear()
    run("export", "--resume", "--output", str(tmp_path / "run"))
    assert manifest_of(tmp_path / "run")["complete"]
    assert answered
    assert not set(answered) & {request.path for request in server.requests}


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)])
def test_a_second_signal_ends_at_once(tmp_path, asking, server, numbers):
    words, seconds = stopped(asking, *numbers)
    assert (asking.returncode, words.count("\n")) == (CODES[numbers[1]], 1)
    assert seconds < SECONDS
    assert words == "inventory: ended at once; all answers are kept, and --resume continues the run\n"
    server.plan(None)
    run("export", "--resume", "--output", str(tmp_path / "run"))
    assert manifest_of(tmp_path / "run")["complete"]


@pytest.mark.parametrize("number", CODES)
def test_a_signal_while_a_command_is_loaded_has_its_code_and_sentence(number):
    script = (
        "import os, sys; from inventory import __main__; from inventory.cli import app as cli\n"
        "cli.main_command = lambda: os.kill(os.getpid(), int(sys.argv[1])); __main__.main()"
    )
    words = run(str(int(number)), program=("-c", script), code=CODES[number])
    assert words == f"inventory: stopped by {number.name}\n"


@pytest.mark.parametrize("number", CODES)
def test_a_signal_in_the_middle_of_an_import_has_its_code_and_sentence(number):
    script = (
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'inventory.display.terminal': os.kill(os.getpid(), int(sys.argv[1]))\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from inventory import __main__; __main__.main()"
    )
    words = run(str(int(number)), program=("-c", script), code=CODES[number])
    assert words == f"inventory: stopped by {number.name}\n"


@pytest.mark.parametrize("number", CODES)
def test_a_look_at_a_large_run_can_be_stopped(tmp_path, monkeypatch, number):
    over = threading.Event()

    def hanging(_path):
        signal.raise_signal(number)
        over.wait()

    monkeypatch.setattr(standing, "is_in_use", hanging)
    monkeypatch.setattr(threads, "GRACE_SECONDS", 0.0)
    (tmp_path / ledger_file.FILE_NAME).touch()
    with pytest.raises(InterruptedRunError, match=f"^stopped by {number.name}$") as stopped:
        console.run_status(tmp_path)
    over.set()
    assert stopped.value.exit_code == CODES[number]


def test_the_words_at_once_are_json_where_all_are(tmp_path, write_list, server):
    more = ("--no-batch", "--log-format", "json")
    with begin(*command(server, write_list(server.urns()), tmp_path / "run", *more)) as process:
        wait_for(lambda: server._number >= 20 + WORKERS)
        words, _ = stopped(process, signal.SIGINT, signal.SIGINT)
    assert json.loads(words)["message"].startswith("ended at once; ")


def test_a_resumed_run_that_waits_for_its_list_can_be_stopped(tmp_path, write_list, server):
    server.plan(None)
    run(*command(server, write_list(server.urns()), tmp_path / "run"))
    before = manifest_of(tmp_path / "run")
    with begin(*command(server, "-", tmp_path / "run", "--resume")) as process:
        process.stdin.write("urn\n" * 20_000)  # more than a pipe holds: once it is written, the list is being read
        process.stdin.flush()
        assert is_in_use(tmp_path / "run" / "ledger.sqlite")
        said, seconds = stopped(process, signal.SIGTERM)
    assert (process.returncode, seconds < SECONDS) == (143, True)
    assert "continue with: " in said
    assert manifest_of(tmp_path / "run") == before


def test_an_interrupt_waits_until_the_library_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(name: str) -> object:
        signal.raise_signal(signal.SIGINT)
        loaded.append(name)
        return sys.modules[name]

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr("importlib.import_module", load)
    try:
        with pytest.raises(KeyboardInterrupt):
            inventory.InventoryError  # noqa: B018 - its module is loaded at this look
        after = signal.getsignal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert loaded == ["inventory.errors"]
    assert after is signal.default_int_handler


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_terminal_that_closes_ends_a_run_in_order(tmp_path, write_list, form):
    with Emulator(functions=60, token=TOKEN).in_thread() as server:
        hangs = set(sorted(server.urns())[20:])
        server.plan(lambda urn, _times: Fault.STALLED if urn in hangs else None)
        words = command(server, write_list(server.urns()), tmp_path / "run", "--no-batch", "--log-format", form)
        words.remove("--quiet")
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-c", _WITH_TERMINAL, *words],
            env={**os.environ, "HW_AUTH_TOKEN": TOKEN, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            wait_for(lambda: server._number >= 20 + WORKERS)
            os.close(ours)
            assert process.wait() == 129
        server.plan(None)
        run("export", "--resume", "--output", str(tmp_path / "run"), "--quiet")
    assert manifest_of(tmp_path / "run")["complete"]


_WITH_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "inventory", *sys.argv[1:]])
"""


def test_a_hangup_that_is_ignored_stays_ignored(tmp_path, write_list):
    with Emulator(functions=60, token=TOKEN).in_thread() as server:
        hangs = set(sorted(server.urns())[20:])
        server.plan(lambda urn, _times: Fault.STALLED if urn in hangs else None)
        more = ("--no-batch", "--timeout", "1")
        words = command(server, write_list(server.urns()), tmp_path / "run", *more)
        with begin(*words, before=("nohup",)) as process:
            wait_for(lambda: server._number >= 20 + WORKERS)
            process.send_signal(signal.SIGHUP)
            server.plan(None)
            process.communicate()
    assert process.returncode == 0


def test_a_second_hangup_does_not_end_a_run_at_once(asking):
    words, _ = stopped(asking, signal.SIGTERM, signal.SIGHUP, signal.SIGHUP)
    assert asking.returncode == 143
    assert "stopped by SIGTERM; what was answered is kept" in words
