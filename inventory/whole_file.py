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

    Args:
        path: its name.
        way_on: what comes once that is mended for which it cannot be written, as in ", then --resume".

    Raises:
        OutputError: it cannot be written.
    """
    temporary = temporary_name(path)
    try:
        with temporary.open("wb") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}; {remedy(error)}{way_on}") from None
    finally:
        with suppress(OSError):  # as a rule it has its name by now
            temporary.unlink()
