"""The gate of a scope: one goes in, then a few, and all the others when one came back well.

Owns how many may be under way before it is known that calls are welcome, so that a dead credential is never hammered by
all workers at once. Knows no HTTP: it is told what came back.
"""

from __future__ import annotations

import asyncio
from typing import Final

WIDTH: Final = 3
"""How many are let in until the gate opens, those that were refused counted."""


class Gate:
    """Lets one in until a first answer is heard, then three, then all.

    Attributes:
        is_open: whether one came back well.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._width = 1
        self._inside = 0
        self._refused = 0
        self._news = asyncio.Event()

    @property
    def is_shut(self) -> bool:
        """Whether as many were refused as are ever let in: nobody will come in any more."""
        return not self.is_open and self._refused >= WIDTH

    def enter(self) -> bool:
        """Goes in where there is room; who was let in must :meth:`leave`."""
        let_in = self.is_open or self._inside + self._refused < self._width
        self._inside += let_in
        return let_in

    def leave(self) -> None:
        """Makes room."""
        self._inside -= 1
        if not self.is_open:
            self.wake()

    def heard(self) -> None:
        """A call came back, or its time is over: three may be under way."""
        if self._width < WIDTH:
            self._width = WIDTH
            self.wake()

    def open(self) -> None:
        """One came back well: everybody may go in."""
        if not self.is_open:
            self.is_open = True
            self.wake()

    def refuse(self) -> None:
        """One was refused: its place stays taken."""
        self._refused += 1

    async def news(self) -> None:
        """Waits until it is worth trying again."""
        await self._news.wait()

    def wake(self) -> None:
        """Lets all who wait look again."""
        self._news.set()
        self._news = asyncio.Event()
