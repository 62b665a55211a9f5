"""Connection: one HTTP/1.1 connection of DirectTransport."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from inventory.cloud.response_body import (
    body_limit,
    response_from_status_line,
    skip_interim_responses,
    too_large_error,
)
from inventory.cloud.wire_errors import (
    INVALID_HEADER,
    INVALID_TRANSFER_ENCODING,
    LONG_LINE,
    MANY_HEADERS,
    MAX_HEADER_LINE,
    MAX_HEADERS,
    CutOffError,
    DisconnectedError,
    InvalidResponseError,
    describe_parse_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SWITCHING_PROTOCOLS: Final = 101
_INTERIM: Final = range(100, 200)
_TRANSFER_ENCODING: Final = b"transfer-encoding"
# What aiohttp accepts too: line ends without CR, folded lines, spaces after a chunk's size.
_LENIENCIES: Final = {
    "lenient_headers": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_spaces_after_chunk_size": True,
}


@functools.lru_cache(maxsize=64)
def _key(name: str) -> bytes:
    return name.lower().encode()


class Headers(Mapping[str, str]):
    """Header fields by case-insensitive name; of several fields with one name, the first."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[bytes, bytes]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        return self._fields[_key(name)].decode("utf-8", "surrogateescape").strip(" \t")

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as in Mapping, without its exception
        """The first field of a name, or ``default``."""
        value = self._fields.get(_key(name))
        return default if value is None else value.decode("utf-8", "surrogateescape").strip(" \t")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("ascii", "surrogateescape") for name in self._fields)

    def __len__(self) -> int:
        return len(self._fields)


Message = tuple[int, Mapping[str, str], bytes, BaseException | None]
"""Status, headers and body of a response as it arrived, and why the body is incomplete."""


