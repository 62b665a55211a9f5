"""The line of a scope: calls evenly spaced, and after a refusal the whole scope waits.

Owns when a call may be made; how fast that is, and how long a pause, ``rate`` learns. Knows no HTTP and no
cloud: it is told what came back. Time and sleep are parameters.

Calls stand in a line for slots that are ``1 / rate`` apart; there is no burst at a window's start, so fixed and sliding
windows are both respected. A refusal moves the slots behind its pause, and then one call is sent to try: the others
wait for its answer, so that a pause that was too short costs one call and not all workers'.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final

from inventory.scheduling.rate import Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from inventory.errors import ThrottledError

_LATE_SECONDS: Final = 0.01
"""How late a call may be so that those behind it keep their slots; with a limit, half of its margin."""
_SHORTEST_SECONDS: Final = 1e-6
"""What a clock can tell: a shorter sleep may not move it, and we would never get there."""
_TRIAL_SECONDS: Final = 2.0
"""How long the call that is sent to try is waited for, until another one is sent."""
_LOOK_SECONDS: Final = 0.02
"""How often it is looked whether its answer is there."""


class Throttle:
    """The shared line of all workers of a scope.

    Attributes:
        pace: how fast the line goes, and what was learnt.
        refusals: pauses in a row without an accepted call between them.
    """

    def __init__(
        self,
        max_per_second: float,
        *,
        share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.pace = Pace(max_per_second, share)
        self.pauses = 0
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._paused_until = self._next_slot = clock()
        self._moves = 0
        self._is_shut = False
        self._trying_since: float | None = None

    def continue_from(self, earlier: Throttle) -> None:
        """Takes over what another throttle of the scope has sent and learnt."""
        self.pace = earlier.pace
        self._paused_until, self._next_slot = earlier._paused_until, earlier._next_slot
        self.pauses, self._is_shut = earlier.pauses, earlier._is_shut

    @property
    def paused_for(self) -> float:
        """Seconds that the scope still waits; 0 where it does not."""
        return max(0.0, self._paused_until - self._clock())

    @property
    def used(self) -> float | None:
        """Which part of a learnt limit was used since it was learnt; None where that cannot be told."""
        return self.pace.used(self._clock())

    async def acquire(self) -> float:
        """Waits for the next slot; gives the moment at which the call goes out, for what is told of it later."""
        now = self._clock()
        if self._ready_at(now) <= now and not self._turn.locked():
            return self._take(now, now)
        async with self._turn:
            return await self._wait()

    def record_accepted(self, sent: float) -> None:
        """The call that went out at ``sent`` was answered with something else than a refusal."""
        self.pace.accepted(sent, self._clock())
        if self._is_shut or self.pauses:
            self.pauses = 0
            if sent >= self._paused_until:
                self._is_shut, self._trying_since = False, None

    def record_throttled(self, sent: float, error: ThrottledError) -> None:
        """It was refused: the whole scope waits as long as the server says, or as we must guess."""
        now = self._clock()
        self.pauses += sent >= self._paused_until
        pause = self.pace.refuse(sent, now, error)
        if pause > 0:  # else it was under way, and says nothing that others did not
            self.pause(pause)

    def record_no_answer(self, sent: float) -> None:
        """It brought no answer: if it was sent to try, another one may."""
        if sent == self._trying_since:
            self._trying_since = None

    def pause(self, seconds: float) -> None:
        """Sends nothing for so long, then one call to try."""
        now = self._clock()
        self._paused_until = max(self._paused_until, now + seconds)
        self._next_slot = max(self._paused_until, self._next_slot)
        self._is_shut, self._trying_since = True, None
        self._moves += 1

    def _ready_at(self, now: float) -> float:
        ready = max(self._next_slot, self._paused_until, self.pace.ready_at())
        if self._trying_since is not None and now < self._trying_since + _TRIAL_SECONDS:
            return max(ready, now + _LOOK_SECONDS)
        return ready

    async def _wait(self) -> float:
        """The first in the line waits; slots may be moved meanwhile, and it may sleep too long."""
        late = 0.0
        while True:
            now = self._clock()
            ready = self._ready_at(now)
            if ready <= now:
                return self._take(max(self._next_slot, now - late), now)
            moves = self._moves
            await self._sleep(max(ready - now, _SHORTEST_SECONDS))
            late = self._may_be_late()
            if self._clock() < ready and self._moves == moves:  # the scope is closed, or a timer is coarse
                return self._take(ready, self._clock())

    def _take(self, slot: float, now: float) -> float:
        """Makes the call's slot the last that is taken.

        A call that is late is not made up for, but for a moment: a process that was stopped sends no burst.
        """
        rate = self.pace.rate
        if rate < math.inf:
            self._next_slot = slot + 1.0 / rate
        if self._is_shut:
            self._trying_since = now
        self.pace.sent(now)
        return now

    def _may_be_late(self) -> float:
        limit = self.pace.limit
        return _LATE_SECONDS if limit is None else limit.seconds / 200
