"""Worker pool: a fixed number of workers over lanes of jobs."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

Job = TypeVar("Job")


class Lane(Generic[Job]):
    """Jobs that do not block other lanes.

    Args:
        jobs: taken one by one by free workers.
        work: called with each job.
        limit: maximum workers; None for all.
        close: called after the last job.
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
    """Lanes with room: first those without workers, then those with the fewest."""

    def __init__(self, lanes: Iterable[Lane[Job]]) -> None:
        self._unopened = enumerate(lanes)
        self._open: dict[int, Lane[Job]] = {}
        self._queue: list[tuple[int, int]] = []  # (workers, number) of lanes with room

    def take(self) -> tuple[int, Lane[Job]] | None:
        """The next lane and its number; None if all are empty or full."""
        number, lane = next(self._unopened, (0, None))
        if lane is not None:
            self._open[number] = lane
        while lane is None:
            if not self._queue:
                return None
            _, number = heappop(self._queue)
            lane = self._open.get(number)
        lane.workers += 1
        # Workers leave only empty lanes, so the queue needs no full lane.
        if lane.limit is None or lane.workers < lane.limit:
            heappush(self._queue, (lane.workers, number))
        return number, lane

    def leave(self, number: int, lane: Lane[Job]) -> None:
        self._open.pop(number, None)
        lane.workers -= 1
        if not lane.workers:
            lane.close()


async def run(lanes: Iterable[Lane[Job]], size: int) -> None:
    """Runs all lanes with ``size`` workers, spread evenly.

    A worker stays until its lane is empty. A lane is taken from the iterator for its first worker.

    Raises:
        BaseException: the first error; the other workers are cancelled and awaited.
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
