"""Writes a command's data to standard output or to a file."""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import contextmanager
from io import BufferedWriter, RawIOBase
from typing import IO, TYPE_CHECKING, Any

import typer

from inventory.display.log import silence_stream
from inventory.errors import OutputError, UsageError
from inventory.printable import printable, printable_lines
from inventory.storage.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def print_data(text: str, *, end: str = "\n") -> None:
    """Prints data on stdout, on a terminal with control characters escaped. A closed pipe is no error."""
    if sys.stdout.isatty():
        text = printable_lines(text.split("\n"))
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        silence_stream(sys.stdout)
    except OSError as error:
        silence_stream(sys.stdout)
        raise OutputError.from_os_error(
            "standard output", "cannot be written", error, "redirect it to another file"
        ) from None


def print_path(path: object) -> None:
    """Prints a folder, file or URL on stdout, on a terminal as one printable line."""
    print_data(printable(str(path)) if sys.stdout.isatty() else str(path))


class _Stdout(RawIOBase):
    """Stdout for bytes, with the rules of :func:`print_data`. Counts the bytes, because a pipe has no position.

    ``escapes``: the bytes are lines of foreign text, of which a terminal gets printable characters only.
    """

    def __init__(self, *, escapes: bool) -> None:
        self._position = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace") if escapes else None

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:  # noqa: ANN401 - as its parent has it
        shown = data
        if self._decoder is not None and sys.stdout.isatty():
            shown = printable_lines(self._decoder.decode(data).split("\n")).encode()
        try:
            sys.stdout.buffer.write(shown)
        except BrokenPipeError:
            silence_stream(sys.stdout)
        self._position += len(data)
        return len(data)


@contextmanager
def open_output(path: Path | None, *, binary: bool, escapes: bool = False) -> Iterator[IO[bytes]]:
    """Opens a file, which gets its name once it is complete, or standard output.

    Args:
        path: the file; None for standard output.
        binary: whether the data is no text, which a terminal cannot show.
        escapes: whether the data contains foreign text that a terminal gets escaped.

    Raises:
        UsageError: stdout is a terminal, and the data is binary.
        OutputError: the file or stdout cannot be written.
    """
    if path is not None:
        if not path.name:
            raise UsageError(f"--output {str(path)!r} names no file; give one such as result.csv")
        with atomic_write(path, ", or choose another --output") as file:
            yield file
        return
    if binary and sys.stdout.isatty():
        raise UsageError("a terminal cannot show this format: give --output FILE, or redirect with > FILE")
    try:
        sys.stdout.flush()
        with BufferedWriter(_Stdout(escapes=escapes)) as sink:
            yield sink
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stream(sys.stdout)
    except OSError as error:
        silence_stream(sys.stdout)
        raise OutputError.from_os_error(
            "standard output", "cannot be written", error, "redirect it to another file"
        ) from None


def colorizer(path: Path | None) -> Callable[[str, str], str] | None:
    """A function that colours text for a terminal; None if stdout is none, or if ``NO_COLOR`` is set."""
    if path is not None or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return None
    return lambda text, color: typer.style(text, fg=color, bold=True)
