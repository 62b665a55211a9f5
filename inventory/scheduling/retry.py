"""Retry policy: which call is repeated, how often and for how long."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState
from tenacity.wait import wait_random_exponential

from inventory.errors import CallError, CredentialExpiredError, ThrottledError
from inventory.scheduling.rate import MAX_PAUSE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

MAX_SECONDS: Final = 300.0
"""A URN is not retried after this time. Waits for the throttle and the credential do not count."""
MAX_ALONE: Final = 10
"""A URN is given up after this many 429s in a row while other calls of its scope are accepted."""
MAX_RENEWALS: Final = 3
"""Renewals of the credential that cost a URN no attempt. Later ones do, so that no URN renews it forever."""
MAX_BUDGET: Final = 200
"""Retries that a scope may make in addition to those that it earns."""
_WAIT: Final = wait_random_exponential(multiplier=1.0, max=20.0)
_MAX_BY_CHANCE: Final = 1
"""429s of one URN among accepted calls that may be chance."""


class Attempts:
    """The calls that are made for one URN or one page.

    Attributes:
        maximum: attempts, if fewer than the policy's.
        attempts: calls that used up an attempt.
        throttled: calls that were answered 429.
        began: start time, on the policy's clock.
        uncalled: attempts that failed before a call, because there was no credential.
        waited: seconds spent waiting for anything but an answer or a retry.
        alone: 429s in a row between which other calls of the scope were accepted.
        is_probe: whether the last call was a probe in an outage; a probe uses up no attempt.
        renewals: calls that failed because the credential has been renewed since.
        duration_ms: duration of the last call.
        finished_at: end of the last call, in microseconds since 1970-01-01 UTC.
        error: of the last call; None if it succeeded.
    """

    __slots__ = (
        "_accepted",
        "alone",
        "attempts",
        "began",
        "duration_ms",
        "error",
        "finished_at",
        "is_probe",
        "maximum",
        "renewals",
        "throttled",
        "uncalled",
        "waited",
    )

    def __init__(self, began: float, maximum: int | None = None) -> None:
        self.maximum = maximum
        self.attempts = 0
        self.uncalled = 0
        self.throttled = 0
        self.began = began
        self.waited = 0.0
        self.alone = 0
        self.is_probe = False
        self.renewals = 0
        self.duration_ms = 0.0
        self.finished_at = 0
        self.error: CallError | None = None
        self._accepted: int | None = None

    def record_call(self, seconds: float, error: CallError | None) -> None:
        """Records that a call ended now."""
        self.duration_ms = round(1000 * seconds, 3)
        self.finished_at = time.time_ns() // 1000
        self.error = error

    def record_failure_before_call(self, *, is_probe: bool) -> None:
        """Counts an attempt that failed before a call was made."""
        self.is_probe = is_probe
        self.uncalled += not is_probe
        self.finished_at = time.time_ns() // 1000

    def record_throttled(self, accepted: int) -> None:
        """Counts a 429; ``accepted`` is the number of accepted calls of the scope so far."""
        self.throttled += 1
        if self._accepted is not None:
            self.alone = self.alone + 1 if accepted > self._accepted or self.is_alone else 0
        self._accepted = accepted

    def record_failure(self, error: CallError, *, is_probe: bool) -> None:
        """Counts a call that failed, but not with a 429."""
        self.is_probe = is_probe
        self.renewals += isinstance(error, CredentialExpiredError)
        self.attempts += not (is_probe or self.is_free(error))

    def is_free(self, error: BaseException | None) -> bool:
        """Whether a call failed only because of an old credential, so that it is repeated at once."""
        return isinstance(error, CredentialExpiredError) and self.renewals <= MAX_RENEWALS

    @property
    def is_alone(self) -> bool:
        """Whether the 429s concern this URN and not its scope."""
        return self.alone > _MAX_BY_CHANCE


class RetryBudget:
    """Bounds the retries of a scope, so that an outage does not multiply the calls."""

    def __init__(self) -> None:
        self._left = MAX_BUDGET

    def add(self) -> None:
        """Adds one retry, for a finished URN."""
        if self._left < MAX_BUDGET:
            self._left += 1

    def take(self) -> bool:
        """Takes one retry; returns whether any are left."""
        self._left -= self._left > 0
        return self._left > 0


class RetryPolicy:
    """The retry policy of a scope, shared by all workers.

    Retries a ``retryable`` error with jittered exponential waits, bounded by attempts, time and the scope's budget.
    These calls use up no attempt: a 429 (the throttle makes the call wait), a probe in an outage, and a call whose
    credential has been renewed since.

    Attributes:
        budget: the retries that are left.
    """

    def __init__(
        self,
        attempts: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        wait: Callable[[RetryCallState], float] = _WAIT,
    ) -> None:
        self.budget = RetryBudget()
        self._attempts = attempts
        self._clock = clock
        self._sleep = sleep
        self._wait = wait

    async def run(self, call: Callable[[], Awaitable[T]], attempts: Attempts, *, is_closed: Callable[[], bool]) -> T:
        """Makes a call and repeats it as the policy says, until the scope is closed.

        Raises:
            CallError: the last error.
        """
        try:
            return await call()
        except CallError as error:
            if not error.retryable:
                raise
            first: list[CallError] = [error]

        async def call_again() -> T:
            if first:
                raise first.pop()
            return await call()

        # One AsyncRetrying for each failed URN: coroutines that share one corrupt its state.
        retrying = AsyncRetrying(
            sleep=self._sleep,
            stop=lambda state: is_closed() or self._is_exhausted(state, attempts),
            wait=lambda state: self._pause(state, attempts),
            retry=lambda state: getattr(_error_of(state), "retryable", False),
            reraise=True,
        )
        return await retrying(call_again)

    def _is_exhausted(self, state: RetryCallState, attempts: Attempts) -> bool:
        if isinstance(_error_of(state), ThrottledError):
            return attempts.alone >= MAX_ALONE  # the circuit breaker decides about the whole scope
        maximum = self._attempts if attempts.maximum is None else attempts.maximum
        seconds = self._clock() - attempts.began - attempts.waited
        if attempts.attempts + attempts.uncalled >= maximum or seconds >= MAX_SECONDS:
            return True
        if attempts.is_probe or attempts.is_free(_error_of(state)):
            return False
        return not self.budget.take()

    def _pause(self, state: RetryCallState, attempts: Attempts) -> float:
        error = _error_of(state)
        if not isinstance(error, ThrottledError):
            return 0.0 if attempts.is_probe or attempts.is_free(error) else self._wait(state)
        if not attempts.is_alone:
            return 0.0  # the throttle waits
        return max(self._wait(state), min(error.retry_after or 0.0, MAX_PAUSE_SECONDS))


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
