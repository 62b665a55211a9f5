"""Throttle of a scope: spaces its calls evenly and pauses the scope after a 429."""

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
"""How late a call may be without moving the slots after it; with a known limit, half of its margin."""
_SHORTEST_SECONDS: Final = 1e-6
"""The shortest sleep: a shorter one may not move the clock."""
_PROBE_SECONDS: Final = 2.0
"""How long the answer to a probe is awaited before the next probe is sent."""
_POLL_SECONDS: Final = 0.02
"""How often to check for the answer to a probe."""


class Throttle:
    """Spaces the calls of all workers of a scope.

    Slots are ``1 / rate`` apart, without a burst, so fixed and sliding windows are both respected. After a pause one
    call is sent as a probe and the others wait for its answer, so that a pause that was too short costs one call.

    Attributes:
        pace: the rate, and what was learned about it.
        pauses: pauses in a row without an accepted call between them.
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
        """Continues with the state of an earlier throttle of the same scope."""
        self.pace = earlier.pace
        self._paused_until, self._next_slot = earlier._paused_until, earlier._next_slot
        self.pauses, self._is_probing = earlier.pauses, earlier._is_probing

    @property
    def paused_for(self) -> float:
        """Remaining seconds of the pause; 0 without a pause."""
        return max(0.0, self._paused_until - self._clock())

    @property
    def used(self) -> float | None:
        """The share of the learned limit that was used since; None if unknown."""
        return self.pace.used(self._clock())

    async def acquire(self) -> float:
        """Waits for the next slot; returns the time of sending, which identifies the call in the other methods."""
        now = self._clock()
        if self._ready_at(now) <= now and not self._turn.locked():
            return self._take(now, now)
        async with self._turn:
            return await self._wait()

    def record_accepted(self, sent: float) -> None:
        """Records that a call was answered with anything but a 429."""
        self.pace.record_accepted(sent, self._clock())
        if self._is_probing or self.pauses:
            self.pauses = 0
            if sent >= self._paused_until:
                self._is_probing, self._probe_sent = False, None

    def record_throttled(self, sent: float, error: ThrottledError) -> None:
        """Pauses the scope after a 429, for as long as the server says or as estimated."""
        now = self._clock()
        self.pauses += sent >= self._paused_until
        seconds = self.pace.record_throttled(sent, now, error)
        if seconds > 0:  # 0: it was in flight when another call started this pause
            self.pause(seconds)

    def record_no_answer(self, sent: float) -> None:
        """Records that a call was not answered; if it was the probe, another one may be sent."""
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
        """Waits as the first in the queue; slots may move meanwhile, and a sleep may be too long."""
        late = 0.0
        while True:
            now = self._clock()
            ready = self._ready_at(now)
            if ready <= now:
                return self._take(max(self._next_slot, now - late), now)
            moves = self._moves
            await self._sleep(max(ready - now, _SHORTEST_SECONDS))
            late = self._may_be_late()
            if self._clock() < ready and self._moves == moves:  # the scope closed, or the timer is coarse
                return self._take(ready, self._clock())

    def _take(self, slot: float, now: float) -> float:
        """Takes a slot. Lost time is not made up for, so that a suspended process sends no burst afterwards."""
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
