"""A fixed number of workers over lanes of jobs.

Owns the concurrency: how many jobs are under way, and that no task is left behind. Knows no cloud; a lane is whatever
must not hold up the others. Jobs are taken from a lane's iterator one at a time, so nothing is read ahead of the work.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

Job = TypeVar("Job")


class Lane(Generic[Job]):
    """Jobs of one kind, what to do with each, and how many workers may be at it; None: all of them."""

    def __init__(self, jobs: Iterator[Job], work: Callable[[Job], Awaitable[None]], limit: int | None = None) -> None:
        self.jobs = jobs
        self.work = work
        self.limit = limit
        self.workers = 0


async def run(lanes: Sequence[Lane[Job]], size: int) -> None:
    """Works all lanes off with ``size`` workers, who spread evenly over the lanes that still have jobs.

    A worker stays with its lane until that is empty, so a lane that waits holds up only those who chose it.

    Raises:
        BaseException: the first error of a worker, as it is; the other workers are cancelled and awaited.
    """
    still_open = list(lanes)

    async def worker() -> None:
        # A lane that is full has all the workers that it will ever need: who finds no other is not needed either.
        while roomy := [lane for lane in still_open if lane.limit is None or lane.workers < lane.limit]:
            lane = min(roomy, key=lambda lane: lane.workers)
            lane.workers += 1
            try:
                for job in lane.jobs:
                    await lane.work(job)
            finally:
                lane.workers -= 1
            if lane in still_open:
                still_open.remove(lane)

    tasks = [asyncio.create_task(worker()) for _ in range(size)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
