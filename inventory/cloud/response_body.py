"""Reads HTTP responses within size limits; maps aiohttp errors to call errors."""

from __future__ import annotations

import errno
import os
import re
import ssl
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict

from inventory.certificates import to_certificate_error
from inventory.errors import (
    BadAnswerError,
    BlockedError,
    CallConnectionError,
    CallError,
    CallTimeoutError,
    OutputError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_HEADER_LINE: Final = 64 * 1024
"""Maximum size in bytes of a header line; company proxies exceed aiohttp's default of 8,190."""
MAX_HEADERS: Final = 1000
_MAX_ERROR_BODY: Final = 1024 * 1024
_NEED_BODY: Final = frozenset({HTTPStatus.OK, HTTPStatus.NOT_FOUND})
"""Statuses whose meaning depends on the body."""
_STATUS_LINE: Final = re.compile(rb"(?i)HTTP/[0-9](?:\.[0-9])? +([2-9][0-9]{2})(?![^ \r\n])")
_INTERIM: Final = re.compile(rb"(?i)HTTP/[0-9](?:\.[0-9])? +1[0-9]{2}")
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE_BYTES: Final = 32
_NOT_HTTP: Final = "a response that is not HTTP"
_PARSE_ERRORS: Final[Mapping[str, str]] = {
    "got more than": f"a header line of more than {MAX_HEADER_LINE} bytes, the limit",
    "too many headers": f"more than {MAX_HEADERS} header fields, the limit",
    "status line": f"{_NOT_HTTP}: an invalid status line",
    "content-length": f"{_NOT_HTTP}: an invalid Content-Length",
    "transfer-encoding": f"{_NOT_HTTP}: an invalid Transfer-Encoding",
    "header": f"{_NOT_HTTP}: an invalid header",
    "chunk": f"{_NOT_HTTP}: an invalid chunk",
}
"""Our text for each text of the parser, which quotes the response: its headers may contain a token."""
FAILURES: Final = (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError, UnicodeError)
"""Errors that aiohttp raises for a failed call."""
_PROXY_ADVICE: Final[Mapping[int, str]] = {
    HTTPStatus.FORBIDDEN: "ask the proxy's owner to allow this endpoint, or add it to NO_PROXY",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "set the proxy's user and password in HTTPS_PROXY",
}
_NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})
_MAX_LENGTH_DIGITS: Final = 20
_ZLIB_OR_GZIP: Final = 47


