"""Atomic file writes: a file has its name only when it is complete."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from inventory.errors import OutputError
from inventory.os_errors import UNSUPPORTED

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES: Final = 256 * 1024 * 1024
"""Maximum size of a file that is read whole."""


def temporary_name(path: Path) -> Path:
    """Returns the name of a file until it is complete."""
    return path.with_name(f".{path.name}.part")


def open_new_file(temporary: Path) -> IO[bytes]:
    """Makes a new file for writing. Replaces the rest of a killed process, or a link or pipe of another user.

    Raises:
        OSError: the file cannot be made.
    """
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(temporary, flags, 0o666), "wb")


def read_file(path: Path) -> bytes:
    """Reads a file, as :func:`open_file`.

    Raises:
        OSError: it cannot be read, is not a regular file, or has more than ``MAX_BYTES``.
    """
    with open_file(path) as file:
        if os.fstat(file.fileno()).st_size > MAX_BYTES:
            raise OSError(errno.EFBIG, f"It has more than {MAX_BYTES:,} bytes", str(path))
        return file.read()


def open_file(path: Path) -> IO[bytes]:
    """Opens a regular file for reading; does not wait for a pipe.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "It is no file", str(path))
    return file


def _open_without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def sync(descriptor: int) -> None:
    """Writes an open file to the disk, if the file system supports that.

    Raises:
        OSError: the disk failed or is full.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def has_sync(path: Path) -> bool:
    """Tells whether the file system supports sync; True if unknown."""
    syncs = (os.fsync, getattr(os, "fdatasync", os.fsync))
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return True
    try:
        for sync_file in syncs:
            sync_file(descriptor)
    except OSError as error:
        return error.errno not in UNSUPPORTED
    finally:
        os.close(descriptor)
    return True


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Makes a folder for temporary files, and removes it after the block.

    Raises:
        OutputError: the folder cannot be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="inventory-", ignore_cleanup_errors=True)
    except OSError as error:
        raise OutputError.from_os_error(
            "temporary files", "cannot be written", error, "set TMPDIR to a folder that this user can write"
        ) from None
    with folder as name:
        yield Path(name)


@contextmanager
def atomic_write(path: Path, next_step: str = "", *, ours: bool = False) -> Iterator[IO[bytes]]:
    """Opens a file for writing; it gets its name at the end of the block, and is removed after an error.

    A device or pipe, such as /dev/stdout, is written directly, and a link's target is replaced instead of the link.

    Args:
        path: its name.
        next_step: added to the message of an error, as in ", then --resume".
        ours: the name is fixed by this program: a link or pipe of that name is replaced.

    Raises:
        OutputError: the file cannot be written.
    """
    temporary: Path | None = None
    try:
        name = path.resolve() if not ours and path.is_symlink() and path.is_file() else path
        if not ours and path.exists() and not path.is_file():
            with path.open("wb") as sink:
                yield sink
            return
        temporary = temporary_name(name)
        with open_new_file(temporary) as sink:
            yield sink
            sink.flush()
            sync(sink.fileno())
        temporary.replace(name)
    except OSError as error:
        raise OutputError.from_os_error(path, "cannot be written", error, "{remedy}" + next_step) from None
    finally:
        with suppress(OSError):  # usually renamed already
            if temporary is not None:
                temporary.unlink()
