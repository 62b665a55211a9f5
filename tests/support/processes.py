"""What the tests of kills, full disks and other hardships share: exports as processes that may not get far."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from support.forks import CAN_FORK, COMMAND, Fork
from support.runs import TOKEN, manifest_of

HAPPENS_AT = str(Path(__file__).with_name("happens_at.py"))
WORKERS = 8
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
SECONDS = 10.0
"""Within which a signal ends a run. The promise is 2 s; a machine that does other things as well gets more."""
STABLE = [f"{table}.{suffix}" for table in ("functions", "destinations", "rejects") for suffix in ("parquet", "csv")]
"""The tables that are the same after every run of the same list."""


def command(server, path, output, *more):
    """The words of an export in both formats; ``path`` may be None."""
    common = ("--endpoint", server.url, "--output", output, "--max-per-second", "0", "--max-workers", WORKERS)
    formats = ("--format", "parquet", "--format", "csv", "--quiet")
    return [str(word) for word in ("export", *(() if path is None else (path,)), *common, *formats, *more)]


class Process(subprocess.Popen):
    """A process that does not outlive a test that fails."""

    def __exit__(self, error, *more):
        """Waits for its end, or sees to it."""
        if error is not None:
            self.kill()
        super().__exit__(error, *more)


def begin(*arguments, program=COMMAND, before=(), fresh=False):
    """Starts the command, or a script that runs it, as a process: ``fresh``, or ``before`` it, with an interpreter."""
    environment = {**os.environ, "HW_AUTH_TOKEN": TOKEN}
    if CAN_FORK and not before and not fresh and program[0] != "-c":
        return Fork(*program, *arguments, environment=environment)
    return Process(
        [*before, sys.executable, *program, *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments, code=0, **more):
    """Runs the command to its end, which is to have a code and no traceback; gives what was said on stderr."""
    with begin(*arguments, **more) as process:
        _, words = process.communicate()
    assert process.returncode == code, words
    assert "Traceback" not in words
    return words


def stopped(process, *numbers):
    """What a process says that gets signals, and after how many seconds it has ended."""
    began = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.1)
    _, words = process.communicate()
    return words, time.monotonic() - began


def kill_at(step, *arguments):
    """Runs the command, which dies at a step; see ``happens_at.py``."""
    words = run(*arguments, program=(HAPPENS_AT, f"kill@{step}"), code=-signal.SIGKILL)
    assert not words, step


def tables_of(folder):
    """The bytes of the tables."""
    return {name: (folder / name).read_bytes() for name in STABLE}


def repeated(server):
    """How many calls were made again. Where no call fails, each would have been enough once."""
    return sum(calls - 1 for calls in Counter(request.path for request in server.requests).values())


def assert_nothing_half(folder, right):
    """What has a final name is whole, and where the manifest is, all is there."""
    there = {name for name in STABLE if (folder / name).exists()}
    assert {name: (folder / name).read_bytes() for name in there} == {name: right[name] for name in there}
    if (folder / "manifest.json").exists():
        assert there == set(STABLE)
        assert manifest_of(folder)["complete"]


def assert_right(folder, right):
    """The tables are those of an undisturbed run, nothing else is left, and all entries are accounted for."""
    assert tables_of(folder) == right
    manifest = manifest_of(folder)
    listed = {table["path"] for table in manifest["tables"]}
    assert {path.name for path in folder.iterdir()} == {*listed, "ledger.sqlite", "manifest.json"}
    read = manifest["input"]
    assert read["entries"] == read["urns"] + read["duplicates"] + read["rejects"]
    assert sum(manifest["counts"]["status"].values()) == read["urns"]
