"""One (region, project): how a URN of it is settled, and when the whole scope stops.

Owns the decision to stop, on top of the two flags of the errors: a refused credential and a firewall stop a scope at
once, and a scope that brings nothing but failures is given up. Until a first answer shows that calls are welcome, only
a few scouts are sent. Knows no ledger's file and no other scope.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, TypeVar

from inventory.cloud.responses import GONE
from inventory.errors import (
    CallError,
    CredentialExpiredError,
    CredentialRefusedError,
    ErrorKind,
    OutOfTimeError,
    RefusedError,
    ThrottledError,
)
from inventory.ledger.writer import NO_ANSWER
from inventory.outcome import SHOW, Outcome, failed, settled
from inventory.scheduling.circuit_breaker import SILENCE, Failures, Outage, is_of_the_service, shows_acceptance
from inventory.scheduling.retry import Attempts, Retry
from inventory.scheduling.throttle import MAX_REFUSALS, MAX_REFUSED_SECONDS, Throttle
from inventory.scheduling.warmup import OPINIONS, Closing, Gate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from inventory.cloud.credentials import Credential
    from inventory.cloud.responses import Answer
    from inventory.settings import ExportSettings

T = TypeVar("T")

# Failures that the service says of single functions: a list may hold any number of them in a row.
_OF_ONE_URN: Final = frozenset({ErrorKind.FORBIDDEN, ErrorKind.SERVER_ERROR})


class NotAskedError(Exception):
    """The scope closed before a first call was made."""


class Scope:
    """A scope at work.

    Attributes:
        stopped: why the scope stopped; None while it goes on.
        throttle: its pace.
    """

    def __init__(
        self,
        ask: Callable[[str], Awaitable[Answer]],
        credential: Credential,
        settings: ExportSettings,
        *,
        count_call: Callable[[str, int], None],
        was_welcome: bool = False,
        has_second_opinion: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._credential = credential
        self._was_welcome = was_welcome  # in an earlier session: failures of single URNs are no news of the scope
        self._has_second_opinion = has_second_opinion
        self._doubt: CallError | None = None
        self._is_examined = self._are_many = False
        self._count_call = count_call
        self._clock = clock
        self._closing = Closing()
        self.throttle = Throttle(settings.pace, share=settings.quota_share, clock=clock, sleep=self._closing.sleep)
        self._outage = Outage()
        self._retry = Retry(settings.attempts, clock=clock, sleep=self._closing.sleep)
        self.stopped: CallError | OutOfTimeError | None = None
        self._gate = Gate(
            spare=has_second_opinion
        )  # opens when an answer of the service shows that the credential is accepted
        self._accepted = 0
        self._welcomed = 0
        self._welcomed_when_renewed = -1
        self._renewed_generation = -1
        self._accepted_at = clock()
        self._failures = Failures()

    @property
    def closed(self) -> bool:
        """Whether no further call is made."""
        return self._closing.is_set()

    @property
    def is_in_doubt(self) -> bool:
        """Whether a second opinion is awaited."""
        return self._gate.is_held

    def close(self) -> None:
        """Makes no further call; who waits is woken."""
        self._closing.set()
        self._gate.wake()

    def attempts(self, most: int | None = None) -> Attempts:
        """An account of the calls that are made for one thing, for :meth:`fetch` to keep; ``most`` bounds them."""
        return Attempts(self._clock(), most)

    async def fetch(
        self,
        operation: str,
        ask: Callable[[], Awaitable[T]],
        counts: Attempts | None = None,
        *,
        unless: Callable[[], bool] = lambda: False,
        for_opinion: bool = False,
    ) -> T:
        """Makes any call of the scope by its rules: pace, retries, and the credential renewed.

        ``unless`` says that it is not wanted any more; ``for_opinion``, that others wait for what it says.

        Raises:
            CallError: the call brought nothing.
            NotAskedError: the scope closed before it was made, or it was not wanted any more.
        """
        counts = counts or self.attempts()
        await self._enter(counts, unless, for_opinion=for_opinion)
        try:
            fetched = await self._retry.run(
                lambda: self._call(operation, ask, counts), counts, closed=self._closing.is_set
            )
        except CallError as error:
            self._weigh(error)
            raise
        finally:
            counts.error = None  # its traceback holds the account
            self._gate.leave()
        self._retry.earn()
        self._failures.clear()
        return fetched

    async def _enter(self, counts: Attempts, unless: Callable[[], bool], *, for_opinion: bool) -> None:
        asked = self._clock()
        while unless() or not self._gate.enter(for_opinion=for_opinion):
            if self.closed or unless():
                raise NotAskedError
            await self._gate.news()
        counts.waited += self._clock() - asked

    async def settle(
        self, urn: str, *, unless: Callable[[], bool] = lambda: False, for_opinion: bool = False
    ) -> Outcome | None:
        """Asks for one URN until it is settled; None where no call was made."""
        counts = self.attempts()
        try:
            answer = await self.fetch(SHOW, lambda: self._ask(urn), counts, unless=unless, for_opinion=for_opinion)
        except NotAskedError:
            return None
        except CallError as error:
            return failed(urn, error, SHOW, counts)
        return settled(urn, answer, SHOW, counts)

    async def _call(self, operation: str, ask: Callable[[], Awaitable[T]], counts: Attempts) -> T:
        """One call with a credential that is ready; one that other scopes share may have to be tried first."""
        sent = await self._turn(counts)
        trial = self._credential.trial
        if trial is None:
            return await self._call_in_slot(operation, ask, counts, sent)
        refusal: CallError | None = None
        accepted = is_doubted = False
        try:
            answer = await self._call_in_slot(operation, ask, counts, sent)
            accepted = True
        except CallError as error:
            accepted = error.error_code in GONE or shows_acceptance(error)
            if not accepted and error.status_code == 401 and not error.retryable:  # noqa: PLR2004
                refusal = error.as_kind(RefusedError)
                is_doubted = self._has_second_opinion and not error.stops_scope
            raise
        finally:
            trial.leave(refusal, accepted=accepted, kept_for=self if is_doubted else None)
        return answer

    async def _turn(self, counts: Attempts) -> float:
        """Waits until a call may go out, and gives that moment; what goes wrong meanwhile is no call of ours.

        The slot comes first: a scope that is paused does not hold up the others that wait for the trial.
        """
        asked, trial = self._clock(), self._credential.trial
        if self.closed:
            raise counts.error or NotAskedError
        try:
            await self._credential.ready()
            sent = await self.throttle.acquire()
            while trial is not None and not self._closing.is_set():
                has_waited = await trial.enter(self)
                if not has_waited or not (self._closing.is_set() or self.throttle.paused_for):
                    break
                trial.leave()  # the scope was paused meanwhile
                self.throttle.silent(sent)
                sent = await self.throttle.acquire()
        except CallError as error:
            counts.fail_unasked(is_probe=self._is_in_an_outage(error, self._clock()))
            if error.stops_scope or not error.retryable:
                self.stop(error)
            raise
        finally:
            counts.waited += self._clock() - asked
        if self.closed:
            raise counts.error or NotAskedError
        return sent

    async def _call_in_slot(self, operation: str, ask: Callable[[], Awaitable[T]], counts: Attempts, began: float) -> T:
        """One call, in its slot; every outcome of it is counted here."""
        generation = self._credential.generation
        try:
            answer = await ask()
        except asyncio.CancelledError:
            self.throttle.silent(began)
            self._count_call(operation, NO_ANSWER)  # the server may have seen it
            raise
        except CallError as raised:
            counts.note(self._clock() - began, raised)
            self._count_call(operation, raised.status_code or NO_ANSWER)
            # No name here holds the error: its traceback holds this frame, and both would stay for the collector.
            raise self._learn(await self._seen_as(raised, generation, operation), began, counts) from None
        counts.note(self._clock() - began, None)
        self._count_call(operation, 200)
        counts.attempts += 1
        self._outage.answered()
        self._accept(began)
        self._welcome()
        return answer

    async def _seen_as(self, error: CallError, generation: int, operation: str) -> CallError:
        """What an error means here: that depends on whether calls were welcome before, and on the credential's age."""
        is_of_others = self.is_proven or (self.is_in_doubt and operation != SHOW)  # may be a missing permission to list
        if error.error_code == "FSS.0403" and error.status_code == 403 and not is_of_others:  # noqa: PLR2004
            return error.as_kind(CredentialRefusedError)
        if not isinstance(error, CredentialRefusedError) or not (error.error_code or "").endswith(".0307"):
            return error
        if generation > self._renewed_generation:
            if self._welcomed_when_renewed == self._welcomed:
                return error  # the renewed one is refused too
            self._renewed_generation, self._welcomed_when_renewed = generation, self._welcomed
        try:
            renewed = await self._credential.renew(generation)
        except CallError as reason:
            if isinstance(reason, ThrottledError):
                self.stop(reason)  # IAM was waited for
            return error if isinstance(reason, RefusedError) else reason
        return error.as_kind(CredentialExpiredError) if renewed else error

    def _welcome(self) -> None:
        """An answer of the service shows that the credential is accepted."""
        self._welcomed += 1
        self._gate.open()

    def _learn(self, error: CallError, sent: float, counts: Attempts) -> CallError:
        """What a failed call tells about the whole scope; returns its error."""
        counts.error = error
        counts.waited += self._clock() - sent - counts.duration_ms / 1000  # for the renewal of the credential
        if not isinstance(error, CredentialExpiredError):  # the same call tries the new one, alone
            self._gate.heard()
        if isinstance(error, ThrottledError):
            self._outage.answered()
            counts.refuse(self._accepted)
            if counts.is_alone:
                self.throttle.silent(sent)  # others are let through: it is not the scope that must wait
                return error
            self.throttle.refused(sent, error)
            refused_for = self._clock() - self._accepted_at
            if self.throttle.refusals >= MAX_REFUSALS and refused_for >= MAX_REFUSED_SECONDS:
                self.stop(error)
            return error
        if error.status_code is not None:
            self._accept(sent)
        else:
            self.throttle.silent(sent)
        counts.fail(error, is_probe=self._is_in_an_outage(error, sent))
        if error.stops_scope:
            self.stop(error)
        if error.kind is None or error.error_code in GONE:  # whoever says so has looked for it
            self._welcome()
        return error

    def _is_in_an_outage(self, error: CallError, sent: float) -> bool:
        """Whether a call failed because nothing is answered any more, in a scope that did answer."""
        is_of_the_gateway = error.kind is ErrorKind.SERVER_ERROR and not is_of_the_service(error)
        if not self._gate.is_open or (error.kind not in SILENCE and not is_of_the_gateway):
            self._outage.answered()
            return False
        now = self._clock()
        pause = self._outage.silent(sent, now)
        if pause:
            self.throttle.hold(pause)
        if self._outage.is_hopeless(now):
            self.stop(error)
        return self._outage.is_on

    def _accept(self, sent: float) -> None:
        """A call was answered with something else than a 429."""
        self._accepted += 1
        self._accepted_at = self._clock()
        self.throttle.accepted(sent)

    def _weigh(self, error: CallError) -> None:
        """Counts failures of a kind in a row, and stops a scope in which there is nothing to hope for."""
        is_of_urns = error.kind is ErrorKind.BAD_REQUEST or (self.is_proven and error.kind in _OF_ONE_URN)
        if error.kind is None:
            self._retry.earn()
        if error.kind is None or error.error_code in GONE or (is_of_urns and is_of_the_service(error)):
            self._failures.clear()
            return
        are_many = self._failures.add(error, is_answered=self._gate.is_open, is_proven=self.is_proven)
        is_refused = error.kind is ErrorKind.REFUSED
        if is_refused and not self.is_proven:
            self._gate.refuse()
        is_known = self.is_proven and (not (trial := self._credential.trial) or trial.is_accepted)  # in this session
        if self._gate.is_shut or error.stops_scope:
            self.stop(error)
        elif is_refused and self._has_second_opinion and (are_many or not (is_known or self._is_examined)):
            self._doubt, self._are_many = error, are_many
            self._gate.hold()
        elif are_many:
            self.stop(error)

    def judge(self, refusals: int) -> None:
        """Ends a doubt, in which so many second opinions were refused as well."""
        if self.is_in_doubt and self._doubt is not None and (refusals >= OPINIONS or self._are_many):
            self.stop(self._doubt)
        self._is_examined = True
        self._gate.release()
        if self._credential.trial is not None:
            self._credential.trial.free(self)

    @property
    def is_proven(self) -> bool:
        """Whether calls were welcome once: then a refusal of one URN is that URN's."""
        return self._gate.is_open or self._was_welcome

    def conclude(self) -> None:
        """At the end of a session: a scope that nobody answered was stopped by that, however few its URNs were."""
        if self._failures.last is not None and self._failures.is_nobody_there and not self.is_proven:
            self.stop(self._failures.last)

    def stop(self, error: CallError | OutOfTimeError) -> None:
        """Makes no further call; says why."""
        self.stopped = self.stopped or error
        self.close()
