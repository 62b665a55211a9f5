"""The request log and its counters. Tokens are never logged."""

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
        number: running number at arrival; the log is in the order of the answers.
        time: monotonic seconds at arrival.
        method: HTTP method.
        path: the path as received, percent-encoded.
        urn: the decoded URN; None if the path is unknown.
        scope: the scope that the rate limit charged, or None.
        status: status sent; None without a complete answer (reset, stall, wrong length, client gone).
        fault: name of the injected fault, or None.
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
    """The last requests, and counters of all requests."""

    def __init__(self, size: int) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=size)
        self.counts: Counter[int | None] = Counter()

    def add(self, request: LoggedRequest) -> None:
        """Logs one answered request."""
        self._requests.append(request)
        self.counts[request.status] += 1

    def copy(self) -> Sequence[LoggedRequest]:
        """A snapshot of the log."""
        return list(self._requests)

    def clear(self) -> None:
        """Removes all requests and counts."""
        self._requests.clear()
        self.counts.clear()
