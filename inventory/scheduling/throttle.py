"""Throttle: spaces calls evenly and pauses after a 429."""

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
_SPACING_SECONDS: Final = 1.0
"""A full window that delays the next slot by less is not shown as a pause."""
_POLL_SECONDS: Final = 0.02
"""Interval of checks for a probe's answer."""


class Throttle:
    """Spaces calls: of a scope, or of all scopes behind a shared limit.

    Slots are ``1 / rate`` apart, without bursts, which respects fixed and sliding windows. After a pause, other calls
    wait for the answer to one probe, so a pause that was too short costs one call.

    Attributes:
        pauses: pauses in a row without an accepted call.
        reason: why the last pause began.
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
        self.reason = ""
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._paused_until = self._next_slot = clock()
        self._moves = 0
        self._is_probing = False
        self._probe_seconds = _PROBE_SECONDS
        self._probe_sent: float | None = None

    @property
    def paused_for(self) -> float:
        """Remaining seconds of the pause, or until the window of a named limit has room."""
        room = self.pace.ready_at()
        until = self._paused_until if room <= self._next_slot + _SPACING_SECONDS else max(self._paused_until, room)
        return max(0.0, until - self._clock())

    @property
    def used(self) -> float | None:
        """The used share of the learned limit; None if unknown."""
        return self.pace.used(self._clock())

    def ready_at(self, now: float) -> float:
        """When the next call may be sent; not after ``now`` if at once."""
        ready = max(self._next_slot, self._paused_until)
        if self.pace.has_limits:
            ready = max(ready, self.pace.ready_at())
        if self._probe_sent is not None and now < self._probe_sent + self._probe_seconds:
            return max(ready, now + _POLL_SECONDS)
        return ready

    def take(self, now: float, *, has_waited: bool = False) -> float:
        """Takes a slot; returns the time of sending, which identifies the call.

        Lost time is not made up for, so a suspended process sends no burst. A timer's delay does not move later slots.
        """
        rate = self.pace.rate
        if rate < math.inf:
            slot = max(self._next_slot, now - self._may_be_late()) if has_waited else now
            self._next_slot = slot + 1.0 / rate
        if self._is_probing:
            self._probe_sent = now
        self.pace.record_sent(now)
        return now

    async def acquire(self) -> float:
        """Waits for a slot and takes it. Only for calls without a dispatcher."""
        now = self._clock()
        if self.ready_at(now) <= now and not self._turn.locked():
            return self.take(now)
        async with self._turn:
            return await self._wait()

    def record_accepted(self, sent: float, now: float | None = None) -> None:
        """Records an answer other than 429; ``now``: the clock, if the caller has read it."""
        self.pace.record_accepted(sent, self._clock() if now is None else now)
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
            self.pause(seconds, reason=_reason(error))

    def record_no_answer(self, sent: float) -> None:
        """Records an unanswered call; after a probe, another may follow."""
        if sent == self._probe_sent:
            self._probe_sent = None

    def pause(self, seconds: float, *, reason: str = "no answer", probe_seconds: float = _PROBE_SECONDS) -> None:
        """Pauses, then sends one probe.

        Args:
            seconds: length of the pause.
            reason: why.
            probe_seconds: maximum wait for the probe's answer before another probe.
        """
        now = self._clock()
        self._paused_until = max(self._paused_until, now + seconds)
        self._next_slot = max(self._paused_until, self._next_slot)
        self._is_probing, self._probe_sent, self._probe_seconds = True, None, probe_seconds
        self._moves += 1
        self.reason = reason

    async def _wait(self) -> float:
        """Waits as the first in the queue; slots may move, and sleeps may be too long."""
        has_waited = False
        while True:
            now = self._clock()
            ready = self.ready_at(now)
            if ready <= now:
                return self.take(now, has_waited=has_waited)
            moves = self._moves
            await self._sleep(max(ready - now, _SHORTEST_SECONDS))
            has_waited = True
            if self._clock() < ready and self._moves == moves:  # scope closed, or coarse timer
                self._next_slot = max(self._next_slot, ready)
                return self.take(self._clock(), has_waited=True)

    def _may_be_late(self) -> float:
        limit = self.pace.limit
        return _LATE_SECONDS if limit is None else limit.seconds / 200


def _reason(error: ThrottledError) -> str:
    if error.retry_after:
        return "Retry-After"
    if error.limit is None:
        return "429"
    return f"limit of {error.limit.calls:,} per {error.limit.seconds:g} s"
