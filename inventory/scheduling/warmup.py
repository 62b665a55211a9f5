"""Who may go in before it is known that calls are welcome: one, then a few, and all the others when one came back well.

Owns how often a dead credential is tried: by the workers of a scope (:class:`Gate`), and by scopes that share a secret
(:class:`Trial`), so that neither all workers nor all regions of an account hammer with it; and the end of all waiting
(:class:`Closing`). Knows no HTTP: it is told what came back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from inventory.errors import CredentialRefusedError

if TYPE_CHECKING:
    from inventory.errors import CallError

WIDTH: Final = 3
"""How many are let in until the gate opens, those that were refused counted."""

OPINIONS: Final = 2
"""Second opinions on a refusal that are refused as well, until a scope is given up."""

TRIES: Final = 3
"""Refusals in a row of a secret that was never accepted, until it is not tried any more. The vendor locks a key after
more than five (api-facts.md section 3.3)."""


class Gate:
    """Lets one in until a first answer is heard, then three, then all; while it is held, only who asks for it.

    Args:
        spare: how many of the three places are kept for a second opinion on a refusal.

    Attributes:
        is_open: whether one came back well.
        is_held: whether a second opinion is awaited.
    """

    def __init__(self, spare: int = 0) -> None:
        self.is_open = False
        self.is_held = False
        self._spare = spare
        self._is_heard = False
        self._inside = 0
        self._refused = 0
        self._news = asyncio.Event()

    @property
    def is_shut(self) -> bool:
        """Whether as many were refused as are ever let in: nobody will come in any more."""
        return not self.is_open and self._refused >= WIDTH

    def enter(self, *, for_opinion: bool = False) -> bool:
        """Goes in where there is room; who was let in must :meth:`leave`."""
        width = WIDTH - self._spare if self._is_heard else 1
        has_room = not self.is_held and (self.is_open or self._inside + self._refused < width)
        let_in = for_opinion or has_room
        self._inside += let_in
        return let_in

    def leave(self) -> None:
        """Makes room."""
        self._inside -= 1
        if not self.is_open:
            self.wake()

    def heard(self) -> None:
        """A call came back, or its time is over: three may be under way."""
        if not self._is_heard:
            self._is_heard = True
            self.wake()

    def open(self) -> None:
        """One came back well: everybody may go in."""
        if not self.is_open or self.is_held:
            self.is_open, self.is_held = True, False
            self.wake()

    def refuse(self) -> None:
        """One was refused: its place stays taken."""
        self._refused += 1

    def hold(self) -> None:
        """Lets nobody in until a second opinion is there."""
        self.is_held = True

    def release(self) -> None:
        """There is no second opinion to wait for: all three places are free again, but for those of the refused."""
        self.is_held, self._spare = False, 0
        self.wake()

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

    Attributes:
        is_accepted: whether it was.
    """

    def __init__(self) -> None:
        self.is_accepted = False
        self._is_tried = False
        self._refusals = 0
        self._last: CallError | None = None
        self._kept_for: object = None
        self._news = asyncio.Event()

    async def enter(self, who: object = None) -> bool:
        """Waits for one's turn, and says whether that took time; who has the turn must :meth:`leave`.

        Raises:
            CredentialRefusedError: the last refusal, where there were too many.
        """
        has_waited = False
        while not self.is_accepted:
            if self._refusals >= TRIES and self._last is not None:
                raise self._last.as_kind(CredentialRefusedError)
            if not self._is_tried and (self._kept_for is None or self._kept_for is who):
                self._is_tried = True
                break
            has_waited = True
            await self._news.wait()
        return has_waited

    def leave(self, refusal: CallError | None = None, *, accepted: bool = False, kept_for: object = None) -> None:
        """Ends a try: the secret was refused, or accepted, or neither is known.

        Args:
            refusal: the answer that refused it.
            accepted: whether it was accepted.
            kept_for: who has all further turns until it calls :meth:`free`.
        """
        if self.is_accepted:
            return
        self.is_accepted = accepted
        if refusal is not None:
            self._refusals += 1
            self._last = refusal
        if kept_for is not None:
            self._kept_for = kept_for
        self._is_tried = False
        self._wake()

    def free(self, who: object) -> None:
        """Gives the turns that were kept for somebody to all."""
        if self._kept_for is who:
            self._kept_for = None
            self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Closing(asyncio.Event):
    """Whether a scope is closed, for those who sleep in it. They hold no scope: none is part of a cycle of objects."""

    async def sleep(self, seconds: float) -> None:
        """Sleeps, or wakes when the scope closes."""
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            pass
