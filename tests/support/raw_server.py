"""A server of plain sockets and threads: it sends the bytes of a plan, whatever the client makes of them."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress

CLOSE = "close"
RESET = "reset"
END = "end"
"""Ends the sending, as ``shutdown(SHUT_WR)`` does; the connection stays open for the client's bytes."""
HOLD = "hold"
"""Sends nothing more until the client leaves."""


class RawServer:
    """Each request is answered with the next step of the plan; the last step repeats.

    A step is a list: bytes are sent, numbers are seconds to wait, then CLOSE, RESET or HOLD; a step without one of
    these keeps the connection.
    """

    def __init__(self, *plan, host="127.0.0.1", speaks_first=False) -> None:
        self.plan = plan
        self.speaks_first = speaks_first
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=128)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def __enter__(self):
        self._threads.append(threading.Thread(target=self._accept, daemon=True))
        self._threads[0].start()
        return self

    def __exit__(self, *_error) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def wait_until_ended(self) -> bool:
        """Whether the client closed all its connections."""
        until = time.monotonic() + 10
        while self.ended < self.connections and time.monotonic() < until:
            time.sleep(0.002)
        return self.ended == self.connections

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, suppress(OSError):
            received = b"\r\n\r\n" if self.speaks_first else b""
            while True:
                while b"\r\n\r\n" not in received:
                    data = connection.recv(65536)
                    if not data:
                        break
                    received += data
                else:
                    with self._lock:
                        self.requests.append(received)
                        step = self.plan[min(len(self.requests), len(self.plan)) - 1]
                    received = b""
                    if self._play(connection, step):
                        continue
                break
        self.ended += 1

    def _play(self, connection: socket.socket, step) -> bool:
        """Returns whether the connection stays."""
        for action in step:
            if isinstance(action, bytes):
                connection.sendall(action)
            elif action == RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            elif action == END:
                connection.shutdown(socket.SHUT_WR)
            elif action == HOLD:
                while connection.recv(65536):
                    pass
                return False
            elif action == CLOSE:
                return False
            else:
                time.sleep(action)
        return True
