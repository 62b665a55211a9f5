"""Formats numbers, durations and the progress of a run for people."""

from __future__ import annotations

import math
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from rich import filesize

from inventory.errors import Status
from inventory.printable import printable

if TYPE_CHECKING:
    from inventory.progress import Progress

_MAX_QUOTED: Final = 160
_SMALLEST: Final = 0.001
_PROBLEMS: Final = {Status.FAILED: "bold red", Status.NOT_ATTEMPTED: "yellow"}
SPEED_SECONDS: Final = 20.0
"""Window of the measured speed: a short pause of the throttle does not distort it."""


class Speed:
    """URNs per second over the last ``SPEED_SECONDS``."""

    def __init__(self) -> None:
        self._marks: list[tuple[float, int]] = []

    def update(self, done: int) -> float | None:
        """Adds a measurement; returns the speed, or None after less than a second."""
        now = time.monotonic()
        self._marks = [mark for mark in self._marks if mark[0] > now - SPEED_SECONDS] or self._marks[-1:]
        self._marks.append((now, done))
        seconds = now - self._marks[0][0]
        return (done - self._marks[0][1]) / seconds if seconds >= SPEED_SECONDS / 20 else None


class Part(NamedTuple):
    """A part of a progress line, with a style of ``rich``."""

    text: str
    style: str = ""


def progress_parts(progress: Progress, speed: float | None) -> list[Part]:
    """Problems first, then speed, time left and the other statuses: a narrow terminal leaves out the last parts."""
    statuses = {status: progress.statuses[status] for status in Status if progress.statuses[status]}
    counts = {status: f"{format_number(count)} {status}" for status, count in statuses.items()}
    parts = [Part(counts.pop(status), style) for status, style in _PROBLEMS.items() if status in counts]
    if round(progress.paused_for):
        reason = f" ({progress.paused_by})" if progress.paused_by else ""
        parts.append(Part(f"waiting {duration(progress.paused_for)}{reason}", "yellow"))
    if speed is not None:
        parts.append(Part(f"{format_number(speed)}/s"))
    left = seconds_left(progress, speed)
    if left is not None:
        parts.append(Part(f"{duration(left)} left"))
    return parts + [Part(text) for text in counts.values()]


def format_progress(progress: Progress, speed: float | None) -> str:
    """The parts of a progress line as one text."""
    return ", ".join(part.text for part in progress_parts(progress, speed))


def seconds_left(progress: Progress, speed: float | None) -> int | None:
    """Estimated seconds to the end; None when it is unknown or reached."""
    if not speed or progress.done >= progress.total:
        return None
    return round((progress.total - progress.done) / speed + progress.paused_for)


def duration(seconds: float) -> str:
    """Formats a duration: ``0.2 s``, ``45 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds < 1:
        return f"{format_number(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{format_number(days)} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def format_count(count: float, noun: str, plural: str = "") -> str:
    """A number and its noun, by default with a plural in s: ``1 duplicate``, ``1,200 duplicates``."""
    return f"{format_exact(count)} {noun if count == 1 else plural or f'{noun}s'}"


def format_number(value: float) -> str:
    """A number without an exponent: whole with commas from 100, else three digits; NaN is not known."""
    if math.isnan(value):
        return "not known"
    if math.isinf(value):
        return "endless" if value > 0 else "-endless"
    if 0 < abs(value) < _SMALLEST:
        return f"<{_SMALLEST}" if value > 0 else f">-{_SMALLEST}"
    if value == round(value) or abs(value) >= 99.95:  # noqa: PLR2004 - what rounds to 100 has no decimals
        return f"{round(value):,}"
    digits = f"{value:.{2 - math.floor(math.log10(abs(value)))}f}"
    return digits.rstrip("0").rstrip(".")


def format_exact(value: float) -> str:
    """A number with all its digits, commas and no exponent, for what a user entered."""
    return f"{Decimal(str(value)):,f}".removesuffix(".0")


def format_bytes(size: int) -> str:
    """A size in its largest decimal unit: ``12 bytes``, ``1.2 MB``."""
    return filesize.decimal(size)


def format_share(part: float, whole: float = 1) -> str:
    """A percentage that never rounds to 0% or 100%; NaN, or a part of nothing, is not known."""
    if not whole or math.isnan(part):
        return "not known"
    percent = 100 * part / whole
    if 0 < percent < 0.1:  # noqa: PLR2004 - what would round to nothing
        return "<0.1%"
    if 99.9 < percent < 100:  # noqa: PLR2004 - what would round to all
        return ">99.9%"
    return f"{percent:.1f}%" if 0 < part < whole else f"{percent:.0f}%"


def shorten(text: str) -> str:
    """Truncates a server's text to one line of a terminal."""
    return printable(text, _MAX_QUOTED)
