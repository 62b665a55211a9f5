"""Lane: the waiting calls of one scope, and the workers that make them."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from inventory.errors import OutOfTimeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inventory.errors import InventoryError
    from inventory.scheduling.dispatcher import Dispatcher
    from inventory.scheduling.endpoint import Endpoint
    from inventory.scheduling.stop_event import StopEvent
    from inventory.scheduling.throttle import Throttle

_MINUTE: Final = 60.0
_SLOW_SECONDS: Final = 0.5
"""Time for a credential after which other scopes use the place."""


class Worker:
    """A task that makes one call at a time.

    Attributes:
        lane: the scope whose place it occupies, until its next call.
    """

    __slots__ = ("lane",)

    def __init__(self) -> None:
        self.lane: Lane | None = None

    def leave(self) -> None:
        """Frees the place."""
        if self.lane is not None:
            lane, self.lane = self.lane, None
            lane.release()


WORKER: ContextVar[Worker | None] = ContextVar("worker", default=None)
"""The worker of the current task."""


class Lane:
    """The waiting calls of one scope.

    Args:
        dispatcher: grants the calls.
        throttle: of the scope.
        endpoint: of the scope.
        stop: weak reference to the function that stops the scope.
        stop_event: ends the sleeps of the scope.

    Attributes:
        limit: maximum calls in flight.
        held: occupied places.
        is_silent: whether the last call was not answered.
        width: maximum workers.
        parked: workers that wait for something else than a place.
        needs_worker: called when a place is free and no worker waits for it.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        throttle: Throttle,
        endpoint: Endpoint,
        stop: Callable[[], Callable[[Any], None] | None],
        stop_event: StopEvent,
    ) -> None:
        self.throttle = throttle
        self.endpoint = endpoint
        self._stop = stop
        self._stop_event = stop_event
        endpoint.lanes[self] = None
        self.limit = self.width = math.inf
        self.held = 0
        self.parked = 0
        self.needs_worker: Callable[[], bool] | None = None
        self.waiting: deque[asyncio.Future[float | None]] = deque()
        self.token = 0
        self.turn = 0
        self.is_closed = self.is_silent = False
        self._dispatcher = dispatcher

    async def acquire(self) -> float | None:
        """Waits until a call may be sent.

        Returns:
            The time of sending, which identifies the call; None if the lane closed.
        """
        sent = self.try_acquire()
        if sent is not None or self.is_closed:
            return sent
        future: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        self._dispatcher.dispatch(self)
        try:
            sent = await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and (sent := future.result()) is not None:
                self.give_back(sent)
                self.release()
            raise
        if sent is not None and (worker := WORKER.get()) is not None:
            worker.lane = self
        return sent

    def try_acquire(self) -> float | None:
        """As :meth:`acquire`; None if the call must wait."""
        dispatcher, worker = self._dispatcher, WORKER.get()
        if worker is not None and worker.lane is not None:
            if worker.lane is self and (sent := dispatcher.try_keep(self)) is not None:
                return sent
            worker.leave()
        sent = dispatcher.try_take(self)
        if sent is not None and worker is not None:
            worker.lane = self
        return sent

    def release(self) -> None:
        """Frees one place."""
        self.held -= 1
        self._dispatcher.release(self)

    def finish(self) -> None:
        """Frees the place of a call that no worker makes."""
        if WORKER.get() is None:
            self.release()

    def changed(self) -> None:
        """Looks again when the next call may be sent, after an answer."""
        self._dispatcher.dispatch(self)

    @contextmanager
    def parked_worker(self, *, replace: bool = True) -> Iterator[None]:
        """Frees the worker's place while it waits for something else.

        Args:
            replace: whether another worker may be useful meanwhile.
        """
        if (worker := WORKER.get()) is not None:
            worker.leave()
        self.parked += 1
        if replace:
            self._dispatcher.offer(self)
        try:
            yield
        finally:
            self.parked -= 1

    @contextmanager
    def slow_worker(self) -> Iterator[None]:
        """Frees the worker's place if it gets its credential slowly, so that IAM's silence stops no other account."""
        worker = WORKER.get()
        if worker is None or worker.lane is None:
            yield
            return
        timer = asyncio.get_running_loop().call_later(_SLOW_SECONDS, worker.leave)
        try:
            yield
        finally:
            timer.cancel()

    def widen(self) -> None:
        """Allows any number of workers."""
        self.width = math.inf
        self._dispatcher.offer(self)

    def close(self) -> None:
        """Ends all waits."""
        self.is_closed = True
        self.endpoint.lanes.pop(self, None)
        while self.waiting:
            future = self.waiting.popleft()
            if not future.done():
                future.set_result(None)

    def give_back(self, sent: float, *, is_finished: bool = False) -> None:
        """Records that a granted call says nothing; ``is_finished``: it was not made."""
        self.throttle.record_no_answer(sent)
        self.endpoint.record_no_answer(sent)
        if is_finished:
            self.finish()

    async def sleep(self, seconds: float) -> None:
        """Sleeps between two attempts; the place is free meanwhile."""
        if seconds > 0:
            with self.parked_worker():
                await self._stop_event.sleep(seconds)

    def stop(self, error: InventoryError) -> None:
        """Stops the scope."""
        if (stop := self._stop()) is not None:
            stop(error)

    @property
    def pause(self) -> tuple[float, str]:
        """Remaining seconds of the longest pause, and its reason."""
        return max((throttle.paused_for, throttle.reason) for throttle in (self.throttle, self.endpoint.throttle))

    def give_up_wait(self, seconds: float) -> None:
        """Stops the scope because its next call would come too late."""
        wait = f"{math.ceil(seconds / 60):,} min" if seconds > _MINUTE else f"{math.ceil(seconds)} s"
        self.stop(OutOfTimeError(f"the next call may be sent in {wait} ({self.pause[1]}); resume the run then"))
