"""Throttle of a scope: spaces calls evenly and pauses after a 429."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final

from inventory.scheduling.rate import AdaptiveRate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from inventory.errors import ThrottledError

_LATE_SECONDS: Final = 0.01
"""Delay of a call that does not move later slots; with a known limit, half its margin."""
_SHORTEST_SECONDS: Final = 1e-6
"""Shortest sleep that moves the clock."""
_PROBE_SECONDS: Final = 2.0
"""Maximum wait for a probe's answer before the next probe."""
_POLL_SECONDS: Final = 0.02
"""Interval of checks for a probe's answer."""


class Throttle:
    """Spaces the calls of all workers of a scope.

    Slots are ``1 / rate`` apart, without bursts, which respects fixed and sliding windows. After a pause, other calls
    wait for the answer to one probe, so a pause that was too short costs one call.

    Attributes:
        pauses: pauses in a row without an accepted call.
    """

    def __init__(
        self,
        max_per_second: float,
        *,
        share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.pace = AdaptiveRate(max_per_second, share)
        self.pauses = 0
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._paused_until = self._next_slot = clock()
        self._moves = 0
        self._is_probing = False
        self._probe_sent: float | None = None

    def continue_from(self, earlier: Throttle) -> None:
        """Takes over the state of an earlier throttle of the scope."""
        self.pace = earlier.pace
        self._paused_until, self._next_slot = earlier._paused_until, earlier._next_slot
        self.pauses, self._is_probing = earlier.pauses, earlier._is_probing

    @property
    def paused_for(self) -> float:
        """Remaining seconds of the pause."""
        return max(0.0, self._paused_until - self._clock())

    @property
    def used(self) -> float | None:
        """The used share of the learned limit; None if unknown."""
        return self.pace.used(self._clock())

    async def acquire(self) -> float:
        """Waits for a slot; returns the time of sending, which identifies the call."""
        now = self._clock()
        if self._ready_at(now) <= now and not self._turn.locked():
            return self._take(now, now)
        async with self._turn:
            return await self._wait()

    def record_accepted(self, sent: float) -> None:
        """Records an answer other than 429."""
        self.pace.record_accepted(sent, self._clock())
        if self._is_probing or self.pauses:
            self.pauses = 0
            if sent >= self._paused_until:
                self._is_probing, self._probe_sent = False, None

    def record_throttled(self, sent: float, error: ThrottledError) -> None:
        """Pauses after a 429, as the server says or as estimated."""
        now = self._clock()
        self.pauses += sent >= self._paused_until
        seconds = self.pace.record_throttled(sent, now, error)
        if seconds > 0:  # 0: in flight when the pause began
            self.pause(seconds)

    def record_no_answer(self, sent: float) -> None:
        """Records an unanswered call; after a probe, another may follow."""
        if sent == self._probe_sent:
            self._probe_sent = None

    def pause(self, seconds: float) -> None:
        """Pauses the scope, then sends one probe."""
        now = self._clock()
        self._paused_until = max(self._paused_until, now + seconds)
        self._next_slot = max(self._paused_until, self._next_slot)
        self._is_probing, self._probe_sent = True, None
        self._moves += 1

    def _ready_at(self, now: float) -> float:
        ready = max(self._next_slot, self._paused_until, self.pace.ready_at())
        if self._probe_sent is not None and now < self._probe_sent + _PROBE_SECONDS:
            return max(ready, now + _POLL_SECONDS)
        return ready

    async def _wait(self) -> float:
        """Waits as the first in the queue; slots may move, and sleeps may be too long."""
        late = 0.0
        while True:
            now = self._clock()
            ready = self._ready_at(now)
            if ready <= now:
                return self._take(max(self._next_slot, now - late), now)
            moves = self._moves
            await self._sleep(max(ready - now, _SHORTEST_SECONDS))
            late = self._may_be_late()
            if self._clock() < ready and self._moves == moves:  # scope closed, or coarse timer
                return self._take(ready, self._clock())

    def _take(self, slot: float, now: float) -> float:
        """Takes a slot. Lost time is not made up for, so a suspended process sends no burst."""
        rate = self.pace.rate
        if rate < math.inf:
            self._next_slot = slot + 1.0 / rate
        if self._is_probing:
            self._probe_sent = now
        self.pace.record_sent(now)
        return now

    def _may_be_late(self) -> float:
        limit = self.pace.limit
        return _LATE_SECONDS if limit is None else limit.seconds / 200
