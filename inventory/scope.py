"""One (region, project): how a URN of it is settled, and when the whole scope stops.

Owns the decision to stop, on top of the two flags of the errors: a refused credential and a firewall stop a scope at
once, and a scope that has brought nothing but failures is given up. Until a first answer shows that calls are welcome,
only a few scouts are sent, so that a dead credential is never hammered. Knows no ledger's file and no other scope.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from inventory.errors import (
    CallError,
    CredentialRefusedError,
    ErrorKind,
    NotConfiguredError,
    NotFoundError,
    Status,
    ThrottledError,
)
from inventory.ledger import NO_ANSWER
from inventory.outcome import SHOW, Outcome
from inventory.retry import Attempts, Retry
from inventory.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from inventory.answer import Answer

SCOUTS: Final = 3
"""URNs under way until the service first answers: no more calls than that are refused before the scope stops."""
MAX_REFUSALS: Final = 20
"""Pauses in a row after which a scope that is answered nothing but 429 is given up."""
# URNs in a row that fail in a scope that never brought an answer, until it is given up. Service 401s count as refused
# credentials; silence is an unreachable endpoint; anything else is an endpoint that is not what we think.
_HOPELESS: Final = {ErrorKind.REFUSED: 3, ErrorKind.CONNECTION: 6, ErrorKind.TIMEOUT: 6}
_HOPELESS_OTHERS: Final = 20
_SILENT_AFTER_ANSWERS: Final = 100
_SILENT: Final = (ErrorKind.CONNECTION, ErrorKind.TIMEOUT)


class _NotAskedError(Exception):
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
        *,
        max_per_second: float,
        attempts: int,
        count_call: Callable[[int], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self._ask = ask
        self._count_call = count_call
        self._clock = clock
        self._closed = asyncio.Event()
        sleep = sleep or self._sleep
        self.throttle = Throttle(max_per_second, clock=clock, sleep=sleep)
        self._retry = Retry(attempts, clock=clock, sleep=sleep)
        self.stopped: CallError | None = None
        self._proven = False  # an answer of the service showed that the credential is accepted
        self._failures: Counter[ErrorKind] = Counter()
        self._scouting = 0
        self._gate = asyncio.Condition()

    @property
    def _refused(self) -> int:
        return self._failures[ErrorKind.REFUSED]

    @property
    def closed(self) -> bool:
        """Whether no further call is made."""
        return self._closed.is_set()

    def close(self) -> None:
        """Makes no further call; who waits is woken."""
        self._closed.set()

    async def settle(self, urn: str) -> Outcome | None:
        """Asks for one URN until it is settled; None where the scope closed before a call was made."""
        if self._proven:
            return await self._settle(urn)
        async with self._gate:
            await self._gate.wait_for(lambda: self._proven or self.closed or self._scouting + self._refused < SCOUTS)
            self._scouting += 1
        try:
            return await self._settle(urn)
        finally:
            self._scouting -= 1
            async with self._gate:
                self._gate.notify_all()

    async def _settle(self, urn: str) -> Outcome | None:
        counts = Attempts(self._clock())
        last_call = _LastCall()
        try:
            answer = await self._retry.run(
                lambda: self._call(urn, counts, last_call), counts, closed=self._closed.is_set
            )
        except _NotAskedError:
            return None
        except CallError as error:
            self._weigh(error)
            return Outcome(
                urn,
                error.status,
                error.kind,
                error.status_code,
                error.error_code,
                error.error_msg,
                error.body,
                SHOW,
                counts.attempts,
                counts.throttled,
                error.request_id,
                last_call.duration_ms,
                last_call.finished_at,
            )
        self._failures.clear()
        return Outcome(
            urn,
            Status.CONFIGURED,
            None,
            200,
            None,
            None,
            answer.body,
            SHOW,
            counts.attempts,
            counts.throttled,
            answer.request_id,
            last_call.duration_ms,
            last_call.finished_at,
        )

    async def _call(self, urn: str, counts: Attempts, last_call: _LastCall) -> Answer:
        """One call, in its slot; every outcome of it is counted here."""
        asked = self._clock()
        await self.throttle.acquire()
        began = self._clock()
        counts.waited += began - asked
        if self.closed:
            raise last_call.error or _NotAskedError
        try:
            answer = await self._ask(urn)
        except CallError as raised:
            error = raised
            if error.error_code == "FSS.0403" and error.status_code == 403 and not self._proven:  # noqa: PLR2004
                error = error.as_kind(CredentialRefusedError)
            last_call.note(self._clock() - began, error)
            self._count_call(error.status_code or NO_ANSWER)
            self._learn(error, counts)
            raise error from None
        last_call.note(self._clock() - began, None)
        self._count_call(200)
        counts.attempts += 1
        self._proven = True
        self.throttle.accepted()
        return answer

    def _learn(self, error: CallError, counts: Attempts) -> None:
        """What a failed call tells about the whole scope."""
        if isinstance(error, ThrottledError):
            counts.throttled += 1
            self.throttle.refused(error)
            if self.throttle.refusals >= MAX_REFUSALS:
                self._stop(error)
            return
        counts.attempts += 1
        if error.stops_scope:
            self._stop(error)
        if error.status_code is not None:
            self.throttle.accepted()
        if isinstance(error, NotConfiguredError | NotFoundError):
            self._proven = True

    def _weigh(self, error: CallError) -> None:
        """Counts failures of a kind in a row, and stops a scope in which there is nothing to hope for."""
        if error.kind is None or error.kind is ErrorKind.BAD_REQUEST or (self._proven and error.kind not in _SILENT):
            self._failures.clear()
            return
        self._failures[error.kind] += 1
        limit = _SILENT_AFTER_ANSWERS if self._proven else _HOPELESS.get(error.kind, _HOPELESS_OTHERS)
        if self._failures[error.kind] >= limit:
            self._stop(error)

    def _stop(self, error: CallError) -> None:
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


class _LastCall:
    """The last call of one URN: how long it took, when it ended, and its error if it had one."""

    __slots__ = ("duration_ms", "error", "finished_at")

    def __init__(self) -> None:
        self.duration_ms = 0.0
        self.finished_at = 0
        self.error: CallError | None = None

    def note(self, seconds: float, error: CallError | None) -> None:
        self.duration_ms = round(1000 * seconds, 3)
        self.finished_at = time.time_ns() // 1000
        self.error = error
