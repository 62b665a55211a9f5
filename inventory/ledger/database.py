"""The file of a ledger: its names, how it is opened and looked through for damage, its errors turned into sentences.

Owns what SQLite is told when it opens the file, and what its errors mean for a run. Knows nothing of what is in it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from inventory.errors import InterruptedRunError, LedgerUnusableError, OutputError
from inventory.storage.file_lock import has_record_locks, is_locked
from inventory.storage.files import has_sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILE_NAME: Final = "ledger.sqlite"
_WAIT_SECONDS: Final = 1.0
"""How long another process may have the file to itself: one that is leaving is waited for, one that works is not."""
_PAGES_TO_CHECKPOINT: Final = 16_000
"""64 MB: while a checkpoint waits for the disk, nobody is asked, and large ones write each page fewer times."""
_IN_USE: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
_DAMAGED: Final = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
_UNKNOWN_FORMAT: Final = "unsupported file format"
"""What SQLite says where a number in the file's header is none that it knows, with the code of a wrong statement."""
_UNWRITABLE: Final = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")
_ADVICE: Final = (
    ("SQLITE_IOERR_GETTEMPPATH", "set TMPDIR to a folder for temporary files"),
    ("SQLITE_IOERR_WRITE", "free disk space, check the disk"),
    ("SQLITE_IOERR", "check the disk"),
    ("SQLITE_FULL", "free disk space"),
    ("SQLITE_", "grant write permission"),
)
"""The first clause of an advice, by the beginning of the name of SQLite's error."""
_LOCKING: Final = (*_IN_USE, *(f"SQLITE_IOERR_{kind}" for kind in ("LOCK", "RDLOCK", "UNLOCK", "CHECKRESERVEDLOCK")))
"""What SQLite says where a lock is taken, and where the file system does not have locks on parts of files."""
_LONGEST_NAME: Final = 500
"""Bytes of a path: SQLite takes 512, with what it appends."""
_STEPS_TO_A_LOOK: Final = 100_000
"""Of SQLite's machine: some milliseconds."""
_UNLOCKED: Final = "vfs=unix-none"
"""SQLite's way to open a file without locks; only under our own lock, and by one connection (EXCLUSIVE)."""
_NO_SHARED_MEMORY: Final = ("SQLITE_IOERR_SHM", "SQLITE_IOERR_LOCK", "SQLITE_CANTOPEN", "SQLITE_PROTOCOL")


def ledger_files(path: Path) -> list[Path]:
    """The files of a ledger, itself last."""
    return [*(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")), path]


def lock_path(path: Path) -> Path:
    """The file that is locked by the process that writes a ledger."""
    return path.with_name(f"{path.name}-lock")


def is_in_use(path: Path) -> bool:
    """Whether a process works with a ledger. Looks without changing anything, and does not wait."""
    locked = is_locked(lock_path(path))
    return _is_busy(path) if locked is None else locked


def _is_busy(path: Path) -> bool:
    """The same without locks of the system: then who works has the ledger itself to himself, and a log beside it."""
    if not ledger_files(path)[0].exists():
        return False
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)) as database:
        try:
            database.execute("PRAGMA user_version")
        except sqlite3.Error as error:  # anything else is told to who opens it
            return _code(error).startswith(_IN_USE) and has_record_locks(path)
    return False


def open_writable(path: Path, *, locked: bool) -> sqlite3.Connection:
    """A connection to the file, which is made where there is none.

    Args:
        path: the file.
        locked: whether our lock keeps other writers out, so that readers may be let in; where it cannot, or where the
            system has no shared memory for them, SQLite locks both out.

    Raises:
        LedgerUnusableError: it is damaged.
        OutputError: it is in use, or cannot be written.
    """
    with translate_sqlite_errors(path):
        _check_regular(path)
        if not locked and not has_record_locks(lock_path(path)):
            raise OutputError(
                f"{path.parent} is on a file system without locks, where two processes could spoil a run: give an "
                "--output on a local disk, and copy the finished run from there"
            )
        if locked:
            try:
                return _connect(path, "NORMAL")
            except sqlite3.OperationalError as error:  # as on some network file systems
                code = _code(error)
                if code.startswith(_LOCKING) and not has_record_locks(path):
                    return _connect(path, "EXCLUSIVE", _UNLOCKED)  # our own lock keeps other runs out
                if not code.startswith(_NO_SHARED_MEMORY):
                    if code.startswith(_IN_USE):
                        raise _foreign_lock_error(path) from None
                    raise
        return _connect(path, "EXCLUSIVE")


def open_read_only(path: Path, *, in_use: bool) -> sqlite3.Connection:
    """A connection that only reads a ledger, which a process may write meanwhile if it is ``in_use``.

    Raises:
        LedgerUnusableError: it is damaged.
        OutputError: it cannot be read.
    """
    with translate_sqlite_errors(path):
        # A reader of a file that is in use keeps to its log. Of one that is not, it would make a log, and leave it.
        if not in_use and not _has_content(ledger_files(path)[0]):
            return _connect_uri(path, "immutable=1")
        database = _connect_uri(path, "mode=ro")
        try:
            database.execute("PRAGMA user_version")
        except sqlite3.OperationalError as error:
            database.close()
            if not _code(error).startswith(_LOCKING) or has_record_locks(path):
                raise
            if in_use:
                raise _in_use_error(path) from None
            # What a killed run left on a file system without such locks: its log is read into memory.
            database = _connect_uri(path, f"mode=ro&{_UNLOCKED}")
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
        return database


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _connect_uri(path: Path, how: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?{how}"
    return sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)


