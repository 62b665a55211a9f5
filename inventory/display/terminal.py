"""Progress on stderr: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from inventory.display.formatting import (
    Part,
    Speed,
    format_bytes,
    format_count,
    format_number,
    format_progress,
    progress_parts,
    seconds_left,
)
from inventory.display.log import Log, silence_stream
from inventory.errors import Status
from inventory.progress import Progress, ProgressObserver

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

LINE_SECONDS: Final = 5.0
"""Seconds between two log lines."""
FIRST_LINE_SECONDS: Final = 1.0
"""Seconds until the first line on a terminal that cannot show a bar."""


class _Terminal:
    """A terminal stream that ignores writes once it is closed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes text; a closed terminal raises nothing."""
        try:
            return self._stream.write(text)
        except OSError:
            silence_stream(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flushes; a closed terminal raises nothing."""
        try:
            self._stream.flush()
        except OSError:
            silence_stream(self._stream)


class LineObserver(ProgressObserver):
    """Logs a line every ``LINE_SECONDS``, and the last state of each stage that it logged.

    Args:
        log: takes the lines.
        first_after: seconds until the first line; default: ``LINE_SECONDS``.
    """

    def __init__(self, log: Log, first_after: float | None = None) -> None:
        super().__init__()
        self._log = log
        self._speed = Speed()
        self._next = time.monotonic() + (LINE_SECONDS if first_after is None else first_after)
        self._logged: tuple[str, int] | None = None
        self._last: tuple[str, int, str, dict[str, Any]] | None = None

    def on_fetch(self, progress: Progress) -> None:
        """Logs how many URNs are settled."""
        speed = self._speed.update(progress.done)
        fields = {
            "done": progress.done,
            "total": progress.total,
            "calls": progress.calls,
            "per_second": None if speed is None else round(speed, 1),
            "statuses": {status.value: progress.statuses[status] for status in Status if progress.statuses[status]},
            "paused_for_seconds": round(progress.paused_for, 1),
            "seconds_left": seconds_left(progress, speed),
        }
        state = format_progress(progress, speed)
        line = f"{format_number(progress.done)} of {format_count(progress.total, 'URN')}" + (
            f", {state}" if state else ""
        )
        self._update("progress", progress.done, line, fields)

    def on_load(self, entries: int) -> None:
        """Logs how many entries of the list are read."""
        line = f"reading the list: {format_count(entries, 'entry', 'entries')}"
        self._update("loading", entries, line, {"entries": entries})
        super().on_load(entries)

    def on_build_tables(self, urns: int, total: int) -> None:
        """Logs how many URNs are in the tables."""
        line = f"writing tables: {format_number(urns)} of {format_count(total, 'URN')}"
        self._update("tabulating", urns, line, {"urns": urns, "total": total})
        super().on_build_tables(urns, total)

    def on_upload(self, sent: int, total: int) -> None:
        """Logs how many bytes are uploaded."""
        line = f"uploading: {format_bytes(sent)} of {format_bytes(total)}"
        self._update("delivering", sent, line, {"sent": sent, "total": total})
        super().on_upload(sent, total)

    def close(self) -> None:
        """Logs the last state of a stage, if an earlier state of it is logged."""
        if self._last is not None and self._logged is not None:
            event, done, line, fields = self._last
            if self._logged[0] == event and self._logged[1] != done:
                self._log.say(event, line, **fields)
        self._last = None

    def _update(self, event: str, done: int, line: str, fields: dict[str, Any]) -> None:
        if self._last is not None and self._last[0] != event:
            self.close()
        self._last = event, done, line, fields
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LINE_SECONDS
            self._logged = event, done
            self._log.say(event, line, **fields)


class TerminalObserver(ProgressObserver):
    """A progress bar on a terminal."""

    def __init__(self, bar: Bar) -> None:
        super().__init__()
        self._bar = bar
        self._task = bar.add_task("reading the list", total=None, state=(), count=format_number)
        self._speed = Speed()

    def on_load(self, entries: int) -> None:
        """Shows how many entries of the list are read."""
        self._bar.update(self._task, state=(Part(format_count(entries, "entry", "entries")),))
        super().on_load(entries)

    def on_fetch(self, progress: Progress) -> None:
        """Shows how many URNs are settled."""
        state = progress_parts(progress, self._speed.update(progress.done))
        self._bar.update(
            self._task, description="exporting", total=progress.total, completed=progress.done, state=state
        )

    def on_build_tables(self, urns: int, total: int) -> None:
        """Shows how many URNs are in the tables."""
        self._bar.update(self._task, description="writing tables", total=total, completed=urns, state=())
        super().on_build_tables(urns, total)

    def on_upload(self, sent: int, total: int) -> None:
        """Shows how many bytes are uploaded."""
        self._bar.update(self._task, description="uploading", total=total, completed=sent, state=(), count=format_bytes)
        super().on_upload(sent, total)


class Display:
    """Picks the observer: a progress bar on a terminal, log lines elsewhere, none with ``--quiet``."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._bar: Bar | None = None
        self._lines: LineObserver | None = None

    def __enter__(self) -> ProgressObserver:
        if self._log.quiet:
            return ProgressObserver()
        if self._log.form == "json" or not sys.stderr.isatty():
            self._lines = LineObserver(self._log)
            return self._lines
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs rich

        from inventory.display.progress_bar import make_bar  # noqa: PLC0415 - the same

        console = Console(file=cast("TextIO", _Terminal(sys.stderr)))
        if console.is_dumb_terminal or not console.is_terminal:  # such as TERM=dumb: a bar would never appear
            self._lines = LineObserver(self._log, FIRST_LINE_SECONDS)
            return self._lines
        self._bar = make_bar(console)
        self._bar.start()
        return TerminalObserver(self._bar)

    def __exit__(self, *_error: object) -> None:
        if self._lines is not None:
            self._lines.close()
        if self._bar is not None:
            self._bar.stop()
