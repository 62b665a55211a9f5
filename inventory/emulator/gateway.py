"""The API gateway before the service: routes, throttle, and how its faults look. Who is let in is ``door``'s.

Owns the APIGW error codes and sentences. Must not know what the cloud holds, nor aiohttp.

Source: api-facts.md sections 3.3, 3.4 and 3.6.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from inventory.emulator.faults import Fault
from inventory.emulator.limit import Limit
from inventory.emulator.reply import JSON_HEADERS, Reply, gateway_error, page, service_error

_PATH = re.compile(r"/v2/([^/]+)/fgs/functions(?:/([^/]+)/(async-invoke-configs?|versions|aliases))?")
DEFAULT_LIMIT = Limit(200, 1, "second")
_GATEWAY_FAULTS = {
    Fault.BAD_GATEWAY: (502, "APIGW.0201", "Backend unavailable"),
    Fault.BACKEND_TIMEOUT: (504, "APIG.0203", "Backend timeout"),
}
_FIXED_FAULTS = {
    Fault.PROXY_ERROR: page(503, "503 Service Temporarily Unavailable"),
    Fault.SERVICE_ERROR: service_error(500, "FSS.0500", "Internal server error."),
    Fault.HTML: page(200, "Welcome"),
    Fault.EMPTY: Reply(200, b""),
    Fault.NULL: Reply(200, b"null"),
}


class Operation(Enum):
    """The published APIs, by the end of their paths."""

    LIST_FUNCTIONS = None
    SHOW_CONFIG = "async-invoke-config"
    LIST_CONFIGS = "async-invoke-configs"
    LIST_VERSIONS = "versions"
    LIST_ALIASES = "aliases"


class Route(NamedTuple):
    """What a known path says. ``urn`` is empty where the path names no function."""

    operation: Operation
    project_id: str
    urn: str
    query: dict[str, str]


def route(method: str, raw_path: str) -> Route | None:
    """Which API a request means, or None. The path may be percent-encoded or raw: both occur."""
    path, _, query = raw_path.partition("?")
    found = _PATH.fullmatch(path) if method == "GET" else None
    if found is None:
        return None
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    return Route(Operation(found[3]), unquote(found[1]), unquote(found[2] or ""), parameters)


def unknown_api(request_id: str) -> Reply:
    """The answer to a path that no published API has."""
    sentence = "The API does not exist or has not been published in the environment"
    return gateway_error(404, "APIGW.0101", sentence, request_id)


def throttled(limit: Limit, wait: int, request_id: str) -> Reply:
    """The answer to a call over the limit; ``wait`` is the seconds until the window ends."""
    refusal = gateway_error(429, limit.error_code, limit.error_msg, request_id)
    return refusal._replace(headers={**JSON_HEADERS, "Retry-After": str(wait)}) if limit.retry_after else refusal


def faulty(fault: Fault, right: Reply, request_id: str) -> Reply:
    """What a fault makes of the right answer; a reset leaves it as it is, for it breaks the connection instead."""
    if fault is Fault.TRUNCATED:
        return right._replace(body=right.body[: len(right.body) // 2])
    if fault in _GATEWAY_FAULTS:
        return gateway_error(*_GATEWAY_FAULTS[fault], request_id)
    return _FIXED_FAULTS.get(fault, right)
