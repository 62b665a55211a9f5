"""Ledgers on unusual file systems: no locks, no sync, links, long names."""

from __future__ import annotations

import errno
import os
import sqlite3
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
    monkeypatch.setattr(file_lock, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(database, "_WAIT_SECONDS", 0.0)
    return tmp_path / "ledger.sqlite"


@contextmanager
def locked_for_sqlite(path):
    arguments = [sys.executable, "-c", HOLDER, path]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        try:
            yield
        finally:
            holder.stdin.close()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_without_record_locks_holds_a_ledger(path, monkeypatch, number):
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


def test_a_lock_of_a_foreign_program_has_its_message(path):
    Ledger(path).close()
    with locked_for_sqlite(path), pytest.raises(OutputError, match="locked by a program that is not inventory"):
        Ledger(path)


def test_without_any_locks_a_run_is_refused_with_advice(path, monkeypatch):
    monkeypatch.setattr(file_lock._LOCKS, "flock", failing(errno.ENOLCK))
    monkeypatch.setattr(file_lock._LOCKS, "lockf", failing(errno.ENOLCK))
    with pytest.raises(OutputError, match=r"without locks.*an --output on a local disk and copy the finished run"):
        Ledger(path)
    assert not path.exists()


def test_without_any_locks_a_run_is_copied(path, monkeypatch):
    Ledger(path).close()
    for name in ("flock", "lockf"):
        monkeypatch.setattr(file_lock._LOCKS, name, failing(errno.ENOLCK))
    with pytest.raises(OutputError, match=r"without locks.*: copy this folder to a local disk and continue there$"):
        Ledger(path)


@pytest.mark.parametrize("is_run", [False, True])
def test_the_advice_can_be_followed(path, monkeypatch, is_run):
    if is_run:
        Ledger(path).close()
    monkeypatch.setattr(file_lock, "_open", failing(errno.EROFS))
    way_out = (
        "and continue, or copy the folder to another disk and continue there" if is_run else "or give another --output"
    )
    with pytest.raises(OutputError, match=f"; make the file system writable {way_out}$"):
        Ledger(path)


@pytest.mark.parametrize("name", ["ledger.sqlite-wal", "ledger.sqlite-shm"])
@pytest.mark.parametrize("is_link", [False, True])
def test_a_killed_run_is_read_without_shared_memory(path, name, is_link):
    arguments = [sys.executable, "-c", KILLED, path, ROOT / "tests"]
    assert subprocess.run(arguments, check=False).returncode == 9
    planted = path.with_name(name)
    planted.unlink(missing_ok=True)
    if is_link:
        planted.symlink_to(path.with_name("elsewhere"))
    else:
        planted.mkdir()
    if name.endswith("-shm"):
        with LedgerView(path) as view:
            assert view.count_settled() == 1
    else:
        with pytest.raises(LedgerUnusableError, match="wal is a link or not a regular file"):
            LedgerView(path)


def test_a_reader_never_says_that_it_cannot_write(path):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_READ"
    advice = r"cannot be read: disk I/O error; check the disk, or use a copy of the folder on a local disk$"
    with pytest.raises(OutputError, match=advice), database.translate_sqlite_errors(path, is_reader=True):
        raise error


def test_without_any_locks_a_log_does_not_count_as_a_process(path, monkeypatch):
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
    return ledger._db.execute("PRAGMA synchronous").fetchone()[0]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_fsync_sqlite_does_not_sync(path, monkeypatch, number):
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
    other = tmp_path / "other"
    if target is not None:
        other.write_text(target)
    path.with_name(name).symlink_to(other)
    with pytest.raises(OutputError, match="contains a run already"):
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
    other = tmp_path / "other"
    other.write_text("of another")
    path.with_name(name).hardlink_to(other)
    with pytest.raises(LedgerUnusableError, match=f"{name} is a hard link"):
        Ledger(path)
    with Ledger(path, replace=True) as ledger:
        load(ledger)
    assert other.read_text() == "of another"


def test_a_pipe_in_the_place_of_a_ledger_is_not_waited_for(path):
    os.mkfifo(path)
    with pytest.raises(OutputError, match="cannot be read: it is not a regular file"):
        LedgerView(path)
    with pytest.raises(LedgerUnusableError, match="is a link or not a regular file"):
        Ledger(path)


def test_a_path_too_long_for_sqlite_has_its_message(tmp_path):
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
def test_write_errors_of_sqlite_have_advice(tmp_path, code, words):
    assert words in database._advice(tmp_path, code)
