"""Endpoint: limits and silence that all scopes of one base URL share."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final, TypeAlias

from inventory.scheduling.circuit_breaker import Outage
from inventory.scheduling.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory.errors import CallError, ThrottledError
    from inventory.scheduling.lane import Lane

    Entry: TypeAlias = tuple[bool, float, int, int, int, Lane]

SHARED_POLICIES: Final = frozenset({"ip", "api"})
"""Limits per client address and per API, which count the calls of all scopes (api-facts.md sections 3.6 and 10)."""
_MAX_PROBES: Final = 5
"""Unanswered probes after which an endpoint that never answered is given up, if each scope made a call."""
_EVIDENCE_SECONDS: Final = 1.0
"""Window in which several scopes must hit an unnamed limit that may be shared."""
_EVIDENCE_SCOPES: Final = 3
_EXPLAINED: Final = 0.9
"""Share of the assumed shared limit that must be used to explain a refusal."""
_MAX_CONTRADICTIONS: Final = 3
_TRIAL_PAUSE_SECONDS: Final = 30.0
"""Time between two trials; doubled after each."""


class Endpoint:
    """What the scopes of one base URL share.

    A limit of the policies ``ip`` and ``api`` is learned into :attr:`throttle`, through which all calls pass. Silence
    of several scopes in a row is an outage of the endpoint: one probe at a time, of any scope. An unnamed limit that
    half of the scopes hit at the same time is assumed to be shared, until refusals contradict it.

    Args:
        share: used share of a shared limit.

    Attributes:
        in_flight: calls without an answer yet.
        has_answered: whether any call was ever answered.
        failed: why the endpoint was given up, or None.
        lanes: of the open scopes.
        ready: of the dispatcher: scopes with a call that may be sent.
        token: of the dispatcher: identifies the endpoint's timer.
    """

    def __init__(self, share: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.throttle = Throttle(0.0, share=share, clock=clock)
        self.in_flight = 0
        self.failed: CallError | None = None
        self.lanes: dict[Lane, None] = {}
        self.ready: list[Entry] = []
        self.token = 0
        self._clock = clock
        self._outage = Outage()
        self._probes = 0
        self.has_answered = False
        self._unnamed: list[tuple[float, Lane]] = []
        self._is_trial = False
        self._contradictions = 0
        self._next_trial = -math.inf
        self._trial_pause = _TRIAL_PAUSE_SECONDS

    @property
    def is_limited(self) -> bool:
        """Whether a shared limit is known."""
        return self.throttle.pace.rate < math.inf

    def ready_at(self, now: float, most_unproven: float) -> float:
        """When the next call may be sent; ``inf``: after a call in flight.

        Args:
            now: the clock.
            most_unproven: maximum calls in flight before the first answer.
        """
        if not self.has_answered and self.in_flight >= most_unproven:
            return math.inf
        return self.throttle.ready_at(now)

    def take(self, now: float, *, has_waited: bool = False) -> None:
        """Counts a call that is sent now."""
        self.in_flight += 1
        self.throttle.take(now, has_waited=has_waited)

    def record_answer(self, sent: float, now: float | None = None) -> None:
        """Records an answer other than a 429 of a shared limit; ``now``: the clock, if the caller has read it."""
        self.in_flight -= 1
        self.has_answered = True
        self._probes = 0
        self._outage.record_answer()
        self.throttle.record_accepted(sent, now)

    def record_throttled(self, sent: float, error: ThrottledError) -> None:
        """Records a 429 of a shared limit."""
        self.in_flight -= 1
        self.has_answered = True
        self._outage.record_answer()
        self.throttle.record_throttled(sent, error)

    def assumes_shared(self, lane: Lane, sent: float) -> bool:
        """Whether an unnamed limit that a scope hit is assumed to count the calls of all scopes."""
        now, pace = self._clock(), self.throttle.pace
        if self._is_trial:
            self._contradictions += pace.accepted_per_second(sent, _EVIDENCE_SECONDS) < _EXPLAINED * pace.rate
            if self._contradictions >= _MAX_CONTRADICTIONS:
                self._is_trial = False
                self._next_trial, self._trial_pause = now + self._trial_pause, 2 * self._trial_pause
                pace.forget()
            return self._is_trial
        self._unnamed = [entry for entry in self._unnamed if entry[0] > sent - _EVIDENCE_SECONDS]
        self._unnamed.append((sent, lane))
        scopes = {other for _, other in self._unnamed}
        if now < self._next_trial or len(scopes) < max(_EVIDENCE_SCOPES, len(self.lanes) / 2):
            return False
        self._is_trial, self._contradictions = True, 0
        for other in self.lanes:
            other.throttle.pace.forget()
        first = min(sent for sent, _ in self._unnamed)  # the calls before it were accepted
        pace.slow_down_to(pace.accepted_per_second(first, _EVIDENCE_SECONDS), 0.0, now)
        return True

    def record_no_answer(self, sent: float) -> None:
        """Records a call that says nothing about the endpoint."""
        self.in_flight -= 1
        self.throttle.record_no_answer(sent)

    def record_silence(self, sent: float, error: CallError) -> bool:
        """Records an unanswered call; returns whether it was a probe in an outage.

        The outage of an endpoint with one scope is that of the scope.
        """
        self.record_no_answer(sent)
        if len(self.lanes) < 2:  # noqa: PLR2004 - one scope has nothing to share
            return False
        now = self._clock()
        was_on = self._outage.is_on
        pause = self._outage.record_silence(sent, now)
        if pause:
            self._probes += was_on
            self.throttle.pause(pause, probe_seconds=math.inf)
        is_dead = not self.has_answered and self._probes >= _MAX_PROBES and all(lane.turn for lane in self.lanes)
        if is_dead or self._outage.is_too_long(now):
            self.give_up(error)
        return self._outage.is_on and self.has_answered

    def give_up(self, error: CallError) -> None:
        """Stops all scopes."""
        self.failed = error
        for lane in list(self.lanes):
            lane.stop(error)
