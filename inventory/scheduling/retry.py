"""Retry policy: which calls are repeated, how often, how long."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from inventory.errors import CallError, CredentialExpiredError, ThrottledError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import RetryCallState

T = TypeVar("T")

MAX_SECONDS: Final = 300.0
"""Maximum time of a URN's retries, without waits for throttle and credential."""
MAX_ALONE: Final = 10
"""429s in a row before a URN is given up, while other calls are accepted."""
MAX_RENEWALS: Final = 3
"""Credential renewals that use up no attempt; the limit prevents endless renewals."""
MAX_BUDGET: Final = 200
"""Retries of a scope in addition to those it earns."""
_LONGEST_ALONE_SECONDS: Final = 900.0
"""Longest pause of one URN from ``Retry-After``."""
_MAX_BY_CHANCE: Final = 1
"""429s of one URN among accepted calls that may be chance."""


class Attempts(msgspec.Struct):
    """The calls for one URN or page.

    Attributes:
        attempts: calls that used up an attempt.
        throttled: calls answered 429.
        uncalled: attempts without credential and so without call.
        waited: seconds of waiting, except for answers and retries.
        alone: 429s in a row while other calls of the scope were accepted.
        is_probe: whether the last call was a probe in an outage.
        was_stopped: whether the process was stopped during the last call.
        renewals: calls that failed because the credential has been renewed since.
        finished_at: end of the last call, in microseconds since 1970-01-01 UTC.
        error: of the last call.
        accepted_before: the scope's accepted calls at the last 429.
    """

    began: float
    maximum: int | None = None
    attempts: int = 0
    uncalled: int = 0
    throttled: int = 0
    waited: float = 0.0
    alone: int = 0
    is_probe: bool = False
    was_stopped: bool = False
    renewals: int = 0
    duration_ms: float = 0.0
    finished_at: int = 0
    error: CallError | None = None
    accepted_before: int | None = None

    def record_call(self, seconds: float, error: CallError | None) -> None:
        """Records the end of a call."""
        self.duration_ms = round(1e6 * seconds) / 1000  # round() to digits takes five times as long
        self.finished_at = time.time_ns() // 1000
        self.error = error

    def record_failure_before_call(self, *, is_probe: bool) -> None:
        """Counts an attempt without call."""
        self.is_probe, self.was_stopped = is_probe, False
        self.uncalled += not is_probe
        self.finished_at = time.time_ns() // 1000

    def record_throttled(self, accepted: int) -> None:
        """Counts a 429; ``accepted`` counts the scope's accepted calls."""
        self.throttled += 1
        if self.accepted_before is not None:
            self.alone = self.alone + 1 if accepted > self.accepted_before or self.is_alone else 0
        self.accepted_before = accepted

    def record_failure(self, error: CallError, *, is_probe: bool, was_stopped: bool = False) -> None:
        """Counts a failed call other than a 429; ``was_stopped``: the process did not run meanwhile."""
        self.is_probe = is_probe
        self.was_stopped = was_stopped
        self.renewals += isinstance(error, CredentialExpiredError)
        self.attempts += not (is_probe or self.is_free(error))

    def is_free(self, error: BaseException | None) -> bool:
        """Whether a call failed only because of an old credential or a stopped process; it is repeated at once."""
        return self.was_stopped or (isinstance(error, CredentialExpiredError) and self.renewals <= MAX_RENEWALS)

    @property
    def is_alone(self) -> bool:
        """Whether the 429s concern this URN, not its scope."""
        return self.alone > _MAX_BY_CHANCE


class RetryBudget:
    """Bounds the retries of a scope, so that an outage does not multiply calls."""

    def __init__(self) -> None:
        self._left = MAX_BUDGET

    def add(self) -> None:
        """Adds a retry for a finished URN."""
        if self._left < MAX_BUDGET:
            self._left += 1

    def take(self) -> bool:
        """Takes a retry; returns whether any are left."""
        self._left -= self._left > 0
        return self._left > 0


class RetryPolicy:
    """The retry policy of a scope, shared by all workers.

    Retries ``retryable`` errors with jittered exponential waits, bounded by attempts, time and budget. A 429, a probe
    in an outage, and a call with a credential that has been renewed since use up no attempt.
    """

    def __init__(
        self,
        attempts: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        wait: Callable[[RetryCallState], float] | None = None,
    ) -> None:
        self.budget = RetryBudget()
        self._attempts = attempts
        self._clock = clock
        self._sleep = sleep
        self._wait = wait

    async def run(self, call: Callable[[], Awaitable[T]], attempts: Attempts, *, is_closed: Callable[[], bool]) -> T:
        """Makes a call and repeats it until the scope is closed.

        Raises:
            CallError: the last error.
        """
        failed: list[CallError] = []
        try:
            return await call()
        except CallError as error:
            failed.append(error)
        return await self.repeat(failed, call, attempts, is_closed=is_closed)

    async def repeat(
        self,
        failed: list[CallError],
        call: Callable[[], Awaitable[T]],
        attempts: Attempts,
        *,
        is_closed: Callable[[], bool],
    ) -> T:
        """Repeats a failed call until the scope is closed.

        Args:
            failed: the error of the first call; is taken out, because its traceback refers to the caller.
            call: the call.
            attempts: counts its calls.
            is_closed: whether to stop.

        Raises:
            CallError: the last error.
        """
        if not failed[0].retryable:
            raise failed.pop()

        async def call_again() -> T:
            if failed:
                raise failed.pop()
            return await call()

        # tenacity imports tornado; most runs repeat nothing.
        from tenacity import AsyncRetrying, wait_random_exponential  # noqa: PLC0415 - slow to import

        self._wait = self._wait or wait_random_exponential(multiplier=1.0, max=20.0)
        # Coroutines that share one AsyncRetrying corrupt its state.
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
            return attempts.alone >= MAX_ALONE  # the circuit breaker decides about the scope
        maximum = self._attempts if attempts.maximum is None else attempts.maximum
        seconds = self._clock() - attempts.began - attempts.waited
        if attempts.attempts + attempts.uncalled >= maximum or seconds >= MAX_SECONDS:
            return True
        if attempts.is_probe or attempts.is_free(_error_of(state)):
            return False
        return not self.budget.take()

    def _pause(self, state: RetryCallState, attempts: Attempts) -> float:
        error = _error_of(state)
        wait = 0.0 if self._wait is None else self._wait(state)
        if not isinstance(error, ThrottledError):
            return 0.0 if attempts.is_probe or attempts.is_free(error) else wait
        if not attempts.is_alone:
            return 0.0  # the throttle waits
        return max(wait, min(error.retry_after or 0.0, _LONGEST_ALONE_SECONDS))


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
