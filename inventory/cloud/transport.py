"""HTTP transports: DirectTransport, and SessionTransport for proxies."""

from __future__ import annotations

import asyncio
import inspect
import math
import os
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from inventory import certificates
from inventory.cloud.response_body import (
    FAILURES,
    MAX_HEADER_LINE,
    MAX_HEADERS,
    RawResponse,
    StatusOnlyError,
    describe_fault,
    has_final_status_line,
    read_response,
    response_from_status_line,
    skip_interim_responses,
)
from inventory.errors import BadAnswerError, CallError
from inventory.proxies import proxy_for
from inventory.redaction import Redactor
from inventory.version import __version__

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from aiohttp.connector import Connection

    from inventory.cloud.responses import Answer
    from inventory.proxies import Proxy

USER_AGENT: Final = f"functiongraph-inventory/{__version__}"
HEADERS: Final = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
"""Headers of every request; signatures cover them."""
_ACCEPT: Final = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
_CONNECT_SECONDS: Final = 10.0
_BUFFER: Final = 64 * 1024
_PARSER_LIMITS: Final = {
    name: limit
    for name, limit in (
        ("max_line_size", MAX_HEADER_LINE),
        ("max_field_size", MAX_HEADER_LINE),
        ("max_headers", MAX_HEADERS),
    )
    if name in inspect.signature(ResponseHandler.set_response_params).parameters  # missing in older versions
}
_IDLE_SECONDS: Final = 60.0
"""How long an idle connection stays open."""


class Transport(Protocol):
    """Sends GET requests to one endpoint."""

    async def get(
        self, target: str, headers: Mapping[str, str], max_body: int, read: Callable[[RawResponse], Answer]
    ) -> Answer:
        """Sends one GET; follows no redirect and makes no hidden retry.

        Args:
            target: path and query, percent-encoded.
            headers: additional headers.
            max_body: maximum size in bytes of the decompressed body.
            read: converts the response. After a BadAnswerError the connection is closed.

        Raises:
            CallError: the response is invalid or too large.
            TimeoutError: no complete response in time.
            aiohttp.ClientError: the connection failed.
        """


@asynccontextmanager
async def open_session(
    timeout: float,  # noqa: ASYNC109 - passed to aiohttp
    ca_bundle: str | None = None,
) -> AsyncIterator[aiohttp.ClientSession]:
    """The HTTP session of a run; both transports use its connection pool.

    Args:
        timeout: seconds for one whole call; it includes no wait for a connection, because their number is unlimited.
        ca_bundle: file of certificate authorities that replaces all others.

    Raises:
        SettingsError: the certificate authorities cannot be read.
    """
    context = certificates.create_ssl_context(ca_bundle, os.environ)
    connector = _Connector(ssl=True if context is None else context)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, _CONNECT_SECONDS)),
        headers={**_ACCEPT, **HEADERS},
        auto_decompress=False,  # older versions of aiohttp have no size limit
        request_class=_Request,
        response_class=_Response,
    ) as session:
        # aiohttp hides one retry after a broken connection; the ledger counts every call, so we retry ourselves.
        session._retry_connection = False  # noqa: SLF001 - there is no public option; a test checks its effect
        yield session


class _Connector(aiohttp.TCPConnector):
    """Also closes the idle connections of DirectTransport."""

    def __init__(self, *, ssl: ssl.SSLContext | bool) -> None:
        super().__init__(limit=0, ttl_dns_cache=300, keepalive_timeout=_IDLE_SECONDS, ssl=ssl)
        self._factory = partial(_Handler, loop=self._loop)  # type: ignore[assignment] # a subclass
        self.kept: dict[str, list[tuple[float, Connection]]] = {}

    def close(self, **how: Any) -> Coroutine[Any, Any, None]:  # noqa: ANN401 - aiohttp's arguments
        for kept in self.kept.values():
            for _, connection in kept:
                connection.close()
            kept.clear()
        return super().close(**how)


