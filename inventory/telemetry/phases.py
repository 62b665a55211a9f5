"""Times of the phases of an export, as its progress shows them."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from inventory.progress import ProgressObserver

if TYPE_CHECKING:
    from inventory.progress import Progress


class Phase(NamedTuple):
    """A part of a command.

    Units: nanoseconds since 1970-01-01 UTC.
    """

    name: str
    started: int
    ended: int


class PhaseObserver(ProgressObserver):
    """Passes progress on to a display, and records when each phase began.

    Attributes:
        display: what gets the progress; it is not asked whether the run is cancelled.
        starts: first report of each phase, in nanoseconds since 1970-01-01 UTC.
    """

    def __init__(self) -> None:
        super().__init__()
        self.starts: dict[str, int] = {}
        self.display = ProgressObserver()

    def phases(self, ended: int) -> list[Phase]:
        """Returns the phases; each ends where the next begins."""
        times = pairwise([*self.starts.values(), ended])
        return [Phase(name, *span) for name, span in zip(self.starts, times, strict=True)]

    def on_load(self, entries: int) -> None:
        """Passes progress on."""
        self._begin("load")
        self.display.on_load(entries)
        super().on_load(entries)

    def on_wait(self) -> None:
        """Passes progress on."""
        self._begin("load")
        self.display.on_wait()
        super().on_wait()

    def on_fetch(self, progress: Progress) -> None:
        """Passes progress on."""
        self._begin("fetch")
        self.display.on_fetch(progress)

    def on_build_tables(self, urns: int, total: int) -> None:
        """Passes progress on."""
        self._begin("build_tables")
        self.display.on_build_tables(urns, total)
        super().on_build_tables(urns, total)

    def on_upload(self, sent: int, total: int) -> None:
        """Passes progress on."""
        self._begin("upload")
        self.display.on_upload(sent, total)
        super().on_upload(sent, total)

    def _begin(self, phase: str) -> None:
        if phase not in self.starts:
            self.starts[phase] = time.time_ns()
