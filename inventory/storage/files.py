"""Files that have their name only when they are whole.

Owns the name that a file has until then, how that name is opened, and how a file gets to the disk. Knows nothing of
what is in it.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from inventory.errors import OutputError
from inventory.os_errors import UNSUPPORTED

if TYPE_CHECKING:
    from collections.abc import Iterator


def temporary_name(path: Path) -> Path:
    """The name that a file has until it is whole."""
    return path.with_name(f".{path.name}.part")


def open_new_file(temporary: Path) -> IO[bytes]:
    """Opens a new file under a temporary name, to write it.

    What has this name before loses it: a rest of a killed process, or a link or pipe that another user put there. No
    link is followed.

    Raises:
        OSError: the file cannot be made.
    """
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(temporary, flags, 0o666), "wb")


def read_file(path: Path) -> bytes:
    """Reads a file in one go; a pipe is not waited for.

    Raises:
        OSError: it cannot be read, or is no file.
    """
    with open(path, "rb", opener=_not_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "It is no file", str(path))
        return file.read()


def _not_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def sync(number: int) -> None:
    """Puts an open file on the disk, as far as its file system can do that.

    Raises:
        OSError: the disk failed or is full.
    """
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def has_sync(path: Path) -> bool:
    """Whether the file system of a file that is there can put it on the disk; also where that failed."""
    syncs = (os.fsync, getattr(os, "fdatasync", os.fsync))
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return True
    try:
        for one in syncs:
            one(number)
    except OSError as error:
        return error.errno not in UNSUPPORTED
    finally:
        os.close(number)
    return True


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder for temporary files, which is gone after the block.

    Raises:
        OutputError: there is no place for it.
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
def atomic_write(path: Path, way_on: str = "", *, ours: bool = False) -> Iterator[IO[bytes]]:
    """A file to write, which takes its name when the block ends well, and is gone when it does not.

    A device or a pipe, such as /dev/stdout, is written as it is: a file in its place would end it for all. Where the
    name is a link, what it leads to is the file. Not so with a name of our own: a link or pipe there is replaced.

    Args:
        path: its name.
        ours: whether it is a fixed name in a run's folder; a user did not choose it.
        way_on: what comes once that is mended for which it cannot be written, as in ", then --resume".

    Raises:
        OutputError: it cannot be written.
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
        raise OutputError.from_os_error(path, "cannot be written", error, "{remedy}" + way_on) from None
    finally:
        with suppress(OSError):  # as a rule it has its name by now
            if temporary is not None:
                temporary.unlink()
