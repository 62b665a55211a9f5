"""Routes of the emulated gateway, and its answers to unknown and throttled calls.

Source: api-facts.md sections 3.3 and 3.6.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, unquote

from inventory.emulator.responses import JSON_HEADERS, Reply, gateway_error

if TYPE_CHECKING:
    from inventory.emulator.gateway.rate_limit import Limit

_PATH = re.compile(r"/v2/([^/]+)/fgs/(?:functions/([^/]+)/([a-z-]+)|([a-z/]+))")


class Operation(Enum):
    """The published operations, by the end of their path."""

    LIST_FUNCTIONS = "functions"
    SHOW_CONFIG = "functions/{urn}/async-invoke-config"
    LIST_CONFIGS = "functions/{urn}/async-invoke-configs"
    LIST_VERSIONS = "functions/{urn}/versions"
    LIST_ALIASES = "functions/{urn}/aliases"
    LIST_TOP_FUNCTIONS = "function/report"
    LIST_RESERVED_CONFIGS = "functions/reservedinstanceconfigs"
    LIST_RESERVED_INSTANCES = "functions/reservedinstances"
    LIST_QUOTAS = "quotas"


_OPERATIONS = {operation.value: operation for operation in Operation}


class Route(NamedTuple):
    """A parsed path; ``urn`` is empty if it names no function."""

    operation: Operation
    project_id: str
    urn: str
    query: dict[str, str]


def route(method: str, raw_path: str) -> Route | None:
    """The operation of a request, or None. Clients send the URN raw or percent-encoded."""
    path, _, query = raw_path.partition("?")
    match = _PATH.fullmatch(path) if method == "GET" else None
    operation = _OPERATIONS.get(match[4] or f"functions/{{urn}}/{match[3]}") if match else None
    if match is None or operation is None:
        return None
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    return Route(operation, unquote(match[1]), unquote(match[2] or ""), parameters)


def unknown_api(request_id: str) -> Reply:
    """The answer to an unknown path."""
    message = "The API does not exist or has not been published in the environment"
    return gateway_error(404, "APIGW.0101", message, request_id)


def throttled(limit: Limit, wait: int, request_id: str) -> Reply:
    """The answer to a call above the limit; ``wait``: seconds until the window ends."""
    refusal = gateway_error(429, limit.error_code, limit.error_msg, request_id)
    return refusal._replace(headers={**JSON_HEADERS, "Retry-After": str(wait)}) if limit.retry_after else refusal
