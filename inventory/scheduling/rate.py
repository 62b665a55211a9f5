"""Adaptive rate, learned from accepted and refused calls (docs/throttle.md)."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING, Final

from inventory.scheduling.refusals import PauseRefusals, SingleRefusals

if TYPE_CHECKING:
    from inventory.errors import RateLimit, ThrottledError

START: Final = 20.0
"""First calls per second under a cap."""
_OPENING_STEP: Final = 1.0
"""Calls per second that each accepted call adds until a limit is known."""
MARGIN: Final = 0.99
"""Used share, because transit times vary."""
MIN_MARGIN: Final = 0.95
"""Smallest share, after refusals."""
_MARGIN_STEP: Final = 0.005
_FILLED: Final = 0.95
"""Share of a limit that our calls must use to explain a refusal."""
_RARE_CALLS: Final = 250
"""Accepted calls between refusals that are rare enough at the minimum margin."""
_BUNCH: Final = 0.2
"""Share of refused calls that begins a pause; a smaller share may be chance."""
_ROUND: Final = 4
"""Refusals without a bunch that are judged together."""
_SATURATED: Final = 0.9
"""Share of the rate that must be sent to judge it."""
_MOST_CHANCE: Final = 0.05
"""Share of refused calls above which they are never chance."""
_CHANCE: Final = 0.02
"""Share of refused calls that may be chance, if the rate was not used."""
_FIRST_PAUSE_SECONDS: Final = 0.2
_PAUSE_GROWTH: Final = 1.5
_LONGEST_PAUSE_SECONDS: Final = 60.0
_SHARE_OF_MEASURED: Final = 0.985
"""Used share of a measured limit."""
_HORIZON: Final = 10.0
"""Measuring time and hold time, as a multiple of the pause."""
_SHORTEST_HORIZON_SECONDS: Final = 2.0
_SHORTEST_HOLD_SECONDS: Final = 5.0
_LONGEST_HOLD_SECONDS: Final = 300.0
_LONGEST_HOLD_CALLS: Final = 3500.0
"""Calls between two searches for a higher limit, each of which costs about five refusals."""
_TOLERANCE: Final = 0.15
"""Relative difference of measurements that confirm each other."""
_GROWTH_PER_SECOND: Final = 0.005
"""Relative growth after the hold time."""
_FAST_GROWTH_PER_SECOND: Final = 0.1
"""The same far above the measurement, where it was wrong or the limit is lifted."""
_WELL_ABOVE: Final = 1.1
_GROWTH_STEP_SECONDS: Final = 0.1
"""Longest time that one accepted call makes up for."""
_MIN_RATE: Final = 0.05
_REMEMBERED: Final = 8192
"""Minimum call times kept: the largest measured window."""


class AdaptiveRate:
    """The rate of calls. Has no clock and never waits.

    A stated limit sets the rate, less a margin. Otherwise, single refusals are judged four at a time, and a bunch of
    refusals begins a pause, after which the limit is measured.

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
        self.has_limits = False
        self._limits: dict[str, RateLimit] = {}
        self._learned_at = 0.0
        self._bound = self._cap
        self._measured: float | None = None
        self._hold_seconds = self._hold_until = 0.0
        self._pause = _FIRST_PAUSE_SECONDS
        self._refusals: PauseRefusals | None = None
        self._round = SingleRefusals()
        self._trial: tuple[float, float, float | None] | None = None
        self._chance = 0.0
        self._is_suspect = False
        self._sent = array("d")
        self._refused = array("d")
        self._accepted_since = -math.inf
        self._grown_at = 0.0
        self._accepted = 0
        self._used_since: tuple[float, int] | None = None

    @property
    def limits(self) -> list[RateLimit]:
        """Stated limits, one of each policy."""
        return list(self._limits.values())

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
        refusals = self._refusals
        if refusals is None:
            if self._round.refused:
                self._round.accepted += 1
            if self._trial is not None and now >= self._hold_until:
                self._end_trial()
            if self.rate < self._bound:
                self._grow(now)
        elif sent > refusals.heard:  # else in flight when the pause began
            self._settle(refusals, sent, now)

    def record_throttled(self, sent: float, now: float, error: ThrottledError) -> float:
        """Records a 429; returns the pause in seconds."""
        self.refused += 1
        insort(self._refused, sent)
        is_new = error.limit is not None and self.learn(error.limit, now)
        refusals = self._refusals
        if refusals is None:
            if sent <= self._accepted_since:  # in flight at an earlier refusal: only its limit is new
                return error.retry_after or 0.0
            if error.limit is None and not error.retry_after and not self._is_bunch(sent, now):
                return 0.0
            refusals = self._refusals = PauseRefusals(sent, sent, now)
        elif sent <= refusals.heard:
            refusals.calls += 1
            self._is_bunch(sent, now)
            refusals.is_explained |= is_new
            return error.retry_after or 0.0
        refusals.last, refusals.heard, refusals.is_stated = sent, now, error.limit is not None
        refusals.calls += 1
        refusals.is_explained |= is_new
        pause = error.retry_after or self._seconds_until_room(now, error.limit)
        self._round.paused += pause
        return pause

    def accepted_per_second(self, until: float, seconds: float = 1.0) -> float:
        """Calls per second that were sent in the seconds before a moment and not refused."""
        return self._count_accepted(until - seconds, until) / seconds

    def forget(self) -> None:
        """Forgets what was measured; stated limits stay."""
        self._measured = self._trial = None
        self._round = SingleRefusals()
        self.rate = min(self._bound, max(self.rate, START)) if self._cap < math.inf else self._bound

    def learn(self, limit: RateLimit, now: float) -> bool:
        """Adopts a stated limit; returns whether it is new."""
        if self._limits.get(limit.policy) == limit:
            return False
        self._limits[limit.policy] = limit
        self.has_limits = True
        self._learned_at = now
        self._measured = self._used_since = self._trial = None
        self._margin = MARGIN
        self._update_bound()
        self.rate = self._bound
        return True

    def _update_bound(self) -> None:
        limit = self.limit
        self._bound = self._cap if limit is None else min(self._cap, self._share * self._margin * limit.per_second)

    def _seconds_until_room(self, now: float, limit: RateLimit | None) -> float:
        shortest, longest = 0.0, _LONGEST_PAUSE_SECONDS
        if limit is not None:
            shortest, longest = 1.0 / limit.per_second, limit.seconds
            in_window = len(self._sent) - bisect_right(self._sent, now - limit.seconds)
            if in_window >= limit.calls:
                # The window has room when our first call leaves it; a fixed window began no later than that call.
                return self._sent[-limit.calls] + limit.seconds - now
        pause = min(max(self._pause, shortest), longest)
        self._pause = _PAUSE_GROWTH * pause
        return pause

    def _is_bunch(self, sent: float, now: float) -> bool:
        this = self._round
        if not this.refused:
            this.began = sent
        this.refused += 1
        this.last = max(this.last, sent)
        if this.refused == 1:
            return False
        if self._refusals is not None or this.share > _BUNCH:
            return True
        if this.refused >= _ROUND:
            self._judge(this, now)
            self._round = SingleRefusals()
        return False

    def _judge(self, this: SingleRefusals, now: float) -> None:
        """Lowers the rate to what was accepted, on trial, unless the refusals may be chance."""
        share = this.share
        if self._trial is not None or share <= 2 * self._chance:
            self._is_suspect = False
            return
        since, seconds = this.began, this.last - this.began
        if not seconds:
            return
        sent = _between(self._sent, since, this.last) / max(seconds - this.paused, 1 / self.rate)
        if sent < _SATURATED * self.rate:
            if share > _CHANCE:
                self.rate = max(sent, _MIN_RATE)  # the next ones show whether it is too much
            return
        if this.paused and not self._is_suspect:  # a bunch by chance: a second one decides
            self._is_suspect = True
            return
        self._is_suspect = False
        before = self.rate, share, self._measured
        self.slow_down_to(min(self.rate, self._count_accepted(since, this.last) / seconds), 0.0, now)
        # If they are chance, so many calls contain a round of refusals.
        self._hold_until = max(self._hold_until, now + _ROUND / share / self.rate)
        self._trial = before

    def _end_trial(self) -> None:
        """Returns to the earlier rate if refusals continued at the lower one."""
        if self._trial is None:
            return
        rate, share, measured = self._trial
        self._trial = None
        if self._round.refused >= _ROUND - 1 and share <= _MOST_CHANCE:
            self._chance = max(self._chance, share / 2)
            self.rate, self._measured = min(self._bound, rate), measured
        self._round = SingleRefusals()

    def _settle(self, refusals: PauseRefusals, sent: float, now: float) -> None:
        self._refusals = None
        self._pause = _FIRST_PAUSE_SECONDS
        limit = self.limit
        if limit is not None and self._used_since is None:
            self._used_since = (now, self._accepted)
        is_limit = refusals.is_stated or refusals.last > refusals.began or refusals.calls >= _ROUND
        if is_limit and not refusals.is_explained and not self._is_caused_by_us(refusals):
            self._trial = None
            self.slow_down_to(self._measure(refusals, sent), sent - refusals.began, now)
        if is_limit:
            self._round = SingleRefusals()
        elif self._round.refused >= _ROUND:
            self._judge(self._round, now)
            self._round = SingleRefusals()
        self._accepted_since = sent

    def _is_caused_by_us(self, refusals: PauseRefusals) -> bool:
        limit = self.limit
        if limit is None:
            return False
        calls = _between(self._sent, refusals.began - limit.seconds, refusals.began)
        if calls < _FILLED * self._share * limit.calls - 1:
            return False
        if refusals.began - self._learned_at < limit.seconds:
            return True  # the window contains calls from before the limit was known
        if self._margin > MIN_MARGIN:
            self._margin = max(MIN_MARGIN, self._margin - _MARGIN_STEP)
            self._update_bound()
            self.rate = min(self.rate, self._bound)
            return True
        # Otherwise the server counts differently.
        return _between(self._sent, self._accepted_since, refusals.began) >= _RARE_CALLS

    def _measure(self, refusals: PauseRefusals, sent: float) -> float:
        """Calls per second that were accepted before the refusals.

        With a known limit: over at least one window, because a burst distorts a shorter time. Otherwise: since the
        previous refusals plus the pause, which ends between the last refused and the first accepted probe.
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

    def slow_down_to(self, measured: float, pause: float, now: float) -> None:
        """Sets the rate below a measurement; a confirmed one holds longer. ``pause``: seconds of the last refusals."""
        measured = max(measured, _MIN_RATE)
        before, self._measured = self._measured, measured
        shortest = max(_SHORTEST_HOLD_SECONDS, _HORIZON * pause)
        if before is None or abs(measured / before - 1.0) > _TOLERANCE:
            self._hold_seconds = shortest if self.limit is None else max(shortest, self.limit.seconds)
        elif now >= self._hold_until:
            longest = max(shortest, min(_LONGEST_HOLD_SECONDS, _LONGEST_HOLD_CALLS / self.rate))
            self._hold_seconds = min(2 * max(self._hold_seconds, shortest), longest)
        self._hold_until = now + self._hold_seconds
        self.rate = max(_MIN_RATE, min(self.rate, self._bound, self._share * _SHARE_OF_MEASURED * measured))

    def _grow(self, now: float) -> None:
        if self._measured is None:
            self.rate = min(self._bound, self.rate + _OPENING_STEP)
        elif now >= self._hold_until:
            measured = self._share * self._measured
            top = self._bound if self._share == 1 or self._limits else measured
            passed = min(now - max(self._grown_at, self._hold_until), _GROWTH_STEP_SECONDS)
            self._grown_at = now
            is_wrong = self.rate > _WELL_ABOVE * measured
            fast = (
                _FAST_GROWTH_PER_SECOND if self.limit is None else min(_FAST_GROWTH_PER_SECOND, 1 / self.limit.seconds)
            )
            growth = passed * (fast if is_wrong else min(fast, _GROWTH_PER_SECOND))
            self.rate = max(self.rate, min(top, self.rate * (1.0 + growth)))


def _between(moments: array[float], since: float, until: float) -> int:
    return bisect_left(moments, until) - bisect_left(moments, since)
