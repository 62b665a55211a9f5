"""How fast a scope may be asked: what it was given, and what it learns from acceptances and refusals.

Owns the rate and the length of a pause. Pure: it is told what was sent, accepted and refused, and when; it waits for
nothing. Who waits, and for how long still, is :mod:`inventory.scheduling.throttle`'s.

- **Opening.** The rate begins low and grows with each accepted call up to the cap, while nothing is refused.
- **A limit that is told** (``limit:N,time:M unit``) is the rate from then on, less a small margin; the pause lasts
  until the window has room, as far as our own calls tell. A limit of each policy is kept, and the narrowest counts.
- **A refusal that comes although we keep to the limit** is ours where our calls nearly filled the window: the margin
  gets wider, to a bound, and refusals that are rare by then are lived with. Else others use the limit too: what was
  accepted lately, over a window at least, is what they leave us.
- **A refusal that tells no limit** is measured: what was accepted since the trouble before, over the time that this
  took with the pause that was needed, is what the service bears.
- **After a measurement** the rate stays a little below it for a while, the longer the more often it is found again
  after the rate had grown, and then feels its way up.
- **Refusals that no slowing down makes rarer** are no matter of pace: they are waited out, and the rate stays.
"""

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
"""Calls per second that a scope begins with, where it has a cap."""
MARGIN: Final = 0.99
"""Part of a limit that is used: calls do not take equally long to arrive."""
LEAST_MARGIN: Final = 0.95
"""The same where that was too much."""
_MARGIN_STEP: Final = 0.005
MAX_PAUSE_SECONDS: Final = 900.0
"""The longest single pause that a server's words can cause."""
_OPENING: Final = 1.0
"""Calls per second that an accepted call adds while nothing was refused."""
_FIRST_GUESS_SECONDS: Final = 0.2
_GUESS_GROWTH: Final = 1.5
_LONGEST_GUESS_SECONDS: Final = 60.0
_FILLED: Final = 0.95
"""Part of a limit that our own calls must have used for a refusal to be explained by them."""
_BEARABLE: Final = 250
"""Calls to a trouble that is so rare that it is lived with, where the limit is known and the margin is wide."""
_BELOW: Final = 0.985
"""Part of a measured limit that is used."""
_HORIZON: Final = 10.0
"""How much longer than the pause that was needed is looked back to measure a limit."""
_SHORTEST_HORIZON_SECONDS: Final = 2.0
_HOLD_SECONDS: Final = 20.0
_LONGEST_HOLD_SECONDS: Final = 1280.0
_ALIKE: Final = 0.15
"""Two measurements that differ by no more than this confirm each other."""
_RECOVERY: Final = 0.005
"""By which part of itself a rate that was measured grows in a second, when it has been held for long enough."""
_QUICK_RECOVERY: Final = 0.02
"""The same where it is well above what was measured: the limit has been lifted."""
_MOST_A_CALL: Final = 0.002
"""By which part it grows with one call, at most."""
_QUICK_MOST_A_CALL: Final = 0.005
_WELL_ABOVE: Final = 1.1
_SLOWEST: Final = 0.05
_SERIES: Final = 4
"""Troubles that are compared with as many later ones."""
_FAR_BELOW: Final = 0.75
_SLOWED: Final = 0.8
_RARER: Final = 2.0
_REMEMBERED: Final = 8192
"""Calls whose time is known, at least: enough for a window of so many."""


@dataclass
class _Trouble:
    """Refusals between two accepted calls.

    Attributes:
        began: when the first call that was refused went out.
        last: the same of the last one that was sent to try.
        heard: when its refusal came; what went out before that was under way.
        explained: whether the rate was above a limit that is known by now.
    """

    began: float
    last: float
    heard: float
    explained: bool = False