def _check_regular(path: Path) -> None:
    """Makes sure that SQLite writes no file but ours.

    Raises:
        LedgerUnusableError: there is a link or a pipe in the place of a file.
    """
    for file in ledger_files(path):
        # SQLite itself follows no symbolic link to the shared memory, and does without it.
        if not file.name.endswith("-shm") and (file.is_symlink() or file.is_fifo()):
            raise damage_error(path, f"{file.name} is a link or no file")
        if file != path and file.is_file() and file.stat(follow_symlinks=False).st_nlink > 1:
            raise LedgerUnusableError(
                f"{file} is a hard link, and its other name would be written too; copy the folder and --resume in the "
                "copy, or start again with --overwrite"
            )


def _connect(path: Path, locking: str, how: str = "mode=rwc") -> sqlite3.Connection:
    # One connection, handed from thread to thread and never used by two at a time.
    address = f"{path.absolute().as_uri()}?{how}"
    # A killed process loses nothing that was committed; where a file system cannot sync, no setting changes that.
    synchronous = "NORMAL" if has_sync(lock_path(path)) else "OFF"
    database = sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        database.execute(f"PRAGMA locking_mode = {locking}")
        database.execute(f"PRAGMA synchronous = {synchronous}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA cache_size = -4000")
        database.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_TO_CHECKPOINT}")
        database.execute("PRAGMA user_version")  # the first look into the file: only now SQLite opens the log
    except sqlite3.Error:
        database.close()
        raise
    if not path.exists():  # the process that had it removed it: what we write would have no name
        database.close()
        raise _in_use_error(path)
    return database


def check_integrity(database: sqlite3.Connection, path: Path) -> None:
    """Looks at every page of the file: whether they hold together, not what is written on them.

    Raises:
        LedgerUnusableError: one is damaged.
    """
    (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise damage_error(path, found)


@contextmanager
def cancellable(database: sqlite3.Connection, check_cancelled: Callable[[], None]) -> Iterator[None]:
    """Long statements that end where ``check_cancelled`` raises; a transaction of theirs is then as if it had not been.

    Raises:
        InterruptedRunError: what ``check_cancelled`` raised.
        KeyboardInterrupt: a signal's handler raised something while SQLite asked, which loses what that was.
    """
    stops: list[InterruptedRunError] = []

    def look() -> int:
        try:
            check_cancelled()
        except InterruptedRunError as stop:
            stops.append(stop)
        return len(stops)

    database.set_progress_handler(look, _STEPS_TO_A_LOOK)
    try:
        yield
    except sqlite3.OperationalError as error:
        if stops:
            raise stops[0] from None
        if _code(error) == "SQLITE_INTERRUPT":
            raise KeyboardInterrupt from None
        raise
    finally:
        database.set_progress_handler(None, 0)


@contextmanager
def translate_sqlite_errors(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into one sentence.

    Raises:
        LedgerUnusableError: the file is damaged.
        OutputError: it is in use, or cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise OutputError.from_os_error(
            path, "cannot be removed", error, "{remedy}, or give another --output"
        ) from None
    except UnicodeDecodeError as error:  # SQLite quotes what it cannot read, and Python cannot read that either
        raise damage_error(path, str(error)) from None
    except sqlite3.Error as error:
        code = _code(error)
        if code.startswith(_IN_USE):
            raise _in_use_error(path) from None
        # Without a code it comes from Python's module, which finds no text where there was one.
        no_text = not code and isinstance(error, sqlite3.OperationalError)
        if code.startswith(_DAMAGED) or no_text or str(error) == _UNKNOWN_FORMAT:
            raise damage_error(path, str(error)) from None
        if code.startswith(_UNWRITABLE):
            raise OutputError(f"{path} cannot be written: {error}; {_advice(path, code)}") from None
        raise


def _advice(path: Path, code: str) -> str:
    if code.startswith("SQLITE_CANTOPEN") and len(os.fsencode(path.absolute())) > _LONGEST_NAME:
        return f"SQLite takes names of up to {_LONGEST_NAME} bytes: give a shorter --output"
    first = next(words for beginning, words in _ADVICE if code.startswith(beginning))
    return f"{first} or give another --output; --resume then goes on"


def _code(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", None) or ""


def damage_error(path: Path, what: str) -> LedgerUnusableError:
    """The error of a file in which something else stands than was written."""
    return LedgerUnusableError(f"{path} is damaged ({' '.join(what.split())}); start again with --overwrite")


def _foreign_lock_error(path: Path) -> OutputError:
    return OutputError(
        f"{path} is locked by a program that is not inventory; end that program, or copy the folder to a local disk "
        "and --resume there"
    )


def _in_use_error(path: Path) -> OutputError:
    return OutputError(in_use_message(path))


def in_use_message(path: Path) -> str:
    """What to say where another process works with a ledger."""
    return f"{path} is in use by another inventory process; wait for its end"
