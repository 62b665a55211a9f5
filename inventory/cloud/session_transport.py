"""SessionTransport: aiohttp's public session, for calls through a proxy."""

from __future__ import annotations

import asyncio
import inspect
from contextvars import ContextVar
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import aiohttp
from yarl import URL

from inventory.cloud.broken_calls import BrokenCalls
from inventory.cloud.request_head import ACCEPT, HEADERS, check_fields, check_target
from inventory.cloud.response_body import (
    body_limit,
    complete_response,
    has_final_status_line,
    response_from_status_line,
    skip_interim_responses,
    too_large_error,
)
from inventory.cloud.wire_errors import (
    CONNECT_SECONDS,
    FAILURES,
    IDLE_SECONDS,
    INVALID_HEADER,
    INVALID_TRANSFER_ENCODING,
    MANY_HEADERS,
    MAX_HEADER_LINE,
    MAX_HEADERS,
    ConnectError,
    CutOffError,
    DisconnectedError,
    InvalidResponseError,
    ProxyRefusalError,
    WireError,
    describe_parse_error,
)
from inventory.errors import BadAnswerError
from inventory.redaction import Redactor

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from aiohttp.connector import Connection

    from inventory.cloud.response_body import RawResponse
    from inventory.proxies import Proxy

T = TypeVar("T")

_LIMITS: Final[dict[str, Any]] = {
    name: limit
    for name, limit in (
        ("max_line_size", MAX_HEADER_LINE),
        ("max_field_size", MAX_HEADER_LINE),
        ("max_headers", MAX_HEADERS),
    )
    if name in inspect.signature(aiohttp.ClientSession).parameters  # missing in older versions
}


class _Call:
    """What aiohttp's connector needs to know about a call; ``watched`` is its connection."""

    def __init__(self, *, needs_new_connection: bool) -> None:
        self.needs_new_connection = needs_new_connection
        self.watched: _WatchedProtocol | None = None
        self.is_reused = False


_CALL: ContextVar[_Call] = ContextVar("call")


class _RepetitionError(Exception):
    """aiohttp is about to repeat a request whose connection broke."""


class _WatchedProtocol(asyncio.Protocol):
    """Between a connection's transport and aiohttp's protocol; drops bytes that arrive when no call is in flight.

    aiohttp takes such bytes for the next response. Also keeps the status line, in case the rest cannot be parsed.
    """

    def __init__(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        self.transport = transport
        self.start = b""
        self.lost: Exception | None = None
        self._protocol = protocol
        self._connection: Connection | None = None

    def begin(self, connection: Connection) -> None:
        """Begins a call."""
        self._connection, self.start = connection, b""

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._connection is None or self._connection.closed:
            self.transport.abort()
            return
        if not has_final_status_line(self.start):
            self.start = skip_interim_responses(self.start + data)
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        """Called by the event loop."""
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self.lost = exc
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Called by the event loop."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self._protocol.resume_writing()


class _Connector(aiohttp.TCPConnector):
    """Watches the connection of each call; the ledger counts every call, so aiohttp repeats none."""

    async def connect(self, *arguments: Any, **options: Any) -> Connection:  # noqa: ANN401 - aiohttp's arguments
        call = _CALL.get()
        if call.watched is not None:
            raise _RepetitionError
        while True:
            connection = await super().connect(*arguments, **options)
            transport = connection.transport
            if transport is None:
                connection.close()
                raise DisconnectedError
            protocol = transport.get_protocol()
            call.is_reused = isinstance(protocol, _WatchedProtocol)
            if not (call.is_reused and call.needs_new_connection):
                break
            connection.close()
        if not isinstance(protocol, _WatchedProtocol):
            protocol = _WatchedProtocol(transport, cast("asyncio.Protocol", protocol))
            transport.set_protocol(protocol)
        protocol.begin(connection)
        call.watched = protocol
        return connection


def open_client_session(seconds: float, context: ssl.SSLContext | None) -> aiohttp.ClientSession:
    """Returns aiohttp's session for :class:`SessionTransport`.

    Args:
        seconds: time of one whole call.
        context: of all TLS connections; None: the system's certificate authorities.
    """
    return aiohttp.ClientSession(
        connector=_Connector(
            limit=0, ttl_dns_cache=300, keepalive_timeout=IDLE_SECONDS, ssl=True if context is None else context
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, CONNECT_SECONDS)),
        headers={**ACCEPT, **HEADERS},
        auto_decompress=False,  # older versions of aiohttp have no size limit
        **_LIMITS,
    )


