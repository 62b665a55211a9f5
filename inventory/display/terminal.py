"""What a person or a machine sees while a run goes on, on stderr: a live display, a line now and then, or JSON lines.

Owns the watchers and the log. Knows nothing of how a run works beyond :class:`inventory.progress.Progress`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from inventory.cli.stdout import silence
from inventory.errors import Status
from inventory.printable import printable_json, printable_lines
from inventory.progress import Progress, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress as Bar

LINE_SECONDS: Final = 5.0
"""How often a line is written where there is no terminal."""
SPEED_SECONDS: Final = 20.0
"""The last moments from which speed and time left are told: a pause of the throttle does not make them jump."""


class Log:
    """Words on stderr, as text or as JSON lines. A stderr that is closed or full never stops a run."""

    def __init__(self, form: str, *, quiet: bool = False) -> None:
        self.form = form
        self.quiet = quiet

    def say(self, event: str, *lines: str, **fields: Any) -> None:  # noqa: ANN401 - JSON values
        """Says something that a quiet run leaves out; a line break within a line is escaped."""
        if not self.quiet:
            self._write(event, lines, fields)

    def complain(self, text: str, **fields: Any) -> None:  # noqa: ANN401 - JSON values
        """Says what is wrong, on one line; a quiet run says it too."""
        self._write("error", (f"inventory: {text}",), {"message": text, **fields})

    def say_at_once(self, text: str) -> None:
        """Complains from within a signal handler, where print may be what was interrupted; nothing follows it."""
        cursor = "\r\x1b[?25h" if self.form != "json" and sys.stderr.isatty() else ""  # the display hid it
        words = self._text("error", (f"inventory: {text}",), {"message": text})
        with suppress(OSError):
            os.write(2, f"{cursor}{words}\n".encode())

    def _text(self, event: str, lines: Sequence[str], fields: dict[str, Any]) -> str:
        if self.form == "json":
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            said = {"time": at, "event": event, **(fields or {"message": "\n".join(lines)})}
            return printable_json(json.dumps(said, ensure_ascii=False))
        return printable_lines(lines)

    def _write(self, event: str, lines: Sequence[str], fields: dict[str, Any]) -> None:
        try:
            print(self._text(event, lines, fields), file=sys.stderr, flush=True)
        except OSError:
            self.quiet = True
            silence(sys.stderr)


class _Terminal:
    """A terminal for the display: one that is closed takes no more, and raises nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes it, where that is possible."""
        try:
            return self._stream.write(text)
        except OSError:
            silence(self._stream)
            return len(text)

    def flush(self) -> None:
        """Writes what is left, where that is possible."""
        try:
            self._stream.flush()
        except OSError:
            silence(self._stream)


def _terminal() -> TextIO:
    return cast("TextIO", _Terminal(sys.stderr))


class Speed:
    """URNs a second over the last moments; None until there is enough to tell."""

    def __init__(self) -> None:
        self._marks: list[tuple[float, int]] = []

    def of(self, done: int) -> float | None:
        """The speed, now that so many are done."""
        now = time.monotonic()
        self._marks = [mark for mark in self._marks if mark[0] > now - SPEED_SECONDS] or self._marks[-1:]
        self._marks.append((now, done))
        seconds = now - self._marks[0][0]
        return (done - self._marks[0][1]) / seconds if seconds >= SPEED_SECONDS / 20 else None


class LineWatch(Watch):
    """A line every few seconds, for logs."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log
        self._speed = Speed()
        self._next = time.monotonic() + LINE_SECONDS

    def asking(self, progress: Progress) -> None:
        """Says how far the asking is."""
        speed = self._speed.of(progress.done)
        if not self._is_time():
            return
        fields = {
            "done": progress.done,
            "total": progress.total,
            "calls": progress.calls,
            "per_second": None if speed is None else round(speed, 1),
            "statuses": {status.value: progress.statuses[status] for status in Status if progress.statuses[status]},
            "paused_for_seconds": round(progress.paused_for, 1),
            "seconds_left": _seconds_left(progress, speed),
        }
        self._log.say(
            "progress", f"{progress.done:,} of {progress.total:,} URNs, {state_of(progress, speed)}", **fields
        )

    def loading(self, entries: int) -> None:
        """Says how far the reading is."""
        if self._is_time():
            self._log.say("loading", f"reading the list: {entries:,} entries", entries=entries)
        super().loading(entries)

    def tabulating(self, urns: int, total: int) -> None:
        """Says how far the tables are."""
        if self._is_time():
            self._log.say("tabulating", f"writing tables: {urns:,} of {total:,} URNs", urns=urns, total=total)
        super().tabulating(urns, total)

    def delivering(self, sent: int, total: int) -> None:
        """Says how far the upload is."""
        if self._is_time():
            self._log.say("delivering", f"sending: {sent:,} of {total:,} bytes", sent=sent, total=total)
        super().delivering(sent, total)

    def _is_time(self) -> bool:
        now = time.monotonic()
        due = now >= self._next
        if due:
            self._next = now + LINE_SECONDS
        return due


