"""Circuit breaker: when a scope is paused and probed, and when it is given up."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from inventory.errors import ErrorKind

if TYPE_CHECKING:
    from inventory.errors import CallError
    from inventory.scheduling.warmup import Warmup

OUTAGE_CALLS: Final = 10
"""Unanswered calls in a row that are an outage."""
MAX_OUTAGE_SECONDS: Final = 120.0
"""A scope is given up after an outage of this length."""
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0

MAX_PAUSES: Final = 10
MAX_THROTTLED_SECONDS: Final = 400.0
"""A scope is given up after this many pauses in a row and this many seconds with 429 answers only."""

MAX_OPINIONS: Final = 2
"""A scope is given up after this many second opinions that are refused too."""

_REFUSALS_BEFORE_OPINION: Final = (3, 10)
"""Refused URNs in a row before the first and the second opinion of an accepted scope; before later ones the maximum."""
_ANSWERS_BETWEEN_OPINIONS: Final = 100
"""Answers after which the first of these numbers counts again."""

# A scope is given up after this many failed URNs of a kind in a row. Before the first answer, silence means an
# unreachable endpoint, the gateway's 403 a foreign project, anything else a wrong endpoint.
_MAX_SILENT: Final = 6
_MAX_GATEWAY_403: Final = 3
_MAX_OTHERS: Final = 20
_MAX_AFTER_ANSWERS: Final = 100
_SILENT: Final = frozenset({ErrorKind.CONNECTION, ErrorKind.TIMEOUT})
_UNREACHABLE: Final = _SILENT | {ErrorKind.WRONG_ENDPOINT}
# The service answers with these for single functions; a list may contain any number of them in a row.
_OF_ONE_URN: Final = frozenset({ErrorKind.FORBIDDEN, ErrorKind.SERVER_ERROR})


class Outage:
    """Calls in a row that were not answered, and the pauses between the probes.

    Attributes:
        is_on: whether there is an outage.
    """

    def __init__(self) -> None:
        self.is_on = False
        self._unanswered = 0
        self._since = self._noticed_at = self._pause = 0.0

    def record_answer(self) -> None:
        """Ends the outage after an answer of any kind."""
        self._unanswered = 0
        self.is_on = False

    def record_silence(self, sent: float, now: float) -> float:
        """Counts an unanswered call that was sent at ``sent``; returns for how many seconds to pause."""
        if not self._unanswered:
            self._since = now
        self._unanswered += 1
        if self.is_on and sent <= self._noticed_at:
            return 0.0  # it was in flight when the outage began
        if not self.is_on and self._unanswered < OUTAGE_CALLS:
            return 0.0
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS) if self.is_on else _FIRST_PAUSE_SECONDS
        self.is_on, self._noticed_at = True, now
        return self._pause

    def is_too_long(self, now: float) -> bool:
        """Whether the outage has reached its maximum length."""
        return self.is_on and now - self._since >= MAX_OUTAGE_SECONDS


class CircuitBreaker:
    """Counts failures of one scope and decides when the scope is given up.

    Args:
        warmup: admits the scope's calls; held while a second opinion is awaited.
        was_accepted: whether an earlier session of the run was accepted. Then failed URNs are not counted as the
            scope's.
        has_second_opinion: whether a refusal is checked with other calls before the scope is given up.
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
        self._opinions = 0  # that found the credential alive, and the answers since the last one
        self._answers = 0

    @property
    def is_proven(self) -> bool:
        """Whether the scope was accepted once; then a refusal concerns one URN."""
        return self._warmup.is_open or self._was_accepted

    @property
    def is_in_outage(self) -> bool:
        """Whether calls are probes: the scope answered before and does not answer now."""
        return self._outage.is_on

    def record_answer(self) -> None:
        """Ends an outage after an answer of any kind."""
        self._outage.record_answer()

    def record_call(self, error: CallError, sent: float, now: float) -> float:
        """Counts a failed call that was sent at ``sent``; returns for how many seconds to pause."""
        is_of_gateway = error.kind is ErrorKind.SERVER_ERROR and not is_from_service(error)
        if not self._warmup.is_open or (error.kind not in _SILENT and not is_of_gateway):
            self._outage.record_answer()
            return 0.0
        return self._outage.record_silence(sent, now)

    def is_outage_too_long(self, now: float) -> bool:
        """Whether the scope is given up because of an outage."""
        return self._outage.is_too_long(now)

    def reset(self) -> None:
        """Resets the failure counters after a response from the service."""
        self._failures.clear()
        self._is_silent = False
        self._answers += 1
        if self._answers >= _ANSWERS_BETWEEN_OPINIONS:
            self._opinions = 0

    def record_failure(self, error: CallError, *, is_secret_accepted: bool, is_of_list: bool = False) -> bool:
        """Counts a failed URN; returns whether the scope is given up.

        Args:
            error: the last error of the URN.
            is_secret_accepted: whether the secret, which scopes may share, was accepted in this session.
            is_of_list: whether a list was refused: it is the second opinion, or saves calls, and decides nothing alone.
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
        """Whether the refusals so far may mean the credential. A list may contain any number of deleted functions."""
        is_known = self._warmup.is_open and is_secret_accepted
        is_first = not (is_known or self._is_examined)
        steps = (*_REFUSALS_BEFORE_OPINION, _MAX_AFTER_ANSWERS)
        maximum = steps[min(self._opinions, len(steps) - 1)] if self.is_proven else _MAX_OTHERS
        return self._has_second_opinion and (is_first or self._failures[ErrorKind.REFUSED] >= maximum)

    def _limit_of(self, error: CallError, kind: ErrorKind) -> int:
        if self._warmup.is_open or (self.is_proven and kind not in _SILENT):
            return _MAX_AFTER_ANSWERS
        if kind is ErrorKind.FORBIDDEN and not is_from_service(error):
            return _MAX_GATEWAY_403
        return _MAX_SILENT if kind in _SILENT else _MAX_OTHERS

    def end_doubt(self, refusals: int) -> CallError | None:
        """Ends the wait for a second opinion; returns the error if the scope is given up.

        Args:
            refusals: how many second opinions were refused.
        """
        is_given_up = self._warmup.is_held and (refusals >= MAX_OPINIONS or self._are_many)
        self._is_examined = True
        self._opinions += not is_given_up
        self._answers = 0
        self._warmup.end_hold()
        return self._doubt if is_given_up else None

    def unreachable(self) -> CallError | None:
        """The last failure, if nothing that looks like the service ever answered."""
        is_unreachable = self._is_silent and self._failures.keys() <= _UNREACHABLE
        return self._last_failure if is_unreachable and not self.is_proven else None


def is_throttled_too_long(pauses: int, seconds: float) -> bool:
    """Whether to give up after a number of pauses in a row, and seconds, with 429 answers only."""
    return pauses >= MAX_PAUSES and seconds >= MAX_THROTTLED_SECONDS


def is_from_service(error: CallError) -> bool:
    """Whether the service answered, and not the gateway in front of it."""
    return (error.error_code or "").startswith("FSS.")


def shows_acceptance(error: CallError) -> bool:
    """Whether the service, and not the gateway, rejected the request: then it accepted the credential."""
    is_refusal = error.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
    return is_from_service(error) and not is_refusal and 400 <= (error.status_code or 0) < 500  # noqa: PLR2004 - 4xx
