"""Faults of the transmission: resets, stalls, wrong lengths, endless bodies."""

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
"""Pause between two pieces, so that they arrive separately."""
# SO_LINGER of zero seconds sends RST instead of FIN; Windows has shorter fields.
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class _RawResponse(web.StreamResponse):
    """An answer that is already written; aiohttp keeps the connection."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Does nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Does nothing."""

    @property
    def keep_alive(self) -> bool:
        """The fault needs the open connection."""
        return True


def is_open(request: web.BaseRequest) -> bool:
    """Whether the client is still connected."""
    return request.transport is not None and not request.transport.is_closing()


async def reset(request: web.BaseRequest) -> web.StreamResponse:
    """Resets the connection."""
    transport = request.transport
    if transport is not None and is_open(request):
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    return _RawResponse()


async def stall(_: web.BaseRequest) -> web.StreamResponse:
    """Waits until the client leaves, which cancels this task."""
    await asyncio.Event().wait()
    return _RawResponse()


async def _reset_in_body(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    await _half(request, right)
    return await reset(request)


async def _stall_in_body(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    await _half(request, right)
    return await stall(request)


async def _drip(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    half = await _half(request, right)
    body = _body(right)
    for at in range(len(body) // 2, len(body) - 1):
        await asyncio.sleep(DRIP_SECONDS)
        await half.write(body[at : at + 1])
    return await stall(request)


async def _send_long_length(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    _write(request, _plain(right, length=len(_body(right)) + 16))
    if request.transport is not None:
        request.transport.close()
    return _RawResponse()


async def _send_short_length(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    return _write(request, _plain(right, length=len(_body(right)) // 2))


async def _send_unasked(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    unasked = web.Response(status=404, body=MISSING_FUNCTION.body, headers=MISSING_FUNCTION.headers)
    return _write(request, _plain(right) + _plain(unasked))


async def _send_chunked(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    chunked = web.StreamResponse(status=right.status, headers=_headers(right))
    chunked.enable_chunked_encoding()
    await chunked.prepare(request)
    body = _body(right)
    third = len(body) // 3 + 1
    for start in range(0, len(body), third):
        await chunked.write(body[start : start + third])
    return chunked


async def _send_huge(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    return await _send_endless(request, right, length=len(_body(right)) + HUGE_BYTES)


async def _send_huge_chunked(request: web.BaseRequest, right: web.Response) -> web.StreamResponse:
    return await _send_endless(request, right, length=None)


async def send_in_pieces(request: web.BaseRequest, right: web.Response, sizes: Sequence[int]) -> web.StreamResponse:
    """Sends head and body in pieces of ``sizes`` bytes; the last size repeats."""
    data = _plain(right)
    response = _RawResponse()
    at = 0
    for size in itertools.chain(sizes, itertools.repeat(sizes[-1])):
        if at >= len(data) or not is_open(request):
            return response
        _write(request, data[at : at + size])
        at += size
        await asyncio.sleep(_PIECE_SECONDS)
    return response


def _body(right: web.Response) -> bytes:
    return right.body if isinstance(right.body, bytes) else b""


def _headers(right: web.Response) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in right.headers.items() if name != "Content-Length")


def _plain(right: web.Response, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {right.status} {HTTPStatus(right.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in _headers(right).items()]
    lines.append(f"Content-Length: {len(_body(right)) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + _body(right)


def _write(request: web.BaseRequest, data: bytes) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.write(data)
    return _RawResponse()


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
    with suppress(ConnectionError):  # the client leaves when it has enough
        await endless.write(_body(right))
        for _ in range(HUGE_BYTES // len(SPACES)):
            await endless.write(SPACES)
    return endless


BEFORE_AN_ANSWER: Final[Mapping[Fault | None, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]]] = (
    MappingProxyType({Fault.RESET: reset, Fault.AWAY: reset, Fault.STALLED: stall})
)
"""Faults without an answer."""
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
"""Faults of the transmission of a right answer."""
INCOMPLETE: Final = frozenset(
    {Fault.RESET_IN_BODY, Fault.STALLED_IN_BODY, Fault.DRIPPING, Fault.LONG_LENGTH, Fault.SHORT_LENGTH}
)
"""Faults whose answer is incomplete, or cannot be separated from what follows."""
