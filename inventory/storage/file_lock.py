"""Advisory file lock, released by the kernel when the process exits."""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from inventory.errors import OutputError
from inventory.os_errors import UNSUPPORTED

try:
    import fcntl
except ImportError:  # not on this platform
    _LOCKS: ModuleType | None = None
else:
    _LOCKS = fcntl

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

_SAFE_FLAGS: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Flags against links and pipes that another user put there."""
PATIENCE_SECONDS: Final = 0.5
"""Maximum wait for a lock: :func:`is_locked` of another process holds it for a moment."""


class Lock:
    """A lock on its own lock file, from :meth:`take` to :meth:`release`.

    Without ``fcntl``, or on a file system without locks, nothing is locked and ``held`` is False.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """This object has the lock."""
        return self._descriptor is not None

    def take(self, in_use: str, advice: str) -> None:
        """Takes the lock.

        Args:
            in_use: message if another process has the lock.
            advice: added to the message if the lock file cannot be made.

        Raises:
            OutputError: another process has the lock, or the lock file cannot be made.
        """
        if _LOCKS is None:
            return
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                descriptor = _open(self._path)
            except OSError as error:
                raise OutputError.from_os_error(self._path, "cannot be written", error, "{remedy}" + advice) from None
            try:
                _LOCKS.flock(descriptor, _LOCKS.LOCK_EX | _LOCKS.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                if time.monotonic() >= deadline:
                    raise OutputError(in_use) from None
                time.sleep(0.02)
            except OSError as error:
                os.close(descriptor)
                if error.errno in UNSUPPORTED:  # the file system has no locks
                    return
                raise OutputError.from_os_error(self._path, "cannot be locked", error, "{remedy}" + advice) from None
            else:
                if _is_at(self._path, descriptor):
                    self._descriptor = descriptor
                    return
                os.close(descriptor)  # the last holder has just removed this file: try again with a new one

    def release(self) -> None:
        """Removes the lock file and releases the lock."""
        if self._descriptor is not None:
            with suppress(OSError):  # a lock file that stays does no harm
                if _is_at(self._path, self._descriptor):
                    self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = None


def is_locked(path: Path) -> bool | None:
    """Tells whether a process has the lock; None: there are no locks. Makes no file."""
    if _LOCKS is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | _SAFE_FLAGS)
    except OSError:
        return False
    try:
        _LOCKS.flock(descriptor, _LOCKS.LOCK_SH | _LOCKS.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def has_record_locks(path: Path) -> bool:
    """Tells whether the file system has locks on byte ranges, which SQLite needs; True if unknown."""
    if _LOCKS is None:
        return True
    try:
        descriptor = os.open(path, os.O_RDWR | _SAFE_FLAGS)
    except OSError:
        return True
    try:
        _LOCKS.lockf(descriptor, _LOCKS.LOCK_EX | _LOCKS.LOCK_NB, 1)  # SQLite locks other bytes
    except OSError as error:
        return error.errno not in UNSUPPORTED
    finally:
        os.close(descriptor)
    return True


def _open(path: Path) -> int:
    """Opens or makes the lock file; replaces a link or a pipe."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            path.unlink()
    return os.open(path, os.O_RDWR | os.O_CREAT | _SAFE_FLAGS, 0o666)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False
