"""RawResponse: a response as received; decompresses its body within size limits."""

from __future__ import annotations

import re
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.cloud.wire_errors import FAILURES, describe_fault
from inventory.errors import BadAnswerError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_ERROR_BODY: Final = 1024 * 1024
_NEED_BODY: Final = frozenset({HTTPStatus.OK.value, HTTPStatus.NOT_FOUND.value})
"""Statuses whose meaning depends on the body."""
_STATUS_LINE: Final = re.compile(rb"(?i)HTTP/[0-9](?:\.[0-9])? +([2-9][0-9]{2})(?![^ \r\n])")
_INTERIM: Final = re.compile(rb"(?i)HTTP/[0-9](?:\.[0-9])? +1[0-9]{2}")
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE_BYTES: Final = 32
_ZLIB_OR_GZIP: Final = 47
_RAW_DEFLATE: Final = -15
_MAX_MEMBERS: Final = 100
"""Each one copies the rest of the body."""
_GZIP: Final = b"\x1f\x8b"


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
    return RawResponse(int(match[1]), {}, b"", describe_fault(error))


def body_limit(status: int, max_body: int) -> int:
    """Returns how many bytes of a body are read."""
    return max_body if status in _NEED_BODY else _MAX_ERROR_BODY


def too_large_error(limit: int, status: int) -> BadAnswerError:
    """The error for a body of more than ``limit`` bytes."""
    return BadAnswerError(f"a response of more than {limit} bytes", status_code=status)


def complete_response(
    status: int, headers: Mapping[str, str], body: bytes, max_body: int, error: BaseException | None = None
) -> RawResponse:
    """Returns a response. If its status needs no body, an unreadable body is only recorded as ``fault``.

    Args:
        status: HTTP status.
        headers: with case-insensitive lookup.
        body: the part that was received, compressed.
        max_body: maximum size in bytes of the decompressed body.
        error: why the rest could not be read, or None.

    Raises:
        BadAnswerError: the body is too large, or its compression is invalid.
        WireError: ``error``.
    """
    encoding = headers.get("Content-Encoding")
    if error is None and encoding is None:  # the usual case
        return RawResponse(status, headers, body)
    encoding = _encoding_of(encoding or "")
    try:
        if error is not None:
            raise error
        return RawResponse(status, headers, _decompress(body, encoding, body_limit(status, max_body), status))
    except (BadAnswerError, *FAILURES) as reason:
        if status in _NEED_BODY:
            raise
        fault = reason.error_msg if isinstance(reason, BadAnswerError) else describe_fault(reason)
    return RawResponse(status, headers, b"" if encoding else body, fault)


def _encoding_of(value: str) -> str | None:
    encoding = value.strip().lower()
    return None if encoding in {"", "identity"} else encoding


def _decompress(body: bytes, encoding: str | None, limit: int, status: int) -> bytes:
    if encoding is None or not body:
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise BadAnswerError(f"an unsupported content encoding: {encoding[:50]!a}", status_code=status)
    is_raw = encoding == "deflate" and not _has_zlib_header(body)
    unpacked, members = b"", 0
    while body.strip(b"\0"):  # gzip may have several members, and zeros after them
        members += 1
        decompressor = zlib.decompressobj(wbits=_RAW_DEFLATE if is_raw else _ZLIB_OR_GZIP)
        try:
            unpacked += decompressor.decompress(body, limit + 1 - len(unpacked))
        except zlib.error:
            members = _MAX_MEMBERS + 1
        if members > _MAX_MEMBERS:
            raise BadAnswerError("an invalid compressed response", status_code=status)
        if len(unpacked) > limit:
            raise too_large_error(limit, status)
        if not decompressor.eof:
            raise BadAnswerError("an incomplete compressed response", status_code=status)
        body = decompressor.unused_data
    return unpacked


def _has_zlib_header(body: bytes) -> bool:
    """Many servers send ``deflate`` without it (RFC 1950, section 2.2); some send gzip."""
    return body.startswith(_GZIP) or (body[0] & 15 == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0)
