"""Files that have their name only when they are whole.

Owns the name that a file has until then. Knows nothing of what is in it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from inventory.errors import OutputError
from inventory.remedy import remedy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def temporary_name(path: Path) -> Path:
    """The name that a file has until it is whole."""
    return path.with_name(f".{path.name}.part")


@contextmanager
def written_whole(path: Path, way_on: str = "") -> Iterator[IO[bytes]]:
    """A file to write, which takes its name when the block ends well, and is gone when it does not.

    A device or a pipe, such as /dev/stdout, is written as it is: a file in its place would end it for all. Where the
    name is a link, what it leads to is the file.

    Args:
        path: its name.
        way_on: what comes once that is mended for which it cannot be written, as in ", then --resume".

    Raises:
        OutputError: it cannot be written.
    """
    name = path.resolve() if path.is_symlink() and path.is_file() else path
    temporary = temporary_name(name)
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as sink:
                yield sink
            return
        with temporary.open("wb") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        temporary.replace(name)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}; {remedy(error)}{way_on}") from None
    finally:
        with suppress(OSError):  # as a rule it has its name by now
            temporary.unlink()
