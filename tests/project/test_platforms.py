"""What macOS and Windows lack is simulated: modules, signals, encodings; names of files fit both."""

import os
import re
import subprocess
import sys

import pytest
from support.documents import ROOT

LIKE_WINDOWS = """
import importlib.abc, signal, sys

class Missing(importlib.abc.MetaPathFinder):
    names = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "uvloop"}
    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
for name in Missing.names:
    sys.modules.pop(name, None)
for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGALRM", "pthread_sigmask", "sigwait"):
    if hasattr(signal, name):
        delattr(signal, name)
import os
for name in ("O_NOFOLLOW", "O_NONBLOCK", "geteuid", "getuid", "fork", "statvfs", "register_at_fork"):
    if hasattr(os, name):
        delattr(os, name)
import asyncio
def refused(*_): raise NotImplementedError
asyncio.AbstractEventLoop.add_signal_handler = refused
asyncio.selector_events.BaseSelectorEventLoop.add_signal_handler = refused
import asyncio.unix_events
asyncio.unix_events._UnixSelectorEventLoop.add_signal_handler = refused
import inventory.__main__
sys.argv[0] = "inventory"
sys.exit(inventory.__main__.main())
"""
FORBIDDEN = re.compile(r'[<>:"|?*\\]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)
"""Names that Windows does not accept."""


def run(folder, *arguments, options=(), **environment):
    return subprocess.run(
        [sys.executable, *options, "-c", LIKE_WINDOWS, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        check=False,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, run(folder, "demo", "--functions", 30, "--output", "run")


def test_the_demo_runs_without_the_modules_and_signals_of_posix(demo):
    _, done = demo
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_own_rules_run_where_memory_cannot_be_limited(demo, tmp_path):
    folder, _ = demo
    rule = (ROOT / "inventory" / "reviews" / "rules" / "FGA104.sql").read_text(encoding="utf-8")
    (tmp_path / "MINE001.sql").write_text(rule.replace("FGA104", "MINE001"), encoding="utf-8")
    done = run(folder, "review", "run", "--rules", tmp_path, "--only", "MINE001")
    assert done.returncode == 0, done.stderr.decode()
    assert b"MINE001" in done.stdout


def test_names_of_files_have_no_character_that_windows_forbids(demo):
    folder, _ = demo
    assert [path for path in folder.rglob("*") if FORBIDDEN.search(path.name)] == []
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    names = {part for path in tracked.splitlines() for part in path.split("/")}
    assert [name for name in names if FORBIDDEN.search(name)] == []


def test_no_file_is_opened_with_the_encoding_of_the_system(tmp_path):
    strict = ("-X", "warn_default_encoding", "-W", "error::EncodingWarning:inventory")
    (tmp_path / "urns.txt").write_text("# 函数\n", encoding="utf-8")
    done = run(tmp_path, "export", "urns.txt", "--dry-run", options=strict)
    assert b"EncodingWarning" not in done.stderr


def test_output_in_an_old_code_page_escapes_what_it_lacks(demo, tmp_path):
    folder, _ = demo
    list_name = tmp_path / "函数.txt"
    list_name.write_text("plain note\n", encoding="utf-8")
    legacy = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"}
    for command in (["status", "run"], ["review", "run"], ["schema"], ["export", list_name, "--dry-run"]):
        done = run(folder, *command, **legacy)
        assert b"Traceback" not in done.stderr, done.stderr.decode("cp1252")
        assert done.returncode in (0, 2)
