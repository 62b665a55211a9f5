"""Which call is made again, when, and when it is enough.

Owns the retry policy: only what an error calls ``retryable``, with jittered exponential waits, bounded by attempts, by
time, and by a budget of the whole scope, so that trouble with everything does not multiply the calls. A 429 uses up no
attempt: the throttle makes it wait, unless it is this URN alone that is refused; nor does a call of an outage, which is
only a probe, nor a call whose credential was renewed since. Knows no HTTP. Time, sleep and chance are parameters.
"""

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
"""After this long, a URN that fails is not asked again (waits for the throttle and the credential not counted)."""
MAX_ALONE: Final = 10
"""A URN that is refused this often in a row, while others of its scope are let through, is given up."""
MAX_RENEWALS: Final = 3
"""Renewals of the credential that cost one URN no attempt; later ones do, so that no URN renews it for ever."""
_WAIT: Final = wait_random_exponential(multiplier=1.0, max=20.0)
BUDGET: Final = 200
"""Retries that a scope may make beyond those that it earns: one for each URN that is settled."""
_CHANCE: Final = 1
"""Refusals of one URN among accepted ones that may still be bad luck."""


class Attempts:
    """How the calls for one thing went: counted by the caller, judged by the policy.

    Attributes:
        most: attempts, where they are fewer than the policy's.
        attempts: calls that used up an attempt.
        throttled: calls that were answered 429.
        began: when the first was asked for, on the policy's clock.
        unasked: times that an attempt was used up before a call was made, as there was no credential.
        waited: seconds of it that were spent waiting for something else than an answer or a retry.
        alone: 429s in a row between which other calls of the scope were accepted.
        is_probe: whether the last call was one of an outage, and used up no attempt.
        renewals: calls that were refused with a credential that was renewed since.
        duration_ms: how long the last call took.
        finished_at: when it ended, in microseconds since 1970-01-01 UTC.
        error: what was wrong with it; None where nothing was.
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
        "most",
        "renewals",
        "throttled",
        "unasked",
        "waited",
    )

    def __init__(self, began: float, most: int | None = None) -> None:
        self.most = most
        self.attempts = 0
        self.unasked = 0
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

    def note(self, seconds: float, error: CallError | None) -> None:
        """Notes how long a call took, that it ended now, and its error if it had one."""
        self.duration_ms = round(1000 * seconds, 3)
        self.finished_at = time.time_ns() // 1000
        self.error = error

    def fail_unasked(self, *, is_probe: bool) -> None:
        """Notes that an attempt failed now, before a call was made; one of an outage uses up none."""
        self.is_probe = is_probe
        self.unasked += not is_probe
        self.finished_at = time.time_ns() // 1000

    def refuse(self, accepted: int) -> None:
        """Counts a 429; ``accepted`` is how many calls of the scope were accepted so far."""
        self.throttled += 1
        if self._accepted is not None:
            self.alone = self.alone + 1 if accepted > self._accepted or self.is_alone else 0
        self._accepted = accepted

    def fail(self, error: CallError, *, is_probe: bool) -> None:
        """Counts a call that failed otherwise: it uses up an attempt unless it is a probe or its credential was old."""
        self.is_probe = is_probe
        self.renewals += isinstance(error, CredentialExpiredError)
        self.attempts += not (is_probe or self.is_free(error))

    def is_free(self, error: BaseException | None) -> bool:
        """Whether a call failed only because its credential was old, and may be made again at once."""
        return isinstance(error, CredentialExpiredError) and self.renewals <= MAX_RENEWALS

    @property
    def is_alone(self) -> bool:
        """Whether it is this URN that is refused, and not its scope."""
        return self.alone > _CHANCE


class Retry:
    """The policy of a scope; one instance serves all workers, and keeps no state of a call."""

    def __init__(
        self,
        attempts: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        wait: Callable[[RetryCallState], float] = _WAIT,
    ) -> None:
        self._attempts = attempts
        self._budget = BUDGET
        self._clock = clock
        self._sleep = sleep
        self._wait = wait

    def earn(self) -> None:
        """A thing was settled: a retry more may be made."""
        if self._budget < BUDGET:
            self._budget += 1

    async def run(self, call: Callable[[], Awaitable[T]], counts: Attempts, *, closed: Callable[[], bool]) -> T:
        """Makes a call, and again while the policy says so and the scope is not closed.

        Raises:
            CallError: the last one.
        """
        try:
            return await call()
        except CallError as error:
            if not error.retryable:
                raise
            first: list[CallError] = [error]

        async def again() -> T:
            if first:
                raise first.pop()
            return await call()

        # Made anew for each troubled URN: an AsyncRetrying that coroutines share mixes up their states.
        retrying = AsyncRetrying(
            sleep=self._sleep,
            stop=lambda state: closed() or self._is_enough(state, counts),
            wait=lambda state: self._pause(state, counts),
            retry=lambda state: getattr(_error(state), "retryable", False),
            reraise=True,
        )
        return await retrying(again)

    def _is_enough(self, state: RetryCallState, counts: Attempts) -> bool:
        if isinstance(_error(state), ThrottledError):
            return counts.alone >= MAX_ALONE  # when to give up the whole scope, the scope knows
        most = self._attempts if counts.most is None else counts.most
        if counts.attempts + counts.unasked >= most or self._clock() - counts.began - counts.waited >= MAX_SECONDS:
            return True
        if counts.is_probe or counts.is_free(_error(state)):
            return False
        self._budget -= self._budget > 0
        return not self._budget

    def _pause(self, state: RetryCallState, counts: Attempts) -> float:
        error = _error(state)
        if not isinstance(error, ThrottledError):
            return 0.0 if counts.is_probe or counts.is_free(error) else self._wait(state)
        if not counts.is_alone:
            return 0.0  # the throttle makes it wait, as it does in an outage
        return max(self._wait(state), min(error.retry_after or 0.0, MAX_PAUSE_SECONDS))


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
