"""Who may go in before it is known that calls are welcome: one, then a few, and all the others when one came back well.

Owns how often a dead credential is tried: by the workers of a scope (:class:`Gate`), and by scopes that share a secret
(:class:`Trial`), so that neither all workers nor all regions of an account hammer with it. Knows no HTTP: it is told
what came back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from inventory.errors import CallError

WIDTH: Final = 3
"""How many are let in until the gate opens, those that were refused counted."""

TRIES: Final = 3
"""Refusals in a row of a secret that was never accepted, until it is not tried any more. The vendor locks a key after
more than five (api-facts.md section 3.3)."""


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


class Trial:
    """A secret that scopes share: until it is accepted once, they try it one after the other, and not often.

    One scope's refusal is not yet all scopes': a key may be unknown in a region that is a partition of its own.
    """

    def __init__(self) -> None:
        self._is_accepted = False
        self._is_tried = False
        self._refusals = 0
        self._last: CallError | None = None
        self._news = asyncio.Event()

    async def enter(self) -> None:
        """Waits for one's turn; who has it must :meth:`leave`.

        Raises:
            CallError: the last refusal, where there were too many.
        """
        while self._is_tried and not self._is_accepted:
            await self._news.wait()
        if self._is_accepted:
            return
        if self._refusals >= TRIES and self._last is not None:
            raise self._last
        self._is_tried = True

    def leave(self, refusal: CallError | None = None, *, accepted: bool = False) -> None:
        """Ends a try: the secret was refused, or accepted, or neither is known."""
        if self._is_accepted:
            return
        self._is_accepted = accepted
        if refusal is not None:
            self._refusals += 1
            self._last = refusal
        self._is_tried = False
        self._news.set()
        self._news = asyncio.Event()
