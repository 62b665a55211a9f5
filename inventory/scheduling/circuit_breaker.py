"""Circuit breaker: pauses, probes and gives up a scope."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from inventory.errors import ErrorKind

if TYPE_CHECKING:
    from inventory.errors import CallError
    from inventory.scheduling.warmup import Warmup

OUTAGE_CALLS: Final = 10
"""Unanswered calls in a row that start an outage."""
MAX_OUTAGE_SECONDS: Final = 120.0
"""Outage after which a scope is given up."""
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0

MAX_PAUSES: Final = 10
MAX_THROTTLED_SECONDS: Final = 400.0
"""A scope is given up after both: pauses in a row, and seconds with only 429 answers."""

MAX_OPINIONS: Final = 2
"""Refused second opinions after which a scope is given up."""

_REFUSALS_BEFORE_OPINION: Final = (3, 10)
"""Refusals in a row before the first and second opinion of an accepted scope; later, the maximum."""
_ANSWERS_BETWEEN_OPINIONS: Final = 100
"""Answers after which the opinions count from the first again."""

# Failed URNs of a kind in a row after which a scope is given up. Before the first answer, silence means an
# unreachable endpoint, the gateway's 403 a foreign project, others a wrong endpoint.
_MAX_SILENT: Final = 6
_MAX_GATEWAY_403: Final = 3
_MAX_OTHERS: Final = 20
_MAX_AFTER_ANSWERS: Final = 100
SILENT: Final = frozenset({ErrorKind.CONNECTION, ErrorKind.TIMEOUT})
_UNREACHABLE: Final = SILENT | {ErrorKind.WRONG_ENDPOINT}
# Errors of single functions, any number in a row.
_OF_ONE_URN: Final = frozenset({ErrorKind.FORBIDDEN, ErrorKind.SERVER_ERROR})


class Outage:
    """Unanswered calls in a row, and the pauses between probes."""

    def __init__(self) -> None:
        self.is_on = False
        self._unanswered = 0
        self._since = self._noticed_at = self._pause = 0.0

    def record_answer(self) -> None:
        """Ends the outage."""
        self._unanswered = 0
        self.is_on = False

    def record_silence(self, sent: float, now: float) -> float:
        """Counts an unanswered call; returns the pause in seconds."""
        if not self._unanswered:
            self._since = now
        self._unanswered += 1
        if self.is_on and sent <= self._noticed_at:
            return 0.0  # in flight when the outage began
        if not self.is_on and self._unanswered < OUTAGE_CALLS:
            return 0.0
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS) if self.is_on else _FIRST_PAUSE_SECONDS
        self.is_on, self._noticed_at = True, now
        return self._pause

    def is_too_long(self, now: float) -> bool:
        """Whether the maximum length is reached."""
        return self.is_on and now - self._since >= MAX_OUTAGE_SECONDS


class CircuitBreaker:
    """Counts failures of a scope and decides when to give it up.

    Args:
        warmup: held while a second opinion is awaited.
        was_accepted: in an earlier session of the run.
        has_second_opinion: whether other calls verify a refusal.
    """

    def __init__(self, warmup: Warmup, *, was_accepted: bool, has_second_opinion: bool) -> None:
        self._warmup = warmup
        self._was_accepted = was_accepted
        self._has_second_opinion = has_second_opinion
        self._is_examined = self._are_many = False
        self._doubt: CallError | None = None
        self._outage = Outage()
        self._failures: Counter[ErrorKind] = Counter()
        self._last_failure: CallError | None = None
        self._is_silent = True
        self._opinions = 0  # with an accepted credential; then the answers since
        self._answers = 0

    @property
    def is_proven(self) -> bool:
        """Whether the scope was accepted once, so that a refusal concerns one URN."""
        return self._warmup.is_open or self._was_accepted

    @property
    def is_in_outage(self) -> bool:
        """Whether calls are probes."""
        return self._outage.is_on

    def record_answer(self) -> None:
        """Ends an outage."""
        self._outage.record_answer()

    def record_call(self, error: CallError, sent: float, now: float) -> float:
        """Counts a failed call; returns the pause in seconds."""
        is_of_gateway = error.kind is ErrorKind.SERVER_ERROR and not is_from_service(error)
        if not self._warmup.is_open or (error.kind not in SILENT and not is_of_gateway):
            self._outage.record_answer()
            return 0.0
        return self._outage.record_silence(sent, now)

    def is_outage_too_long(self, now: float) -> bool:
        """Whether an outage ends the scope."""
        return self._outage.is_too_long(now)

    def reset(self) -> None:
        """Resets the failure counters after an answer of the service."""
        self._failures.clear()
        self._is_silent = False
        self._answers += 1
        if self._answers >= _ANSWERS_BETWEEN_OPINIONS:
            self._opinions = 0

    def record_failure(self, error: CallError, *, is_secret_accepted: bool, is_of_list: bool = False) -> bool:
        """Counts a failed URN; returns whether the scope is given up.

        Args:
            error: the last error.
            is_secret_accepted: in this session; scopes may share the secret.
            is_of_list: a refused list decides nothing alone.
        """
        kind = error.kind or ErrorKind.BAD_ANSWER
        is_of_urn = kind is ErrorKind.BAD_REQUEST or (self.is_proven and kind in _OF_ONE_URN)
        if is_of_urn and is_from_service(error):
            self.reset()
            return False
        self._failures[kind] += 1
        self._last_failure = error
        are_many = self._failures[kind] >= self._limit_of(error, kind)
        is_refused = kind is ErrorKind.REFUSED
        if is_refused and not self.is_proven:
            self._warmup.count_refusal()
        if self._warmup.is_exhausted or error.stops_scope:
            return True
        if is_refused and is_of_list and self._has_second_opinion:
            return False
        if is_refused and self._needs_opinion(is_secret_accepted=is_secret_accepted):
            self._doubt, self._are_many = error, are_many
            self._warmup.hold()
            return False
        return are_many

    def _needs_opinion(self, *, is_secret_accepted: bool) -> bool:
        """Deleted functions are refused too, and a list may contain any number of them."""
        is_known = self._warmup.is_open and is_secret_accepted
        is_first = not (is_known or self._is_examined)
        steps = (*_REFUSALS_BEFORE_OPINION, _MAX_AFTER_ANSWERS)
        maximum = steps[min(self._opinions, len(steps) - 1)] if self.is_proven else _MAX_OTHERS
        return self._has_second_opinion and (is_first or self._failures[ErrorKind.REFUSED] >= maximum)

    def _limit_of(self, error: CallError, kind: ErrorKind) -> int:
        if self._warmup.is_open or (self.is_proven and kind not in SILENT):
            return _MAX_AFTER_ANSWERS
        if kind is ErrorKind.FORBIDDEN and not is_from_service(error):
            return _MAX_GATEWAY_403
        return _MAX_SILENT if kind in SILENT else _MAX_OTHERS

    def end_doubt(self, refusals: int) -> CallError | None:
        """Ends the wait after ``refusals`` refused opinions; returns the error of a given-up scope."""
        is_given_up = self._warmup.is_held and (refusals >= MAX_OPINIONS or self._are_many)
        self._is_examined = True
        self._opinions += not is_given_up
        self._answers = 0
        self._warmup.end_hold()
        return self._doubt if is_given_up else None

    def unreachable(self) -> CallError | None:
        """The last failure, if the service never answered."""
        is_unreachable = self._is_silent and self._failures.keys() <= _UNREACHABLE
        return self._last_failure if is_unreachable and not self.is_proven else None


def is_throttled_too_long(pauses: int, seconds: float) -> bool:
    """Whether 429 answers end the scope."""
    return pauses >= MAX_PAUSES and seconds >= MAX_THROTTLED_SECONDS


def is_from_service(error: CallError) -> bool:
    """Whether the service answered, not its gateway."""
    return (error.error_code or "").startswith("FSS.")


def shows_acceptance(error: CallError) -> bool:
    """Whether the service rejected the request and so accepted the credential."""
    is_refusal = error.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
    return is_from_service(error) and not is_refusal and 400 <= (error.status_code or 0) < 500  # noqa: PLR2004 - 4xx
