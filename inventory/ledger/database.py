"""Opens ledger files, checks them for damage and translates SQLite errors."""

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
"""Enough for a process that exits; a running export holds the lock for longer."""
_PAGES_TO_CHECKPOINT: Final = 16_000
"""64 MB: calls wait during a checkpoint."""
_IN_USE: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
_DAMAGED: Final = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
_UNKNOWN_FORMAT: Final = "unsupported file format"
"""SQLite's message for a damaged file header; its error code is ambiguous."""
_UNWRITABLE: Final = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")
_ADVICE: Final = (
    ("SQLITE_IOERR_GETTEMPPATH", "set TMPDIR to a folder for temporary files"),
    ("SQLITE_IOERR_WRITE", "free disk space, check the disk"),
    ("SQLITE_IOERR", "check the disk"),
    ("SQLITE_FULL", "free disk space"),
    ("SQLITE_", "grant write permission"),
)
"""Advice by prefix of SQLite's error name; first match."""
_LOCKING: Final = (*_IN_USE, *(f"SQLITE_IOERR_{kind}" for kind in ("LOCK", "RDLOCK", "UNLOCK", "CHECKRESERVEDLOCK")))
_LONGEST_NAME: Final = 500
"""Bytes of a path: SQLite allows 512 with its suffixes."""
_STEPS_BETWEEN_CHECKS: Final = 100_000
"""Virtual machine steps: some milliseconds."""
_UNLOCKED: Final = "vfs=unix-none"
"""Opens without SQLite's locks; needs our lock and EXCLUSIVE mode."""
_NO_SHARED_MEMORY: Final = ("SQLITE_IOERR_SHM", "SQLITE_IOERR_LOCK", "SQLITE_CANTOPEN", "SQLITE_PROTOCOL")


def ledger_files(path: Path) -> list[Path]:
    """The files of a ledger, the database last."""
    return [*(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")), path]


def lock_path(path: Path) -> Path:
    """The lock file of a ledger."""
    return path.with_name(f"{path.name}-lock")


def is_in_use(path: Path) -> bool:
    """Whether a process works with a ledger; does not wait."""
    locked = is_locked(lock_path(path))
    return _is_busy(path) if locked is None else locked


def _is_busy(path: Path) -> bool:
    """Without our lock, a writer holds SQLite's exclusive lock and has a log."""
    if not ledger_files(path)[0].exists():
        return False
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)) as database:
        try:
            database.execute("PRAGMA user_version")
        except sqlite3.Error as error:  # the open reports other errors
            return _code(error).startswith(_IN_USE) and has_record_locks(path)
    return False


def open_writable(path: Path, *, locked: bool) -> sqlite3.Connection:
    """Connects to a ledger; creates a missing file.

    Args:
        path: the file.
        locked: whether our lock excludes other writers; otherwise SQLite locks out readers too.

    Raises:
        LedgerUnusableError: the file is damaged.
        OutputError: it is in use, or cannot be written.
    """
    with translate_sqlite_errors(path):
        _check_regular(path)
        if not locked and not has_record_locks(lock_path(path)):
            advice = (
                "copy this folder to a local disk and continue there"
                if _has_content(path)
                else "give an --output on a local disk and copy the finished run from there"
            )
            raise OutputError(
                f"{path.parent} is on a file system without locks, where two processes could damage a run: {advice}"
            )
        if locked:
            try:
                return _connect(path, "NORMAL")
            except sqlite3.OperationalError as error:  # some network file systems
                code = _code(error)
                if code.startswith(_LOCKING) and not has_record_locks(path):
                    return _connect(path, "EXCLUSIVE", _UNLOCKED)  # our lock excludes other runs
                if not code.startswith(_NO_SHARED_MEMORY):
                    if code.startswith(_IN_USE):
                        raise _foreign_lock_error(path) from None
                    raise
        return _connect(path, "EXCLUSIVE")


def open_read_only(path: Path, *, in_use: bool) -> sqlite3.Connection:
    """Connects to a ledger for reading; another process may write it (``in_use``).

    Raises:
        LedgerUnusableError: the file is damaged.
        OutputError: it cannot be read.
    """
    log = ledger_files(path)[0]
    if log.is_symlink() or (log.exists() and not log.is_file()):
        raise damage_error(path, f"{log.name} is a link or not a regular file")
    with translate_sqlite_errors(path, is_reader=True):
        # Without "immutable", a reader creates a log and leaves it.
        if not in_use and not _has_content(log):
            return _connect_uri(path, "immutable=1")
        database = _connect_uri(path, "mode=ro")
        try:
            database.execute("PRAGMA user_version")
        except sqlite3.OperationalError as error:
            database.close()
            has_no_locks = _code(error).startswith(_LOCKING) and not has_record_locks(path)
            if not has_no_locks and (in_use or not _code(error).startswith(_NO_SHARED_MEMORY)):
                raise
            if in_use:
                raise _in_use_error(path) from None
            # A killed run without locks or shared memory: SQLite reads the log into memory.
            database = _connect_uri(path, f"mode=ro&{_UNLOCKED}")
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
        return database


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _connect_uri(path: Path, options: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?{options}"
    return sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)


