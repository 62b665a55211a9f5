"""How the bytes of a GET come and go: over kept connections, or through a proxy.

Owns the connections and the bounded reading of a body. Knows no URN and what no answer means. Both roads raise the same
errors, those of aiohttp; :mod:`inventory.cloud.client` names them.

A general client makes some forty objects for each call; for many small GETs that is most of their cost. On the direct
road a call is bytes that are written and an answer that is read: aiohttp opens, pools and closes the connections (DNS,
TLS) and its parser reads the answers (chunks, compression, limits), only its session is left out.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import os
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from inventory import certificates
from inventory.cloud.response_body import (
    BREAKS,
    MAX_HEADER_LINE,
    MAX_HEADERS,
    RawResponse,
    StatusOnlyError,
    describe_fault,
    read_response,
    response_from_status_line,
)
from inventory.errors import BadAnswerError, CallError
from inventory.proxies import AUTHENTICATION_REQUIRED, proxy_for
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
"""Headers of every call; where calls are signed, the signature covers them."""
_ACCEPTED: Final = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
_CONNECT_SECONDS: Final = 10.0
_BUFFER: Final = 64 * 1024
_LIMITS: Final = {
    name: limit
    for name, limit in (
        ("max_line_size", MAX_HEADER_LINE),
        ("max_field_size", MAX_HEADER_LINE),
        ("max_headers", MAX_HEADERS),
    )
    if name in inspect.signature(ResponseHandler.set_response_params).parameters  # older versions count no headers
}
_STATUS_LINE_BYTES: Final = 16
_KEPT_SECONDS: Final = 60.0
"""How long a connection that nobody uses is kept."""


class Transport(Protocol):
    """The road to one endpoint."""

    async def get(
        self, target: str, headers: Mapping[str, str], max_body: int, read: Callable[[RawResponse], Answer]
    ) -> Answer:
        """Makes one GET; a redirect is an answer like another, and nothing is repeated unseen.

        Args:
            target: path and query, percent-encoded.
            headers: of this call, beside those of every call.
            max_body: bytes of a body that are read, unpacked.
            read: makes of the answer what is returned. After a BadAnswerError no further call is made on the
                connection: what ended the answer too early may still stand in it.

        Raises:
            CallError: the answer is no good, or too large.
            TimeoutError: no whole answer in time.
            aiohttp.ClientError: no connection, or it broke.
        """


@asynccontextmanager
async def open_session(
    timeout: float,  # noqa: ASYNC109 - handed to aiohttp
    ca_bundle: str | None = None,
) -> AsyncIterator[aiohttp.ClientSession]:
    """One session for a whole run; it owns the pool of connections of both roads.

    Args:
        timeout: seconds for one whole call. The connector sets no limit of its own (the pool bounds the calls), so that
            no call's time is spent waiting for a connection of another.
        ca_bundle: the authorities that are trusted, instead of those of the system and the environment.

    Raises:
        SettingsError: the authorities cannot be read.
    """
    context = certificates.create_ssl_context(ca_bundle, os.environ)
    connector = _Connector(ssl=True if context is None else context)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, _CONNECT_SECONDS)),
        headers={**_ACCEPTED, **HEADERS},
        auto_decompress=False,  # older versions of aiohttp unpack without a bound
        request_class=_Request,
        response_class=_Response,
    ) as session:
        # aiohttp repeats a GET once, unseen, when a connection breaks. A call that nobody counts would break the
        # ledger's word; our own retry makes it again. There is no public switch; a test watches that this one works.
        session._retry_connection = False  # noqa: SLF001
        yield session


class _Connector(aiohttp.TCPConnector):
    """One that closes what a road has kept beside its pool, too."""

    def __init__(self, *, ssl: ssl.SSLContext | bool) -> None:
        super().__init__(limit=0, ttl_dns_cache=300, keepalive_timeout=_KEPT_SECONDS, ssl=ssl)
        self._factory = partial(_Handler, loop=self._loop)  # type: ignore[assignment] # a kind of ResponseHandler
        self.kept: dict[str, list[tuple[float, Connection]]] = {}

    def close(self, **how: Any) -> Coroutine[Any, Any, None]:  # noqa: ANN401 - aiohttp's own arguments
        """Closes all connections; older versions of aiohttp know nothing to say about how."""
        for kept in self.kept.values():
            for _, connection in kept:
                connection.close()
            kept.clear()
        return super().close(**how)


class _Handler(ResponseHandler):
    """Reads answers with our limits, and keeps their status line for where the rest cannot be read."""

    beginning = b""

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401 - aiohttp's own arguments
        """Expects the next answer."""
        self.beginning = b""
        super().set_response_params(**{**params, **_LIMITS})

    def data_received(self, data: bytes) -> None:
        """Takes bytes of an answer."""
        if len(self.beginning) < _STATUS_LINE_BYTES:
            self.beginning += data[: _STATUS_LINE_BYTES - len(self.beginning)]
        super().data_received(data)


def create_transport(endpoint: str, session: aiohttp.ClientSession) -> Transport:
    """The road to an endpoint, by what the environment says of proxies."""
    origin = str(URL(endpoint).origin())
    proxy = proxy_for(endpoint)
    return DirectTransport(session, origin) if proxy is None else SessionTransport(session, origin, proxy)


class DirectTransport:
    """Kept connections to the endpoint itself."""

    def __init__(self, session: aiohttp.ClientSession, origin: str) -> None:
        if not isinstance(session.connector, _Connector):
            raise TypeError("the session is none of open_session's, or closed")
        self._connector = session.connector
        self._kept = session.connector.kept.setdefault(origin, [])
        self._loop = asyncio.get_running_loop()
        self._seconds = session.timeout.total or math.inf
        self._timeout = aiohttp.ClientTimeout(connect=session.timeout.total, sock_connect=session.timeout.sock_connect)
        self._place = aiohttp.ClientRequest("GET", URL(origin), loop=self._loop, session=session)
        self._always = {"Host": self._place.headers["Host"], **_ACCEPTED, **HEADERS}
        self._headers: Mapping[str, str] | None = None
        self._head = b""

    async def get(
        self, target: str, headers: Mapping[str, str], max_body: int, read: Callable[[RawResponse], Answer]
    ) -> Answer:
        """Makes one GET."""
        if headers is not self._headers:  # a token's are the same object, call after call
            self._headers, self._head = headers, self._head_of(headers)
        request = b"GET %b HTTP/1.1\r\n%b" % (target.encode(), self._head)
        ends = self._loop.time() + self._seconds
        connection, protocol = await self._connect()
        late: list[bool] = []
        timer = self._loop.call_at(ends, _give_up, protocol, late)
        try:
            reply = await _exchange(protocol, request, max_body)
            if late:
                if reply.fault is None:
                    raise TimeoutError  # noqa: TRY301 - one road for all that closes the connection
                reply = reply._replace(fault=describe_fault(TimeoutError()))
            answer = read(reply)
        except BaseException as error:
            is_usable = isinstance(error, CallError) and not isinstance(error, BadAnswerError)
            if is_usable and reply.fault is None:
                self._kept.append((self._loop.time(), connection))
                raise
            connection.close()
            if late and not isinstance(error, CallError):
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()
        self._kept.append((self._loop.time(), connection))
        return answer

    async def _connect(self) -> tuple[Connection, ResponseHandler]:
        """A connection on which nothing stands that nobody asked for: a call would take it for its answer."""
        while True:
            if self._kept:
                since, connection = self._kept.pop()
            else:
                since = self._loop.time()
                connection = await self._connector.connect(self._place, traces=[], timeout=self._timeout)
            protocol = connection.protocol
            is_fresh = self._loop.time() - since < _KEPT_SECONDS
            if protocol is not None and protocol.is_connected() and is_fresh and not protocol.should_close:
                return connection, protocol
            connection.close()

    def _head_of(self, headers: Mapping[str, str]) -> bytes:
        merged = CIMultiDict(self._always)
        merged.update(headers)
        lines = [f"{name}: {value}\r\n" for name, value in merged.items()]
        if any(set("\r\n\0") & set(line[:-2]) for line in lines):
            raise aiohttp.InvalidURL("a header holds a line break")
        return f"{''.join(lines)}\r\n".encode()


class _UnaskedError(aiohttp.ClientConnectionError):
    """A kept connection holds bytes that nobody asked for: the next call on it would take them for its answer."""


class _Request(aiohttp.ClientRequest):
    """One that is not sent on such a connection."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if conn.protocol is not None and conn.protocol.should_close:
            raise _UnaskedError
        return await super().send(conn)


