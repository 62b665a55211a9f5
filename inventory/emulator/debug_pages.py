"""Pages about the emulator itself: the list of its URNs and its request log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from inventory.emulator.request_log import RequestLog
    from inventory.emulator.state.interface import Cloud

PREFIX: Final = "/emulator/"
_URNS_PER_WRITE: Final = 1000


async def show(request: web.BaseRequest, cloud: Cloud, log: RequestLog) -> web.StreamResponse:
    """Answers a request whose path begins with ``PREFIX``."""
    if request.method == "GET" and request.path == f"{PREFIX}requests":
        body = msgspec.json.Encoder().encode_lines(log.copy())
        return web.Response(body=body, content_type="application/x-ndjson")
    if request.method != "GET" or request.path != f"{PREFIX}urns":
        return web.Response(status=404, text="GET /emulator/urns or /emulator/requests\n")
    response = web.StreamResponse()
    response.content_type = "text/plain"
    await response.prepare(request)
    lines: list[str] = []
    for urn in cloud.urns():
        lines.append(f"{urn}\n")
        if len(lines) == _URNS_PER_WRITE:
            await response.write("".join(lines).encode())
            lines.clear()
            await asyncio.sleep(0)  # lets other calls run while a long list is sent
    await response.write("".join(lines).encode())
    return response
