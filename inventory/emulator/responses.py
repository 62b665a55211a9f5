"""Answers of the service and of the gateway: status, body, headers.

Source: api-facts.md sections 3.1 and 3.5.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON_HEADERS: Mapping[str, str] = MappingProxyType({"Content-Type": "application/json", "Server": "api-gateway"})
HTML_HEADERS: Mapping[str, str] = MappingProxyType({"Content-Type": "text/html", "Server": "CloudWAF"})


class Reply(NamedTuple):
    """One answer; ``X-Request-Id``, ``Date`` and ``Content-Length`` are added when it is sent."""

    status: int
    body: bytes
    headers: Mapping[str, str] = JSON_HEADERS


def config(document: dict[str, Any]) -> Reply:
    """A 200 of the service with a config."""
    return Reply(200, msgspec.json.encode(document))


def service_error(status: int, error_code: str, error_msg: str) -> Reply:
    """An error of FunctionGraph: the code comes first, without a request id."""
    return Reply(status, msgspec.json.encode({"error_code": error_code, "error_msg": error_msg}))


def gateway_error(status: int, error_code: str, error_msg: str, request_id: str) -> Reply:
    """An error of the gateway: the message comes first, a newline ends it."""
    body = {"error_msg": error_msg, "error_code": error_code, "request_id": request_id}
    return Reply(status, msgspec.json.encode(body) + b"\n")


def page(status: int, title: str) -> Reply:
    """A web page in place of JSON, as proxies and firewalls send it."""
    text = f"<html>\r\n<head><title>{title}</title></head>\r\n<body><center><h1>{title}</h1></center></body>\r\n</html>"
    return Reply(status, text.encode(), HTML_HEADERS)
