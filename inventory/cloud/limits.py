"""What the gateway tells of a limit.

Owns the reading of its sentence. Knows no pace.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_UNIT_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_LIMIT_TEXT: Final = re.compile(
    r"(?:policy\s+(\w{1,20})\s.*?)?limit:\s*(\d{1,9}),\s*time:\s*(\d{1,6})\s*(second|minute|hour|day)s?", re.IGNORECASE
)


class Limit(NamedTuple):
    """A limit that the gateway told: so many calls in so many seconds, by the policy of that name."""

    calls: int
    seconds: float
    policy: str = ""

    @property
    def per_second(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds


def read_limit(text: str) -> Limit | None:
    """Reads the gateway's ``policy P over ratelimit,limit:N,time:M unit``; None where it is not there.

    Source: api-facts.md section 3.6 (recorded throttling texts).
    """
    found = _LIMIT_TEXT.search(text)
    if not found:
        return None
    calls, seconds = int(found[2]), int(found[3]) * _UNIT_SECONDS[found[4].lower()]
    return Limit(calls, float(seconds), (found[1] or "").lower()) if calls and seconds else None