class Connection(asyncio.Protocol):
    """Sends one request at a time and parses its response.

    Args:
        lost: called when the connection has ended.

    Attributes:
        is_reusable: whether another request may be sent after the response.
        last_used: end of the last call, on the clock of the event loop.
    """

    __slots__ = (
        "_body",
        "_early",
        "_error",
        "_fields",
        "_has_head",
        "_headers",
        "_is_complete",
        "_is_in_trailer",
        "_is_until_eof",
        "_line_bytes",
        "_lost",
        "_max_body",
        "_max_size",
        "_parser",
        "_received",
        "_size",
        "_start",
        "_status",
        "_transport",
        "_waiter",
        "is_reusable",
        "last_used",
    )

    def __init__(self, lost: Callable[[Connection], None]) -> None:
        self._lost = lost
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(**_LENIENCIES)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Message] | None = None
        self._is_complete = False
        self._early = b""
        self.is_reusable = True
        self.last_used = 0.0

    def send(self, request: bytes, max_body: int, waiter: asyncio.Future[Message]) -> None:
        """Sends a request; ``waiter`` receives its response.

        Args:
            request: the bytes to send.
            max_body: maximum size in bytes of the body as received.
            waiter: a new future.
        """
        self._waiter = waiter
        self._max_body = max_body
        self._is_complete = self._has_head = self._is_until_eof = self._is_in_trailer = False
        self._fields: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._error: BaseException | None = None
        self._start = b""
        self._received = self._size = self._line_bytes = 0
        if self._transport is None or self._transport.is_closing():
            self._start = skip_interim_responses(self._early)
            self._fail(DisconnectedError(is_within_head=bool(self._early)))
            return
        self._transport.write(request)
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    def abort(self) -> None:
        """Closes the connection at once."""
        self.is_reusable = False
        if self._transport is not None:
            self._transport.abort()

    def fail(self, error: BaseException) -> None:
        """Ends the call in flight with an error, and closes the connection."""
        self._fail(error)
        self.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's classes are not asyncio's

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop when the connection has ended."""
        self.is_reusable = False
        if self._waiter is not None:
            if self._has_head:
                if self._is_until_eof and exc is None:
                    self._finish(None)
                else:
                    self._fail(CutOffError())
            else:
                self._fail(exc or DisconnectedError(is_within_head=bool(self._start)))
        self._transport = self._parser = None  # ends the reference cycle
        self._lost(self)

    def eof_received(self) -> None:
        """Called by the event loop when the server sends no more; the loop closes the connection soon."""
        self.is_reusable = False

    def data_received(self, data: bytes) -> None:
        """Called by the event loop with the next bytes."""
        if self._waiter is None or self._parser is None:
            if self._parser is None or self._is_complete or len(self._early) > MAX_HEADER_LINE:
                self.abort()
            else:  # an overloaded server may refuse before it reads the request
                self._early += data
            return
        self._received += len(data)
        line = self._line_bytes
        if not self._has_head and line + len(data) > MAX_HEADER_LINE and line + data.find(b"\n") > MAX_HEADER_LINE:
            self._start = skip_interim_responses(self._start + data)
            self.fail(InvalidResponseError(LONG_LINE))  # the parser would drop the text of a status
            return
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self.is_reusable = False
        except HttpParserError as error:
            if not self._has_head:
                self._start = skip_interim_responses(self._start + data)
            self.fail(self._error or InvalidResponseError(describe_parse_error(str(error))))
            return
        if self._is_complete:
            self._finish(None)
        elif not self._has_head:
            self._start = skip_interim_responses(self._start + data)
            self._check_head(data)
        elif self._is_in_trailer:
            self._check_head(data)

    def _check_head(self, data: bytes) -> None:
        end = data.rfind(b"\n")
        self._line_bytes = len(data) - end - 1 if end >= 0 else self._line_bytes + len(data)
        if self._line_bytes > MAX_HEADER_LINE or len(self._fields) > MAX_HEADERS:
            self.fail(InvalidResponseError(LONG_LINE if self._line_bytes > MAX_HEADER_LINE else MANY_HEADERS))

    def on_message_begin(self) -> None:
        """Called by the parser at the first byte of a response."""
        if self._is_complete:
            self.is_reusable = False  # bytes after the response

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser for each field of the head, and of a trailer."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Called by the parser after the head."""
        if self._parser is None or self._is_complete:
            return
        self._status = status = self._parser.get_status_code()
        headers = self._check_fields()
        if status in _INTERIM and status != _SWITCHING_PROTOCOLS:
            return
        self._headers = headers
        self._has_head = True
        self._line_bytes = 0
        self._max_size = body_limit(status, self._max_body)
        if _TRANSFER_ENCODING in headers:
            if headers[_TRANSFER_ENCODING].strip(b" \t").lower() != b"chunked":  # its end may be elsewhere for others
                self._refuse(INVALID_TRANSFER_ENCODING)
        elif b"content-length" not in headers:
            self._is_until_eof = True

    def _take_fields(self) -> list[tuple[bytes, bytes]]:
        fields, self._fields = self._fields, []
        if len(fields) > MAX_HEADERS:
            self._refuse(MANY_HEADERS)
        if self._received > MAX_HEADER_LINE and any(len(name) + len(value) > MAX_HEADER_LINE for name, value in fields):
            self._refuse(LONG_LINE)
        return fields

    def _check_fields(self) -> dict[bytes, bytes]:
        fields = self._take_fields()
        headers: dict[bytes, bytes] = {}
        for name, value in fields:
            if 0 in value:
                self._refuse(INVALID_HEADER)
            headers.setdefault(name.lower(), value)
        if len(headers) < len(fields) and _TRANSFER_ENCODING in headers:
            headers[_TRANSFER_ENCODING] = b", ".join(
                value for name, value in fields if name.lower() == _TRANSFER_ENCODING
            )
        return headers

    def on_chunk_header(self) -> None:
        """Called by the parser before each chunk, and before the trailer."""
        self._is_in_trailer = True

    def on_body(self, body: bytes) -> None:
        """Called by the parser with a part of the body."""
        if self._is_complete:
            return
        self._is_in_trailer = False
        self._body.append(body)
        self._size += len(body)
        if self._size > self._max_size:
            self._error = too_large_error(self._max_size, self._status)
            raise self._error

    def on_message_complete(self) -> None:
        """Called by the parser after a response; 1xx precede the response."""
        if self._has_head and self._parser is not None and not self._is_complete:
            if self._fields:
                self._take_fields()  # a trailer, which changes nothing
            self._is_complete = True
            self.is_reusable = self._parser.should_keep_alive()

    def _refuse(self, text: str) -> None:
        self._error = InvalidResponseError(text)
        raise self._error

    def _finish(self, error: BaseException | None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        waiter.set_result((self._status, Headers(self._headers), body, error))

    def _fail(self, error: BaseException) -> None:
        if self._has_head:
            self._finish(error)
            return
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        response = response_from_status_line(self._start, error)
        if response is None:
            waiter.set_exception(error)
        else:
            waiter.set_result((response.status, response.headers, b"", error))