def _check_regular(path: Path) -> None:
    for file in ledger_files(path):
        # SQLite follows no link to the shared memory.
        if not file.name.endswith("-shm") and (file.is_symlink() or file.is_fifo() or (file != path and file.is_dir())):
            raise damage_error(path, f"{file.name} is a link or not a regular file")
        if file != path and file.is_file() and file.stat(follow_symlinks=False).st_nlink > 1:
            raise LedgerUnusableError(
                f"{file} is a hard link, and its other name would be written too; copy the folder and --resume the "
                "copy, or start again with --overwrite"
            )


def _connect(path: Path, locking: str, options: str = "mode=rwc") -> sqlite3.Connection:
    # Threads use the connection in turn.
    address = f"{path.absolute().as_uri()}?{options}"
    # NORMAL keeps all commits of a killed process.
    synchronous = "NORMAL" if has_sync(lock_path(path)) else "OFF"
    database = sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        database.execute(f"PRAGMA locking_mode = {locking}")
        database.execute(f"PRAGMA synchronous = {synchronous}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA cache_size = -4000")
        database.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_TO_CHECKPOINT}")
        database.execute("PRAGMA user_version")  # the first read opens the log
    except sqlite3.Error:
        database.close()
        raise
    if not path.exists():  # another process removed it
        database.close()
        raise _in_use_error(path)
    return database


def check_integrity(database: sqlite3.Connection, path: Path) -> None:
    """Checks the structure of all pages; row checksums cover the content.

    Raises:
        LedgerUnusableError: the file is damaged.
    """
    (result,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        raise damage_error(path, result)


@contextmanager
def cancellable(database: sqlite3.Connection, check_cancelled: Callable[[], None]) -> Iterator[None]:
    """Interrupts long statements when ``check_cancelled`` raises; their transaction is rolled back.

    Raises:
        InterruptedRunError: from ``check_cancelled``.
        KeyboardInterrupt: from a signal handler.
    """
    stops: list[InterruptedRunError] = []

    def check() -> int:
        try:
            check_cancelled()
        except InterruptedRunError as stop:
            stops.append(stop)
        return len(stops)

    database.set_progress_handler(check, _STEPS_BETWEEN_CHECKS)
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
def translate_sqlite_errors(path: Path, *, is_reader: bool = False) -> Iterator[None]:
    """Turns SQLite's errors into one sentence.

    Raises:
        LedgerUnusableError: the file is damaged.
        OutputError: it is in use, or cannot be written (read, if ``is_reader``).
    """
    try:
        yield
    except OSError as error:
        raise OutputError.from_os_error(
            path, "cannot be removed", error, "{remedy}, or give another --output"
        ) from None
    except UnicodeDecodeError as error:  # SQLite's message quotes damaged text
        raise damage_error(path, str(error)) from None
    except sqlite3.Error as error:
        code = _code(error)
        if code.startswith(_IN_USE):
            raise _in_use_error(path) from None
        # Python's module raises errors without a code for a value that is not text.
        no_text = not code and isinstance(error, sqlite3.OperationalError)
        if code.startswith(_DAMAGED) or no_text or str(error) == _UNKNOWN_FORMAT:
            raise damage_error(path, str(error)) from None
        if code.startswith(_UNWRITABLE):
            if is_reader:
                raise OutputError(f"{path} cannot be read: {error}; {_advice_for_reader(code)}") from None
            raise OutputError(f"{path} cannot be written: {error}; {_advice(path, code)}") from None
        raise


def _advice(path: Path, code: str) -> str:
    if code.startswith("SQLITE_CANTOPEN") and len(os.fsencode(path.absolute())) > _LONGEST_NAME:
        return f"SQLite allows paths of up to {_LONGEST_NAME} bytes; give a shorter --output"
    first = next(advice for prefix, advice in _ADVICE if code.startswith(prefix))
    return f"{first}{way_out(path)}"


def _advice_for_reader(code: str) -> str:
    first = next(advice for prefix, advice in _ADVICE if code.startswith(prefix))
    first = "grant read permission" if first == _ADVICE[-1][1] else first
    return f"{first}, or use a copy of the folder on a local disk"


def way_out(path: Path) -> str:
    """Advice for a ledger that cannot be written."""
    if _has_content(path):
        return " and continue, or copy the folder to another disk and continue there"
    return " or give another --output"


def _code(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", None) or ""


def damage_error(path: Path, what: str) -> LedgerUnusableError:
    """The error of a damaged file."""
    return LedgerUnusableError(f"{path} is damaged ({' '.join(what.split())}); start again with --overwrite")


def _foreign_lock_error(path: Path) -> OutputError:
    return OutputError(
        f"{path} is locked by a program that is not inventory; end that program, or copy the folder to a local disk "
        "and --resume there"
    )


def _in_use_error(path: Path) -> OutputError:
    return OutputError(in_use_message(path))


def in_use_message(path: Path) -> str:
    """The message for a ledger in use."""
    return f"{path} is in use by another inventory process; wait until it ends"
