"""An answer as it comes off a connection: what of it is read, within which bounds, and what is wrong with the rest.

Owns the limits of headers and bodies, and which statuses say alone what an answer means. Opens no connection.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict

from inventory.errors import BadAnswerError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_HEADER_LINE: Final = 64 * 1024
"""Bytes of one header line; company networks add policies of several times aiohttp's default of 8,190."""
MAX_HEADERS: Final = 1000
_MAX_ERROR_BODY: Final = 1024 * 1024
_NEED_THEIR_BODY: Final = frozenset({200, 404})
"""Statuses that do not say alone what the answer means."""
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([2-9][0-9]{2})[ \r\n]")
_FIRST: Final = 200
BREAKS: Final = (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError)
_DIGITS: Final = 20
_ZLIB_OR_GZIP: Final = 47


class RawResponse(NamedTuple):
    """An answer as it came; headers are looked up without regard to case, the body is unpacked.

    Attributes:
        status: the HTTP status.
        headers: empty where they could not be read.
        body: what could be read of it.
        fault: why the answer is not whole, where its status alone says what it means; None: it is whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    fault: str | None = None


class StatusOnlyError(aiohttp.ClientError):
    """Nothing but the status of an answer could be read, and that is enough."""

    def __init__(self, reply: RawResponse) -> None:
        super().__init__()
        self.reply = reply


def response_from_status_line(beginning: bytes, error: BaseException) -> RawResponse | None:
    """The answer without its headers and body, where its status line came and says what the answer means."""
    found = _STATUS_LINE.match(beginning)
    if found is None or int(found[1]) in _NEED_THEIR_BODY:
        return None
    return RawResponse(int(found[1]), CIMultiDict(), b"", describe_fault(error))


def describe_fault(error: BaseException) -> str:
    """What kept the rest of an answer from being read."""
    if isinstance(error, TimeoutError):
        return "no whole answer in time"
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return describe_parse_error(error.message)
    return "the answer broke off"


def describe_parse_error(message: str) -> str:
    """What is wrong with an answer that aiohttp cannot parse."""
    if "Got more than" in message[:_FIRST]:
        return f"a header line of more than {MAX_HEADER_LINE} bytes, the limit"
    if "Too many headers" in message[:_FIRST]:
        return f"more than {MAX_HEADERS} header fields, the limit"
    first = (message.strip().splitlines() or ["no reason given"])[0][:200]
    return f"an answer that is not HTTP: {first}"


async def read_response(
    status: int, headers: Mapping[str, str], content: aiohttp.StreamReader, most: int
) -> RawResponse:
    """Reads a body. Where the status says what the answer means, a body that cannot be read is only a fault of it."""
    if status in _NEED_THEIR_BODY:
        return RawResponse(status, headers, await _read_bounded(status, headers, content, most))
    body = bytearray()
    try:
        async for chunk in content.iter_any():
            body += chunk
            if len(body) > _MAX_ERROR_BODY:
                raise _too_long(_MAX_ERROR_BODY, status)
        return RawResponse(status, headers, _unpacked(bytes(body), headers, _MAX_ERROR_BODY, status))
    except BadAnswerError as error:
        fault = error.error_msg
    except BREAKS as error:
        fault = describe_fault(error)
    return RawResponse(status, headers, b"" if _encoding_of(headers) else bytes(body), fault)


async def _read_bounded(status: int, headers: Mapping[str, str], content: aiohttp.StreamReader, most: int) -> bytes:
    length = headers.get("Content-Length", "")
    if length.isdecimal() and len(length) < _DIGITS and int(length) <= most and "Transfer-Encoding" not in headers:
        body = await content.read()
    else:
        chunks: list[bytes] = []
        size = 0
        async for chunk in content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > most:
                raise _too_long(most, status)
        body = b"".join(chunks)
    return _unpacked(body, headers, most, status)


def _encoding_of(headers: Mapping[str, str]) -> str | None:
    encoding = headers.get("Content-Encoding", "").strip().lower()
    return None if encoding in {"", "identity"} else encoding


def _unpacked(body: bytes, headers: Mapping[str, str], most: int, status: int) -> bytes:
    """Unpacks a body within a bound, whatever the version of aiohttp does about that."""
    encoding = _encoding_of(headers)
    if encoding is None or not body:
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise BadAnswerError(f"an encoding that was not asked for: {encoding[:50]!a}", status_code=status)
    unpacker = zlib.decompressobj(wbits=_ZLIB_OR_GZIP)
    try:
        found = unpacker.decompress(body, most + 1)
    except zlib.error:
        raise BadAnswerError("a compressed answer that is broken", status_code=status) from None
    if len(found) > most:
        raise _too_long(most, status)
    if not unpacker.eof:
        raise BadAnswerError("a compressed answer that is not whole", status_code=status)
    return found


def _too_long(most: int, status: int) -> BadAnswerError:
    return BadAnswerError(f"an answer of more than {most} bytes", status_code=status)
