"""What throttle, endpoint, breaker and warm-up learn from each call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inventory.cloud.responses import NOT_FOUND_CODES
from inventory.errors import CallError, CredentialExpiredError, ThrottledError
from inventory.scheduling.circuit_breaker import SILENT, is_throttled_too_long
from inventory.scheduling.endpoint import SHARED_POLICIES
from inventory.scheduling.warmup import WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory.scheduling.circuit_breaker import CircuitBreaker
    from inventory.scheduling.lane import Lane
    from inventory.scheduling.retry import Attempts
    from inventory.scheduling.warmup import Warmup


class Feedback:
    """Records the end of each call of a scope.

    Args:
        lane: has throttle and endpoint of the scope.
        breaker: of the scope.
        warmup: of the scope.
        clock: monotonic; may have ``stopped_since(moment)``.

    Attributes:
        accepted: calls whose credential the service accepted.
        answered: calls with an answer other than 429.
    """

    def __init__(self, lane: Lane, breaker: CircuitBreaker, warmup: Warmup, clock: Callable[[], float]) -> None:
        self.accepted = 0
        self.answered = 0
        self._lane = lane
        self._breaker = breaker
        self._warmup = warmup
        self._clock = clock
        self._was_stopped_since = getattr(clock, "stopped_since", lambda _moment: False)
        self._throttled_at: float | None = None  # the first 429 since the last answer

    def record_success(self, sent: float, now: float) -> None:
        """Records an accepted call."""
        self._breaker.record_answer()
        self._record_answer(sent, now)
        self._record_acceptance()

    def record_answer(self, error: CallError, sent: float) -> bool:
        """Records a failed call before its credential is renewed; returns whether the service answered, except 429."""
        is_answered = error.status_code is not None and not isinstance(error, ThrottledError)
        if is_answered:
            self._record_answer(sent, self._clock())
        return is_answered

    def record_error(self, error: CallError, sent: float, attempts: Attempts, *, is_answered: bool) -> bool:
        """Records a failed call; returns whether the scope is given up.

        Args:
            error: of the service, or of the renewal of the credential.
            sent: identifies the call.
            attempts: of the URN.
            is_answered: what :meth:`record_answer` returned.
        """
        attempts.error = error
        attempts.waited += self._clock() - sent - attempts.duration_ms / 1000  # credential renewal
        if not isinstance(error, CredentialExpiredError):  # only this call tries the renewed credential
            self._warmup.widen()
        if is_answered:
            is_too_long = self.record_outage(error, sent)
            attempts.record_failure(error, is_probe=self._breaker.is_in_outage)
        elif isinstance(error, ThrottledError):
            return self._record_throttled(error, sent, attempts)
        else:
            is_too_long = self._record_silence(error, sent, attempts)
        if error.kind is None or error.error_code in NOT_FOUND_CODES:  # the service searched for the function
            self._record_acceptance()
        return is_too_long or error.stops_scope

    def record_outage(self, error: CallError, sent: float) -> bool:
        """Counts a failure of the scope's outage; returns whether that lasts too long."""
        now = self._clock()
        pause = self._breaker.record_call(error, sent, now)
        if pause:
            self._lane.throttle.pause(pause)
        return self._breaker.is_outage_too_long(now)

    def _record_acceptance(self) -> None:
        self.accepted += 1
        self._warmup.open()
        if self._lane.width == WIDTH:
            self._lane.widen()

    def _record_answer(self, sent: float, now: float) -> None:
        lane = self._lane
        self.answered += 1
        self._throttled_at = None
        lane.is_silent = False
        is_first = not lane.endpoint.has_answered
        lane.throttle.record_accepted(sent, now)
        lane.endpoint.record_answer(sent, now)
        if is_first:
            lane.changed()

    def _record_silence(self, error: CallError, sent: float, attempts: Attempts) -> bool:
        lane = self._lane
        lane.throttle.record_no_answer(sent)
        if error.kind in SILENT and self._was_stopped_since(sent):
            lane.endpoint.record_no_answer(sent)
            attempts.record_failure(error, is_probe=False, was_stopped=True)
            return False
        lane.is_silent = True
        is_probe = lane.endpoint.record_silence(sent, error)
        is_too_long = not is_probe and self.record_outage(error, sent)
        attempts.record_failure(error, is_probe=is_probe or self._breaker.is_in_outage)
        lane.changed()
        return is_too_long

    def _record_throttled(self, error: ThrottledError, sent: float, attempts: Attempts) -> bool:
        lane = self._lane
        self._breaker.record_answer()
        attempts.record_throttled(self.answered)
        if attempts.is_alone:  # other calls are accepted
            lane.give_back(sent)
            return False
        throttle = lane.throttle
        limit = error.limit
        if limit.policy in SHARED_POLICIES if limit is not None else lane.endpoint.assumes_shared(lane, sent):
            throttle.record_no_answer(sent)
            throttle = lane.endpoint.throttle
            lane.endpoint.record_throttled(sent, error)
        else:
            throttle.record_throttled(sent, error)
            lane.endpoint.record_answer(sent)
        self._throttled_at = self._throttled_at or sent
        return is_throttled_too_long(throttle.pauses, self._clock() - self._throttled_at)
