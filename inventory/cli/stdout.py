"""Standard output: the data of a command, as text or as bytes, and nothing else.

Owns what becomes of a reader that has left, of a full disk behind it, and of a terminal. Knows no command.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from io import BufferedWriter, RawIOBase
from typing import IO, TYPE_CHECKING, Any

import typer

from inventory.display.log import silence_stream
from inventory.errors import OutputError, UsageError
from inventory.printable import printable, printable_lines
from inventory.storage.files import written_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def put(text: str, *, end: str = "\n") -> None:
    """Prints data on stdout: as it is, but on a terminal printable. A reader that has left is no error.

    Raises:
        OutputError: it cannot be written, as on a full disk.
    """
    if sys.stdout.isatty():
        text = printable_lines(text.split("\n"))
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        silence_stream(sys.stdout)
    except OSError as error:
        silence_stream(sys.stdout)
        raise OutputError.from_os_error("standard output", "cannot be written", error, "lead it elsewhere") from None


def put_place(place: object) -> None:
    """Prints a folder, a file or a URL on stdout: as it is, but on a terminal on one printable line.

    Raises:
        OutputError: it cannot be written.
    """
    put(printable(str(place)) if sys.stdout.isatty() else str(place))


class _Stdout(RawIOBase):
    """Standard output for bytes, under the same rule as :func:`put`. It counts them, for a pipe has no place."""

    def __init__(self) -> None:
        self._place = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def write(self, data: Any) -> int:  # noqa: ANN401 - as its parent has it
        try:
            sys.stdout.buffer.write(data)
        except BrokenPipeError:
            silence_stream(sys.stdout)
        self._place += len(data)
        return len(data)


@contextmanager
def written_to(path: Path | None, *, binary: bool) -> Iterator[IO[bytes]]:
    """Where a command writes its data: a file that has its name when it is whole, or standard output.

    Args:
        path: the file; None for standard output.
        binary: whether a terminal would be spoilt by it.

    Raises:
        UsageError: standard output is a terminal, and the data is binary.
        OutputError: it cannot be written.
    """
    if path is not None:
        if not path.name:
            raise UsageError(f"--output {str(path)!r} names no file")
        with written_whole(path, ", or choose another --output") as file:
            yield file
        return
    if binary and sys.stdout.isatty():
        raise UsageError("a terminal cannot show this form: give --output FILE, or lead it elsewhere with > FILE")
    try:
        sys.stdout.flush()
        with BufferedWriter(_Stdout()) as sink:
            yield sink
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stream(sys.stdout)
    except OSError as error:
        silence_stream(sys.stdout)
        raise OutputError.from_os_error("standard output", "cannot be written", error, "lead it elsewhere") from None


def painter(path: Path | None) -> Callable[[str, str], str] | None:
    """What gives a text a colour, where a terminal shows it and ``NO_COLOR`` is not set."""
    if path is not None or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return None
    return lambda text, color: typer.style(text, fg=color, bold=True)