class TerminalWatch(Watch):
    """A live display for a person."""

    def __init__(self, bar: Bar) -> None:
        super().__init__()
        self._bar = bar
        self._task = bar.add_task("reading the list", total=None, state="")
        self._speed = Speed()

    def loading(self, entries: int) -> None:
        """Shows how far the reading is."""
        self._bar.update(self._task, state=f"{entries:,} entries")
        super().loading(entries)

    def asking(self, progress: Progress) -> None:
        """Shows how far the asking is."""
        state = state_of(progress, self._speed.of(progress.done))
        self._bar.update(self._task, description="asking", total=progress.total, completed=progress.done, state=state)

    def tabulating(self, urns: int, total: int) -> None:
        """Shows how far the tables are."""
        self._bar.update(self._task, description="writing tables", total=total, completed=urns, state="")
        super().tabulating(urns, total)

    def delivering(self, sent: int, total: int) -> None:
        """Shows how far the upload is."""
        self._bar.update(self._task, description="sending bytes", total=total, completed=sent, state="")
        super().delivering(sent, total)


class Display:
    """The watcher that suits: live on a terminal, lines elsewhere, none where quiet is asked for."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._bar: Bar | None = None

    def __enter__(self) -> Watch:
        if self._log.quiet:
            return Watch()
        if self._log.form == "json" or not sys.stderr.isatty():
            return LineWatch(self._log)
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn  # noqa: PLC0415
        from rich.progress import Progress as Bar  # noqa: PLC0415
        from rich.table import Column  # noqa: PLC0415

        # On a narrow terminal the end is cut, where the least stands; a second line would flicker.
        rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}", markup=False, table_column=rest),
        )
        self._bar = Bar(*columns, console=Console(file=_terminal()), transient=True, expand=True, refresh_per_second=8)
        self._bar.start()
        return TerminalWatch(self._bar)

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def state_of(progress: Progress, speed: float | None) -> str:
    """Rate, time left, whether the throttle waits, and what came back, in a few words; what matters most first."""
    words = [] if speed is None else [f"{speed:,.0f}/s"]
    left = _seconds_left(progress, speed)
    if left is not None:
        words.append(f"{duration(left)} left")
    if round(progress.paused_for):
        words.append(f"throttled, waiting {duration(progress.paused_for)}")
    words += [f"{progress.statuses[status]:,} {status.value}" for status in Status if progress.statuses[status]]
    return ", ".join(words)


def _seconds_left(progress: Progress, speed: float | None) -> int | None:
    if not speed or progress.done >= progress.total:
        return None
    return round((progress.total - progress.done) / speed + progress.paused_for)


def duration(seconds: float) -> str:
    """A length of time for people: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
