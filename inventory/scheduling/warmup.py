"""Warm-up: one call, then three, then all after the first success."""

from __future__ import annotations

import asyncio
from typing import Final

WIDTH: Final = 3
"""Calls admitted before the first success, refused ones included."""


class Warmup:
    """Admits the first calls of a scope; a dead credential is tried at most three times.

    Args:
        reserve: places kept for a second opinion.

    Attributes:
        is_open: whether a call succeeded; admits all calls.
        is_held: whether a second opinion is awaited; admits only its calls.
    """

    def __init__(self, reserve: int = 0) -> None:
        self.is_open = False
        self.is_held = False
        self._reserve = reserve
        self._is_wide = False
        self._inside = 0
        self._refused = 0
        self._changed = asyncio.Event()

    @property
    def is_exhausted(self) -> bool:
        """Whether refused calls use up all places."""
        return not self.is_open and self._refused >= WIDTH

    def try_enter(self, *, for_opinion: bool = False) -> bool:
        """Admits a call if there is room; :meth:`leave` ends it."""
        width = WIDTH - self._reserve if self._is_wide else 1
        has_room = not self.is_held and (self.is_open or self._inside + self._refused < width)
        is_admitted = for_opinion or has_room
        self._inside += is_admitted
        return is_admitted

    def leave(self) -> None:
        """Ends an admitted call."""
        self._inside -= 1
        if not self.is_open:
            self.notify()

    def widen(self) -> None:
        """Admits three calls after the first answer or timeout."""
        if not self._is_wide:
            self._is_wide = True
            self.notify()

    def open(self) -> None:
        """Admits all calls after the first success."""
        if not self.is_open or self.is_held:
            self.is_open, self.is_held = True, False
            self.notify()

    def count_refusal(self) -> None:
        """Counts a refused call, which keeps its place."""
        self._refused += 1

    def hold(self) -> None:
        """Admits only calls for a second opinion."""
        self.is_held = True

    def end_hold(self) -> None:
        """Ends :meth:`hold` and frees the reserved places."""
        self.is_held, self._reserve = False, 0
        self.notify()

    async def wait(self) -> None:
        """Waits for a change."""
        await self._changed.wait()

    def notify(self) -> None:
        """Wakes all waiting calls."""
        self._changed.set()
        self._changed = asyncio.Event()