class Pace:
    """The rate of a scope.

    Units: ``rate`` in calls per second, ``inf`` without a cap; ``refused`` in calls.

    Args:
        cap: calls per second that are never exceeded; 0 for none, and then there is no slow beginning either.
        share: part of a learnt limit that is used; the rest is left to others.
    """

    def __init__(self, cap: float, share: float = 1.0) -> None:
        self.rate = min(START, cap) if cap else math.inf
        self.refused = 0
        self._cap = cap or math.inf
        self._share = share
        self._margin = MARGIN
        self._limits: dict[str, RateLimit] = {}
        self._learnt_at = 0.0
        self._bound = self._cap
        self._measured: float | None = None
        self._hold_seconds = _HOLD_SECONDS
        self._hold_until = 0.0
        self._guess = _FIRST_GUESS_SECONDS
        self._trouble: _Trouble | None = None
        self._sent = array("d")
        self._refused = array("d")
        self._untroubled_since = -math.inf
        self._grown_at = 0.0
        self._series: deque[tuple[float, int]] = deque(maxlen=2 * _SERIES)
        self._calls_between: float | None = None
        self._accepted = 0
        self._used_since: tuple[float, int] | None = None

    @property
    def limit(self) -> RateLimit | None:
        """The narrowest limit that was told."""
        return min(self._limits.values(), key=lambda limit: limit.per_second, default=None)

    def used(self, now: float) -> float | None:
        """Which part of the limit was used since it was told; None where none was, or less than a window ago."""
        limit, since = self.limit, self._used_since
        if limit is None or since is None or now - since[0] < limit.seconds:
            return None
        return (self._accepted - since[1]) / (limit.per_second * (now - since[0]))

    def ready_at(self) -> float:
        """When the next call keeps to every limit that was told, whatever window it is counted in."""
        ready = -math.inf
        for limit in self._limits.values():
            most = max(1, int(self._share * limit.calls))
            if len(self._sent) >= most:
                ready = max(ready, self._sent[-most] + limit.seconds)
        return ready

    def sent(self, now: float) -> None:
        """A call goes out."""
        self._sent.append(now)
        if len(self._sent) > 2 * _REMEMBERED:
            del self._sent[:_REMEMBERED]
            del self._refused[: bisect_left(self._refused, self._sent[0])]

    def accepted(self, sent: float, now: float) -> None:
        """A call that went out at ``sent`` was answered with something else than a refusal."""
        self._accepted += 1
        if self._trouble is None:
            if self.rate < self._bound:
                self._grow(now)
        elif sent > self._trouble.heard:  # else it was under way when the pause began
            self._settle(self._trouble, sent, now)

    def refuse(self, sent: float, now: float, error: ThrottledError) -> float:
        """A call that went out at ``sent`` was refused: for how many seconds nothing more may be sent."""
        self.refused += 1
        insort(self._refused, sent)
        is_new = error.limit is not None and self._learn(error.limit, now)
        trouble = self._trouble
        if sent <= (self._untroubled_since if trouble is None else trouble.heard):
            # It was under way when an earlier one was heard: only what it says is news.
            if trouble is not None:
                trouble.explained |= is_new
            pause = error.retry_after or 0.0
        else:
            if trouble is None:
                trouble = self._trouble = _Trouble(sent, sent, now)
            trouble.last, trouble.heard = sent, now
            trouble.explained |= is_new
            pause = error.retry_after or self._until_there_is_room(now, error.limit)
        return min(pause, MAX_PAUSE_SECONDS)

    def _learn(self, limit: RateLimit, now: float) -> bool:
        """Takes over what was told; whether it was not known."""
        if self._limits.get(limit.policy) == limit:
            return False
        self._limits[limit.policy] = limit
        self._learnt_at = now
        self._measured = self._used_since = self._calls_between = None
        self._series.clear()
        self._margin = MARGIN
        self._rebound()
        self.rate = self._bound
        return True

    def _rebound(self) -> None:
        limit = self.limit
        told = math.inf if limit is None else self._share * self._margin * limit.per_second
        self._bound = min(self._cap, told)

    def _until_there_is_room(self, now: float, limit: RateLimit | None) -> float:
        """Seconds until the window has room, as far as our own calls tell; else a guess, a longer one each time."""
        shortest, longest = 0.0, _LONGEST_GUESS_SECONDS
        if limit is not None:
            shortest, longest = 1.0 / limit.per_second, limit.seconds
            in_window = len(self._sent) - bisect_right(self._sent, now - limit.seconds)
            if in_window >= limit.calls:
                # If our last calls fill the window, there is room when the first of them leaves it. That holds for a
                # fixed window too, which began no later than that call.
                return self._sent[-limit.calls] + limit.seconds - now
        pause = min(max(self._guess, shortest), longest)
        self._guess = _GUESS_GROWTH * pause
        return pause

    def _settle(self, trouble: _Trouble, sent: float, now: float) -> None:
        """A call was accepted again: what may the rate be from now on?"""
        self._trouble = None
        self._guess = _FIRST_GUESS_SECONDS
        limit = self.limit
        if limit is not None and self._used_since is None:
            self._used_since = (now, self._accepted)
        if not trouble.explained and not self._is_ours(trouble):
            measured = self._measure(trouble, sent)
            if not self._is_no_matter_of_pace(trouble, measured):
                self._slow_down_to(measured, trouble, now)
        self._untroubled_since = sent

    def _is_ours(self, trouble: _Trouble) -> bool:
        """Whether our own calls had used nearly all of a limit: then a wider margin, or patience, is enough."""
        limit = self.limit
        if limit is None:
            return False
        in_window = _between(self._sent, trouble.began - limit.seconds, trouble.began)
        if in_window < _FILLED * self._share * limit.calls - 1:
            return False
        if trouble.began - self._learnt_at < limit.seconds:
            return True  # what was sent faster, before the limit was known, is still in the window
        if self._margin > LEAST_MARGIN:
            self._margin = max(LEAST_MARGIN, self._margin - _MARGIN_STEP)
            self._rebound()
            self.rate = min(self.rate, self._bound)
            return True
        return self._calls_before(trouble) >= _BEARABLE  # else the server counts in another way than we think

    def _calls_before(self, trouble: _Trouble) -> int:
        """How many calls went well since the trouble before."""
        return _between(self._sent, self._untroubled_since, trouble.began)

    def _is_no_matter_of_pace(self, trouble: _Trouble, measured: float) -> bool:
        """Whether calls are refused as often as before, although the rate is a good deal lower by now."""
        calls = self._calls_before(trouble)
        if self._calls_between is None and measured < _FAR_BELOW * self.rate:
            self._series.clear()  # so much less is borne: that is a limit
            return False
        if trouble.last - trouble.began > 2 * _FIRST_GUESS_SECONDS:  # and so it is where calls to try were refused too
            self._calls_between = None
            self._series.clear()
            return False
        self._series.append((self.rate, calls))
        later = sum(calls for _, calls in list(self._series)[-_SERIES:]) / _SERIES
        if self._calls_between is not None:
            if len(self._series) >= _SERIES and later * _RARER < self._calls_between:
                self._calls_between = None  # more often than before, at the higher rate
                self._series.clear()
        elif len(self._series) == 2 * _SERIES:
            earlier = sum(calls for _, calls in list(self._series)[:_SERIES]) / _SERIES
            if self.rate <= _SLOWED * self._series[0][0] and later < _RARER * earlier:
                self._calls_between = (earlier + later) / 2
                self.rate, self._measured = min(self._bound, self._series[0][0]), None
                self._series.clear()
        return self._calls_between is not None

    def _measure(self, trouble: _Trouble, sent: float) -> float:
        """Calls per second that were borne before a trouble.

        Of a limit that is known, others leave us what was accepted lately, pauses and all: in a shorter time than its
        window, our own past would be taken for the limit, such as a burst that leaves the window now. Where none is
        known, what was accepted since the trouble before, in its time and the pause that was needed; how long that was
        lies between the last call that was refused and the first that was not.
        """
        shortest, longest = trouble.last - trouble.began, sent - trouble.began
        look_back = max(_HORIZON * longest, _SHORTEST_HORIZON_SECONDS)
        if self.limit is not None:
            since = max(trouble.last - max(look_back, self.limit.seconds), self._sent[0])
            calls, took = self._borne(since, trouble.last), trouble.last - since
            return min(self.rate, calls / took) if calls and took else self.rate / 2
        since = max(trouble.began - look_back, self._untroubled_since, self._sent[0])
        calls, took = self._borne(since, trouble.began), trouble.began - since
        if not calls or not took:
            return self.rate / 2 if self.rate < math.inf else START
        most = min(self.rate, calls / (took + shortest))
        return math.sqrt(most * min(most, calls / (took + longest)))

    def _borne(self, since: float, until: float) -> int:
        """Calls that went out in some time and were not refused."""
        return _between(self._sent, since, until) - _between(self._refused, since, until)

    def _slow_down_to(self, measured: float, trouble: _Trouble, now: float) -> None:
        """Keeps a little below what was measured, and for longer where that was found before, and grown over since."""
        before, self._measured = self._measured, measured
        if before is None or abs(measured / before - 1.0) > _ALIKE:
            self._hold_seconds = _HOLD_SECONDS if self.limit is None else max(_HOLD_SECONDS, 2 * self.limit.seconds)
        elif trouble.began >= self._hold_until:
            self._hold_seconds = min(2 * self._hold_seconds, _LONGEST_HOLD_SECONDS)
        self._hold_until = now + self._hold_seconds
        self.rate = max(_SLOWEST, min(self.rate, self._bound, self._share * _BELOW * measured))

    def _grow(self, now: float) -> None:
        """An accepted call lets the rate grow: at once while nothing was refused, and after a while where it was."""
        if self._measured is None:
            self.rate = min(self._bound, self.rate + _OPENING)
        elif now >= self._hold_until:
            measured = self._share * self._measured
            is_lifted = self.rate > _WELL_ABOVE * measured
            top = self._bound if self._share == 1 or self._limits else measured
            passed = now - max(self._grown_at, self._hold_until)
            self._grown_at = now
            a_second, most = (_QUICK_RECOVERY, _QUICK_MOST_A_CALL) if is_lifted else (_RECOVERY, _MOST_A_CALL)
            by = min(passed * a_second, most)
            self.rate = max(self.rate, min(top, self.rate * (1.0 + by)))


def _between(moments: array[float], since: float, until: float) -> int:
    """How many of these sorted moments there are from one on and before another."""
    return bisect_left(moments, until) - bisect_left(moments, since)
