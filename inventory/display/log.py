"""The log on stderr: text or JSON lines."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from inventory.printable import printable_json, printable_lines

if TYPE_CHECKING:
    from collections.abc import Sequence


class Log:
    """Messages on stderr, as text or JSON lines. A closed or full stderr never stops a run."""

    def __init__(self, form: str, *, quiet: bool = False) -> None:
        self.form = form
        self.quiet = quiet

    def say(self, event: str, *lines: str, **fields: Any) -> None:  # noqa: ANN401 - JSON values
        """Writes a message that ``--quiet`` hides; line breaks within a line are escaped."""
        if not self.quiet:
            self._write(event, lines, fields)

    def complain(self, text: str, **fields: Any) -> None:  # noqa: ANN401 - JSON values
        """Writes an error on one line, also with ``--quiet``."""
        self._write("error", (f"inventory: {text}",), {"message": text, **fields})

    def say_at_once(self, message: str) -> None:
        """Writes an error from a signal handler: ``print`` may be what the signal interrupted."""
        cursor = "\r\x1b[?25h" if self.form != "json" and sys.stderr.isatty() else ""  # the progress bar hid it
        text = self._text("error", (f"inventory: {message}",), {"message": message})
        with suppress(OSError):
            os.write(2, f"{cursor}{text}\n".encode())

    def _text(self, event: str, lines: Sequence[str], fields: dict[str, Any]) -> str:
        if self.form == "json":
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            document = {"time": at, "event": event, **(fields or {"message": "\n".join(lines)})}
            return printable_json(json.dumps(document, ensure_ascii=False))
        return printable_lines(lines)

    def _write(self, event: str, lines: Sequence[str], fields: dict[str, Any]) -> None:
        try:
            print(self._text(event, lines, fields), file=sys.stderr, flush=True)
        except OSError:
            self.quiet = True
            silence_stream(sys.stderr)


def silence_stream(stream: TextIO) -> None:
    """Redirects a closed or full stream to the null device, so that flushing it at exit does not fail."""
    with suppress(OSError, ValueError):
        number = os.open(os.devnull, os.O_WRONLY)
        os.dup2(number, stream.fileno())
        if number != stream.fileno():
            os.close(number)
