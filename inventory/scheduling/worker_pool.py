"""Worker pool: as many workers as there are calls that may be sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from inventory.errors import InventoryError
from inventory.scheduling.lane import WORKER, Worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from inventory.scheduling.dispatcher import Dispatcher
    from inventory.scheduling.lane import Lane

Job = TypeVar("Job")

MAX_OPEN: Final = 1024
"""Scopes that are open at the same time, paused ones included."""
_MAX_PARKED: Final = 200
"""Workers of a scope that wait for a retry or a list; then no further job of it begins."""


class JobQueue(Generic[Job]):
    """The jobs of one scope.

    Args:
        jobs: taken one by one by free workers.
        work: called with each job.
        lane: place of the scope's calls.
        close: called after the last job.
    """

    def __init__(
        self,
        jobs: Iterator[Job],
        work: Callable[[Job], Awaitable[object]],
        lane: Lane,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.jobs = jobs
        self.work = work
        self.lane = lane
        self.close = close
        self.workers = 0
        self.is_empty = False

    def needs_worker(self) -> bool:
        """Whether all workers are busy, and another one is useful."""
        lane = self.lane
        busy = lane.held + len(lane.waiting) + lane.parked
        return not self.is_empty and self.workers <= busy and self.workers < lane.width and lane.parked < _MAX_PARKED


class _Pool(Generic[Job]):
    def __init__(self, queues: Iterator[JobQueue[Job]], dispatcher: Dispatcher) -> None:
        self._queues: Iterator[JobQueue[Job]] | None = queues
        self._dispatcher = dispatcher
        self._open = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.get_running_loop().create_future()
        self._is_opening = self._is_over = False

    async def run(self) -> None:
        self._dispatcher.has_room = self._open_queues
        try:
            self._open_queues()
            self._end()
            await self._ended
        finally:
            self._dispatcher.has_room = lambda: None
            self._cancel_others()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _open_queues(self) -> None:
        """Opens scopes while places are free, each with a worker that occupies one while it gets its credential."""
        if self._is_opening:
            return
        self._is_opening = True
        while self._queues is not None and self._dispatcher.free >= 1 and self._open < MAX_OPEN:
            try:
                queue = next(self._queues, None)
            except InventoryError as error:  # raised by run(), not by whatever freed the place
                self._fail(error)
                queue = None
            if queue is None:
                self._queues = None
                break
            self._open += 1
            self._dispatcher.open(queue.lane)
            queue.lane.needs_worker = lambda queue=queue: queue.needs_worker() and self._add_worker(queue)
            worker = Worker()
            self._dispatcher.occupy(queue.lane)
            worker.lane = queue.lane
            self._add_worker(queue, worker)
        self._is_opening = False

    def _add_worker(self, queue: JobQueue[Job], worker: Worker | None = None) -> bool:
        if self._is_over:
            return False
        queue.workers += 1
        worker = worker or Worker()
        task = asyncio.create_task(self._work(queue, worker))
        self._tasks.add(task)
        task.add_done_callback(lambda _: worker.leave())  # if it was cancelled before it began
        task.add_done_callback(self._record_end)
        return True

    async def _work(self, queue: JobQueue[Job], worker: Worker) -> None:
        WORKER.set(worker)
        try:
            for job in queue.jobs:
                await queue.work(job)
            queue.is_empty = True
        except BaseException:
            self._cancel_others()  # before the place is free for another call
            raise
        finally:
            worker.leave()
            queue.workers -= 1
        if not queue.workers:
            queue.lane.needs_worker = None  # ends a reference cycle
            queue.close()
            self._open -= 1
            self._dispatcher.close(queue.lane)

    def _cancel_others(self) -> None:
        self._queues, self._is_over = None, True
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    def _record_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)
        self._end()

    def _fail(self, error: BaseException) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)

    def _end(self) -> None:
        if not self._tasks and not self._ended.done():
            self._ended.set_result(None)


async def run(queues: Iterable[JobQueue[Job]], dispatcher: Dispatcher) -> None:
    """Does all jobs. A queue is taken from the iterator when places are free that no open scope can use.

    Raises:
        BaseException: the first error; the other workers are cancelled and awaited.
    """
    await _Pool(iter(queues), dispatcher).run()
