"""One process at a time: a lock that the kernel takes back when its process dies.

Owns the file that is locked, which is gone when its holder ended in good order; one that a killed process left stands
in nobody's way. Knows nothing of what is locked. Where the system has no such locks (no ``fcntl``, or a file system
without them), nothing is locked here, and ``held`` says so.
"""

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

_NOT_FOLLOWED: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""A planted link is not followed, and a planted pipe is not waited for."""
PATIENCE_SECONDS: Final = 0.5
"""How long a lock is waited for: who only looks whether it is free holds it for a moment."""


class Lock:
    """A lock on a file of its own, from :meth:`take` to :meth:`release`.

    Attributes:
        held: whether it is locked by this object.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number: int | None = None

    @property
    def held(self) -> bool:
        """Whether it is locked by this object."""
        return self._number is not None

    def take(self, in_use: str, advice: str) -> None:
        """Locks it, or says who may not; does nothing where there are no locks.

        Args:
            in_use: what to say where another has it.
            advice: what else to do where the file cannot be made.

        Raises:
            OutputError: another has it, or the file cannot be made.
        """
        if _LOCKS is None:
            return
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                number = _opened(self._path)
            except OSError as error:
                raise OutputError.from_os_error(self._path, "cannot be written", error, "{remedy}" + advice) from None
            try:
                _LOCKS.flock(number, _LOCKS.LOCK_EX | _LOCKS.LOCK_NB)
            except BlockingIOError:
                os.close(number)
                if time.monotonic() >= deadline:
                    raise OutputError(in_use) from None
                time.sleep(0.02)
            except OSError as error:
                os.close(number)
                if error.errno in UNSUPPORTED:  # a file system without such locks
                    return
                raise OutputError.from_os_error(self._path, "cannot be locked", error, "{remedy}" + advice) from None
            else:
                if _is_at(self._path, number):
                    self._number = number
                    return
                os.close(number)  # its last holder removed it as we opened it: the next one has another file

    def release(self) -> None:
        """Removes the file, and lets it go."""
        if self._number is not None:
            with suppress(OSError):  # one that stays locks nobody out
                if _is_at(self._path, self._number):
                    self._path.unlink()
            os.close(self._number)
            self._number = None


def is_locked(path: Path) -> bool | None:
    """Whether a process that lives has the lock; the file is not made for that. None: there are no locks to tell."""
    if _LOCKS is None:
        return None
    try:
        number = os.open(path, os.O_RDONLY | _NOT_FOLLOWED)
    except OSError:
        return False
    try:
        _LOCKS.flock(number, _LOCKS.LOCK_SH | _LOCKS.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(number)
    return False


def has_record_locks(path: Path) -> bool:
    """Whether the file system of a file has locks on parts of it, which SQLite needs; also where that is unknown."""
    if _LOCKS is None:
        return True
    try:
        number = os.open(path, os.O_RDWR | _NOT_FOLLOWED)
    except OSError:
        return True
    try:
        _LOCKS.lockf(number, _LOCKS.LOCK_EX | _LOCKS.LOCK_NB, 1)  # SQLite locks other bytes
    except OSError as error:
        return error.errno not in UNSUPPORTED
    finally:
        os.close(number)
    return True


def _opened(path: Path) -> int:
    """Opens the file, which is made where there is none; a link or a pipe in its place is removed."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            path.unlink()
    return os.open(path, os.O_RDWR | os.O_CREAT | _NOT_FOLLOWED, 0o666)


def _is_at(path: Path, number: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(number))
    except OSError:
        return False