class _Response(aiohttp.ClientResponse):
    """One that remembers its connection, which aiohttp gives back as soon as the body has come."""

    _came_by: ResponseHandler | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        self._came_by = connection.protocol
        try:
            return await super().start(connection)
        except BREAKS as error:
            reply = response_from_status_line(_beginning_of(connection.protocol), error)
            if reply is None:
                raise
            raise StatusOnlyError(reply) from None

    def distrust(self) -> None:
        """Makes no further call on the connection."""
        if self._came_by is not None:
            self._came_by.force_close()


class SessionTransport:
    """The road through a proxy, by aiohttp's session."""

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
        """Makes one GET."""
        url = URL(f"{self._origin}{target}", encoded=True)
        try:
            async with self._session.get(
                url, headers={**headers, **self._headers}, allow_redirects=False, **self._options
            ) as response:
                if response.status == AUTHENTICATION_REQUIRED:  # the proxy's own answer may repeat what it was sent
                    raise _refused_by_proxy(response)
                reply = None
                try:
                    reply = await read_response(response.status, response.headers, response.content, max_body)
                    if self._is_plain and response.status != 200:  # noqa: PLR2004 - may be a page of the proxy's
                        reply = reply._replace(body=self._without_secrets(reply.body))
                    return read(reply)
                except CallError as error:
                    is_usable = not isinstance(error, BadAnswerError) and reply is not None and reply.fault is None
                    if not is_usable and isinstance(response, _Response):
                        response.distrust()
                    raise
        except StatusOnlyError as error:
            return read(error.reply)
        except _UnaskedError:
            return await self.get(target, headers, max_body, read)  # at most once for each kept connection

    def _without_secrets(self, body: bytes) -> bytes:
        text = body.decode("utf-8", "surrogateescape")
        return self._redactor.redact(text).encode("utf-8", "surrogateescape")


def _refused_by_proxy(response: aiohttp.ClientResponse) -> aiohttp.ClientHttpProxyError:
    words = "it does not accept the user and password that the environment has for it"
    return aiohttp.ClientHttpProxyError(response.request_info, (), status=response.status, message=words)


async def _exchange(protocol: ResponseHandler, request: bytes, max_body: int) -> RawResponse:
    protocol.set_response_params(read_until_eof=True, auto_decompress=False, read_bufsize=_BUFFER)
    protocol.transport.write(request)  # type: ignore[union-attr] # there is one: see _connect
    try:
        message, payload = await protocol.read()
        while 100 <= message.code < 200:  # noqa: PLR2004 - early hints and the like
            message, payload = await protocol.read()
    except BREAKS as error:
        reply = response_from_status_line(_beginning_of(protocol), error)
        if reply is None:
            raise
        return reply
    return await read_response(message.code, message.headers, payload, max_body)


def _beginning_of(protocol: ResponseHandler | None) -> bytes:
    return protocol.beginning if isinstance(protocol, _Handler) else b""


def _give_up(protocol: ResponseHandler, late: list[bool]) -> None:
    late.append(True)
    if protocol.transport is not None:
        protocol.transport.abort()
