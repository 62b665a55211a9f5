"""Whether a scope answers at all: a row of calls without an answer is an outage, which is probed and not hammered.

Owns when an outage begins, how long nothing is sent in it, and when there is no hope left (a circuit breaker); and how
many failures in a row end a scope. Knows no HTTP: it is told which calls brought an answer.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from inventory.errors import ErrorKind

if TYPE_CHECKING:
    from inventory.errors import CallError

CALLS: Final = 10
"""Calls in a row without an answer that make an outage."""
HOPELESS_SECONDS: Final = 120.0
"""An outage that lasts longer ends the scope."""
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
# URNs of a kind that fail without an answer between them, until a scope is given up. Before the first answer: silence
# is an unreachable endpoint, the gateway's 403 a project that is not ours, anything else an endpoint that is not what
# we think. (Three service 401s shut the gate.) After it: the cloud has gone, or does not want us any more.
_HOPELESS: Final = {ErrorKind.CONNECTION: 6, ErrorKind.TIMEOUT: 6}
_HOPELESS_GATEWAY_403: Final = 3
_HOPELESS_OTHERS: Final = 20
_HOPELESS_AFTER_ANSWERS: Final = 100
SILENCE: Final = frozenset({ErrorKind.CONNECTION, ErrorKind.TIMEOUT})
"""Kinds of failures in which nothing was heard."""
_NOBODY_THERE: Final = SILENCE | {ErrorKind.WRONG_ENDPOINT}


class Outage:
    """The calls of a scope that were not answered since the last that was.

    Attributes:
        is_on: whether there is an outage.
    """

    def __init__(self) -> None:
        self.is_on = False
        self._silent = 0
        self._since = self._heard = self._pause = 0.0

    def answered(self) -> None:
        """A call was answered, in whatever way."""
        self._silent = 0
        self.is_on = False

    def silent(self, sent: float, now: float) -> float:
        """A call that went out at ``sent`` was not answered: for how many seconds nothing more may be sent."""
        if not self._silent:
            self._since = now
        self._silent += 1
        if self.is_on and sent <= self._heard:
            return 0.0  # it was under way when the outage began
        if not self.is_on and self._silent < CALLS:
            return 0.0
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS) if self.is_on else _FIRST_PAUSE_SECONDS
        self.is_on, self._heard = True, now
        return self._pause

    def is_hopeless(self, now: float) -> bool:
        """Whether it lasts too long to be waited for."""
        return self.is_on and now - self._since >= HOPELESS_SECONDS


class Failures:
    """The URNs of a scope that failed since the last that was answered, by kind.

    Attributes:
        last: the last failure.
    """

    def __init__(self) -> None:
        self.last: CallError | None = None
        self._counts: Counter[ErrorKind] = Counter()
        self._is_silent = True

    def clear(self) -> None:
        """A URN ended in a way that says that the service is there."""
        self._counts.clear()
        self._is_silent = False

    def add(self, error: CallError, *, is_answered: bool, is_proven: bool) -> bool:
        """Counts one; whether there are too many of its kind.

        Args:
            error: what it ended with; of some kind.
            is_answered: whether the scope was answered in this session.
            is_proven: whether calls were welcome once.
        """
        kind = error.kind or ErrorKind.BAD_ANSWER
        self._counts[kind] += 1
        self.last = error
        if is_answered or (is_proven and kind not in SILENCE):
            limit = _HOPELESS_AFTER_ANSWERS
        elif kind is ErrorKind.FORBIDDEN and not is_of_the_service(error):
            limit = _HOPELESS_GATEWAY_403
        else:
            limit = _HOPELESS.get(kind, _HOPELESS_OTHERS)
        return self._counts[kind] >= limit

    @property
    def is_nobody_there(self) -> bool:
        """Whether there was never an answer, and nothing that looks like the service."""
        return self._is_silent and self.last is not None and self._counts.keys() <= _NOBODY_THERE


def is_of_the_service(error: CallError) -> bool:
    """Whether the service answered, and not the gateway before it."""
    return (error.error_code or "").startswith("FSS.")


def shows_acceptance(error: CallError) -> bool:
    """Whether an error shows that the credential was accepted: only an answer of the service does."""
    status = error.status_code or 0
    return is_of_the_service(error) and 400 <= status < 500 and status not in (401, 429)  # noqa: PLR2004
