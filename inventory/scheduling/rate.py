"""Adaptive rate of a scope, learned from accepted and refused calls."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right, insort
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from inventory.errors import RateLimit, ThrottledError

START: Final = 20.0
"""First calls per second under a cap."""
MARGIN: Final = 0.99
"""Used share of a limit, because transit times vary."""
MIN_MARGIN: Final = 0.95
"""Smallest share, after refusals."""
_MARGIN_STEP: Final = 0.005
MAX_PAUSE_SECONDS: Final = 900.0
"""Longest pause from ``Retry-After``."""
_OPENING_STEP: Final = 1.0
"""Calls per second that an accepted call adds before the first refusal."""
_FIRST_ESTIMATE_SECONDS: Final = 0.2
_ESTIMATE_GROWTH: Final = 1.5
_MAX_ESTIMATE_SECONDS: Final = 60.0
_FILLED: Final = 0.95
"""Share of a limit that our calls must use to explain a refusal."""
_RARE_CALLS: Final = 250
"""Accepted calls between refusals that are rare enough at the minimum margin."""
_SHARE_OF_MEASURED: Final = 0.985
"""Used share of a measured limit."""
_HORIZON: Final = 10.0
"""Measuring time, as a multiple of the pause."""
_SHORTEST_HORIZON_SECONDS: Final = 2.0
_HOLD_SECONDS: Final = 20.0
_LONGEST_HOLD_SECONDS: Final = 1280.0
_TOLERANCE: Final = 0.15
"""Relative difference of measurements that confirm each other."""
_GROWTH_PER_SECOND: Final = 0.005
"""Relative growth after the hold time."""
_FAST_GROWTH_PER_SECOND: Final = 0.02
"""The same far above the measurement, when the limit is lifted."""
_GROWTH_PER_CALL: Final = 0.002
"""Maximum relative growth per call."""
_FAST_GROWTH_PER_CALL: Final = 0.005
_WELL_ABOVE: Final = 1.1
_MIN_RATE: Final = 0.05
_SERIES: Final = 4
"""Refusals that are compared with as many later ones."""
_FAR_SHARE_OF_MEASURED: Final = 0.75
_SLOWED: Final = 0.8
_RARER: Final = 2.0
_REMEMBERED: Final = 8192
"""Minimum call times kept: the largest measured window."""


@dataclass
class _Refusals:
    """Refused calls between two accepted calls.

    Attributes:
        began: when the first was sent.
        last: when the last probe was sent.
        heard: when its refusal came.
        explained: whether the rate exceeded a limit known now.
    """

    began: float
    last: float
    heard: float
    explained: bool = False


class AdaptiveRate:
    """The rate of a scope, learned from accepted and refused calls. Has no clock and never waits.

    - **Opening.** The rate grows with each accepted call up to the cap, until the first refusal.
    - **Stated limit** (``limit:N,time:M unit``). It sets the rate, less a margin; the pause lasts until the window has
      room. The narrowest limit of all policies applies.
    - **Refusal within the stated limit.** If our calls nearly filled the window, the margin grows to its maximum; then
      rare refusals are accepted. Otherwise other clients use the limit too, and the recently accepted rate (at least
      one window) applies.
    - **Refusal without a stated limit.** The limit is measured: accepted calls since the previous refusals, over that
      time plus the pause.
    - **After a measurement** the rate stays a little below it for a hold time, then grows slowly. The hold time doubles
      when the same limit is found again.
    - **Refusals that a lower rate does not make rarer** do not change the rate.

    Units: ``rate`` in calls per second, ``inf`` without a cap; ``refused`` in calls.

    Args:
        cap: maximum calls per second; 0 for none, also without opening.
        share: used share of a learned limit, the rest is for other clients.
    """

    def __init__(self, cap: float, share: float = 1.0) -> None:
        self.rate = min(START, cap) if cap else math.inf
        self.refused = 0
        self._cap = cap or math.inf
        self._share = share
        self._margin = MARGIN
        self._limits: dict[str, RateLimit] = {}
        self._learned_at = 0.0
        self._bound = self._cap
        self._measured: float | None = None
        self._hold_seconds = _HOLD_SECONDS
        self._hold_until = 0.0
        self._estimate = _FIRST_ESTIMATE_SECONDS
        self._refusals: _Refusals | None = None
        self._sent = array("d")
        self._refused = array("d")
        self._accepted_since = -math.inf
        self._grown_at = 0.0
        self._series: deque[tuple[float, int]] = deque(maxlen=2 * _SERIES)
        self._calls_between: float | None = None
        self._accepted = 0
        self._used_since: tuple[float, int] | None = None

    @property
    def limit(self) -> RateLimit | None:
        """The narrowest stated limit."""
        return min(self._limits.values(), key=lambda limit: limit.per_second, default=None)

    def used(self, now: float) -> float | None:
        """The used share of the stated limit; None without a limit or in its first window."""
        limit, since = self.limit, self._used_since
        if limit is None or since is None or now - since[0] < limit.seconds:
            return None
        return (self._accepted - since[1]) / (limit.per_second * (now - since[0]))

    def ready_at(self) -> float:
        """When the next call respects all stated limits, wherever their windows begin."""
        ready = -math.inf
        for limit in self._limits.values():
            maximum = max(1, int(self._share * limit.calls))
            if len(self._sent) >= maximum:
                ready = max(ready, self._sent[-maximum] + limit.seconds)
        return ready

    def record_sent(self, now: float) -> None:
        """Records a sent call."""
        self._sent.append(now)
        if len(self._sent) > 2 * _REMEMBERED:
            del self._sent[:_REMEMBERED]
            del self._refused[: bisect_left(self._refused, self._sent[0])]

    def record_accepted(self, sent: float, now: float) -> None:
        """Records an answer other than 429."""
        self._accepted += 1
        if self._refusals is None:
            if self.rate < self._bound:
                self._grow(now)
        elif sent > self._refusals.heard:  # else in flight when the pause began
            self._settle(self._refusals, sent, now)

    def record_throttled(self, sent: float, now: float, error: ThrottledError) -> float:
        """Records a 429; returns the pause in seconds."""
        self.refused += 1
        insort(self._refused, sent)
        is_new = error.limit is not None and self._learn(error.limit, now)
        refusals = self._refusals
        if sent <= (self._accepted_since if refusals is None else refusals.heard):
            # In flight at an earlier refusal: only its limit is new.
            if refusals is not None:
                refusals.explained |= is_new
            pause = error.retry_after or 0.0
        else:
            if refusals is None:
                refusals = self._refusals = _Refusals(sent, sent, now)
            refusals.last, refusals.heard = sent, now
            refusals.explained |= is_new
            pause = error.retry_after or self._seconds_until_room(now, error.limit)
        return min(pause, MAX_PAUSE_SECONDS)

    def _learn(self, limit: RateLimit, now: float) -> bool:
        if self._limits.get(limit.policy) == limit:
            return False
        self._limits[limit.policy] = limit
        self._learned_at = now
        self._measured = self._used_since = self._calls_between = None
        self._series.clear()
        self._margin = MARGIN
        self._update_bound()
        self.rate = self._bound
        return True

    def _update_bound(self) -> None:
        limit = self.limit
        stated = math.inf if limit is None else self._share * self._margin * limit.per_second
        self._bound = min(self._cap, stated)

    def _seconds_until_room(self, now: float, limit: RateLimit | None) -> float:
        """Seconds until the window has room; otherwise a growing estimate."""
        shortest, longest = 0.0, _MAX_ESTIMATE_SECONDS
        if limit is not None:
            shortest, longest = 1.0 / limit.per_second, limit.seconds
            in_window = len(self._sent) - bisect_right(self._sent, now - limit.seconds)
            if in_window >= limit.calls:
                # The window has room when our first call leaves it; a fixed window began no later than that call.
                return self._sent[-limit.calls] + limit.seconds - now
        pause = min(max(self._estimate, shortest), longest)
        self._estimate = _ESTIMATE_GROWTH * pause
        return pause

    def _settle(self, refusals: _Refusals, sent: float, now: float) -> None:
        self._refusals = None
        self._estimate = _FIRST_ESTIMATE_SECONDS
        limit = self.limit
        if limit is not None and self._used_since is None:
            self._used_since = (now, self._accepted)
        if not refusals.explained and not self._is_caused_by_us(refusals):
            measured = self._measure(refusals, sent)
            if not self._is_independent_of_rate(refusals, measured):
                self._slow_down_to(measured, refusals, now)
        self._accepted_since = sent

    def _is_caused_by_us(self, refusals: _Refusals) -> bool:
        """Whether our calls nearly filled a limit; widens the margin then."""
        limit = self.limit
        if limit is None:
            return False
        in_window = _between(self._sent, refusals.began - limit.seconds, refusals.began)
        if in_window < _FILLED * self._share * limit.calls - 1:
            return False
        if refusals.began - self._learned_at < limit.seconds:
            return True  # the window contains calls from before the limit was known
        if self._margin > MIN_MARGIN:
            self._margin = max(MIN_MARGIN, self._margin - _MARGIN_STEP)
            self._update_bound()
            self.rate = min(self.rate, self._bound)
            return True
        return self._calls_before(refusals) >= _RARE_CALLS  # otherwise the server counts differently

    def _calls_before(self, refusals: _Refusals) -> int:
        return _between(self._sent, self._accepted_since, refusals.began)

    def _is_independent_of_rate(self, refusals: _Refusals, measured: float) -> bool:
        """Whether refusals are as frequent as before at a much lower rate."""
        calls = self._calls_before(refusals)
        if self._calls_between is None and measured < _FAR_SHARE_OF_MEASURED * self.rate:
            self._series.clear()  # far fewer are accepted: a limit
            return False
        if refusals.last - refusals.began > 2 * _FIRST_ESTIMATE_SECONDS:  # refused probes: also a limit
            self._calls_between = None
            self._series.clear()
            return False
        self._series.append((self.rate, calls))
        later = sum(calls for _, calls in list(self._series)[-_SERIES:]) / _SERIES
        if self._calls_between is not None:
            if len(self._series) >= _SERIES and later * _RARER < self._calls_between:
                self._calls_between = None  # more refusals at the higher rate
                self._series.clear()
        elif len(self._series) == 2 * _SERIES:
            earlier = sum(calls for _, calls in list(self._series)[:_SERIES]) / _SERIES
            if self.rate <= _SLOWED * self._series[0][0] and later < _RARER * earlier:
                self._calls_between = (earlier + later) / 2
                self.rate, self._measured = min(self._bound, self._series[0][0]), None
                self._series.clear()
        return self._calls_between is not None

    def _measure(self, refusals: _Refusals, sent: float) -> float:
        """Calls per second that were accepted before the refusals.

        With a known limit: over at least one window, pauses included, because a burst distorts a shorter time.
        Otherwise: since the previous refusals plus the pause, which ends between the last refused and the first
        accepted probe.
        """
        shortest, longest = refusals.last - refusals.began, sent - refusals.began
        look_back = max(_HORIZON * longest, _SHORTEST_HORIZON_SECONDS)
        if self.limit is not None:
            since = max(refusals.last - max(look_back, self.limit.seconds), self._sent[0])
            calls, took = self._count_accepted(since, refusals.last), refusals.last - since
            return min(self.rate, calls / took) if calls and took else self.rate / 2
        since = max(refusals.began - look_back, self._accepted_since, self._sent[0])
        calls, took = self._count_accepted(since, refusals.began), refusals.began - since
        if not calls or not took:
            return self.rate / 2 if self.rate < math.inf else START
        most = min(self.rate, calls / (took + shortest))
        return math.sqrt(most * min(most, calls / (took + longest)))

    def _count_accepted(self, since: float, until: float) -> int:
        return _between(self._sent, since, until) - _between(self._refused, since, until)

    def _slow_down_to(self, measured: float, refusals: _Refusals, now: float) -> None:
        """Sets the rate below the measurement; a confirmed measurement holds longer."""
        before, self._measured = self._measured, measured
        if before is None or abs(measured / before - 1.0) > _TOLERANCE:
            self._hold_seconds = _HOLD_SECONDS if self.limit is None else max(_HOLD_SECONDS, 2 * self.limit.seconds)
        elif refusals.began >= self._hold_until:
            self._hold_seconds = min(2 * self._hold_seconds, _LONGEST_HOLD_SECONDS)
        self._hold_until = now + self._hold_seconds
        self.rate = max(_MIN_RATE, min(self.rate, self._bound, self._share * _SHARE_OF_MEASURED * measured))

    def _grow(self, now: float) -> None:
        if self._measured is None:
            self.rate = min(self._bound, self.rate + _OPENING_STEP)
        elif now >= self._hold_until:
            measured = self._share * self._measured
            is_lifted = self.rate > _WELL_ABOVE * measured
            top = self._bound if self._share == 1 or self._limits else measured
            passed = now - max(self._grown_at, self._hold_until)
            self._grown_at = now
            per_second, per_call = (
                (_FAST_GROWTH_PER_SECOND, _FAST_GROWTH_PER_CALL)
                if is_lifted
                else (_GROWTH_PER_SECOND, _GROWTH_PER_CALL)
            )
            by = min(passed * per_second, per_call)
            self.rate = max(self.rate, min(top, self.rate * (1.0 + by)))


def _between(moments: array[float], since: float, until: float) -> int:
    """Sorted moments in [since, until)."""
    return bisect_left(moments, until) - bisect_left(moments, since)
