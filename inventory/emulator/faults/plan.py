"""Kinds of faults, their rates, and the fault plan."""

from __future__ import annotations

import re
from collections import Counter
from difflib import get_close_matches
from enum import StrEnum
from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import unquote

import msgspec

from inventory.emulator.responses import Reply
from inventory.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Fault(StrEnum):
    """A kind of fault; the value is its name in the request log and in ``Faults.parse``."""

    BAD_GATEWAY = "bad_gateway"
    """502 of the gateway, JSON, with the code of its 400."""
    PROXY_ERROR = "proxy_error"
    """503 of a proxy, HTML."""
    SERVICE_ERROR = "service_error"
    """500 of the service."""
    BACKEND_TIMEOUT = "backend_timeout"
    """504 of an older gateway, JSON."""
    AWAY = "away"
    """The server drops all connections and refuses new ones for ``absence`` seconds."""
    RESET = "reset"
    """The connection is reset before the answer."""
    RESET_IN_BODY = "reset_in_body"
    """The connection is reset within the body."""
    STALLED = "stalled"
    """No answer, as long as the client waits."""
    STALLED_IN_BODY = "stalled_in_body"
    """Headers and half of the body, then nothing."""
    DRIPPING = "dripping"
    """Headers and half of the body, then single bytes, never the last one."""
    LONG_LENGTH = "long_length"
    """Content-Length is larger than the body; then the connection closes."""
    SHORT_LENGTH = "short_length"
    """Content-Length is smaller than the body: the rest follows where the next answer is expected."""
    UNASKED = "unasked"
    """The right answer, followed by an unsolicited 404."""
    CHUNKED = "chunked"
    """The right answer, in chunks."""
    LONG_HEADER = "long_header"
    """The right answer with a header of 11 KB, as company networks add."""
    BYTE_ORDER_MARK = "byte_order_mark"
    """The right answer after a byte order mark."""
    GZIP = "gzip"
    """The right answer, compressed."""
    BROKEN_GZIP = "broken_gzip"
    """The right answer, compressed, with one wrong byte."""
    GZIP_BOMB = "gzip_bomb"
    """100 MB of spaces in 100 KB of gzip."""
    HUGE = "huge"
    """The right answer and 100 MB of spaces."""
    HUGE_CHUNKED = "huge_chunked"
    """The same, chunked."""
    TRUNCATED = "truncated"
    """Half of the body, complete as HTTP."""
    HTML = "html"
    """200 with a web page."""
    EMPTY = "empty"
    """200 with an empty body."""
    NULL = "null"
    """200 with ``null``."""
    ARRAY = "array"
    """200 with ``[]``."""
    OTHER_URN = "other_urn"
    """A valid config of another function."""
    NO_CONTENT = "no_content"
    """204."""
    REDIRECT = "redirect"
    """302 to another host."""
    BLOCKED = "blocked"
    """418 of the web application firewall, HTML."""
    THROTTLED = "throttled"
    """429 of the gateway, with or without a limit set."""
    THROTTLED_BY_SERVICE = "throttled_by_service"
    """429 of the service, without a limit in its text."""
    THROTTLED_SECONDS = "throttled_seconds"
    """429 of the service with ``Retry-After`` in seconds."""
    THROTTLED_DATE = "throttled_date"
    """429 of the service with ``Retry-After`` as a date."""
    STRAY = "stray"
    """429 of the service without a limit; the next attempt of the URN is never another one."""


ERRORS_5XX = (Fault.BAD_GATEWAY, Fault.PROXY_ERROR, Fault.SERVICE_ERROR, Fault.BACKEND_TIMEOUT)
RESETS = (Fault.RESET, Fault.RESET_IN_BODY)
MALFORMED = (Fault.TRUNCATED, Fault.HTML, Fault.EMPTY, Fault.NULL, Fault.ARRAY)
STALLS = (Fault.STALLED, Fault.STALLED_IN_BODY, Fault.DRIPPING)
LENGTHS = (Fault.LONG_LENGTH, Fault.SHORT_LENGTH, Fault.UNASKED)
GIANTS = (Fault.HUGE, Fault.HUGE_CHUNKED, Fault.GZIP_BOMB)
THROTTLES = (Fault.THROTTLED, Fault.THROTTLED_BY_SERVICE, Fault.THROTTLED_SECONDS, Fault.THROTTLED_DATE)
RECOVERABLE = tuple(fault for fault in Fault if fault is not Fault.BLOCKED)
"""Faults that a retry can overcome; a firewall blocks the caller, not the call."""
STORM_CALLS = 10
"""Consecutive calls that a storm refuses."""

