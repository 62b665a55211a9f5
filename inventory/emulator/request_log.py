"""What was asked and what was answered, for tests to look at.

Owns the log and the counters. Must not know credentials: a token never gets here.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.emulator.state.interface import Scope


class LoggedRequest(msgspec.Struct, frozen=True, gc=False):
    """One request.

    Attributes:
        number: running number, given on arrival; the log itself is in the order of the answers.
        time: monotonic seconds at arrival.
        method: HTTP method.
        path: the path as it was sent, still percent-encoded.
        urn: the URN in it, decoded; None where the path is no known one.
        scope: the scope that was charged for it, or None.
        status: status sent, or None where no whole answer was: a reset, a stall, a wrong length, or the client left
            first. Of a giant answer it is the status sent, however much of it the client took.
        fault: name of the fault given, or None.
    """

    number: int
    time: float
    method: str
    path: str
    urn: str | None
    scope: Scope | None
    status: int | None
    fault: str | None


class RequestLog:
    """The last requests, and counters over all of them."""

    def __init__(self, size: int) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=size)
        self.counts: Counter[int | None] = Counter()

    def add(self, request: LoggedRequest) -> None:
        """Logs one request that is settled."""
        self._requests.append(request)
        self.counts[request.status] += 1

    def copy(self) -> Sequence[LoggedRequest]:
        """The log now: the copy does not change while the server goes on in another thread."""
        return list(self._requests)

    def clear(self) -> None:
        """Forgets everything."""
        self._requests.clear()
        self.counts.clear()
