"""The head of a request, as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inventory.cloud.wire_errors import InvalidRequestError
from inventory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL

USER_AGENT: Final = f"functiongraph-inventory/{__version__}"
HEADERS: Final = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
"""Headers of every request; signatures cover them."""
ACCEPT: Final = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}


def host_field(origin: URL) -> str:
    """Returns the value of ``Host``."""
    host = (origin.raw_host or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    return host if origin.is_default_port() else f"{host}:{origin.port}"


def check_target(target: str) -> None:
    """Checks a path and query.

    Raises:
        InvalidRequestError: it is not percent-encoded.
    """
    if not target.isascii() or not target.isprintable() or " " in target:
        raise InvalidRequestError("its path is not percent-encoded")


def encode_request_line(method: str, target: str, content: bytes | None) -> bytes:
    """Returns the request line, and the length of the content if there is any.

    Raises:
        InvalidRequestError: the target is not percent-encoded.
    """
    check_target(target)
    if content is None:
        return f"{method} {target} HTTP/1.1\r\n".encode()
    return f"{method} {target} HTTP/1.1\r\nContent-Length: {len(content)}\r\n".encode()


def check_fields(headers: Mapping[str, str]) -> None:
    """Checks header fields.

    Raises:
        InvalidRequestError: a field would not be one line.
    """
    names = "".join(headers)
    text = names + "".join(headers.values())
    if "\n" in text or "\r" in text or "\0" in text or ":" in names or "" in headers:
        raise InvalidRequestError("a header holds a line break")


def encode_fields(host: str, headers: Mapping[str, str]) -> bytes:
    """Returns all header fields and the blank line; ``headers`` replace the default ones.

    Raises:
        InvalidRequestError: a field would not be one line.
    """
    check_fields(headers)
    names = {name.lower() for name in headers}
    defaults = {"Host": host, **ACCEPT, **HEADERS}
    fields = {name: value for name, value in defaults.items() if name.lower() not in names}
    return "".join(f"{name}: {value}\r\n" for name, value in {**fields, **headers}.items()).encode() + b"\r\n"
