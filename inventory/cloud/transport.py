"""HttpSession: the connections of a run; a transport for each endpoint."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from yarl import URL

from inventory import certificates
from inventory.errors import SettingsError
from inventory.proxies import proxy_for

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    import aiohttp

    from inventory.cloud.response_body import RawResponse
    from inventory.proxies import Proxy
    from inventory.settings import TransportChoice

T = TypeVar("T")


class Transport(Protocol):
    """Sends requests to one endpoint."""

    async def request(
        self,
        target: str,
        headers: Mapping[str, str],
        max_body: int,
        read: Callable[[RawResponse], T],
        method: str = "GET",
        content: bytes | None = None,
    ) -> T:
        """Sends one request; follows no redirect and makes no hidden retry.

        A call that is repeated because a reused connection broke gets a new connection.

        Args:
            target: path and query, percent-encoded.
            headers: additional headers.
            max_body: maximum size in bytes of the decompressed body.
            read: converts the response. After a BadAnswerError the connection is closed.
            method: HTTP method.
            content: body of the request, or None.

        Raises:
            CallError: the response is invalid or too large.
            TimeoutError: no complete response in time.
            WireError: the connection failed.
            OSError: the connection failed.
        """


class HttpSession:
    """The connections of a run.

    Args:
        seconds: time of one whole call; it includes no wait for a connection, because their number is unlimited.
        create_context: returns the TLS context, when it is needed; None: with the system's authorities.
        choice: ``auto``: direct, or aiohttp's session through a proxy.
    """

    def __init__(
        self,
        seconds: float,
        create_context: Callable[[], ssl.SSLContext | None] = lambda: None,
        choice: TransportChoice = "auto",
    ) -> None:
        self._seconds = seconds
        self._create_context = create_context
        self._context: ssl.SSLContext | None = None  # shared by all endpoints
        self._choice = choice
        self._transports: dict[tuple[URL, Proxy | None], Transport] = {}
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._client_session: aiohttp.ClientSession | None = None

    def transport(self, endpoint: str) -> Transport:
        """Returns the transport for an endpoint and the proxies of the environment.

        Raises:
            SettingsError: a proxy is needed, but ``direct`` was chosen.
        """
        origin, proxy = URL(endpoint).origin(), proxy_for(endpoint)
        transport = self._transports.get((origin, proxy))
        if transport is None:
            transport = self._transports[origin, proxy] = self._create(origin, proxy)
        return transport

    def _create(self, origin: URL, proxy: Proxy | None) -> Transport:
        if self._choice == "session" or (self._choice == "auto" and proxy is not None):
            from inventory.cloud.session_transport import SessionTransport, open_client_session  # noqa: PLC0415 - slow

            if self._client_session is None:
                self._client_session = open_client_session(self._seconds, self._create_context())
                self._closers.append(self._client_session.close)
            return SessionTransport(self._client_session, origin, proxy)
        if proxy is not None:
            raise SettingsError(
                f"--transport direct makes no call through a proxy, but the environment names one for {origin}; "
                "use --transport auto, or add the host to NO_PROXY"
            )
        from inventory.cloud.direct_transport import DirectTransport  # noqa: PLC0415 - as above

        transport = DirectTransport(origin, self._seconds, self._ssl_context)
        self._closers.append(transport.close)
        return transport

    def _ssl_context(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = self._create_context() or certificates.create_default_context()
        return self._context

    async def close(self) -> None:
        """Closes all connections."""
        for close in self._closers:
            await close()


@asynccontextmanager
async def open_session(
    timeout: float,  # noqa: ASYNC109 - of each call
    ca_bundle: str | None = None,
    choice: TransportChoice = "auto",
) -> AsyncIterator[HttpSession]:
    """The connections of a run.

    Args:
        timeout: seconds for one whole call.
        ca_bundle: file of certificate authorities that replaces all others.
        choice: see :class:`HttpSession`.
    """
    session = HttpSession(timeout, lambda: certificates.create_ssl_context(ca_bundle, os.environ), choice)
    try:
        yield session
    finally:
        await session.close()