class _Handler(ResponseHandler):
    """Parses with our limits; keeps the status line in case the rest cannot be parsed."""

    start = b""

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401 - aiohttp's arguments
        self.start = b""
        super().set_response_params(**{**params, **_PARSER_LIMITS})

    def data_received(self, data: bytes) -> None:
        if not has_final_status_line(self.start):
            self.start = skip_interim_responses(self.start + data)
        super().data_received(data)


def create_transport(endpoint: str, session: aiohttp.ClientSession) -> Transport:
    """Returns the transport for an endpoint and the proxies of the environment."""
    origin = str(URL(endpoint).origin())
    proxy = proxy_for(endpoint)
    return DirectTransport(session, origin) if proxy is None else SessionTransport(session, origin, proxy)


class DirectTransport:
    """Sends requests with aiohttp's connector and parser, without its session.

    A session creates about forty objects for each call, most of the cost of a small GET.
    """

    def __init__(self, session: aiohttp.ClientSession, origin: str) -> None:
        if not isinstance(session.connector, _Connector):
            raise TypeError("the session is closed, or was not created by open_session")
        self._connector = session.connector
        self._kept = session.connector.kept.setdefault(origin, [])
        self._loop = asyncio.get_running_loop()
        self._seconds = session.timeout.total or math.inf
        self._timeout = aiohttp.ClientTimeout(connect=session.timeout.total, sock_connect=session.timeout.sock_connect)
        self._connect_request = aiohttp.ClientRequest("GET", URL(origin), loop=self._loop, session=session)
        self._default_headers = {"Host": self._connect_request.headers["Host"], **_ACCEPT, **HEADERS}
        self._headers: Mapping[str, str] | None = None
        self._encoded_headers = b""

    async def get(
        self, target: str, headers: Mapping[str, str], max_body: int, read: Callable[[RawResponse], Answer]
    ) -> Answer:
        """Sends one GET."""
        if headers is not self._headers:  # a token credential returns the same object
            self._headers, self._encoded_headers = headers, self._encode_headers(headers)
        request = b"GET %b HTTP/1.1\r\n%b" % (target.encode(), self._encoded_headers)
        deadline = self._loop.time() + self._seconds
        connection, protocol = await self._connect()
        timed_out: list[bool] = []
        timer = self._loop.call_at(deadline, _abort, protocol, timed_out)
        try:
            reply = await _exchange(protocol, request, max_body)
            if timed_out:
                if reply.fault is None:
                    raise TimeoutError  # noqa: TRY301 - the handler closes the connection
                reply = reply._replace(fault=describe_fault(TimeoutError()))
            answer = read(reply)
        except BaseException as error:
            is_usable = isinstance(error, CallError) and not isinstance(error, BadAnswerError)
            if is_usable and reply.fault is None:
                self._kept.append((self._loop.time(), connection))
                raise
            connection.close()
            if timed_out and not isinstance(error, CallError):
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()
        self._kept.append((self._loop.time(), connection))
        return answer

    async def _connect(self) -> tuple[Connection, ResponseHandler]:
        """Returns a connection without unread bytes, which would become the next response."""
        while True:
            if self._kept:
                last_used, connection = self._kept.pop()
            else:
                last_used = self._loop.time()
                connection = await self._connector.connect(self._connect_request, traces=[], timeout=self._timeout)
            protocol = connection.protocol
            is_fresh = self._loop.time() - last_used < _IDLE_SECONDS
            if protocol is not None and protocol.is_connected() and is_fresh and not protocol.should_close:
                return connection, protocol
            connection.close()

    def _encode_headers(self, headers: Mapping[str, str]) -> bytes:
        merged = CIMultiDict(self._default_headers)
        merged.update(headers)
        lines = [f"{name}: {value}\r\n" for name, value in merged.items()]
        if any(set("\r\n\0") & set(line[:-2]) for line in lines):
            raise aiohttp.InvalidURL("a header holds a line break")
        return f"{''.join(lines)}\r\n".encode()


