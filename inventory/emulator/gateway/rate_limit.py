"""The rate limit of the gateway: calls per window, counted by its policy.

Source: api-facts.md sections 3.6 and 10. FunctionGraph's own limit is not published.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal, cast, get_args

import msgspec

from inventory.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory.emulator.gateway.routes import Operation
    from inventory.emulator.state.interface import Scope

Policy = Literal["user", "ip", "api"]
Unit = Literal["second", "minute", "hour", "day"]

_SECONDS: dict[Unit, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_SPEC = re.compile(rf"([0-9]+)/([0-9]*)({'|'.join(get_args(Unit))})s?(?::({'|'.join(get_args(Policy))}))?")


class Limit(msgspec.Struct, frozen=True):
    """A number of calls per window.

    Attributes:
        calls: calls per window.
        time: length of the window, in ``unit``.
        unit: unit of ``time``.
        refused_count: refused calls count against the next window, as in some gateways.
        old_prefix: the error code is ``APIG.0308``, as in dedicated and older gateways.
        retry_after: send ``Retry-After`` in seconds; never observed on the real gateway.
        policy: whose calls share a window: ``user``, one project; ``ip``, all projects of the endpoint; ``api``, all
            callers of an operation.
    """

    calls: int
    time: int = 1
    unit: Unit = "second"
    refused_count: bool = False
    old_prefix: bool = False
    retry_after: bool = False
    policy: Policy = "user"

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            raise SettingsError(f"limit: policy {self.policy!r} is not one of {', '.join(get_args(Policy))}")
        if self.calls < 1 or self.time < 1:
            raise SettingsError(f"limit {self.calls}/{self.time}{self.unit}: both numbers must be at least 1")

    @classmethod
    def parse(
        cls, text: str, *, refused_count: bool = False, old_prefix: bool = False, retry_after: bool = False
    ) -> Limit:
        """Reads ``60/minute``, ``200/5minute``, ``5/5second``, ``150/second:ip``.

        Raises:
            SettingsError: the text has another form.
        """
        match = _SPEC.fullmatch(text.strip())
        if match is None:
            raise SettingsError(
                f"limit {text!r} is not N/UNIT or N/MUNIT; give one such as 60/minute or 200/5minute, "
                f"with :{', :'.join(get_args(Policy))} or nothing after it"
            )
        unit, policy = cast("Unit", match[3]), cast("Policy", match[4] or "user")  # the pattern has exactly these
        return cls(int(match[1]), int(match[2] or 1), unit, refused_count, old_prefix, retry_after, policy)

    @property
    def seconds(self) -> int:
        """Length of the window in seconds."""
        return self.time * _SECONDS[self.unit]

    @property
    def error_code(self) -> str:
        """The error code of a refused call."""
        return "APIG.0308" if self.old_prefix else "APIGW.0308"

    @property
    def error_msg(self) -> str:
        """The gateway's message, verbatim."""
        window = f"limit:{self.calls},time:{self.time} {self.unit}"
        return f"The throttling threshold has been reached: policy {self.policy} over ratelimit,{window}"


class Windows:
    """Counts the calls that share a window, which begins with the first call in it."""

    def __init__(self, limit: Limit, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        self._used: dict[Scope | Operation | None, tuple[float, int, int]] = {}

    def count_call(self, scope: Scope, operation: Operation) -> int | None:
        """Counts one call; returns None, or the seconds until the window ends if the call is refused."""
        now = self._clock()
        limit = self.limit
        sharers = scope if limit.policy == "user" else operation if limit.policy == "api" else None
        start, used, refused = self._used.get(sharers, (now, 0, 0))
        if now - start >= limit.seconds:
            # Refused calls count against the window that follows directly; a pause of one window clears them.
            debt = refused if limit.refused_count and now - start < 2 * limit.seconds else 0
            start, used, refused = now, min(debt, limit.calls), max(0, debt - limit.calls)
        if used < limit.calls:
            self._used[sharers] = (start, used + 1, refused)
            return None
        self._used[sharers] = (start, used, refused + 1)
        return max(1, math.ceil(start + limit.seconds - now))
