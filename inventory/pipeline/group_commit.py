"""Group commit: answers that arrive close together share one commit of the ledger."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from inventory.ledger.writer import Ledger

_QUIET: Final = 2
"""Turns of the event loop without another answer, after which a commit begins."""
_MAX: Final = 32
"""Answers that start a commit at once."""


class GroupCommit:
    """Commits recorded outcomes once no more answers arrive, or many wait; no worker waits for an idle event loop.

    A worker waits for the commit of its answer before its next call.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiters: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Returns when everything that was recorded is committed.

        Raises:
            OutputError: the ledger cannot be written.
        """
        loop = asyncio.get_running_loop()
        if not self._waiters:
            loop.call_soon(self._turn, loop, 0, 0)
        waiter = loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _turn(self, loop: asyncio.AbstractEventLoop, before: int, quiet: int) -> None:
        number = len(self._waiters)
        quiet = quiet + 1 if number == before else 0
        if number < _MAX and quiet < _QUIET:
            loop.call_soon(self._turn, loop, number, quiet)
            return
        waiters, self._waiters = self._waiters, []
        try:
            self._ledger.commit(all_counts=False)
        except Exception as error:  # noqa: BLE001 - each waiting worker raises it
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(error)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
