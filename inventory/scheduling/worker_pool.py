"""A fixed number of workers over lanes of jobs.

Owns the concurrency: how many jobs are under way, and that no task is left behind. Knows no cloud; a lane is whatever
must not hold up the others. Jobs are taken from a lane's iterator one at a time, so nothing is read ahead of the work,
and a lane is taken from the lanes' iterator when its first worker comes.
"""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

Job = TypeVar("Job")


class Lane(Generic[Job]):
    """Jobs of one kind, what to do with each, and how many workers may be at it; None: all of them.

    ``close`` is called when the last job is done.
    """

    def __init__(
        self,
        jobs: Iterator[Job],
        work: Callable[[Job], Awaitable[None]],
        limit: int | None = None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.jobs = jobs
        self.work = work
        self.limit = limit
        self.close = close
        self.workers = 0


class _Lanes(Generic[Job]):
    """The lanes in which a worker finds a place; those without a worker come first, then those with the fewest."""

    def __init__(self, lanes: Iterable[Lane[Job]]) -> None:
        self._unopened = enumerate(lanes)
        self._open: dict[int, Lane[Job]] = {}
        self._queue: list[tuple[int, int]] = []  # workers and number of each lane that is not full

    def take(self) -> tuple[int, Lane[Job]] | None:
        """The lane that a worker goes to, with its number; None where every lane is empty or full."""
        number, lane = next(self._unopened, (0, None))
        if lane is not None:
            self._open[number] = lane
        while lane is None:
            if not self._queue:
                return None
            _, number = heappop(self._queue)
            lane = self._open.get(number)
        lane.workers += 1
        # The number of workers falls only where a lane is empty, so that a full lane need not be kept.
        if lane.limit is None or lane.workers < lane.limit:
            heappush(self._queue, (lane.workers, number))
        return number, lane

    def leave(self, number: int, lane: Lane[Job]) -> None:
        """A worker found no job in a lane; who leaves last closes it."""
        self._open.pop(number, None)
        lane.workers -= 1
        if not lane.workers:
            lane.close()


async def run(lanes: Iterable[Lane[Job]], size: int) -> None:
    """Works all lanes off with ``size`` workers, who spread evenly over the lanes that still have jobs.

    A worker stays with its lane until that is empty, so a lane that waits holds up only those who chose it.

    Raises:
        BaseException: the first error of a worker, as it is; the other workers are cancelled and awaited.
    """
    waiting = _Lanes(lanes)

    async def worker() -> None:
        while (taken := waiting.take()) is not None:
            number, lane = taken
            for job in lane.jobs:
                await lane.work(job)
            waiting.leave(number, lane)

    tasks = [asyncio.create_task(worker()) for _ in range(size)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
