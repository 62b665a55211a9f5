"""Too few open files: at the beginning and in the middle of a command."""

from __future__ import annotations

import sys

import pytest
from support.processes import begin, command, run
from support.runs import TOKEN, manifest_of, wait_for

from inventory.emulator import Emulator, Fault

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux sets the limit of another process")


@pytest.mark.parametrize("limit", [3, 9])
def test_a_limit_that_falls_while_a_run_asks_ends_it_with_one_sentence(tmp_path, write_list, limit):
    with Emulator(functions=60, token=TOKEN).in_thread() as server:
        hangs = set(sorted(server.urns())[20:])
        server.plan(lambda urn, _times: Fault.STALLED if urn in hangs else None)
        more = ("--no-batch", "--timeout", "1", "--attempts", "1")
        with begin(*command(server, write_list(server.urns()), tmp_path / "run", *more)) as process:
            wait_for(lambda: sum(server.counts.values()) >= 20)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, limit))
            server.plan(None)
            _, words = process.communicate()
        assert process.returncode == 4, words
        assert "Too many open files; allow this process more open files (ulimit -n)" in words.splitlines()[-1]
        assert "Traceback" not in words
        run("export", "--resume", "--output", str(tmp_path / "run"), "--quiet")
    assert manifest_of(tmp_path / "run")["complete"]


@pytest.mark.parametrize("limit", [6, 8, 12])
@pytest.mark.parametrize(
    "words", [("status", "."), ("emulate", "--port", "0"), ("demo",), ("export", "x", "--dry-run")]
)
def test_a_command_that_begins_with_too_few_says_so(words, limit):
    before = (sys.executable, "-c", _LIMITED, str(limit))
    with begin(*words, before=before) as process:
        if words[0] == "emulate":
            assert process.stdout.readline() or process.poll() is not None or process.wait() == 4
            process.terminate()
        _, said = process.communicate()
    assert "raceback" not in said
    assert process.returncode in {2, 4, 143, -15}


_LIMITED = """
import os, resource, sys
number = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))
os.execv(sys.argv[2], sys.argv[2:])
"""
