"""One (region, project): how a URN of it is settled, and when the whole scope stops.

Owns the decision to stop, on top of the two flags of the errors: a refused credential and a firewall stop a scope at
once, and a scope that brings nothing but failures is given up. Until a first answer shows that calls are welcome, only
a few scouts are sent. Knows no ledger's file and no other scope.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, TypeVar

from inventory.answer import GONE
from inventory.errors import (
    CallError,
    CredentialExpiredError,
    CredentialRefusedError,
    ErrorKind,
    OutOfTimeError,
    ThrottledError,
)
from inventory.gate import Gate
from inventory.ledger import NO_ANSWER
from inventory.outage import Outage
from inventory.outcome import SHOW, Outcome, failed, settled
from inventory.retry import Attempts, Retry
from inventory.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from inventory.answer import Answer
    from inventory.auth import Credential
    from inventory.settings import ExportSettings

T = TypeVar("T")

MAX_REFUSALS: Final = 10
MAX_REFUSED_SECONDS: Final = 400.0
"""After so many pauses in a row, and so long, a scope that is answered nothing but 429 is given up."""
# URNs of a kind that fail without an answer between them, until a scope is given up. Before the first answer: silence
# is an unreachable endpoint, the gateway's 403 a project that is not ours, anything else an endpoint that is not what
# we think. (Three service 401s shut the gate.) After it: the cloud has gone, or does not want us any more.
_HOPELESS: Final = {ErrorKind.CONNECTION: 6, ErrorKind.TIMEOUT: 6}
_HOPELESS_GATEWAY_403: Final = 3
_HOPELESS_OTHERS: Final = 20
_HOPELESS_AFTER_ANSWERS: Final = 100
# Failures that the service says of single functions: a list may hold any number of them in a row.
_OF_ONE_URN: Final = frozenset({ErrorKind.FORBIDDEN, ErrorKind.SERVER_ERROR})
_SAY_NOTHING: Final = frozenset({401, 418, 429})
"""Statuses that do not show that a credential was accepted."""
_SILENCE: Final = frozenset({ErrorKind.CONNECTION, ErrorKind.TIMEOUT})
_NOBODY_THERE: Final = _SILENCE | {ErrorKind.WRONG_ENDPOINT}


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._credential = credential
        self._was_welcome = was_welcome  # in an earlier session: failures of single URNs are no news of the scope
        self._is_silent = True
        self._count_call = count_call
        self._clock = clock
        self._closed = asyncio.Event()
        self.throttle = Throttle(settings.pace, share=settings.quota_share, clock=clock, sleep=self._sleep)
        self._outage = Outage()
        self._retry = Retry(settings.attempts, clock=clock, sleep=self._sleep)
        self.stopped: CallError | OutOfTimeError | None = None
        self._gate = Gate()  # opens when an answer of the service shows that the credential is accepted
        self._accepted = 0
        self._welcomed = 0
        self._welcomed_when_renewed = -1
        self._renewed_generation = -1
        self._accepted_at = clock()
        self._failures: Counter[ErrorKind] = Counter()
        self._last_failure: CallError | None = None

    @property
    def closed(self) -> bool:
        """Whether no further call is made."""
        return self._closed.is_set()

    def close(self) -> None:
        """Makes no further call; who waits is woken."""
        self._closed.set()
        self._gate.wake()

    def attempts(self, most: int | None = None) -> Attempts:
        """An account of the calls that are made for one thing, for :meth:`fetch` to keep; ``most`` bounds them."""
        return Attempts(self._clock(), most)

    async def fetch(self, operation: str, ask: Callable[[], Awaitable[T]], counts: Attempts | None = None) -> T:
        """Makes any call of the scope by its rules: pace, retries, and the credential renewed.

        Raises:
            CallError: the call brought nothing.
            NotAskedError: the scope closed before it was made.
        """
        counts = counts or self.attempts()
        while not self._gate.enter():
            if self.closed:
                raise NotAskedError
            await self._gate.news()
        try:
            fetched = await self._retry.run(
                lambda: self._call(operation, ask, counts), counts, closed=self._closed.is_set
            )
        except CallError as error:
            self._weigh(error)
            raise
        finally:
            self._gate.leave()
        self._retry.earn()
        self._relieve()
        return fetched

    async def settle(self, urn: str) -> Outcome | None:
        """Asks for one URN until it is settled; None where the scope closed before a call was made."""
        counts = self.attempts()
        try:
            answer = await self.fetch(SHOW, lambda: self._ask(urn), counts)
        except NotAskedError:
            return None
        except CallError as error:
            return failed(urn, error, SHOW, counts)
        return settled(urn, answer, SHOW, counts)

    async def _call(self, operation: str, ask: Callable[[], Awaitable[T]], counts: Attempts) -> T:
        """One call with a credential that is ready; one that other scopes share may have to be tried first."""
        await self._prepare(counts)
        trial = self._credential.trial
        if trial is None:
            return await self._call_in_slot(operation, ask, counts)
        refusal: CallError | None = None
        accepted = False
        try:
            answer = await self._call_in_slot(operation, ask, counts)
            accepted = True
        except CallError as error:
            if isinstance(error, CredentialRefusedError) and error.status_code == 401:  # noqa: PLR2004
                refusal = error
            elif error.status_code is not None:
                accepted = error.status_code < 500 and error.status_code not in _SAY_NOTHING  # noqa: PLR2004
            raise
        finally:
            trial.leave(refusal, accepted=accepted)
        return answer

    async def _call_in_slot(self, operation: str, ask: Callable[[], Awaitable[T]], counts: Attempts) -> T:
        """One call, in its slot; every outcome of it is counted here."""
        asked = self._clock()
        began = await self.throttle.acquire()
        counts.waited += began - asked
        if self.closed:
            raise counts.error or NotAskedError
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
            error = counts.error = await self._seen_as(raised, generation)
            self._learn(error, began, counts)
            raise error from None
        counts.note(self._clock() - began, None)
        self._count_call(operation, 200)
        counts.attempts += 1
        self._outage.answered()
        self._accept(began)
        self._welcome()
        return answer

    async def _prepare(self, counts: Attempts) -> None:
        """Has the credential got or renewed, where it is time; what goes wrong there is no call of ours."""
        try:
            await self._credential.ready()
            if self._credential.trial is not None:
                await self._credential.trial.enter()
        except CallError as error:
            counts.attempts += 1
            if error.stops_scope:
                self.stop(error)
            raise

    async def _seen_as(self, error: CallError, generation: int) -> CallError:
        """What an error means here: that depends on whether calls were welcome before, and on the credential's age."""
        if error.error_code == "FSS.0403" and error.status_code == 403 and not self.is_proven:  # noqa: PLR2004
            return error.as_kind(CredentialRefusedError)
        if not isinstance(error, CredentialRefusedError) or not (error.error_code or "").endswith(".0307"):
            return error
        if generation > self._renewed_generation:
            if self._welcomed_when_renewed == self._welcomed:
                return error  # the renewed one is refused too
            self._renewed_generation, self._welcomed_when_renewed = generation, self._welcomed
        try:
            renewed = await self._credential.renew(generation)
        except CallError:
            return error
        return error.as_kind(CredentialExpiredError) if renewed else error

    def _welcome(self) -> None:
        """An answer of the service shows that the credential is accepted."""
        self._welcomed += 1
        self._gate.open()

    def _learn(self, error: CallError, sent: float, counts: Attempts) -> None:
        """What a failed call tells about the whole scope."""
        if not isinstance(error, CredentialExpiredError):  # the same call tries the new one, alone
            self._gate.heard()
        if isinstance(error, ThrottledError):
            self._outage.answered()
            counts.refuse(self._accepted)
            if counts.is_alone:
                self.throttle.silent(sent)  # others are let through: it is not the scope that must wait
                return
            self.throttle.refused(sent, error)
            refused_for = self._clock() - self._accepted_at
            if self.throttle.refusals >= MAX_REFUSALS and refused_for >= MAX_REFUSED_SECONDS:
                self.stop(error)
            return
        if error.status_code is not None:
            self._accept(sent)
        else:
            self.throttle.silent(sent)
        counts.fail(error, is_probe=self._is_in_an_outage(error, sent))
        if error.stops_scope:
            self.stop(error)
        if error.kind is None or error.error_code in GONE:  # whoever says so has looked for it
            self._welcome()

    def _is_in_an_outage(self, error: CallError, sent: float) -> bool:
        """Whether a call failed because nothing is answered any more, in a scope that did answer."""
        is_of_the_gateway = error.kind is ErrorKind.SERVER_ERROR and not (error.error_code or "").startswith("FSS.")
        if not self._gate.is_open or (error.kind not in _SILENCE and not is_of_the_gateway):
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
        of_the_service = (error.error_code or "").startswith("FSS.")
        proven = self.is_proven
        of_one_urn = proven and of_the_service and error.kind in _OF_ONE_URN
        of_the_urn = of_the_service and error.kind is ErrorKind.BAD_REQUEST
        if error.kind is None:
            self._retry.earn()
        if error.kind is None or error.error_code in GONE or of_the_urn or of_one_urn:
            self._relieve()
            return
        self._failures[error.kind] += 1
        self._last_failure = error
        if error.kind is ErrorKind.REFUSED and not proven:
            self._gate.refuse()
        if self._gate.is_open or (proven and error.kind not in _SILENCE):
            limit = _HOPELESS_AFTER_ANSWERS
        elif error.kind is ErrorKind.FORBIDDEN and not of_the_service:
            limit = _HOPELESS_GATEWAY_403
        else:
            limit = _HOPELESS.get(error.kind, _HOPELESS_OTHERS)
        if self._failures[error.kind] >= limit or self._gate.is_shut:
            self.stop(error)

    @property
    def is_proven(self) -> bool:
        """Whether calls were welcome once: then a refusal of one URN is that URN's."""
        return self._gate.is_open or self._was_welcome

    def _relieve(self) -> None:
        """A URN ended in a way that says that the service is there."""
        self._failures.clear()
        self._is_silent = False

    def conclude(self) -> None:
        """At the end of a session: a scope that nobody answered was stopped by that, however few its URNs were."""
        error = self._last_failure
        if self._is_silent and not self.is_proven and error is not None and self._failures.keys() <= _NOBODY_THERE:
            self.stop(error)

    def stop(self, error: CallError | OutOfTimeError) -> None:
        """Makes no further call; says why."""
        self.stopped = self.stopped or error
        self.close()

    async def _sleep(self, seconds: float) -> None:
        """Sleeps, or wakes when the scope closes."""
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            pass
