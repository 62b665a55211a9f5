"""Makes the calls of one scope: (account, region, project)."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

from inventory.cloud.pages import Operation
from inventory.cloud.responses import NOT_FOUND_CODES
from inventory.errors import (
    CallError,
    CredentialExpiredError,
    CredentialRefusedError,
    OutOfTimeError,
    RefusedError,
    ThrottledError,
)
from inventory.ledger.writer import NO_ANSWER
from inventory.pipeline.outcomes import failure_outcome, success_outcome
from inventory.scheduling.circuit_breaker import CircuitBreaker, is_throttled_too_long, shows_acceptance
from inventory.scheduling.retry import Attempts, RetryPolicy
from inventory.scheduling.stop_event import StopEvent
from inventory.scheduling.throttle import Throttle
from inventory.scheduling.warmup import Warmup

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from inventory.cloud.credentials import Credential
    from inventory.cloud.responses import Answer
    from inventory.outcome import Outcome
    from inventory.settings import ExportSettings

T = TypeVar("T")

_STALE_SECONDS: Final = 1.0  # a credential may expire during such a wait


class CallSkippedError(Exception):
    """No call was made: the scope closed, or the call became obsolete."""


class Scope:
    """Makes calls with warm-up, rate limit, retries, credential renewal and circuit breaker.

    Args:
        fetch_config: requests the config of a URN.
        credential: signs the calls.
        settings: rate, quota share and attempts.
        count_call: called with operation and HTTP status.
        was_accepted: in an earlier session of the run.
        has_second_opinion: see :mod:`inventory.pipeline.second_opinion`.
        clock: monotonic.

    Attributes:
        stopped: why the scope was given up, or None.
    """

    def __init__(
        self,
        fetch_config: Callable[[str], Awaitable[Answer]],
        credential: Credential,
        settings: ExportSettings,
        *,
        count_call: Callable[[str, int], None],
        was_accepted: bool = False,
        has_second_opinion: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch_config = fetch_config
        self._credential = credential
        self._has_second_opinion = has_second_opinion
        self._count_call = count_call
        self._clock = clock
        self._stop_event = StopEvent()
        self.throttle = Throttle(settings.pace, share=settings.quota_share, clock=clock, sleep=self._stop_event.sleep)
        self._retry = RetryPolicy(settings.attempts, clock=clock, sleep=self._stop_event.sleep)
        self.stopped: CallError | OutOfTimeError | None = None
        self._warmup = Warmup(reserve=has_second_opinion)
        self._breaker = CircuitBreaker(self._warmup, was_accepted=was_accepted, has_second_opinion=has_second_opinion)
        self._answered = 0  # with anything but a 429
        self._answered_at = clock()
        self._accepted = 0  # the service accepted the credential
        self._accepted_when_renewed = -1
        self._renewed_generation = -1

    @property
    def is_closed(self) -> bool:
        """Whether no more calls are made."""
        return self._stop_event.is_set()

    @property
    def is_in_doubt(self) -> bool:
        """Whether a second opinion is awaited."""
        return self._warmup.is_held

    @property
    def is_proven(self) -> bool:
        """Whether the service accepted a call of this scope."""
        return self._breaker.is_proven

    def close(self) -> None:
        """Prevents further calls and ends all waits."""
        self._stop_event.set()
        self._warmup.notify()

    def stop(self, error: CallError | OutOfTimeError) -> None:
        """Closes the scope; keeps the first reason."""
        self.stopped = self.stopped or error
        self.close()

    def conclude(self) -> None:
        """At the end of a session, gives up a scope that never answered."""
        if (error := self._breaker.unreachable()) is not None:
            self.stop(error)

    def attempts(self, maximum: int | None = None) -> Attempts:
        """Counters for one URN or page."""
        return Attempts(self._clock(), maximum)

    async def fetch_config(
        self, urn: str, *, is_obsolete: Callable[[], bool] = lambda: False, for_opinion: bool = False
    ) -> Outcome | None:
        """Requests the config of a URN; None if no call was made."""
        operation, attempts = Operation.SHOW_CONFIG, self.attempts()
        call = partial(self._fetch_config, urn)
        try:
            answer = await self.fetch(operation, call, attempts, is_obsolete=is_obsolete, for_opinion=for_opinion)
        except CallSkippedError:
            return None
        except CallError as error:
            return failure_outcome(urn, error, operation, attempts)
        return success_outcome(urn, answer, operation, attempts)

    async def fetch(
        self,
        operation: str,
        call: Callable[[], Awaitable[T]],
        attempts: Attempts | None = None,
        *,
        is_obsolete: Callable[[], bool] = lambda: False,
        for_opinion: bool = False,
    ) -> T:
        """Makes any call of the scope.

        Other calls wait for a call that is ``for_opinion``.

        Raises:
            CallError: the call failed.
            CallSkippedError: no call was made.
        """
        attempts = attempts or self.attempts()
        is_of_list = operation != Operation.SHOW_CONFIG  # as a second opinion, it is not retried
        await self._enter(attempts, is_obsolete, for_opinion=for_opinion)
        try:
            make_call = partial(self._call, operation, call, attempts)
            result = await self._retry.run(
                make_call, attempts, is_closed=lambda: (for_opinion and is_of_list) or self.is_closed
            )
        except CallError as error:
            self._record_failure(error, is_of_list=is_of_list)
            raise
        finally:
            attempts.error = None  # reference cycle with its traceback
            self._warmup.leave()
        self._retry.budget.add()
        self._breaker.reset()
        return result

    async def _enter(self, attempts: Attempts, is_obsolete: Callable[[], bool], *, for_opinion: bool) -> None:
        began = self._clock()
        while is_obsolete() or not self._warmup.try_enter(for_opinion=for_opinion):
            if self.is_closed or is_obsolete():
                raise CallSkippedError
            await self._warmup.wait()
        attempts.waited += self._clock() - began

    async def _call(self, operation: str, call: Callable[[], Awaitable[T]], attempts: Attempts) -> T:
        """Makes one call; holds the lockout if the secret is unproven."""
        sent = await self._wait_for_slot(attempts)
        lockout = self._credential.lockout
        if lockout is None:
            return await self._call_in_slot(operation, call, attempts, sent)
        refusal: CallError | None = None
        accepted = is_doubted = False
        try:
            answer = await self._call_in_slot(operation, call, attempts, sent)
            accepted = True
        except CallError as error:
            accepted = error.error_code in NOT_FOUND_CODES or shows_acceptance(error)
            if not accepted and error.status_code == HTTPStatus.UNAUTHORIZED and not error.retryable:
                refusal = error.as_kind(RefusedError)
                is_doubted = self._has_second_opinion and not error.stops_scope
            raise
        finally:
            lockout.release(refusal, accepted=accepted, reserved_for=self if is_doubted else None)
        return answer

    async def _wait_for_slot(self, attempts: Attempts) -> float:
        """Returns the time of sending.

        The throttle precedes the lockout, so a paused scope does not block others with the same secret.
        """
        began, lockout = self._clock(), self._credential.lockout
        if self._stop_event.is_set():
            raise attempts.error or CallSkippedError
        try:
            await self._credential.prepare()
            sent = await self.throttle.acquire()
            if sent - began >= _STALE_SECONDS:
                await self._credential.prepare()
            while lockout is not None and not self._stop_event.is_set():
                has_waited = await lockout.acquire(self)
                if not has_waited or not (self._stop_event.is_set() or self.throttle.paused_for):
                    break
                lockout.release()  # paused meanwhile
                self.throttle.record_no_answer(sent)
                sent = await self.throttle.acquire()
        except CallError as error:
            attempts.record_failure_before_call(is_probe=self._is_probe(error, self._clock()))
            if error.stops_scope or not error.retryable:
                self.stop(error)
            raise
        finally:
            attempts.waited += self._clock() - began
        if self._stop_event.is_set():
            raise attempts.error or CallSkippedError
        return sent

    async def _call_in_slot(
        self, operation: str, call: Callable[[], Awaitable[T]], attempts: Attempts, sent: float
    ) -> T:
        generation = self._credential.generation
        try:
            answer = await call()
        except asyncio.CancelledError:
            self.throttle.record_no_answer(sent)
            self._count_call(operation, NO_ANSWER)  # the server may have received it
            raise
        except CallError as raised:
            attempts.record_call(self._clock() - sent, raised)
            self._count_call(operation, raised.status_code or NO_ANSWER)
            # No local name: the error's traceback refers to this frame, a reference cycle.
            raise self._record_error(await self._reclassify(raised, generation, operation), sent, attempts) from None
        attempts.record_call(self._clock() - sent, None)
        self._count_call(operation, HTTPStatus.OK.value)
        attempts.attempts += 1
        self._breaker.record_answer()
        self._record_answer(sent)
        self._record_acceptance()
        return answer

    async def _reclassify(self, error: CallError, generation: int, operation: str) -> CallError:
        """Adjusts an error to the state of scope and credential."""
        may_be_permission = self.is_proven or (self.is_in_doubt and operation != Operation.SHOW_CONFIG)
        is_403 = error.error_code == "FSS.0403" and error.status_code == HTTPStatus.FORBIDDEN
        if is_403 and not may_be_permission:
            return error.as_kind(CredentialRefusedError)
        if not isinstance(error, CredentialRefusedError) or not (error.error_code or "").endswith(".0307"):
            return error
        if generation > self._renewed_generation:
            if self._accepted_when_renewed == self._accepted:
                return error  # renewed and refused again
            self._renewed_generation, self._accepted_when_renewed = generation, self._accepted
        try:
            is_renewed = await self._credential.renew(generation)
        except CallError as reason:
            if isinstance(reason, ThrottledError):
                self.stop(reason)  # the renewal waited for IAM
            return error if isinstance(reason, RefusedError) else reason
        return error.as_kind(CredentialExpiredError) if is_renewed else error

    def _record_acceptance(self) -> None:
        self._accepted += 1
        self._warmup.open()

    def _record_answer(self, sent: float) -> None:
        self._answered += 1
        self._answered_at = self._clock()
        self.throttle.record_accepted(sent)

    def _record_error(self, error: CallError, sent: float, attempts: Attempts) -> CallError:
        attempts.error = error
        attempts.waited += self._clock() - sent - attempts.duration_ms / 1000  # credential renewal
        if not isinstance(error, CredentialExpiredError):  # only this call tries the renewed credential
            self._warmup.widen()
        if isinstance(error, ThrottledError):
            self._record_throttled(error, sent, attempts)
            return error
        if error.status_code is not None:
            self._record_answer(sent)
        else:
            self.throttle.record_no_answer(sent)
        attempts.record_failure(error, is_probe=self._is_probe(error, sent))
        if error.stops_scope:
            self.stop(error)
        if error.kind is None or error.error_code in NOT_FOUND_CODES:  # the service searched for the function
            self._record_acceptance()
        return error

    def _record_throttled(self, error: ThrottledError, sent: float, attempts: Attempts) -> None:
        self._breaker.record_answer()
        attempts.record_throttled(self._answered)
        if attempts.is_alone:
            self.throttle.record_no_answer(sent)  # other calls are accepted
            return
        self.throttle.record_throttled(sent, error)
        if is_throttled_too_long(self.throttle.pauses, self._clock() - self._answered_at):
            self.stop(error)

    def _is_probe(self, error: CallError, sent: float) -> bool:
        now = self._clock()
        pause = self._breaker.record_call(error, sent, now)
        if pause:
            self.throttle.pause(pause)
        if self._breaker.is_outage_too_long(now):
            self.stop(error)
        return self._breaker.is_in_outage

    def _record_failure(self, error: CallError, *, is_of_list: bool) -> None:
        if error.kind is None:
            self._retry.budget.add()
        if error.kind is None or error.error_code in NOT_FOUND_CODES:
            self._breaker.reset()
            return
        lockout = self._credential.lockout
        is_accepted = lockout is None or lockout.is_accepted
        if self._breaker.record_failure(error, is_secret_accepted=is_accepted, is_of_list=is_of_list):
            self.stop(error)

    def end_doubt(self, refusals: int) -> None:
        """Ends the wait for a second opinion, after ``refusals`` refused ones."""
        if (error := self._breaker.end_doubt(refusals)) is not None:
            self.stop(error)
        if self._credential.lockout is not None:
            self._credential.lockout.end_reservation(self)
