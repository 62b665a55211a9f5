"""A ledger on file systems of all kinds: without locks, without sync, with planted links and long names."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
from support.ledgers import failing, load, outcome, urn
from support.project import ROOT

from inventory.errors import LedgerUnusableError, OutputError
from inventory.ledger import database
from inventory.ledger.reader import LedgerView
from inventory.ledger.writer import Ledger
from inventory.runs.folder import RunFolder
from inventory.storage import file_lock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks and links of POSIX")

HOLDER = """
import fcntl, os, sys
number = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.lockf(number, fcntl.LOCK_EX, 512, 0x40000000)
print("locked", flush=True)
sys.stdin.read()
"""
KILLED = """
import errno, os, sys
sys.path.insert(0, sys.argv[2])
from support.ledgers import failing, load
from pathlib import Path
from inventory.storage import file_lock
from inventory.ledger.writer import Ledger
file_lock._LOCKS.lockf = failing(errno.ENOLCK)
load(Ledger(Path(sys.argv[1])))
os._exit(9)
"""


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Where the ledger is; nobody waits for a lock."""
    monkeypatch.setattr(file_lock, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(database, "_WAIT_SECONDS", 0.0)
    return tmp_path / "ledger.sqlite"


@contextmanager
def locked_for_sqlite(path):
    """Another process has the bytes that SQLite locks: SQLite is told what it is told where there are no locks."""
    arguments = [sys.executable, "-c", HOLDER, path]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        try:
            yield
        finally:
            holder.stdin.close()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_without_record_locks_holds_a_ledger(path, monkeypatch, number):
    """Our own lock is enough to write a ledger; nobody reads it meanwhile, and anybody afterwards."""
    monkeypatch.setattr(file_lock._LOCKS, "lockf", failing(number))
    with locked_for_sqlite(path):
        with Ledger(path) as ledger:
            load(ledger)
            with pytest.raises(OutputError, match="in use by another inventory process"):
                Ledger(path)
            with pytest.raises(OutputError, match="in use by another inventory process"):
                LedgerView(path)
        with LedgerView(path) as view:
            assert view.count_settled() == 1
        with Ledger(path) as ledger:
            ledger.record(outcome(urn("b")))
            ledger.commit()
            assert ledger.count_settled() == 2
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_killed_run_on_a_file_system_without_record_locks_loses_nothing(path, monkeypatch):
    """What was committed is read from the log, which stays as it is, and the run goes on with it."""
    with locked_for_sqlite(path):
        arguments = [sys.executable, "-c", KILLED, path, ROOT / "tests"]
        assert subprocess.run(arguments, check=False).returncode == 9
        monkeypatch.setattr(file_lock._LOCKS, "lockf", failing(errno.ENOLCK))
        files = {file.name: file.read_bytes() for file in path.parent.iterdir()}
        assert files["ledger.sqlite-wal"]
        with LedgerView(path) as view:
            assert view.count_settled() == 1
        assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == files
        with Ledger(path) as ledger:
            assert ledger.count_settled() == 1


def test_a_ledger_that_a_foreign_program_has_locked_is_said_to_be_that(path):
    """Where no inventory process works, none is waited for."""
    Ledger(path).close()
    with locked_for_sqlite(path), pytest.raises(OutputError, match="locked by a program that is not inventory"):
        Ledger(path)


def test_without_any_locks_a_run_is_refused_with_the_way_out(path, monkeypatch):
    """A file system without locks of any kind gets no ledger; the sentence says where to write instead."""
    monkeypatch.setattr(file_lock._LOCKS, "flock", failing(errno.ENOLCK))
    monkeypatch.setattr(file_lock._LOCKS, "lockf", failing(errno.ENOLCK))
    with pytest.raises(OutputError, match=r"without locks.*an --output on a local disk and copy the finished run"):
        Ledger(path)
    assert not path.exists()


def test_without_any_locks_a_log_is_no_process(path, monkeypatch):
    """The log of a killed run is not taken for a process at work where nothing can be locked."""
    path.touch()
    path.with_name("ledger.sqlite-wal").write_bytes(b"x")
    lock_file = database.lock_path(path)
    lock_file.touch()
    monkeypatch.setattr(file_lock._LOCKS, "flock", failing(errno.ENOLCK))
    with locked_for_sqlite(path):
        assert database.is_in_use(path)
        monkeypatch.setattr(file_lock._LOCKS, "lockf", failing(errno.ENOLCK))
        assert not database.is_in_use(path)


def synchronous(ledger):
    """SQLite's number of the setting: 0 for OFF, 1 for NORMAL."""
    return ledger._db.execute("PRAGMA synchronous").fetchone()[0]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_there_is_no_sync_sqlite_does_not_try_it(path, monkeypatch, number):
    """SQLite would take it for a broken disk."""
    with Ledger(path) as ledger:
        assert synchronous(ledger) == 1
    monkeypatch.setattr("os.fsync", failing(number))
    with Ledger(path) as ledger:
        assert synchronous(ledger) == 0
    monkeypatch.setattr("os.fsync", failing(errno.EIO))
    with Ledger(path) as ledger:
        assert synchronous(ledger) == 1


@pytest.mark.parametrize("name", ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-journal"])
@pytest.mark.parametrize("target", ["of another", None])
def test_a_link_in_the_place_of_a_file_of_a_ledger_is_not_followed(path, tmp_path, name, target):
    """A new run does not begin there, a run does not go on there, and --overwrite removes the link alone."""
    other = tmp_path / "other"
    if target is not None:
        other.write_text(target)
    path.with_name(name).symlink_to(other)
    with pytest.raises(OutputError, match="holds a run already"):
        RunFolder(tmp_path).prepare("new")
    with pytest.raises(LedgerUnusableError, match=f"{name} is a link or not a regular file"):
        Ledger(path)
    with Ledger(path, replace=True) as ledger:
        load(ledger)
    assert path.is_file()
    assert not path.is_symlink()
    assert (other.read_text() if other.exists() else None) == target


@pytest.mark.parametrize("name", ["ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.sqlite-journal"])
def test_a_hard_link_beside_a_ledger_is_not_written(path, tmp_path, name):
    """The file of the other name stays as it is, also with --overwrite."""
    other = tmp_path / "other"
    other.write_text("of another")
    path.with_name(name).hardlink_to(other)
    with pytest.raises(LedgerUnusableError, match=f"{name} is a hard link"):
        Ledger(path)
    with Ledger(path, replace=True) as ledger:
        load(ledger)
    assert other.read_text() == "of another"


def test_a_pipe_in_the_place_of_a_ledger_is_not_waited_for(path):
    """Who reads and who writes says what is there."""
    os.mkfifo(path)
    with pytest.raises(OutputError, match="cannot be read: it is not a regular file"):
        LedgerView(path)
    with pytest.raises(LedgerUnusableError, match="is a link or not a regular file"):
        Ledger(path)


def test_a_name_that_is_too_long_for_sqlite_says_so(tmp_path):
    """The system takes longer names than SQLite does."""
    folder = tmp_path.joinpath(*["d" * 100] * 5)
    folder.mkdir(parents=True)
    with pytest.raises(OutputError, match="SQLite allows paths of up to 500 bytes; give a shorter --output"):
        Ledger(folder / "ledger.sqlite")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("SQLITE_FULL", "free disk space"),
        ("SQLITE_IOERR_WRITE", "free disk space"),
        ("SQLITE_IOERR_FSYNC", "check the disk"),
        ("SQLITE_IOERR_GETTEMPPATH", "set TMPDIR"),
        ("SQLITE_CANTOPEN", "grant write permission"),
        ("SQLITE_READONLY_DBMOVED", "grant write permission"),
    ],
)
def test_what_sqlite_cannot_write_says_what_helps(tmp_path, code, words):
    """Room, a disk, a folder for temporary files, or rights."""
    assert words in database._advice(tmp_path, code)