class _UnexpectedBytesError(aiohttp.ClientConnectionError):
    """A kept connection contains unread bytes."""


class _Request(aiohttp.ClientRequest):
    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if conn.protocol is not None and conn.protocol.should_close:
            raise _UnexpectedBytesError
        return await super().send(conn)


class _Response(aiohttp.ClientResponse):
    """Remembers its connection, which aiohttp releases after the body."""

    _protocol_used: ResponseHandler | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        self._protocol_used = connection.protocol
        try:
            return await super().start(connection)
        except FAILURES as error:
            reply = response_from_status_line(_received_start(connection.protocol), error)
            if reply is None:
                raise
            raise StatusOnlyError(reply) from None

    def close_connection(self) -> None:
        if self._protocol_used is not None:
            self._protocol_used.force_close()


class SessionTransport:
    """Sends requests through a proxy, with aiohttp's session."""

    def __init__(self, session: aiohttp.ClientSession, origin: str, proxy: Proxy) -> None:
        self._session = session
        self._origin = origin
        self._is_plain = origin.startswith("http:")
        scheme = "http" if self._is_plain else "https"
        self._options, self._headers = proxy.options(scheme), proxy.request_headers(scheme)
        self._redactor = Redactor()

    async def get(
        self, target: str, headers: Mapping[str, str], max_body: int, read: Callable[[RawResponse], Answer]
    ) -> Answer:
        """Sends one GET."""
        url = URL(f"{self._origin}{target}", encoded=True)
        try:
            async with self._session.get(
                url, headers={**headers, **self._headers}, allow_redirects=False, **self._options
            ) as response:
                if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:  # its body may repeat the credentials
                    raise _proxy_refusal(response)
                reply = None
                try:
                    reply = await read_response(response.status, response.headers, response.content, max_body)
                    if self._is_plain and response.status != HTTPStatus.OK:  # may be a page of the proxy
                        reply = reply._replace(body=self._redact(reply.body))
                    return read(reply)
                except CallError as error:
                    is_usable = not isinstance(error, BadAnswerError) and reply is not None and reply.fault is None
                    if not is_usable and isinstance(response, _Response):
                        response.close_connection()
                    raise
        except StatusOnlyError as error:
            return read(error.response)
        except _UnexpectedBytesError:
            return await self.get(target, headers, max_body, read)  # at most once for each kept connection

    def _redact(self, body: bytes) -> bytes:
        text = body.decode("utf-8", "surrogateescape")
        return self._redactor.redact(text).encode("utf-8", "surrogateescape")


def _proxy_refusal(response: aiohttp.ClientResponse) -> aiohttp.ClientHttpProxyError:
    message = "it refused the user and password of the environment"
    return aiohttp.ClientHttpProxyError(response.request_info, (), status=response.status, message=message)


async def _exchange(protocol: ResponseHandler, request: bytes, max_body: int) -> RawResponse:
    protocol.set_response_params(read_until_eof=True, auto_decompress=False, read_bufsize=_BUFFER)
    protocol.transport.write(request)  # type: ignore[union-attr] # _connect checked it
    try:
        message, payload = await protocol.read()
        while HTTPStatus.CONTINUE <= message.code < HTTPStatus.OK:  # such as early hints
            message, payload = await protocol.read()
    except FAILURES as error:
        reply = response_from_status_line(_received_start(protocol), error)
        if reply is None:
            raise
        return reply
    return await read_response(message.code, message.headers, payload, max_body)


def _received_start(protocol: ResponseHandler | None) -> bytes:
    return protocol.start if isinstance(protocol, _Handler) else b""


def _abort(protocol: ResponseHandler, timed_out: list[bool]) -> None:
    timed_out.append(True)
    if protocol.transport is not None:
        protocol.transport.abort()
