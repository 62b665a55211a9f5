"""Faulty answers: what a fault makes of the right answer.

Source: api-facts.md sections 3.3, 3.4 and 3.6.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from email.utils import formatdate
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.emulator.faults.plan import Fault
from inventory.emulator.gateway.rate_limit import Limit
from inventory.emulator.gateway.routes import throttled
from inventory.emulator.responses import JSON_HEADERS, Reply, config, gateway_error, page, service_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_LIMIT = Limit(200, 1, "second")
_GATEWAY_FAULTS = {
    Fault.BAD_GATEWAY: (502, "APIGW.0201", "Backend unavailable"),
    Fault.BACKEND_TIMEOUT: (504, "APIG.0203", "Backend timeout"),
}
RETRY_AFTER: Final = 1
"""Seconds of ``Retry-After`` where no limit determines them."""
HUGE_BYTES: Final = 100_000_000
SPACES: Final = b" " * 100_000
_BUSY = service_error(429, "FSS.0429", "Too many requests")
_FIXED_FAULTS = {
    Fault.PROXY_ERROR: page(503, "503 Service Temporarily Unavailable"),
    Fault.SERVICE_ERROR: service_error(500, "FSS.0500", "Internal server error."),
    Fault.HTML: page(200, "Welcome"),
    Fault.EMPTY: Reply(200, b""),
    Fault.NULL: Reply(200, b"null"),
    Fault.ARRAY: Reply(200, b"[]"),
    Fault.NO_CONTENT: Reply(204, b"", {"Server": "api-gateway"}),
    Fault.REDIRECT: page(302, "302 Found")._replace(
        headers={"Content-Type": "text/html", "Location": "https://auth.example.com/authui/login"}
    ),
    Fault.BLOCKED: page(418, "访问被拦截！"),  # noqa: RUF001 - the firewall's text
    Fault.THROTTLED_BY_SERVICE: _BUSY,
    Fault.STRAY: _BUSY,
    Fault.THROTTLED_SECONDS: _BUSY._replace(headers={**JSON_HEADERS, "Retry-After": str(RETRY_AFTER)}),
}


class FaultyCall(NamedTuple):
    """The call of a faulty answer; ``now`` in seconds since 1970."""

    urn: str
    request_id: str
    now: float
    limit: Limit | None


def apply_fault(fault: Fault, right: Reply, call: FaultyCall) -> Reply:
    """Replaces the right answer; faults of the transmission leave it unchanged."""
    if fault in _FIXED_FAULTS:
        return _FIXED_FAULTS[fault]
    if fault in _GATEWAY_FAULTS:
        return gateway_error(*_GATEWAY_FAULTS[fault], call.request_id)
    return _MADE_FAULTS[fault](right, call) if fault in _MADE_FAULTS else right


def _by_limit(_: Reply, call: FaultyCall) -> Reply:
    limit = call.limit or DEFAULT_LIMIT
    return throttled(limit, limit.seconds, call.request_id)


def _until_date(_: Reply, call: FaultyCall) -> Reply:
    dates = {
        "Date": formatdate(call.now, usegmt=True),
        "Retry-After": formatdate(call.now + RETRY_AFTER, usegmt=True),
    }
    return _BUSY._replace(headers={**JSON_HEADERS, **dates})


def _cut(right: Reply, _: FaultyCall) -> Reply:
    return right._replace(body=right.body[: len(right.body) // 2])


def _of_another(_: Reply, call: FaultyCall) -> Reply:
    fields = (call.urn or "urn:fss:region:project:function:default:f").split(":")
    name = 6 if fields[0] == "urn" else min(2, len(fields) - 1)
    fields[name] = f"{fields[name]}-other"
    return config({"func_urn": ":".join(fields), "max_async_event_age_in_seconds": 1, "max_async_retry_attempts": 8})


def _with_policy(right: Reply, _: FaultyCall) -> Reply:
    policy = " ".join(f"https://{number}.company.example" for number in range(400))
    return right._replace(headers={**right.headers, "Content-Security-Policy": f"default-src {policy}"})


def _marked(right: Reply, _: FaultyCall) -> Reply:
    return right._replace(body=codecs.BOM_UTF8 + right.body)


def _compressed(right: Reply, _: FaultyCall) -> Reply:
    return _as_gzip(right, gzip.compress(right.body, mtime=0))


def _compressed_wrongly(right: Reply, call: FaultyCall) -> Reply:
    body = _compressed(right, call).body
    return _as_gzip(right, body[:-8] + bytes([body[-8] ^ 0xFF]) + body[-7:])  # the checksum begins there


def _compressed_to_nothing(right: Reply, _: FaultyCall) -> Reply:
    return _as_gzip(right, _bomb())


def _as_gzip(right: Reply, body: bytes) -> Reply:
    return right._replace(body=body, headers={**right.headers, "Content-Encoding": "gzip"})


@cache
def _bomb() -> bytes:
    packer = zlib.compressobj(level=1, wbits=31)
    pieces = [packer.compress(SPACES) for _ in range(HUGE_BYTES // len(SPACES))]
    return b"".join((*pieces, packer.flush()))


_MADE_FAULTS: Final[Mapping[Fault, Callable[[Reply, FaultyCall], Reply]]] = MappingProxyType(
    {
        Fault.THROTTLED: _by_limit,
        Fault.THROTTLED_DATE: _until_date,
        Fault.TRUNCATED: _cut,
        Fault.OTHER_URN: _of_another,
        Fault.LONG_HEADER: _with_policy,
        Fault.BYTE_ORDER_MARK: _marked,
        Fault.GZIP: _compressed,
        Fault.BROKEN_GZIP: _compressed_wrongly,
        Fault.GZIP_BOMB: _compressed_to_nothing,
    }
)
