"""The listening sockets of the emulator, and its connections."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from inventory.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

_BACKLOG: Final = 2048
_RESERVE_SECONDS: Final = 0.01
_TURNS_TO_ACCEPT: Final = 5


class Listener:
    """The listening sockets of a server, and the connections that came through them.

    Args:
        server: serves each connection.
        host: address to listen on.
        port: 0 takes a free one.
    """

    def __init__(self, server: web.Server, host: str, port: int) -> None:
        self._server = server
        self._host = host
        self._port = port
        self._listening: list[asyncio.Server] = []
        self._return: asyncio.Task[None] | None = None
        self._has_left = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    @property
    def is_away(self) -> bool:
        """Whether new connections are refused for now."""
        return self._return is not None

    async def open(self) -> str:
        """Starts to listen and returns the URL.

        Raises:
            SettingsError: the address is not usable.
        """
        try:
            opened = await self.loop.create_server(self._server, self._host, self._port, backlog=_BACKLOG)
        except OSError as error:
            raise _cannot_listen(self._host, self._port, error) from error
        self._listening = [opened]
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{opened.sockets[0].getsockname()[1]}"

    def leave(self, seconds: float) -> None:
        """Drops all connections, refuses new ones for a while, then listens again on the same port.

        Call it in the event loop. It does nothing if the listener is away already.
        """
        if self._return is not None:
            return
        addresses = [(each.family, each.getsockname()) for server in self._listening for each in server.sockets]
        self._drop()
        self._has_left.clear()
        self._return = self.loop.create_task(self._stay_away(addresses, seconds))

    async def wait_until_away(self) -> None:
        """Waits until new connections are refused."""
        await self._has_left.wait()

    async def close(self) -> None:
        """Drops all connections and stops listening."""
        if self._return is not None:
            self._return.cancel()
            await asyncio.wait([self._return])
            self._return = None
        await self._stop_listening()
        await self._server.shutdown()

    async def _stop_listening(self) -> None:
        # asyncio loses a connection that it is accepting while the server closes: first stop accepting, then close.
        with suppress(NotImplementedError):  # not every loop has readers
            for server in self._listening:
                for each in server.sockets:
                    self.loop.remove_reader(each.fileno())
        for _ in range(_TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
        for server in self._listening:
            server.close()
        self._listening = []
        while self._server.connections:
            self._drop()
            await asyncio.sleep(0)  # the loop closes sockets and cancels handlers

    def _drop(self) -> None:
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def _stay_away(self, addresses: Sequence[tuple[int, Any]], seconds: float) -> None:
        # A bound socket that does not listen refuses connections and keeps the port reserved.
        reserved: list[socket.socket] = []
        try:
            await self._stop_listening()
            for family, address in addresses:
                reserved.append(await _reserve(family, address))
            self._has_left.set()
            await asyncio.sleep(seconds)
            while reserved:
                self._listening.append(await self.loop.create_server(self._server, sock=reserved[0], backlog=_BACKLOG))
                del reserved[0]
            self._return = None
        finally:
            for each in reserved:
                each.close()


async def _reserve(family: int, address: Any) -> socket.socket:  # noqa: ANN401 - as the system gives it
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # on Windows this option allows to take a used port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        while True:
            try:
                sock.bind(address)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                await asyncio.sleep(_RESERVE_SECONDS)  # the loop has not closed the old socket yet
            else:
                return sock
    except BaseException:
        sock.close()
        raise


def _cannot_listen(host: str, port: int, error: OSError) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        return SettingsError(f"port {port} of {host} is in use: choose another, or 0 for any that is free")
    return SettingsError(f"cannot listen on port {port} of {host}: {error.strerror}")
