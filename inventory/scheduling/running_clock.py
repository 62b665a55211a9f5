"""Clock of the time in which the process runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_GAP_SECONDS: Final = 2.0
"""Time between two readings that counts as a stop; the clock is read every 0.25 s."""


class RunningClock:
    """Monotonic seconds, without the time in which the process was stopped.

    A stop is SIGSTOP, a frozen container, a paused machine or a suspended laptop. Answers that came due meanwhile are
    lost, which says nothing about the service.

    Args:
        monotonic: seconds; may not advance while the machine is suspended.
        wall: seconds that advance then.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._last = monotonic()
        self._offset = wall() - self._last
        self._stopped = 0.0
        self._resumed_at = -1.0

    def __call__(self) -> float:
        """Seconds in which the process ran."""
        now = self._monotonic()
        if now - self._last > _GAP_SECONDS:
            self._stopped += now - self._last
            self._resumed_at = now - self._stopped
        self._last = now
        return now - self._stopped

    def stopped_since(self, moment: float) -> bool:
        """Whether the process was stopped after a moment of this clock.

        A wall clock that is set forward looks like a suspension.
        """
        now = self()
        offset = self._wall() - self._last
        if offset - self._offset > _GAP_SECONDS:
            self._resumed_at = now
        self._offset = offset
        return self._resumed_at >= moment
