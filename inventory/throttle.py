"""The pace of one scope: calls evenly spaced, and after a 429 the whole scope waits.

Owns when a call may be made. Knows no HTTP and no cloud: it is told what was refused. Time and sleep are parameters.

Calls stand in a line for slots that are ``1 / pace`` apart; there is no burst at a window's start, so fixed and sliding
windows are both respected. A refusal moves the slots behind its pause. Everyone keeps the place in the line, and who
was refused begins at its end: one URN that is always refused holds up nobody for good.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from inventory.errors import ThrottledError

MAX_PAUSE_SECONDS: Final = 900.0
"""The longest single pause that a server's words can cause."""
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_GUESS_SECONDS: Final = 60.0
_JITTER_SECONDS: Final = 0.01
_SHORTEST_SECONDS: Final = 1e-6
"""What a clock can tell: a shorter sleep may not move it, and we would never get there."""
_REMEMBERED: Final = 8192
"""Calls whose time is known, at least: enough for a window of so many."""
_SLOWEST: Final = 0.05
"""Calls per second that unexplained refusals never go below."""
_RECOVERY: Final = 1.002
"""What an accepted call multiplies a slowed pace by: a refusal in some hundred calls tells where the limit is."""
_MARGIN: Final = 0.99
"""Part of a learnt limit that is used: clocks drift, and a refused call may count."""
_UNIT_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_LIMIT_TEXT: Final = re.compile(r"limit:\s*(\d{1,9}),\s*time:\s*(\d{1,6})\s*(second|minute|hour|day)s?", re.IGNORECASE)


def read_limit(text: str) -> tuple[int, float] | None:
    """Reads the gateway's ``limit:N,time:M unit`` into ``(calls, seconds)``; None where it is not there.

    Source: api-facts.md section 3.6 (recorded throttling texts).
    """
    found = _LIMIT_TEXT.search(text)
    if not found:
        return None
    calls, seconds = int(found[1]), int(found[2]) * _UNIT_SECONDS[found[3].lower()]
    return (calls, float(seconds)) if calls and seconds else None


class Throttle:
    """The shared pace of all workers of a scope.

    Attributes:
        pace: calls per second; 0 for no cap.
        limit: the limit learnt from the server, ``(calls, seconds)``, or None.
        paused_until: on the clock; in the past where nobody waits.
        refusals: pauses in a row without an accepted call between them.
    """

    def __init__(
        self,
        max_per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.pace = max_per_second
        self.limit: tuple[int, float] | None = None
        self.paused_until = clock()
        self._clock = clock
        self._sleep = sleep
        self._next_slot = self.paused_until
        self._last_sent = -math.inf
        self._joined = self._served = 0
        self._moves = 0
        self._recovers_to: float | None = None
        self._guess = _FIRST_PAUSE_SECONDS
        self.refusals = 0
        self._sent = array("d")

    def go_on_from(self, earlier: Throttle) -> None:
        """Takes over what another throttle of the scope has sent and learnt."""
        self.pace, self.limit, self._recovers_to = earlier.pace, earlier.limit, earlier._recovers_to
        self.paused_until, self._guess, self.refusals = earlier.paused_until, earlier._guess, earlier.refusals
        self._next_slot, self._last_sent, self._sent = earlier._next_slot, earlier._last_sent, earlier._sent[:]

    @property
    def paused_for(self) -> float:
        """Seconds that the scope still waits; 0 where it does not."""
        return max(0.0, self.paused_until - self._clock())

    async def acquire(self) -> None:
        """Waits for the next slot."""
        jitter = 0.0
        place = self._joined
        self._joined += 1
        try:
            while True:  # slots may be moved while we sleep, and we may sleep too long
                now = self._clock()
                slot = self._next_slot + max(0, place - self._served) * self._gap
                if slot <= now:
                    break
                moves, jitter = self._moves, _JITTER_SECONDS
                await self._sleep(max(slot - now, _SHORTEST_SECONDS))
                if self._clock() < slot and self._moves == moves:
                    break  # woken before our time: the scope is closed, or a timer is coarse
        finally:
            self._served += 1
        now = self._clock()
        # A call that is late is not made up for, but for a moment's jitter: a process that was stopped sends no burst.
        self._next_slot = max(slot, now - jitter) + self._gap
        self._last_sent = now
        self._sent.append(now)
        if len(self._sent) > 2 * _REMEMBERED:
            del self._sent[:_REMEMBERED]

    def accepted(self) -> None:
        """A call was answered with something else than a refusal: the next guess is short, and the pace recovers."""
        self._guess = _FIRST_PAUSE_SECONDS
        self.refusals = 0
        if self._recovers_to is not None:
            self.pace = min(self.pace * _RECOVERY, self._recovers_to)

    def refused(self, error: ThrottledError) -> None:
        """A call was refused: the whole scope waits as long as the server says, or as we must guess."""
        now = self._clock()
        in_flight = self.paused_until > now  # it was under way when the pause began
        pause = 0.0
        if error.limit is not None:
            self._learn(error.limit)
        if error.retry_after:
            pause = error.retry_after
        elif in_flight:
            pass  # it tells nothing new
        elif error.limit is not None:
            pause = self._until_window_is_free(now, error.limit)
        else:
            self._slow_down(now)
            pause = self._guessed(_LONGEST_GUESS_SECONDS)
        self.refusals += not in_flight
        self.paused_until = max(self.paused_until, now + min(pause, MAX_PAUSE_SECONDS))
        self._next_slot = max(self.paused_until, self._last_sent + self._gap)
        self._moves += 1

    @property
    def _gap(self) -> float:
        return 1.0 / self.pace if self.pace else 0.0

    def _slow_down(self, now: float) -> None:
        """Halves the pace after a refusal that names no limit; accepted calls raise it again, slowly."""
        if self._recovers_to is None:
            self._recovers_to = self.pace or math.inf
        lately = [sent for sent in self._sent if sent > now - 1.0]
        measured = len(lately) / max(now - lately[0], 0.1) if lately else 1.0
        self.pace = max(_SLOWEST, min(self.pace or math.inf, measured) / 2)

    def _learn(self, limit: tuple[int, float]) -> None:
        calls, seconds = limit
        self.limit = limit
        learnt = _MARGIN * calls / seconds
        before = self.pace if self._recovers_to is None else self._recovers_to  # guesses were only guesses
        self.pace = min(before or math.inf, learnt)
        self._recovers_to = None  # the limit is known: there is nothing to find out

    def _until_window_is_free(self, now: float, limit: tuple[int, float]) -> float:
        """Seconds until the window has room, seen from our own calls; a guess where others used it up.

        If the last ``calls`` calls of ours fill the window, there is room when the first of them leaves it. That holds
        for a fixed window too, which began no later than that call.
        """
        calls, seconds = limit
        in_window = [sent for sent in self._sent if sent > now - seconds]
        if len(in_window) >= calls:
            return in_window[-calls] + seconds - now
        return self._guessed(seconds)

    def _guessed(self, longest: float) -> float:
        pause = min(self._guess, longest)
        self._guess = 2 * pause
        return pause
