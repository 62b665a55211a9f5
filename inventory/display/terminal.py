"""Progress on stderr: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from inventory.display.formatting import Speed, format_progress, seconds_left
from inventory.display.log import Log, silence_stream
from inventory.errors import Status
from inventory.progress import Progress, ProgressObserver

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

LINE_SECONDS: Final = 5.0
"""Seconds between two log lines."""


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
    """Logs a line every ``LINE_SECONDS``."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log
        self._speed = Speed()
        self._next = time.monotonic() + LINE_SECONDS

    def on_fetch(self, progress: Progress) -> None:
        """Logs how many URNs are settled."""
        speed = self._speed.update(progress.done)
        if not self._is_time():
            return
        fields = {
            "done": progress.done,
            "total": progress.total,
            "calls": progress.calls,
            "per_second": None if speed is None else round(speed, 1),
            "statuses": {status.value: progress.statuses[status] for status in Status if progress.statuses[status]},
            "paused_for_seconds": round(progress.paused_for, 1),
            "seconds_left": seconds_left(progress, speed),
        }
        self._log.say(
            "progress", f"{progress.done:,} of {progress.total:,} URNs, {format_progress(progress, speed)}", **fields
        )

    def on_load(self, entries: int) -> None:
        """Logs how many entries of the list are read."""
        if self._is_time():
            self._log.say("loading", f"reading the list: {entries:,} entries", entries=entries)
        super().on_load(entries)

    def on_build_tables(self, urns: int, total: int) -> None:
        """Logs how many URNs are in the tables."""
        if self._is_time():
            self._log.say("tabulating", f"writing tables: {urns:,} of {total:,} URNs", urns=urns, total=total)
        super().on_build_tables(urns, total)

    def on_upload(self, sent: int, total: int) -> None:
        """Logs how many bytes are uploaded."""
        if self._is_time():
            self._log.say("delivering", f"sending: {sent:,} of {total:,} bytes", sent=sent, total=total)
        super().on_upload(sent, total)

    def _is_time(self) -> bool:
        now = time.monotonic()
        due = now >= self._next
        if due:
            self._next = now + LINE_SECONDS
        return due


class TerminalObserver(ProgressObserver):
    """A progress bar on a terminal."""

    def __init__(self, bar: Bar) -> None:
        super().__init__()
        self._bar = bar
        self._task = bar.add_task("reading the list", total=None, state="")
        self._speed = Speed()

    def on_load(self, entries: int) -> None:
        """Shows how many entries of the list are read."""
        self._bar.update(self._task, state=f"{entries:,} entries")
        super().on_load(entries)

    def on_fetch(self, progress: Progress) -> None:
        """Shows how many URNs are settled."""
        state = format_progress(progress, self._speed.update(progress.done))
        self._bar.update(self._task, description="asking", total=progress.total, completed=progress.done, state=state)

    def on_build_tables(self, urns: int, total: int) -> None:
        """Shows how many URNs are in the tables."""
        self._bar.update(self._task, description="writing tables", total=total, completed=urns, state="")
        super().on_build_tables(urns, total)

    def on_upload(self, sent: int, total: int) -> None:
        """Shows how many bytes are uploaded."""
        self._bar.update(self._task, description="sending bytes", total=total, completed=sent, state="")
        super().on_upload(sent, total)


class Display:
    """Picks the observer: a progress bar on a terminal, log lines elsewhere, none with ``--quiet``."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._bar: Bar | None = None

    def __enter__(self) -> ProgressObserver:
        if self._log.quiet:
            return ProgressObserver()
        if self._log.form == "json" or not sys.stderr.isatty():
            return LineObserver(self._log)
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs rich
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn  # noqa: PLC0415 - the same
        from rich.progress import Progress as Bar  # noqa: PLC0415 - the same
        from rich.table import Column  # noqa: PLC0415 - the same

        # A narrow terminal cuts the end of the line; a second line would flicker.
        rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}", markup=False, table_column=rest),
        )
        self._bar = Bar(
            *columns,
            console=Console(file=cast("TextIO", _Terminal(sys.stderr))),
            transient=True,
            expand=True,
            refresh_per_second=8,
        )
        self._bar.start()
        return TerminalObserver(self._bar)

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()
