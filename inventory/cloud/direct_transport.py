"""DirectTransport: HTTP/1.1 on connections of its own, without a proxy."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

import aiohappyeyeballs

from inventory.cloud.broken_calls import BrokenCalls
from inventory.cloud.connection import Connection
from inventory.cloud.request_head import encode_fields, encode_request_line, host_field
from inventory.cloud.response_body import complete_response
from inventory.cloud.wire_errors import CONNECT_SECONDS, FAILURES, IDLE_SECONDS, ConnectError
from inventory.errors import BadAnswerError, CallError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from aiohappyeyeballs import AddrInfoType
    from yarl import URL

    from inventory.cloud.connection import Message
    from inventory.cloud.response_body import RawResponse

T = TypeVar("T")

_ADDRESS_SECONDS: Final = 300.0
"""How long the addresses of a host are used."""
_SECOND_ADDRESS_SECONDS: Final = 0.25
"""Delay after which another address is tried at the same time (RFC 8305)."""


class DirectTransport:
    """Sends requests to one origin.

    Args:
        origin: scheme, host and port.
        seconds: time of one whole call, including its connection.
        create_ssl_context: called once, before the first TLS connection.
    """

    def __init__(self, origin: URL, seconds: float, create_ssl_context: Callable[[], ssl.SSLContext]) -> None:
        self._host = origin.raw_host or ""
        self._port = origin.port or 0
        self._is_tls = origin.scheme == "https"
        self._host_field = host_field(origin)
        self._seconds = seconds
        self._create_ssl_context = create_ssl_context
        self._ssl_context: ssl.SSLContext | None = None
        self._loop = asyncio.get_running_loop()
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._deadlines: dict[Connection, float] = {}  # of reused connections; in order, as each call has the same time
        self._timer: asyncio.TimerHandle | None = None
        self._broken = BrokenCalls()
        self._lookup: asyncio.Future[list[AddrInfoType]] | None = None
        self._lookup_ends = 0.0
        self._headers: Mapping[str, str] | None = None
        self._encoded_headers = b""

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
        if headers is not self._headers:  # a token credential returns the same object
            self._encoded_headers = encode_fields(self._host_field, headers)
            self._headers = headers
        request = encode_request_line(method, target, content) + self._encoded_headers + (content or b"")
        deadline = self._loop.time() + self._seconds
        connection = self._take_idle(target)
        if connection is None:
            connection = await self._connect(deadline)
            timer = self._loop.call_at(deadline, connection.fail, TimeoutError())
        else:
            timer = None
            self._deadlines[connection] = deadline
            if self._timer is None:
                self._timer = self._loop.call_at(deadline, self._end_late_calls)
        waiter: asyncio.Future[Message] = self._loop.create_future()
        is_usable = False
        try:
            connection.send(request, max_body, waiter)
            status, message_headers, body, error = await waiter
            answer = read(complete_response(status, message_headers, body, max_body, error))
            is_usable = True
        except CallError as reason:
            is_usable = not isinstance(reason, BadAnswerError)
            raise
        except FAILURES:
            if timer is None:
                self._broken.add(target)
            raise
        finally:
            if timer is None:
                self._deadlines.pop(connection, None)
            else:
                timer.cancel()
            if is_usable and connection.is_reusable:
                connection.last_used = self._loop.time()
                self._idle.append(connection)
            else:
                connection.abort()
        return answer

    async def close(self) -> None:
        """Closes all connections."""
        if self._timer is not None:
            self._timer.cancel()
        if self._lookup is not None:
            self._lookup.cancel()
        self._idle.clear()
        while self._open:
            for connection in list(self._open):
                connection.abort()
            await asyncio.sleep(0)

    def _take_idle(self, target: str) -> Connection | None:
        """An idle connection; None for a call that is repeated because a reused one broke."""
        if self._broken.remove(target):
            return None
        while self._idle:
            connection = self._idle.pop()
            if connection.is_reusable and self._loop.time() - connection.last_used < IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _end_late_calls(self) -> None:
        """Ends the calls that are too late; one timer for all calls costs less than one for each."""
        self._timer = None
        now = self._loop.time()
        for connection, deadline in list(self._deadlines.items()):
            if deadline > now:
                self._timer = self._loop.call_at(deadline, self._end_late_calls)
                return
            del self._deadlines[connection]
            connection.fail(TimeoutError())

    async def _connect(self, deadline: float) -> Connection:
        seconds = min(CONNECT_SECONDS, deadline - self._loop.time())
        try:
            async with asyncio.timeout(seconds):
                connection = await self._open_connection()
        except TimeoutError:
            raise TimeoutError from None
        except (OSError, UnicodeError) as error:
            self._lookup = None  # the host may have moved
            raise ConnectError(self._host, self._port, error) from None
        return connection

    async def _open_connection(self) -> Connection:
        addresses = await self._resolve()
        sock = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_SECOND_ADDRESS_SECONDS, interleave=1, loop=self._loop
        )
        connection = Connection(self._lost)
        try:
            await self._loop.create_connection(
                lambda: connection,
                sock=sock,
                ssl=self._context() if self._is_tls else None,
                server_hostname=self._host.rstrip(".") if self._is_tls else None,
            )
        except BaseException:
            with suppress(OSError):  # uvloop has closed it, unless it was cancelled very early
                sock.close()
            raise
        self._open.add(connection)
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = self._create_ssl_context()
        return self._ssl_context

    async def _resolve(self) -> list[AddrInfoType]:
        """The addresses of the host; simultaneous calls share one look-up."""
        lookup = self._lookup
        if lookup is None or self._loop.time() >= self._lookup_ends or lookup.cancelled():
            lookup = self._lookup = asyncio.ensure_future(self._look_up())
            lookup.add_done_callback(lambda done: done.cancelled() or done.exception())  # also if no call waits for it
            self._lookup_ends = self._loop.time() + _ADDRESS_SECONDS
        return await asyncio.shield(lookup)

    async def _look_up(self) -> list[AddrInfoType]:
        return list(await self._loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM))
