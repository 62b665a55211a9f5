"""Whether a scope answers at all: a row of calls without an answer is an outage, which is probed and not hammered.

Owns when an outage begins, how long nothing is sent in it, and when there is no hope left (a circuit breaker). Knows no
HTTP: it is told which calls brought an answer.
"""

from __future__ import annotations

from typing import Final

CALLS: Final = 10
"""Calls in a row without an answer that make an outage."""
HOPELESS_SECONDS: Final = 120.0
"""An outage that lasts longer ends the scope."""
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0


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
