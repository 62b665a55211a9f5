from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from inventory.errors import OutputError
from inventory.storage import file_lock as lock
from inventory.storage.file_lock import Lock, has_record_locks, is_locked

IN_USE, ADVICE = "the thing is in use", " or go elsewhere"


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.0)
    return tmp_path / "thing-lock"


def taken(path):
    held = Lock(path)
    held.take(IN_USE, ADVICE)
    return held


def test_one_at_a_time(path):
    first = taken(path)
    with pytest.raises(OutputError, match="the thing is in use"):
        taken(path)
    assert is_locked(path)
    first.release()
    second = taken(path)
    assert second.held
    second.release()


def test_nothing_is_left_after_a_release(path):
    held = taken(path)
    held.release()
    held.release()
    assert not is_locked(path)
    assert list(path.parent.iterdir()) == []


def test_a_dead_process_stands_in_nobodys_way(path):
    code = (
        "import os, sys; from pathlib import Path; from inventory.storage.file_lock import Lock\n"
        "Lock(Path(sys.argv[1])).take('in use', ''); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == 9
    assert path.exists()
    assert not is_locked(path)
    held = taken(path)
    assert is_locked(path)
    held.release()


def test_a_file_that_was_removed_while_it_was_waited_for_is_no_lock(path, monkeypatch):
    real = lock._LOCKS.flock
    removed = []

    def flock(number, how):
        if not removed:
            removed.append(path.unlink())  # as the holder does between our opening and our locking
        real(number, how)

    monkeypatch.setattr(lock._LOCKS, "flock", flock)
    held = taken(path)
    assert path.exists()
    assert is_locked(path)
    held.release()


def test_a_release_leaves_the_file_of_another_alone(path):
    first = taken(path)
    path.unlink()
    second = taken(path)
    first.release()
    assert is_locked(path)
    second.release()
    assert not path.exists()


def test_a_lock_that_is_looked_at_is_still_free(path, monkeypatch):
    looking = path.open("w")
    lock._LOCKS.flock(looking, lock._LOCKS.LOCK_SH)
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr("time.sleep", lambda _seconds: looking.close())
    held = taken(path)
    assert held.held
    held.release()


@pytest.mark.parametrize("locks", ["of no platform", "of no file system"])
def test_where_there_are_no_locks_nothing_is_held(path, monkeypatch, locks):
    def refuse(_number, _how):
        raise OSError(38, "Function not implemented")

    if locks == "of no platform":
        monkeypatch.setattr(lock, "_LOCKS", None)
    else:
        monkeypatch.setattr(lock._LOCKS, "flock", refuse)
    held = taken(path)
    assert not held.held
    assert not is_locked(path)
    held.release()


def test_a_lock_that_cannot_be_made_is_one_sentence(path):
    with pytest.raises(
        OutputError, match="cannot be written: No such file or directory; check that its folder exists or go elsewhere"
    ):
        taken(path / "of" / "nothing")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_record_locks_is_told_from_one_with_them(path, monkeypatch, number):
    path.touch()
    assert has_record_locks(path)
    monkeypatch.setattr(lock._LOCKS, "lockf", failing(number))
    assert not has_record_locks(path)
    monkeypatch.setattr(lock._LOCKS, "lockf", failing(errno.EAGAIN))
    assert has_record_locks(path)
    monkeypatch.setattr(lock, "_LOCKS", None)
    assert has_record_locks(path)


def test_a_lock_on_a_failing_disk_is_one_sentence(path, monkeypatch):
    monkeypatch.setattr(lock._LOCKS, "flock", failing(errno.EIO))
    with pytest.raises(OutputError, match="cannot be locked: x; check the disk or go elsewhere"):
        taken(path)


def failing(number):
    def fail(*_any):
        raise OSError(number, "x")

    return fail


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe"])
def test_a_planted_link_or_pipe_is_no_lock(path, kind):
    target = path.with_name("target")
    if kind == "link":
        target.write_text("of another")
        path.symlink_to(target)
    elif kind == "dangling link":
        path.symlink_to(target)
    else:
        os.mkfifo(path)
    assert not is_locked(path)
    held = taken(path)
    assert path.is_file()
    assert not path.is_symlink()
    held.release()
    assert target.exists() == (kind == "link")
