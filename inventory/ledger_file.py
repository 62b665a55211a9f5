"""The file of a ledger: opened for one process alone, looked through for damage, its errors turned into sentences.

Owns what SQLite is told when it opens the file, and what its errors mean for a run. Knows the tables' version, and
nothing of what is in them.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from inventory.errors import LedgerUnusableError, OutputError
from inventory.ledger_tables import CREATE, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_NAME: Final = "ledger.sqlite"
_WAIT_SECONDS: Final = 1.0
"""How long another process may have the file: one that is leaving is waited for, one that works is not."""
_IN_USE: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
_DAMAGED: Final = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
_UNWRITABLE: Final = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")


def files_of(path: Path) -> list[Path]:
    """The files of a ledger, itself last."""
    return [*(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")), path]


def is_in_use(path: Path) -> bool:
    """Whether another process works with a ledger. Looks without changing anything, and does not wait."""
    log, shared, _ = files_of(path)
    if not log.exists():  # who works has one, and looking would make one
        return False
    was_there = shared.exists()
    try:
        with closing(sqlite3.connect(f"file:{quote(bytes(path))}?mode=ro", uri=True, timeout=0.0)) as database:
            database.execute("SELECT 1 FROM sqlite_master")
    except sqlite3.Error as error:
        return _code(error).startswith(_IN_USE)
    finally:
        if not was_there:  # SQLite makes it to read, and leaves it; who works with a ledger here has it for itself
            with suppress(OSError):
                shared.unlink(missing_ok=True)
    return False


def opened(path: Path, *, checked: bool = False) -> sqlite3.Connection:
    """A connection to the file, which is made where there is none; no other process gets one until it is closed.

    Args:
        path: the file.
        checked: whether it is looked through for damage to the last page.

    Raises:
        LedgerUnusableError: it is damaged, no ledger, or of another version.
        OutputError: it is in use, or cannot be written.
    """
    with named(path):
        # One connection, handed from thread to thread and never used by two at a time.
        database = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        with named(path):
            _prepare(database, path)
            if checked:
                (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
                if found != "ok":
                    raise damaged(path, found)
    except OutputError:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    database.execute("PRAGMA locking_mode = EXCLUSIVE")  # two processes on one folder: the second is told
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing that was committed
    database.execute("PRAGMA cache_size = -4000")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if not path.exists():  # the process that had it removed it: what we write would have no name
        raise _in_use(path)
    if version == 0:
        if database.execute("SELECT 1 FROM sqlite_master").fetchone() is not None:
            raise LedgerUnusableError(f"{path} is another program's file; give another --output")
        database.executescript(f"BEGIN;{CREATE}PRAGMA user_version = {VERSION};COMMIT")
    elif version != VERSION:
        raise LedgerUnusableError(
            f"{path} was written by another version of inventory (ledger {version}, not {VERSION}): "
            "use that version, or start again with --overwrite"
        )


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into one sentence.

    Raises:
        LedgerUnusableError: the file is damaged.
        OutputError: it is in use, or cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be removed: {error.strerror}; give another --output") from None
    except UnicodeDecodeError as error:  # SQLite quotes what it cannot read, and Python cannot read that either
        raise damaged(path, str(error)) from None
    except sqlite3.Error as error:
        code = _code(error)
        if code.startswith(_IN_USE):
            raise _in_use(path) from None
        # Without a code it comes from Python's module, which finds no text where there was one.
        if code.startswith(_DAMAGED) or (not code and isinstance(error, sqlite3.OperationalError)):
            raise damaged(path, str(error)) from None
        if code.startswith(_UNWRITABLE):
            advice = "make room or give another --output; --resume then goes on"
            raise OutputError(f"{path} cannot be written: {error}; {advice}") from None
        raise


def _code(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", None) or ""


def damaged(path: Path, what: str) -> LedgerUnusableError:
    """The error of a file in which something else stands than was written."""
    return LedgerUnusableError(f"{path} is damaged ({' '.join(what.split())}); start again with --overwrite")


def _in_use(path: Path) -> OutputError:
    return OutputError(f"{path} is in use by another inventory process; wait for its end")
