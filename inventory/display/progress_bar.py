"""The progress bar of a terminal: what does not fit in its width is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.measure import Measurement
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.progress import Task

    from inventory.display.formatting import Part

_BAR_WIDTH: Final = 12
_NARROW: Final = 60
"""A terminal of fewer columns shows no bar, only numbers."""


class _Parts:
    """As many parts as fit, the first ones first."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        line = Text(no_wrap=True, overflow="ellipsis", end="")
        for part in self._parts:
            text = f", {part.text}" if line else part.text
            if line and len(line) + len(text) > options.max_width:
                break
            line.append(text, part.style)
        yield line

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, options.max_width)


class _StateColumn(ProgressColumn):
    def render(self, task: Task) -> _Parts:
        return _Parts(task.fields["state"])


class _CountColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        count = task.fields["count"]
        return Text("" if task.total is None else f"{count(int(task.completed))}/{count(int(task.total))}")


def make_bar(console: Console) -> Progress:
    """A bar with a description, a count and a state; it disappears at its end."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        *([BarColumn(_BAR_WIDTH)] if console.width >= _NARROW else []),
        _CountColumn(Column(no_wrap=True)),
        _StateColumn(Column(ratio=1, no_wrap=True)),
        console=console,
        transient=True,
        expand=True,
        refresh_per_second=8,
    )