class RawResponse(NamedTuple):
    """A response as received, decompressed.

    Attributes:
        status: HTTP status.
        headers: with case-insensitive lookup; empty if they could not be parsed.
        body: the part that could be read.
        fault: why the response is incomplete, or None.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    fault: str | None = None


class StatusOnlyError(aiohttp.ClientError):
    """Only the status of a response could be read, and it is sufficient."""

    def __init__(self, response: RawResponse) -> None:
        super().__init__()
        self.response = response


def skip_interim_responses(received: bytes) -> bytes:
    """Drops blank lines and 1xx responses; returns the beginning of the final response."""
    while True:
        received = received.lstrip(b"\r\n")
        interim = _INTERIM.match(received)
        if interim is None:
            return received[:_STATUS_LINE_BYTES]
        end = _END_OF_HEAD.search(received)
        if end is None:
            return interim[0] + received[max(interim.end(), len(received) - 3) :]
        received = received[end.end() :]


def has_final_status_line(received: bytes) -> bool:
    """Returns True if :func:`skip_interim_responses` needs no more bytes."""
    return len(received) >= _STATUS_LINE_BYTES and _INTERIM.match(received) is None


def response_from_status_line(beginning: bytes, error: BaseException) -> RawResponse | None:
    """Returns a response without headers and body, if its status line arrived and its status needs no body."""
    match = _STATUS_LINE.match(beginning)
    if match is None or int(match[1]) in _NEED_BODY:
        return None
    return RawResponse(int(match[1]), CIMultiDict(), b"", describe_fault(error))


def describe_fault(error: BaseException) -> str:
    """Describes why the rest of a response could not be read."""
    if isinstance(error, TimeoutError):
        return "no complete response in time"
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return describe_parse_error(error.message)
    return "the response was cut off"


def describe_parse_error(message: str) -> str:
    """Describes a response that aiohttp cannot parse, without any part of it."""
    reason = re.split(r":|\n|b'", message, maxsplit=1)[0].lower()
    return next((text for phrase, text in _PARSE_ERRORS.items() if phrase in reason), _NOT_HTTP)


async def read_response(
    status: int, headers: Mapping[str, str], content: aiohttp.StreamReader, max_body: int
) -> RawResponse:
    """Reads a body. If the status needs no body, an unreadable one is only recorded as ``fault``."""
    if status in _NEED_BODY:
        return RawResponse(status, headers, await _read_bounded(status, headers, content, max_body))
    body = bytearray()
    try:
        async for chunk in content.iter_any():
            body += chunk
            if len(body) > _MAX_ERROR_BODY:
                raise _too_large_error(_MAX_ERROR_BODY, status)
        return RawResponse(status, headers, _decompress(bytes(body), headers, _MAX_ERROR_BODY, status))
    except BadAnswerError as error:
        fault = error.error_msg
    except FAILURES as error:
        fault = describe_fault(error)
    return RawResponse(status, headers, b"" if _encoding_of(headers) else bytes(body), fault)


async def _read_bounded(status: int, headers: Mapping[str, str], content: aiohttp.StreamReader, max_body: int) -> bytes:
    length = headers.get("Content-Length", "")
    if (
        length.isdecimal()
        and len(length) < _MAX_LENGTH_DIGITS
        and int(length) <= max_body
        and "Transfer-Encoding" not in headers
    ):
        body = await content.read()
    else:
        chunks: list[bytes] = []
        size = 0
        async for chunk in content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > max_body:
                raise _too_large_error(max_body, status)
        body = b"".join(chunks)
    return _decompress(body, headers, max_body, status)


def _encoding_of(headers: Mapping[str, str]) -> str | None:
    encoding = headers.get("Content-Encoding", "").strip().lower()
    return None if encoding in {"", "identity"} else encoding


def _decompress(body: bytes, headers: Mapping[str, str], max_body: int, status: int) -> bytes:
    encoding = _encoding_of(headers)
    if encoding is None or not body:
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise BadAnswerError(f"an unsupported content encoding: {encoding[:50]!a}", status_code=status)
    decompressor = zlib.decompressobj(wbits=_ZLIB_OR_GZIP)
    try:
        unpacked = decompressor.decompress(body, max_body + 1)
    except zlib.error:
        raise BadAnswerError("an invalid compressed response", status_code=status) from None
    if len(unpacked) > max_body:
        raise _too_large_error(max_body, status)
    if not decompressor.eof:
        raise BadAnswerError("an incomplete compressed response", status_code=status)
    return unpacked


def _too_large_error(max_body: int, status: int) -> BadAnswerError:
    return BadAnswerError(f"a response of more than {max_body} bytes", status_code=status)


def to_call_error(error: BaseException, server: str, redact: Callable[[str], str], *, prefix: str = "") -> CallError:
    """Maps an error of aiohttp or the operating system to a call error.

    Args:
        error: one of FAILURES.
        server: name of the server in messages about its certificate.
        redact: removes secrets.
        prefix: beginning of the other messages.

    Raises:
        OutputError: this process has too many open files; no retry helps.
    """
    if isinstance(error, OSError) and error.errno in _NO_DESCRIPTOR:
        raise OutputError.from_os_error("a connection", "cannot be opened", error, "{remedy}")
    if isinstance(error, TimeoutError):
        return CallTimeoutError(f"{prefix}no complete response in time")
    certificate_error = to_certificate_error(error, server)
    if certificate_error is not None:
        return certificate_error
    if isinstance(error, aiohttp.ClientHttpProxyError):  # str(error) would contain the proxy's URL
        message = redact(f"{prefix}the proxy returned {error.status}: {_first_line(error.message)}")
        if error.status in _PROXY_ADVICE:
            return BlockedError(f"{message}; {_PROXY_ADVICE[error.status]}")
        return CallConnectionError(message)
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return BadAnswerError(redact(prefix + describe_parse_error(error.message)))
    return CallConnectionError(redact(prefix + _describe_connection_error(error)))


def _first_line(message: str) -> str:
    return (message.strip().splitlines() or ["no reason given"])[0][:200]


def _describe_connection_error(error: BaseException) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        when = "without a response" if isinstance(error.message, str) else "within the head of its response"
        return f"the server closed the connection {when}"  # str(error) would quote the head
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the response was cut off"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection to {error.host}:{error.port}: {_describe_os_error(error.os_error)}"
    return f"the connection failed: {error}" if str(error) else f"the connection failed: {type(error).__name__}"


def _describe_os_error(error: OSError) -> str:
    # The event loops have different texts for the same error number.
    if isinstance(error, ssl.SSLError):  # its numbers are not the system's
        return f"TLS failed: {error.reason or error}"
    if error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)
    return error.strerror or str(error)
