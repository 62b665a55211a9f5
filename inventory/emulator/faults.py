"""What goes wrong, how often or for which URN.

Owns the kinds of faults, their rates and the explicit plan. Must not know HTTP nor how a fault looks on the wire.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from inventory.emulator.reply import Reply
from inventory.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Fault(StrEnum):
    """One kind of misbehaviour; the value is its name in the request log."""

    BAD_GATEWAY = "bad_gateway"
    """502 of the gateway, JSON, with the same code as its 400."""
    PROXY_ERROR = "proxy_error"
    """503 of a proxy, HTML."""
    SERVICE_ERROR = "service_error"
    """500 of the service."""
    BACKEND_TIMEOUT = "backend_timeout"
    """504 of an older gateway, JSON."""
    RESET = "reset"
    """The connection is reset before an answer."""
    RESET_IN_BODY = "reset_in_body"
    """The connection is reset amid the answer's body."""
    TRUNCATED = "truncated"
    """Half of the right body, whole as HTTP."""
    HTML = "html"
    """200 with a web page."""
    EMPTY = "empty"
    """200 with nothing."""
    NULL = "null"
    """200 with ``null``."""
    THROTTLED = "throttled"
    """429 of the gateway, whether a limit is set or not."""


ERRORS_5XX = (Fault.BAD_GATEWAY, Fault.PROXY_ERROR, Fault.SERVICE_ERROR, Fault.BACKEND_TIMEOUT)
RESETS = (Fault.RESET, Fault.RESET_IN_BODY)
MALFORMED = (Fault.TRUNCATED, Fault.HTML, Fault.EMPTY, Fault.NULL)

Step: TypeAlias = Fault | Reply | None
"""What one call brings: a fault, an exact answer, or None, which leaves it to the rates (the right answer, if none)."""

PlanSpec: TypeAlias = "Mapping[str, Sequence[Step]] | Callable[[str, int], Step]"
"""Steps for the first calls of a URN, or a function of the URN and of how often it was asked before."""

_KEYS = {"latency": "latency", "jitter": "jitter", "5xx": "error_5xx", "reset": "reset", "malformed": "malformed"}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s)?")
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%)?")
_STEPS = 1 << 64


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Faults by rate: the same seed and the same request number bring the same fault.

    Attributes:
        latency: seconds that an answer takes longer, on average.
        jitter: how far the latency strays, as a share of it (0 to 1).
        error_5xx: share of answers that are a 5xx.
        reset: share of connections that are reset.
        malformed: share of answers that are no config although they say 200.
        seed: changes which requests are hit.
    """

    latency: float = 0.0
    jitter: float = 0.5
    error_5xx: float = 0.0
    reset: float = 0.0
    malformed: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.latency < 0:
            raise SettingsError(f"faults: latency {self.latency} must not be negative")
        rates = (self.error_5xx, self.reset, self.malformed)
        if min(*rates, self.jitter) < 0 or max(sum(rates), self.jitter) > 1:
            raise SettingsError("faults: each rate must lie between 0 and 1, and 5xx, reset and malformed add up to 1")

    @classmethod
    def parse(cls, text: str, *, seed: int = 0) -> Faults:
        """Reads ``latency=20ms,5xx=1%,reset=0.5%,malformed=0.01``.

        Raises:
            SettingsError: a part of the text is not ``KEY=VALUE`` with a known key and a readable value.
        """
        values: dict[str, float] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            key, equals, value = part.partition("=")
            if not equals:
                raise SettingsError(f"faults: {part!r} is not KEY=VALUE, such as latency=20ms or 5xx=1%")
            if key not in _KEYS:
                near = get_close_matches(key, _KEYS, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise SettingsError(f"faults: unknown key {key!r}: {hint}allowed are {', '.join(_KEYS)}")
            if _KEYS[key] in values:
                raise SettingsError(f"faults: {key!r} is given twice")
            values[_KEYS[key]] = _duration(value) if key == "latency" else _rate(key, value)
        return cls(**values, seed=seed)

    def draw(self, number: int) -> tuple[float, Fault | None]:
        """The extra seconds and the fault of one request."""
        digest = blake2b(b"%d:%d" % (self.seed, number), digest_size=24).digest()
        where, which, wait = (int.from_bytes(digest[at : at + 8], "big") for at in (0, 8, 16))
        latency = self.latency * (1 + self.jitter * (2 * wait / _STEPS - 1))
        point = where / _STEPS
        for rate, faults in ((self.error_5xx, ERRORS_5XX), (self.reset, RESETS), (self.malformed, MALFORMED)):
            if point < rate:
                return latency, faults[which % len(faults)]
            point -= rate
        return latency, None


class Plan:
    """What the first calls of chosen URNs bring, in order; afterwards they are answered right."""

    def __init__(self, spec: PlanSpec) -> None:
        self._spec = spec
        self._asked: dict[str, int] = {}

    def step(self, urn: str) -> Step:
        """What this call of the URN brings."""
        spec = self._spec
        if not callable(spec) and urn not in spec:
            return None
        asked = self._asked.get(urn, 0)
        self._asked[urn] = asked + 1
        if callable(spec):
            return spec(urn, asked)
        steps = spec[urn]
        return steps[asked] if asked < len(steps) else None


def _duration(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise SettingsError(f"faults: latency={text} is not a time such as 20ms or 0.5s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def _rate(key: str, text: str) -> float:
    found = _RATE.fullmatch(text)
    rate = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 <= rate <= 1:
        raise SettingsError(f"faults: {key}={text} is not a share such as 1% or 0.01")
    return rate
