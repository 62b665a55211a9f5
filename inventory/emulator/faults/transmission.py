"""Faults that are in the sending: connections that break or stall, lengths that are wrong, bodies without an end.

Owns the bytes on the wire where they are no plain answer. Must not know why one is sent, nor which answer is right.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import sys
from contextlib import suppress
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from aiohttp import web
from multidict import CIMultiDict

from inventory.emulator.faults.plan import Fault
from inventory.emulator.faults.responses import HUGE_BYTES, SPACES
from inventory.emulator.service.async_config import MISSING_FUNCTION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import TypeAlias

    Sender: TypeAlias = Callable[[web.BaseRequest, web.Response], Awaitable[web.StreamResponse]]

DRIP_SECONDS: Final = 0.1
_PIECE_SECONDS: Final = 0.001
"""Between two pieces, so that they do not arrive together."""
# A linger of zero seconds makes closing send RST instead of FIN; Windows has shorter fields.
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class _Sent(web.StreamResponse):
    """An answer that was written by hand: aiohttp shall write nothing more, and go on with the connection."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Does nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Does nothing."""

    @property
    def keep_alive(self) -> bool:
        """That the connection goes on is what makes it a fault."""
        return True


def is_open(request: web.BaseRequest) -> bool:
    """Whether an answer can be sent at all."""
    return request.transport is not None and not request.transport.is_closing()


async def reset(request: web.BaseRequest) -> web.StreamResponse:
    """Breaks the connection with RST."""
    transport = request.transport
    if transport is not None and is_open(request):
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    return _Sent()


async def stall(_: web.BaseRequest) -> web.StreamResponse:
    """Does nothing until the client leaves, which ends this task."""
    await asyncio.Event().wait()
    return _Sent()


async def _reset_in_body(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    """Promises the whole body, sends half of it, and breaks the connection."""
    await _half(request, right)
    return await reset(request)


async def _stall_in_body(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    """Promises the whole body, sends half of it, and no more."""
    await _half(request, right)
    return await stall(request)


async def _drip(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    """Promises the whole body, sends half of it, and then byte by byte all but the last."""
    half = await _half(request, right)
    body = _body(right)
    for at in range(len(body) // 2, len(body) - 1):
        await asyncio.sleep(DRIP_SECONDS)
        await half.write(body[at : at + 1])
    return await stall(request)


async def _send_long_length(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    """Promises more than comes before the end."""
    _write(request, _plain(right, length=len(_body(right)) + 16))
    if request.transport is not None:
        request.transport.close()
    return _Sent()


async def _send_short_length(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    """Promises half of the body, and sends it all: the client finds the rest where the next answer should be."""
    return _write(request, _plain(right, length=len(_body(right)) // 2))


async def _send_unasked(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    """Sends two whole answers to one call. The second says of whoever takes it that it does not exist."""
    unasked = web.Response(status=404, body=MISSING_FUNCTION.body, headers=MISSING_FUNCTION.headers)
    return _write(request, _plain(right) + _plain(unasked))


async def _send_chunked(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    """Sends the right answer in three chunks."""
    chunked = web.StreamResponse(status=right.status, headers=_headers(right))
    chunked.enable_chunked_encoding()
    await chunked.prepare(request)
    body = _body(right)
    third = len(body) // 3 + 1
    for start in range(0, len(body), third):
        await chunked.write(body[start : start + third])
    return chunked


async def _send_huge(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    """Sends the right answer and 100 MB behind it, as far as the client takes them."""
    return await _send_endless(request, right, length=len(_body(right)) + HUGE_BYTES)


async def _send_huge_chunked(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    """The same in chunks."""
    return await _send_endless(request, right, length=None)


async def send_in_pieces(request: web.BaseRequest, right: web.Response, sizes: Sequence[int]) -> web.StreamResponse:
    """Sends the right answer, head and body, in pieces of these many bytes, the last size again and again."""
    sent = _plain(right)
    piece = _Sent()
    at = 0
    for size in itertools.chain(sizes, itertools.repeat(sizes[-1])):
        if at >= len(sent) or not is_open(request):
            return piece
        _write(request, sent[at : at + size])
        at += size
        await asyncio.sleep(_PIECE_SECONDS)
    return piece


def _body(right: web.Response) -> bytes:
    return right.body if isinstance(right.body, bytes) else b""


def _headers(right: web.Response) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in right.headers.items() if name != "Content-Length")


def _plain(right: web.Response, length: int | None = None) -> bytes:
    """The whole answer as it stands on the wire, with another length than its own where one is given."""
    lines = [f"HTTP/1.1 {right.status} {HTTPStatus(right.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in _headers(right).items()]
    lines.append(f"Content-Length: {len(_body(right)) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + _body(right)


def _write(request: web.BaseRequest, sent: bytes) -> web.StreamResponse:
    """Writes at once, so that what belongs together arrives together."""
    if request.transport is not None:
        request.transport.write(sent)
    return _Sent()


async def _half(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    body = _body(right)
    half = web.StreamResponse(status=right.status, headers=_headers(right))
    half.content_length = len(body)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    return half


async def _send_endless(request: web.BaseRequest, right: web.Response, *, length: int | None) -> web.StreamResponse:
    endless = web.StreamResponse(status=right.status, headers=_headers(right))
    if length is None:
        endless.enable_chunked_encoding()
    else:
        endless.content_length = length
    await endless.prepare(request)
    with suppress(ConnectionError):  # a client that has enough leaves
        await endless.write(_body(right))
        for _ in range(HUGE_BYTES // len(SPACES)):
            await endless.write(SPACES)
    return endless


BEFORE_AN_ANSWER: Final[Mapping[Fault | None, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]]] = (
    MappingProxyType({Fault.RESET: reset, Fault.AWAY: reset, Fault.STALLED: stall})
)
"""Faults of which nothing comes."""
SENDERS: Final[Mapping[Fault | None, Sender]] = MappingProxyType(
    {
        Fault.RESET_IN_BODY: _reset_in_body,
        Fault.STALLED_IN_BODY: _stall_in_body,
        Fault.DRIPPING: _drip,
        Fault.LONG_LENGTH: _send_long_length,
        Fault.SHORT_LENGTH: _send_short_length,
        Fault.UNASKED: _send_unasked,
        Fault.CHUNKED: _send_chunked,
        Fault.HUGE: _send_huge,
        Fault.HUGE_CHUNKED: _send_huge_chunked,
    }
)
"""Faults of an answer that is right but for how it is sent."""
NOT_WHOLE: Final = frozenset(
    {Fault.RESET_IN_BODY, Fault.STALLED_IN_BODY, Fault.DRIPPING, Fault.LONG_LENGTH, Fault.SHORT_LENGTH}
)
"""Those of which no whole answer comes, or no whole one that can be told from what stands behind it.

Of a giant a client has as much as it takes.
"""