Step: TypeAlias = Fault | Reply | None
"""Plan of one call: a fault, an exact answer, or None for the faults by rate."""

PlanSpec: TypeAlias = "Mapping[str, Sequence[Step]] | Callable[[str, int], Step]"
"""Steps for the first calls of a URN or an end of a path, or a function of the URN and its number of earlier calls."""

GROUPS: Mapping[str, tuple[Fault, ...]] = MappingProxyType(
    {
        "5xx": ERRORS_5XX,
        "reset": RESETS,
        "malformed": MALFORMED,
        "stall": STALLS,
        "length": LENGTHS,
        "giant": GIANTS,
        "all": RECOVERABLE,
    }
)
"""Kinds that share a rate; ``reset`` names both resets."""
_FIELDS = {"latency": "latency", "jitter": "jitter", "5xx": "error_5xx", "reset": "reset", "malformed": "malformed"}
_FIELDS |= {"storm": "storm", "absence": "absence"}
_KEYS = tuple(dict.fromkeys((*_FIELDS, *GROUPS, *Fault)))
_TIMES = ("latency", "absence")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s)?")
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%)?")
_STEPS = 1 << 64


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Faults by rate; seed, URN and attempt determine the fault, whatever the order of the calls.

    Attributes:
        latency: mean added latency in seconds.
        jitter: relative spread of the latency, 0 to 1.
        error_5xx: share of 5xx answers.
        reset: share of connection resets.
        malformed: share of 200 answers without a config.
        others: shares of other ``GROUPS`` or single kinds, by name.
        storm: share of 429 answers, in runs of ``STORM_CALLS`` of one kind; hits whichever calls come then.
        absence: seconds for which :attr:`Fault.AWAY` lasts.
        seed: selects which attempts are hit.
    """

    latency: float = 0.0
    jitter: float = 0.5
    error_5xx: float = 0.0
    reset: float = 0.0
    malformed: float = 0.0
    others: dict[str, float] = {}
    storm: float = 0.0
    absence: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.latency, self.absence) < 0:
            raise SettingsError(f"faults: latency {self.latency} and absence {self.absence} must not be negative")
        for key in self.others:
            if key in _FIELDS or key not in _KEYS:
                raise _unknown(key)
        rates = [self.error_5xx, self.reset, self.malformed, *self.others.values()]
        if min(*rates, self.jitter, self.storm) < 0 or max(sum(rates), self.jitter, self.storm) > 1:
            raise SettingsError("faults: each rate must lie between 0 and 1, and all but storm add up to 1 at most")

    @classmethod
    def parse(cls, text: str, *, seed: int = 0) -> Faults:
        """Reads ``latency=20ms,5xx=1%,reset=0.5%,malformed=0.01,stall=1%,storm=2%,other_urn=1%``.

        Args:
            text: a time for ``latency`` and ``absence``; a share for ``jitter``, ``storm``, each of ``GROUPS`` and
                each :class:`Fault`. ``all`` covers every kind that a retry can overcome.
            seed: selects which attempts are hit.

        Raises:
            SettingsError: a part is not ``KEY=VALUE``, or its key or value is unknown.
        """
        values: dict[str, float] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            key, equals, value = part.partition("=")
            if not equals:
                raise SettingsError(f"faults: {part!r} is not KEY=VALUE, such as latency=20ms or 5xx=1%")
            if key not in _KEYS:
                raise _unknown(key)
            if key in values:
                raise SettingsError(f"faults: {key!r} is given twice")
            values[key] = _duration(key, value) if key in _TIMES else _rate(key, value)
        fields = {_FIELDS[key]: value for key, value in values.items() if key in _FIELDS}
        others = {key: value for key, value in values.items() if key not in _FIELDS}
        return cls(**fields, others=others, seed=seed)

    def draw(self, call: str, attempt: int) -> tuple[float, Fault | None]:
        """The added latency in seconds and the fault of one attempt of a call; ``attempt`` counts from 0."""
        where, which, wait = self._chances(f"{attempt}:{call}")
        latency = self.latency * (1 + self.jitter * (2 * wait / _STEPS - 1))
        fault = self._fault(where, which)
        if fault is Fault.STRAY and attempt:
            where, which, _ = self._chances(f"{attempt - 1}:{call}")
            fault = None if self._fault(where, which) is Fault.STRAY else fault
        return latency, fault

    def draw_storm(self, number: int) -> Fault | None:
        """The fault of one request if a storm refuses it."""
        if not self.storm:
            return None
        begins, kind, _ = self._chances(f"storm:{number // STORM_CALLS}")
        return THROTTLES[kind % len(THROTTLES)] if begins / _STEPS < self.storm else None

    def _fault(self, where: int, which: int) -> Fault | None:
        point = where / _STEPS
        rates = {"5xx": self.error_5xx, "reset": self.reset, "malformed": self.malformed, **self.others}
        for key, rate in rates.items():
            if point < rate:
                faults = GROUPS[key] if key in GROUPS else (Fault(key),)
                return faults[which % len(faults)]
            point -= rate
        return None

    def _chances(self, event: str) -> tuple[int, int, int]:
        digest = blake2b(f"{self.seed}:{event}".encode(), digest_size=24).digest()
        return (
            int.from_bytes(digest[:8], "big"),
            int.from_bytes(digest[8:16], "big"),
            int.from_bytes(digest[16:], "big"),
        )


class Draw(NamedTuple):
    """Latency in seconds and fault of a request; ``call`` is empty if the request is no attempt."""

    latency: float
    fault: Fault | None
    call: str


class AttemptCounts:
    """Counts the attempts of each call and draws their faults by rate."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def draw(self, faults: Faults | None, raw_path: str, number: int) -> Draw:
        """Counts an attempt, unless a storm refuses the request, and draws its fault."""
        if faults is None:
            return Draw(0.0, None, "")
        call = unquote(raw_path)
        latency, fault = faults.draw(call, self._counts[call])
        storm = faults.draw_storm(number)
        if storm:
            return Draw(latency, storm, "")
        self._counts[call] += 1
        return Draw(latency, fault, call)

    def undo(self, draw: Draw) -> None:
        """Takes back the attempt of a request that the gateway refused: its fault meets the next one."""
        if draw.call:
            self._counts[draw.call] -= 1


class Plan:
    """The planned steps of the first calls of chosen URNs."""

    def __init__(self, spec: PlanSpec) -> None:
        self._spec = spec
        self._calls: dict[str, int] = {}

    def step(self, urn: str, path: str = "") -> Step:
        """The step of this call of the URN, or of a call without one by the end of its path."""
        spec, key = self._spec, urn or path
        if not urn if callable(spec) else key not in spec:
            return None
        calls = self._calls.get(key, 0)
        self._calls[key] = calls + 1
        if callable(spec):
            return spec(key, calls)
        steps = spec[key]
        return steps[calls] if calls < len(steps) else None


def _unknown(key: str) -> SettingsError:
    near = get_close_matches(key, _KEYS, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return SettingsError(f"faults: unknown key {key!r}: {hint}allowed are {', '.join(_KEYS)}")


def _duration(key: str, text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise SettingsError(f"faults: {key}={text} is not a time such as 20ms or 0.5s")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def _rate(key: str, text: str) -> float:
    match = _RATE.fullmatch(text)
    rate = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= rate <= 1:
        raise SettingsError(f"faults: {key}={text} is not a share; give one such as 1% or 0.01")
    return rate
