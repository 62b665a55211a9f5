"""Dispatcher: which scope makes the next call, and when."""

from __future__ import annotations

import asyncio
import math
import time
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final

from inventory.scheduling.circuit_breaker import OUTAGE_CALLS
from inventory.scheduling.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory.scheduling.endpoint import Endpoint, Entry

MAX_WAIT_SECONDS: Final = 3600.0
"""Longest wait for a call of a run without a time limit."""
_SHORT_SECONDS: Final = 5.0
"""A wait that is never too long: the time limit itself ends it."""
_SHORTEST_SECONDS: Final = 1e-6
"""Shortest timer that moves the clock."""
_MIXER: Final = 2654435761
"""Odd factor that spreads numbers (Knuth's multiplicative hash)."""
_MAX_OLD: Final = 64
"""Outdated entries of a heap that cost less than their removal."""
_RESERVE: Final = 4
"""One in so many workers is kept for scopes that use less than their share."""


class Dispatcher:
    """Grants calls: at most ``size`` at a time, when scope and endpoint are ready.

    The scope with the fewest places comes first, then the one that waits longest. Behind a shared limit, scopes take
    turns. A silent scope, or one that holds its share of the places, leaves a quarter of them to others.

    Args:
        size: places.
        deadline: end of the run on ``clock``.
        clock: monotonic.

    Attributes:
        free: places without a call.
        lanes: number of open scopes.
        has_room: called when places are free and no call waits for one.
    """

    def __init__(
        self, size: float = math.inf, *, deadline: float = math.inf, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.size = self.free = size
        self.now = clock
        self.lanes = 0
        self.has_room: Callable[[], None] = lambda: None
        self._deadline = deadline
        self._turns = count(1)
        self._tokens = count(1)
        self._later: list[tuple[float, int, Lane | Endpoint]] = []
        self._ready: dict[Endpoint, None] = {}
        self._hungry: dict[Lane, None] = {}
        self._endpoints: dict[Endpoint, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def open(self, lane: Lane) -> None:
        """Adds a scope."""
        self.lanes += 1
        self._endpoints[lane.endpoint] = None

    def close(self, lane: Lane) -> None:
        """Removes a scope."""
        lane.close()
        self.lanes -= 1
        self._offer_places()

    def occupy(self, lane: Lane) -> None:
        """Occupies a place for work before the scope's first call."""
        self.free -= 1
        lane.held += 1

    def try_take(self, lane: Lane) -> float | None:
        """Takes a place at once, if no other call waits; returns the time of sending."""
        if lane.waiting or lane.is_closed or self._ready or self.free < 1 or lane.held >= lane.limit:
            return None
        now = self.now()
        return self._take(lane, now, has_waited=False) if self._is_ready(lane, now) and self._may_take(lane) else None

    def try_keep(self, lane: Lane) -> float | None:
        """Reuses a place for the next call of its scope, unless another scope has fewer places; as :meth:`try_take`."""
        if lane.is_closed or lane.is_silent or lane.endpoint.is_limited:
            return None
        for endpoint in self._ready:
            if endpoint.ready and (not endpoint.ready[0][1] or endpoint.ready[0][1] < lane.held - 1):
                return None
        now = self.now()
        return self._send(lane, now, has_waited=False) if self._is_ready(lane, now) else None

    def dispatch(self, lane: Lane | None = None) -> None:
        """Grants all calls that may be sent now, and sets the timer for the next.

        Args:
            lane: has a new call, or an earlier time.
        """
        now = self.now()
        if lane is not None:
            self._ready.setdefault(lane.endpoint)
            self._queue(lane, now)
        while self._later and self._later[0][0] <= now:
            _, token, item = heappop(self._later)
            if item.token != token:
                continue
            if isinstance(item, Lane):
                self._queue(item, now)
            else:
                self._ready[item] = None
        while self.free >= 1 and (next_lane := self._next(now)) is not None:
            self._grant(next_lane, now)
        if not self._ready:
            self._offer_places()
        self._set_timer(now)

    def release(self, lane: Lane) -> None:
        """Frees a place of a scope."""
        self.free += 1
        if lane.endpoint.ready:  # may have waited for the end of this call
            self._ready.setdefault(lane.endpoint)
        if self._ready or lane.waiting:
            self.dispatch(lane if lane.waiting else None)
        else:
            self._offer_places()

    def offer(self, lane: Lane) -> None:
        """Offers a free place to a scope without a waiting call."""
        if lane.needs_worker is None or lane.waiting or lane.is_closed:
            return
        if self.free >= 1:
            lane.needs_worker()
        else:
            self._hungry[lane] = None

    def _offer_places(self) -> None:
        places = self.free
        while self._hungry and places >= 1:
            lane, _ = self._hungry.popitem()
            if lane.needs_worker is not None and not lane.waiting and not lane.is_closed:
                places -= lane.needs_worker()  # its worker takes a place soon
        if places >= 1:
            self.has_room()

    def _queue(self, lane: Lane, now: float) -> None:
        """Puts a lane where its first call waits: for a time, or for a place."""
        if not lane.waiting or lane.held >= lane.limit:
            lane.token = 0
            return
        ready = lane.throttle.ready_at(now)
        lane.token = next(self._tokens)
        if ready > now:
            if self._is_too_long(ready - now):
                lane.give_up_wait(ready - now)
                return
            heappush(self._later, (ready, lane.token, lane))
            return
        endpoint = lane.endpoint
        held = lane.held // self._share if endpoint.is_limited else lane.held
        heappush(endpoint.ready, (lane.is_silent, held, lane.turn, self._rank(lane), lane.token, lane))
        if len(endpoint.ready) > 2 * len(endpoint.lanes) + _MAX_OLD:
            endpoint.ready = [entry for entry in endpoint.ready if not self._is_old(entry)]
            heapify(endpoint.ready)
        self._ready[endpoint] = None

    @staticmethod
    def _rank(lane: Lane) -> int:
        """Order of scopes without a call: as opened, but mixed behind the first ones of a silent endpoint."""
        endpoint = lane.endpoint
        if endpoint.has_answered or len(endpoint.ready) < OUTAGE_CALLS:
            return lane.token
        return lane.token * _MIXER % 2**32

    def _next(self, now: float) -> Lane | None:
        """The lane whose call is sent now; None if there is none."""
        full: set[Endpoint] = set()  # their scopes hold enough places
        while True:
            best: Endpoint | None = None
            for endpoint in list(self._ready):
                self._drop_old(endpoint)
                if not endpoint.ready:
                    del self._ready[endpoint]
                elif endpoint in full:
                    continue
                elif (ready := self._endpoint_ready_at(endpoint, now)) > now:
                    del self._ready[endpoint]
                    self._wait_for(endpoint, ready, now)
                elif best is None or endpoint.ready[0][:5] < best.ready[0][:5]:
                    best = endpoint
            if best is None:
                return None
            lane: Lane = best.ready[0][5]
            if lane.throttle.ready_at(now) > now:
                heappop(best.ready)
                self._queue(lane, now)
            elif self._may_take(lane):
                heappop(best.ready)
                return lane
            else:
                full.add(best)

    def _drop_old(self, endpoint: Endpoint) -> None:
        while endpoint.ready and self._is_old(endpoint.ready[0]):
            heappop(endpoint.ready)

    @staticmethod
    def _is_old(entry: Entry) -> bool:
        lane = entry[5]
        return lane.token != entry[4] or not lane.waiting

    def _wait_for(self, endpoint: Endpoint, ready: float, now: float) -> None:
        if ready < math.inf:  # otherwise, an answer ends the wait
            if self._is_too_long(ready - now):
                for lane in [entry[5] for entry in endpoint.ready]:
                    lane.give_up_wait(ready - now)
                return
            endpoint.token = next(self._tokens)
            heappush(self._later, (ready, endpoint.token, endpoint))

    def _endpoint_ready_at(self, endpoint: Endpoint, now: float) -> float:
        if endpoint.has_answered:  # the usual case
            return endpoint.throttle.ready_at(now)
        return endpoint.ready_at(now, min(OUTAGE_CALLS, max(1, self.size // max(1, len(self._endpoints)))))

    def _is_ready(self, lane: Lane, now: float) -> bool:
        return lane.throttle.ready_at(now) <= now and self._endpoint_ready_at(lane.endpoint, now) <= now

    def _may_take(self, lane: Lane) -> bool:
        if lane.is_silent:
            self.has_room()  # scopes that are not open yet come first
            if self.free < 1:
                return False
        others = self.lanes - 1
        if others < 1 or (lane.held < self._share and not lane.is_silent):
            return True
        return self.free > min(others, self.size // _RESERVE)

    @property
    def _share(self) -> float:
        return max(1, self.size // max(1, self.lanes))

    def _is_too_long(self, seconds: float) -> bool:
        maximum = MAX_WAIT_SECONDS if self._deadline == math.inf else self._deadline - self.now()
        return seconds > max(maximum, _SHORT_SECONDS)

    def _take(self, lane: Lane, now: float, *, has_waited: bool) -> float:
        self.free -= 1
        lane.held += 1
        return self._send(lane, now, has_waited=has_waited)

    def _send(self, lane: Lane, now: float, *, has_waited: bool) -> float:
        lane.turn = next(self._turns)
        lane.throttle.take(now, has_waited=has_waited)
        lane.endpoint.take(now, has_waited=has_waited)
        self.offer(lane)
        return now

    def _grant(self, lane: Lane, now: float) -> None:
        while lane.waiting:
            future = lane.waiting.popleft()
            if not future.done():
                future.set_result(self._take(lane, now, has_waited=True))
                break
        self._queue(lane, now)

    def _set_timer(self, now: float) -> None:
        at = self._later[0][0] if self._later else math.inf
        if at >= self._timer_at:  # an early timer does no harm
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(max(_SHORTEST_SECONDS, at - now), self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, math.inf
        self.dispatch()