class SessionTransport:
    """Sends requests to one origin, through a proxy if there is one.

    Args:
        session: of :func:`open_client_session`.
        origin: scheme, host and port.
        proxy: None: no proxy.
    """

    def __init__(self, session: aiohttp.ClientSession, origin: URL, proxy: Proxy | None = None) -> None:
        self._session = session
        self._origin = str(origin)
        self._has_proxy = proxy is not None
        self._is_readable = proxy is not None and origin.scheme == "http"  # for the proxy
        self._options: dict[str, Any] = {} if proxy is None else proxy.options(origin.scheme)
        self._headers = {} if proxy is None else proxy.request_headers(origin.scheme)
        self._redactor = Redactor()
        self._broken = BrokenCalls()

    async def request(
        self,
        target: str,
        headers: Mapping[str, str],
        max_body: int,
        read: Callable[[RawResponse], T],
        method: str = "GET",
        content: bytes | None = None,
    ) -> T:
        """Sends one request; see :class:`inventory.cloud.transport.Transport`."""
        check_target(target)
        check_fields(headers)
        url = URL(f"{self._origin}{target}", encoded=True)
        call = _Call(needs_new_connection=self._broken.remove(target))
        token = _CALL.set(call)
        try:
            return read(await self._receive(call, max_body, method, url, {**headers, **self._headers}, content))
        except (BadAnswerError, *FAILURES) as error:
            if call.watched is not None:
                call.watched.transport.abort()
            if call.is_reused and not isinstance(error, BadAnswerError):
                self._broken.add(target)
            raise
        finally:
            _CALL.reset(token)

    async def _receive(
        self, call: _Call, max_body: int, method: str, url: URL, headers: Mapping[str, str], content: bytes | None
    ) -> RawResponse:
        try:
            async with self._session.request(
                method, url, headers=headers, data=content, allow_redirects=False, **self._options
            ) as response:
                if self._has_proxy and response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                    # The body may repeat the credentials.
                    raise ProxyRefusalError(response.status, "it refused the user and password of the environment")
                reply = await _read(response, max_body, call.watched)
        except (aiohttp.ClientError, _RepetitionError, *FAILURES) as error:
            if isinstance(error, ProxyRefusalError):
                raise
            failure = _to_wire_error(error, call.watched)
            status_only = None if call.watched is None else response_from_status_line(call.watched.start, failure)
            if status_only is None:
                raise failure from None
            return status_only
        if reply.fault is not None and call.watched is not None:
            call.watched.transport.abort()
        if self._is_readable and reply.status != HTTPStatus.OK:  # may be a page of the proxy
            reply = reply._replace(body=self._redact(reply.body))
        return reply

    def _redact(self, body: bytes) -> bytes:
        text = body.decode("utf-8", "surrogateescape")
        return self._redactor.redact(text).encode("utf-8", "surrogateescape")


async def _read(response: aiohttp.ClientResponse, max_body: int, watched: _WatchedProtocol | None) -> RawResponse:
    status, headers = response.status, response.headers
    limit = body_limit(status, max_body)
    body = bytearray()
    failure: BaseException | None = None
    try:
        _check_fields(headers)
        encodings = [value.strip(" \t").lower() for value in headers.getall("Transfer-Encoding", [])]
        if encodings not in ([], ["chunked"]):
            raise InvalidResponseError(INVALID_TRANSFER_ENCODING)
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise too_large_error(limit, status)
        is_until_eof = not encodings and "Content-Length" not in headers
        if is_until_eof and watched is not None and watched.lost is not None:
            raise CutOffError
    except BadAnswerError as error:
        failure = error
    except (aiohttp.ClientError, *FAILURES) as error:
        failure = error if isinstance(error, FAILURES) else CutOffError()
    if failure is not None:
        response.close()
    return complete_response(status, headers, bytes(body), max_body, failure)


def _check_fields(headers: Mapping[str, str]) -> None:
    """Refuses what older versions of aiohttp accept."""
    if len(headers) > MAX_HEADERS:
        raise InvalidResponseError(MANY_HEADERS)
    if any("\0" in value for value in headers.values()):
        raise InvalidResponseError(INVALID_HEADER)


def _to_wire_error(error: BaseException, watched: _WatchedProtocol | None) -> BaseException:  # noqa: PLR0911 - a table
    if isinstance(error, TimeoutError):
        return TimeoutError()
    if watched is not None and isinstance(error, _RepetitionError | aiohttp.ServerDisconnectedError):
        return watched.lost or DisconnectedError(is_within_head=bool(watched.start))
    if isinstance(error, aiohttp.ClientConnectionResetError):  # before the request
        return DisconnectedError()
    if isinstance(error, aiohttp.ServerDisconnectedError):  # of a proxy
        return DisconnectedError(is_within_head=not isinstance(error.message, str))
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return ProxyRefusalError(error.status, error.message)
    if isinstance(error, aiohttp.ClientConnectorError):
        refused = getattr(error, "certificate_error", None)  # such an error has no os_error in older versions
        return ConnectError(error.host, error.port or 0, refused or error.os_error)
    if isinstance(error, aiohttp.ClientResponseError):
        return InvalidResponseError(describe_parse_error(error.message))
    if isinstance(error, FAILURES):
        return error
    return CutOffError() if isinstance(error, aiohttp.ClientPayloadError) else WireError(str(error))
