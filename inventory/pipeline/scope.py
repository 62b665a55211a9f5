"""Makes the calls of one scope: (account, region, project)."""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakMethod

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
from inventory.ledger.reader import NO_ANSWER
from inventory.pipeline.feedback import Feedback
from inventory.pipeline.outcomes import failure_outcome, success_outcome
from inventory.scheduling.circuit_breaker import SILENT, CircuitBreaker, shows_acceptance
from inventory.scheduling.dispatcher import Dispatcher
from inventory.scheduling.endpoint import Endpoint
from inventory.scheduling.lane import Lane
from inventory.scheduling.retry import Attempts, RetryPolicy
from inventory.scheduling.stop_event import StopEvent
from inventory.scheduling.throttle import Throttle
from inventory.scheduling.warmup import WIDTH, Warmup

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from inventory.cloud.credentials import Credential
    from inventory.cloud.responses import Answer
    from inventory.outcome import Outcome
    from inventory.settings import ExportSettings

T = TypeVar("T")

_OK: Final = HTTPStatus.OK.value
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
        dispatcher: grants the calls; has the clock.
        throttle: of the scope, if an earlier stage learned its limits.
        endpoint: what the scope shares with others; None: nothing.

    Attributes:
        lane: the place of its calls.
        stopped: why the scope was given up, or None.
    """

    def __init__(  # noqa: PLR0913 - what the scope is, and what it shares
        self,
        fetch_config: Callable[[str], Awaitable[Answer]],
        credential: Credential,
        settings: ExportSettings,
        *,
        count_call: Callable[[str, int], None],
        was_accepted: bool = False,
        has_second_opinion: bool = False,
        dispatcher: Dispatcher | None = None,
        throttle: Throttle | None = None,
        endpoint: Endpoint | None = None,
    ) -> None:
        self._fetch_config = fetch_config
        self._credential = credential
        self._has_second_opinion = has_second_opinion
        self._count_call = count_call
        dispatcher = dispatcher or Dispatcher()
        self._clock = clock = dispatcher.now
        self._stop_event = StopEvent()
        self.throttle = throttle or Throttle(settings.pace, share=settings.quota_share, clock=clock)
        self._endpoint = endpoint or Endpoint(settings.quota_share, clock)
        self.lane = Lane(dispatcher, self.throttle, self._endpoint, WeakMethod(self.stop), self._stop_event)
        self.lane.width = WIDTH
        self._retry = RetryPolicy(settings.attempts, clock=clock, sleep=self.lane.sleep)
        self.stopped: CallError | OutOfTimeError | None = None
        self._warmup = Warmup(reserve=has_second_opinion)
        self._breaker = CircuitBreaker(self._warmup, was_accepted=was_accepted, has_second_opinion=has_second_opinion)
        self._feedback = Feedback(self.lane, self._breaker, self._warmup, clock)
        self._accepted_when_renewed = self._renewed_generation = -1

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
        self.lane.close()
        if self._credential.lockout is not None:
            self._credential.lockout.end_reservation(self)

    def stop(self, error: CallError | OutOfTimeError) -> None:
        """Closes the scope; keeps the first reason."""
        self.stopped = self.stopped or error
        self.close()

    def conclude(self) -> None:
        """At the end of a session, closes the scope, and gives it up if it never answered."""
        if (error := self._breaker.unreachable()) is not None:
            self.stop(error)
        self.close()

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
        """Makes any call of the scope; other calls wait for a call that is ``for_opinion``.

        Raises:
            CallError: the call failed.
            CallSkippedError: no call was made.
        """
        attempts = attempts or self.attempts()
        if is_obsolete() or not self._warmup.try_enter(for_opinion=for_opinion):
            await self._wait_to_enter(attempts, is_obsolete, for_opinion=for_opinion)
        is_of_list = operation != Operation.SHOW_CONFIG  # as a second opinion, it is not retried
        failed: list[CallError] = []  # a local name would be in a reference cycle with the traceback
        try:
            try:
                result = await self._call(operation, call, attempts)
            except CallError as error:
                failed.append(error)
            if failed:
                make_call = partial(self._call, operation, call, attempts)
                result = await self._retry.repeat(
                    failed, make_call, attempts, is_closed=lambda: (for_opinion and is_of_list) or self.is_closed
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

    async def _wait_to_enter(self, attempts: Attempts, is_obsolete: Callable[[], bool], *, for_opinion: bool) -> None:
        began = self._clock()
        while is_obsolete() or not self._warmup.try_enter(for_opinion=for_opinion):
            if self.is_closed or is_obsolete():
                raise CallSkippedError
            with self.lane.parked_worker(replace=False):
                await self._warmup.wait()
        attempts.waited += self._clock() - began

    def _call(self, operation: str, call: Callable[[], Awaitable[T]], attempts: Attempts) -> Coroutine[None, None, T]:
        lockout = self._credential.lockout
        is_free = (lockout is None or lockout.is_accepted) and self._credential.is_ready
        sent = self.lane.try_acquire() if is_free else None
        if sent is None:
            return self._call_later(operation, call, attempts)
        return self._call_in_slot(operation, call, attempts, sent)

    async def _call_later(self, operation: str, call: Callable[[], Awaitable[T]], attempts: Attempts) -> T:
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
            is_doubted = is_doubted and not self.is_closed
            lockout.release(refusal, accepted=accepted, reserved_for=self if is_doubted else None)
        return answer

    async def _wait_for_slot(self, attempts: Attempts) -> float:
        """Returns the time of sending.

        The throttle precedes the lockout, so a paused scope does not block others with the same secret.
        """
        if self.is_closed:
            raise attempts.error or CallSkippedError
        began, sent, is_ready = self._clock(), None, False
        try:
            if not self._credential.is_ready:
                with self.lane.slow_worker():
                    await self._credential.prepare()
            sent = await self._acquire()
            if sent is not None and sent - began >= _STALE_SECONDS:
                await self._credential.prepare()
            is_ready = not self.is_closed
        except CallError as error:
            is_too_long = self._feedback.record_outage(error, self._clock())
            attempts.record_failure_before_call(is_probe=self._breaker.is_in_outage)
            if is_too_long or error.stops_scope or not error.retryable:
                self.stop(error)
            raise
        finally:
            attempts.waited += self._clock() - began
            if sent is not None and not is_ready:
                self.lane.give_back(sent, is_finished=True)
                if self._credential.lockout is not None:
                    self._credential.lockout.release()
        if sent is None or not is_ready:
            raise attempts.error or CallSkippedError
        return sent

    async def _acquire(self) -> float | None:
        """Takes a slot and, if the secret is unproven, the lockout; None if the scope is closed."""
        lockout = self._credential.lockout
        while (sent := await self.lane.acquire()) is not None and lockout is not None:
            is_acquired = False
            try:
                is_acquired = lockout.try_acquire(self)
            finally:
                if not is_acquired:
                    self.lane.give_back(sent, is_finished=True)
            if is_acquired:
                break
            if self.is_closed:
                return None
            with self.lane.parked_worker(replace=False):
                await lockout.wait()
        return sent

    async def _call_in_slot(
        self, operation: str, call: Callable[[], Awaitable[T]], attempts: Attempts, sent: float
    ) -> T:
        generation = self._credential.generation
        try:
            answer = await call()
        except asyncio.CancelledError:
            self.lane.give_back(sent)
            self._count_call(operation, NO_ANSWER)  # the server may have received it
            raise
        except CallError as raised:
            attempts.record_call(self._clock() - sent, raised)
            self._count_call(operation, raised.status_code or NO_ANSWER)
            is_answered = self._feedback.record_answer(raised, sent)
            raise self._record_error(
                await self._reclassify(raised, generation, operation), sent, attempts, is_answered=is_answered
            ) from None
        finally:
            self.lane.finish()
        now = self._clock()
        attempts.record_call(now - sent, None)
        self._count_call(operation, _OK)
        attempts.attempts += 1
        self._feedback.record_success(sent, now)
        return answer

    def _record_error(self, error: CallError, sent: float, attempts: Attempts, *, is_answered: bool) -> CallError:
        if self._feedback.record_error(error, sent, attempts, is_answered=is_answered):
            self.stop(error)
        return error

    async def _reclassify(self, error: CallError, generation: int, operation: str) -> CallError:
        may_be_permission = self.is_proven or (self.is_in_doubt and operation != Operation.SHOW_CONFIG)
        is_403 = error.error_code == "FSS.0403" and error.status_code == HTTPStatus.FORBIDDEN
        if is_403 and not may_be_permission:
            return error.as_kind(CredentialRefusedError)
        if not isinstance(error, CredentialRefusedError) or not (error.error_code or "").endswith(".0307"):
            return error
        if generation > self._renewed_generation:
            if self._accepted_when_renewed == self._feedback.accepted:
                return error  # renewed and refused again
            self._renewed_generation, self._accepted_when_renewed = generation, self._feedback.accepted
        try:
            with self.lane.slow_worker():
                is_renewed = await self._credential.renew(generation)
        except CallError as reason:
            if isinstance(reason, ThrottledError):
                self.stop(reason)  # the renewal waited for IAM
            return error if isinstance(reason, RefusedError) else reason
        return error.as_kind(CredentialExpiredError) if is_renewed else error

    def _record_failure(self, error: CallError, *, is_of_list: bool) -> None:
        if error.kind is None:
            self._retry.budget.add()
        if error.kind is None or error.error_code in NOT_FOUND_CODES:
            self._breaker.reset()
            return
        lockout = self._credential.lockout
        is_accepted = lockout is None or lockout.is_accepted
        if self._breaker.record_failure(error, is_secret_accepted=is_accepted, is_of_list=is_of_list):
            if error.kind in SILENT and not self._endpoint.has_answered:
                self._endpoint.give_up(error)
            self.stop(error)

    def end_doubt(self, refusals: int) -> None:
        """Ends the wait for a second opinion, after ``refusals`` refused ones."""
        if (error := self._breaker.end_doubt(refusals)) is not None:
            self.stop(error)
        if self._credential.lockout is not None:
            self._credential.lockout.end_reservation(self)
