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
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()  # a system call each time

    def wait(self) -> asyncio.Future[None]:
        """Returns a future that is done when everything that was recorded is committed.

        It raises OutputError if the ledger cannot be written.
        """
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        if len(self._waiters) == 1:
            self._task = asyncio.create_task(self._commit_when_quiet())
            self._task.add_done_callback(_retrieve_error)
        return waiter

    async def _commit_when_quiet(self) -> None:
        number = quiet = 0
        while len(self._waiters) < _MAX and quiet < _QUIET:
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._waiters) == number else 0
            number = len(self._waiters)
        waiters, self._waiters = self._waiters, []
        try:
            self._ledger.commit(all_counts=False)
        except BaseException as error:
            _resolve(waiters, error)
            raise
        _resolve(waiters, None)


def _retrieve_error(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # each waiting worker raises it


def _resolve(waiters: list[asyncio.Future[None]], error: BaseException | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
