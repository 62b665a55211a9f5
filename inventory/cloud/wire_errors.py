"""Errors that all transports raise; maps them to call errors."""

from __future__ import annotations

import errno
import os
import re
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from inventory.certificates import to_certificate_error
from inventory.errors import (
    BadAnswerError,
    BadRequestError,
    BlockedError,
    CallConnectionError,
    CallError,
    CallTimeoutError,
    OutputError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONNECT_SECONDS: Final = 10.0
"""Time for a connection, TLS included."""
IDLE_SECONDS: Final = 60.0
"""How long an idle connection stays usable."""
MAX_HEADER_LINE: Final = 64 * 1024
"""Maximum size in bytes of a header line; company proxies exceed the usual 8 KB."""
MAX_HEADERS: Final = 1000
LONG_LINE: Final = f"a header line of more than {MAX_HEADER_LINE} bytes, the limit"
MANY_HEADERS: Final = f"more than {MAX_HEADERS} header fields, the limit"
_NOT_HTTP: Final = "a response that is not HTTP"
INVALID_HEADER: Final = f"{_NOT_HTTP}: an invalid header"
INVALID_TRANSFER_ENCODING: Final = f"{_NOT_HTTP}: an invalid Transfer-Encoding"
_PARSE_ERRORS: Final[Mapping[str, str]] = {
    "got more than": LONG_LINE,
    "too many headers": MANY_HEADERS,
    "content-length": f"{_NOT_HTTP}: an invalid Content-Length",
    "transfer-encoding": INVALID_TRANSFER_ENCODING,
    "header": INVALID_HEADER,
    "chunk": f"{_NOT_HTTP}: an invalid chunk",
    **dict.fromkeys(("status", "response line", "expected", "version"), f"{_NOT_HTTP}: an invalid status line"),
}
"""Our text for each text of llhttp, which both transports use. A parser's text may quote the response, and a token."""
_QUOTED: Final = re.compile(r":|\n|b'")
_PROXY_ADVICE: Final[Mapping[int, str]] = {
    HTTPStatus.FORBIDDEN: "ask the proxy's owner to allow this endpoint, or add it to NO_PROXY",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "set the proxy's user and password in HTTPS_PROXY",
}
_NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})


class WireError(Exception):
    """No response with a usable status arrived."""


class ConnectError(WireError):
    """No connection to the server, or to its proxy."""

    def __init__(self, host: str, port: int, reason: BaseException) -> None:
        super().__init__(host, port)
        self.host = host
        self.port = port
        self.reason = reason


class DisconnectedError(WireError):
    """The server closed the connection before the end of the response's head."""

    def __init__(self, *, is_within_head: bool = False) -> None:
        super().__init__()
        self.is_within_head = is_within_head


class CutOffError(WireError):
    """The connection ended within the body."""


class InvalidResponseError(WireError):
    """The response is not valid HTTP, or its head is too large; the text is ours and quotes nothing."""


class InvalidRequestError(WireError):
    """A request that would not be one line of HTTP per line."""


class ProxyRefusalError(WireError):
    """The proxy refused the tunnel or the request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status)
        self.status = status
        self.message = message


FAILURES: Final = (WireError, OSError, TimeoutError, UnicodeError)
"""Errors that a transport raises for a failed call."""


def describe_parse_error(message: str) -> str:
    """Describes a response that cannot be parsed, without any part of it."""
    reason = _QUOTED.split(message, maxsplit=1)[0].lower()
    return next((text for phrase, text in _PARSE_ERRORS.items() if phrase in reason), _NOT_HTTP)


def describe_fault(error: BaseException) -> str:
    """Describes why the rest of a response could not be read."""
    if isinstance(error, TimeoutError):
        return "no complete response in time"
    if isinstance(error, InvalidResponseError):
        return str(error)
    return "the response was cut off"


def to_call_error(error: BaseException, server: str, redact: Callable[[str], str], *, prefix: str = "") -> CallError:
    """Maps an error of a transport or of the operating system to a call error.

    Args:
        error: one of FAILURES.
        server: name of the server in messages about its certificate.
        redact: removes secrets.
        prefix: beginning of the other messages.

    Raises:
        OutputError: this process has too many open files; no retry helps.
    """
    reason = error.reason if isinstance(error, ConnectError) else error
    if isinstance(reason, OSError) and reason.errno in _NO_DESCRIPTOR:
        raise OutputError.from_os_error("a connection", "cannot be opened", reason, "{remedy}")
    if isinstance(error, TimeoutError):
        return CallTimeoutError(f"{prefix}no complete response in time")
    certificate_error = to_certificate_error(reason, server)
    if certificate_error is not None:
        return certificate_error
    if isinstance(error, ProxyRefusalError):
        return _proxy_error(error, redact, prefix)
    cls: type[CallError] = CallConnectionError
    if isinstance(error, InvalidRequestError | InvalidResponseError):
        cls = BadRequestError if isinstance(error, InvalidRequestError) else BadAnswerError
    return cls(redact(prefix + _describe(error)))


def _proxy_error(error: ProxyRefusalError, redact: Callable[[str], str], prefix: str) -> CallError:
    message = redact(f"{prefix}the proxy returned {error.status}: {_first_line(error.message)}")
    if error.status in _PROXY_ADVICE:
        return BlockedError(f"{message}; {_PROXY_ADVICE[error.status]}")
    return CallConnectionError(message)


def _first_line(message: str) -> str:
    return (message.strip().splitlines() or ["no reason given"])[0][:200]


def _describe(error: BaseException) -> str:
    if isinstance(error, InvalidResponseError):
        return str(error)
    if isinstance(error, InvalidRequestError):
        return f"the call was not made: {error}"
    if isinstance(error, DisconnectedError):
        when = "within the head of its response" if error.is_within_head else "without a response"
        return f"the server closed the connection {when}"
    if isinstance(error, CutOffError):
        return "the response was cut off"
    if isinstance(error, ConnectError):
        return f"no connection to {error.host}:{error.port}: {_describe_reason(error.reason)}"
    return f"the connection failed: {error}" if str(error) else f"the connection failed: {type(error).__name__}"


def _describe_reason(error: BaseException) -> str:
    # The event loops have different texts for the same error number.
    if isinstance(error, ssl.SSLError):  # its numbers are not the system's
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, OSError):
        if error.errno is not None and error.errno in errno.errorcode:
            return os.strerror(error.errno)
        return error.strerror or str(error)
    return str(error)
