"""Faults of the transmission, compared byte by byte."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import zlib
from email.utils import parsedate_to_datetime

import pytest

from inventory.emulator import Emulator, Fault, Faults, FileCloud
from inventory.emulator.faults.plan import STALLS
from inventory.emulator.faults.responses import HUGE_BYTES
from inventory.errors import SettingsError

PROJECT = "p" * 32
BASE = f"urn:fss:cn-north-4:{PROJECT}:function:default:"
CONFIG = {"func_urn": f"{BASE}f:latest", "max_async_retry_attempts": 1}
RIGHT = json.dumps(CONFIG, separators=(",", ":")).encode()


class Wire:
    """A raw connection to an emulator."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send_request(self, urn: str = f"{BASE}f") -> None:
        path = f"/v2/{PROJECT}/fgs/functions/{urn}/async-invoke-config"
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: t\r\n\r\n".encode())

    async def head(self) -> tuple[int, dict[str, str]]:
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        return int(first.split()[1]), {name.lower(): value for name, value in headers.items()}

    async def answer(self) -> tuple[int, bytes]:
        status, headers = await self.head()
        return status, await self.reader.readexactly(int(headers["content-length"]))


@pytest.fixture
async def connect(emulator):
    wires = []

    async def connect():
        reader, writer = await asyncio.open_connection("127.0.0.1", int(emulator.url.rpartition(":")[2]))
        wires.append(Wire(reader, writer))
        return wires[-1]

    yield connect
    for wire in wires:
        wire.writer.transport.abort()


async def test_an_answer_in_pieces_is_complete(emulator, connect):
    emulator.pieces = (3, 1)
    wire = await connect()
    for _ in range(2):
        wire.send_request(f"{BASE}f:latest")
        assert await wire.reader.read(10_000) == b"HTT"
        assert await wire.reader.read(10_000) == b"P"
        first = await wire.reader.readuntil(b"\r\n")
        assert first == b"/1.1 200 OK\r\n"
        lines = (await wire.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(lines.split("content-length: ")[1].split()[0])
        assert json.loads(await wire.reader.readexactly(length)) == CONFIG


def test_a_piece_has_at_least_one_byte():
    with pytest.raises(SettingsError, match="one byte or more"):
        Emulator(pieces=(5, 0))


async def until(condition):
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("fault", STALLS)
async def test_a_stall_ends_when_the_client_leaves(emulator, connect, fault):
    emulator.plan({f"{BASE}f": [fault]})
    wire = await connect()
    wire.send_request()
    received = b""
    if fault is not Fault.STALLED:
        status, headers = await wire.head()
        assert (status, headers["content-length"]) == (200, str(len(RIGHT)))
        received = await wire.reader.readexactly(len(RIGHT) // 2)
    assert RIGHT.startswith(received)
    assert not emulator.requests
    wire.writer.transport.abort()
    await until(lambda: emulator.requests)
    assert [(request.status, request.fault) for request in emulator.requests] == [(None, fault)]


async def test_a_dripping_body_is_never_complete(emulator, connect, monkeypatch):
    monkeypatch.setattr("inventory.emulator.faults.transmission.DRIP_SECONDS", 0.0)
    emulator.plan({f"{BASE}f": [Fault.DRIPPING]})
    wire = await connect()
    wire.send_request()
    await wire.head()
    assert await wire.reader.readexactly(len(RIGHT) - 1) == RIGHT[:-1]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.reader.read(1), 0.05)


async def test_a_long_length_ends_in_a_closed_connection(emulator, connect):
    emulator.plan({f"{BASE}f": [Fault.LONG_LENGTH]})
    wire = await connect()
    wire.send_request()
    status, headers = await wire.head()
    assert (status, headers["content-length"]) == (200, str(len(RIGHT) + 16))
    assert await wire.reader.read() == RIGHT
    assert emulator.counts == {None: 1}


async def test_a_short_length_leaves_bytes_before_the_next_answer(emulator, connect):
    emulator.plan({f"{BASE}f": [Fault.SHORT_LENGTH]})
    wire = await connect()
    wire.send_request()
    half = len(RIGHT) // 2
    assert await wire.answer() == (200, RIGHT[:half])
    wire.send_request(f"{BASE}g")
    assert await wire.reader.readexactly(len(RIGHT) - half) == RIGHT[half:]
    assert (await wire.answer())[0] == 404
    assert emulator.counts == {None: 1, 404: 1}


async def test_an_unsolicited_answer_follows_the_right_one(emulator, connect):
    emulator.plan({f"{BASE}f": [Fault.UNASKED]})
    wire = await connect()
    wire.send_request()
    assert await wire.answer() == (200, RIGHT)
    wire.send_request()
    status, body = await wire.answer()
    assert (status, b"FSS.1051" in body) == (404, True)
    assert await wire.answer() == (200, RIGHT)


async def test_a_chunked_answer_is_the_right_one(emulator, connect):
    emulator.plan({f"{BASE}f": [Fault.CHUNKED]})
    wire = await connect()
    wire.send_request()
    status, headers = await wire.head()
    assert (status, headers["transfer-encoding"], "content-length" in headers) == (200, "chunked", False)
    chunks = []
    while size := int(await wire.reader.readline(), 16):
        chunks.append(await wire.reader.readexactly(size))
        await wire.reader.readexactly(2)
    assert (len(chunks), b"".join(chunks)) == (3, RIGHT)


@pytest.mark.parametrize("fault", [Fault.HUGE, Fault.HUGE_CHUNKED])
async def test_a_huge_answer_has_100_megabytes(emulator, connect, fault):
    emulator.plan({f"{BASE}f": [fault]})
    wire = await connect()
    wire.send_request()
    status, headers = await wire.head()
    assert status == 200
    assert headers.get("content-length") == (str(len(RIGHT) + HUGE_BYTES) if fault is Fault.HUGE else None)
    if fault is Fault.HUGE_CHUNKED:
        await wire.reader.readline()
    assert await wire.reader.readexactly(len(RIGHT)) == RIGHT
    wire.writer.transport.abort()
    await until(lambda: emulator.requests)
    assert emulator.counts == {200: 1}


async def test_a_gzip_bomb_expands_a_thousandfold(emulator, connect):
    emulator.plan({f"{BASE}f": [Fault.GZIP_BOMB]})
    wire = await connect()
    wire.send_request()
    status, headers = await wire.head()
    assert (status, headers["content-encoding"]) == (200, "gzip")
    body = await wire.reader.readexactly(int(headers["content-length"]))
    assert len(body) < 1_000_000
    unpacker = zlib.decompressobj(wbits=31)
    size = len(unpacker.decompress(body, 1))
    while not unpacker.eof:
        size += len(unpacker.decompress(unpacker.unconsumed_tail, 1_000_000))
    assert size == HUGE_BYTES


@pytest.mark.parametrize("fault", [Fault.GZIP, Fault.BROKEN_GZIP])
async def test_gzip_is_the_right_body_or_invalid(emulator, connect, fault):
    emulator.plan({f"{BASE}f": [fault]})
    wire = await connect()
    wire.send_request()
    _, headers = await wire.head()
    assert headers["content-encoding"] == "gzip"
    body = await wire.reader.readexactly(int(headers["content-length"]))
    if fault is Fault.GZIP:
        assert gzip.decompress(body) == RIGHT
    else:
        with pytest.raises(gzip.BadGzipFile, match="CRC"):
            gzip.decompress(body)


async def test_no_content_is_a_204_without_a_body(emulator, connect):
    emulator.plan({f"{BASE}f": [Fault.NO_CONTENT]})
    wire = await connect()
    wire.send_request()
    assert (await wire.head())[0] == 204
    wire.send_request()
    assert await wire.answer() == (200, RIGHT)


async def test_a_redirect_has_a_location(emulator, connect):
    emulator.plan({f"{BASE}f": [Fault.REDIRECT]})
    wire = await connect()
    wire.send_request()
    status, headers = await wire.head()
    assert (status, headers["location"]) == (302, "https://auth.example.com/authui/login")


async def test_a_429_has_every_form_of_retry_after(emulator, connect):
    emulator.plan(
        {f"{BASE}f": [Fault.THROTTLED, Fault.THROTTLED_BY_SERVICE, Fault.THROTTLED_SECONDS, Fault.THROTTLED_DATE]}
    )
    wire = await connect()
    found = []
    for _ in range(4):
        wire.send_request()
        status, headers = await wire.head()
        body = await wire.reader.readexactly(int(headers["content-length"]))
        found.append((status, headers.get("retry-after"), b"limit:200,time:1 second" in body))
    assert found[:3] == [(429, None, True), (429, None, False), (429, "1", False)]
    asked = parsedate_to_datetime(found[3][1]) - parsedate_to_datetime(headers["date"])
    assert asked.total_seconds() == 1


async def is_gone(emulator):
    await emulator._listener.wait_until_away()
    return await refuses(emulator)


async def refuses(emulator):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", int(emulator.url.rpartition(":")[2]))
    except ConnectionRefusedError:
        return True
    writer.close()
    await writer.wait_closed()
    return False


async def test_a_server_that_goes_away_drops_refuses_and_comes_back(emulator, connect):
    wire, idle = await connect(), await connect()
    wire.send_request()
    assert await wire.answer() == (200, RIGHT)
    emulator.faults = Faults(latency=3600, jitter=0)
    wire.send_request()
    await until(lambda: emulator._number == 2)
    emulator.faults = None
    emulator.go_away(0.05)
    emulator.go_away(3600)  # the first absence counts
    assert emulator.is_away
    assert await is_gone(emulator)
    assert await idle.reader.read() == b""
    with pytest.raises(asyncio.IncompleteReadError):
        await wire.head()
    await until(lambda: not emulator.is_away)
    back = await connect()
    back.send_request()
    assert await back.answer() == (200, RIGHT)
    assert emulator.counts == {200: 2, None: 1}


async def test_a_planned_absence_begins_with_the_call(emulator, connect):
    emulator.faults = Faults(absence=0.05)
    emulator.plan({f"{BASE}f": [Fault.AWAY]})
    wire = await connect()
    wire.send_request()
    with pytest.raises(ConnectionResetError):
        await wire.head()
    assert await is_gone(emulator)
    await until(lambda: not emulator.is_away)
    again = await connect()
    again.send_request()
    assert await again.answer() == (200, RIGHT)
    assert [(request.status, request.fault) for request in emulator.requests] == [(None, "away"), (200, None)]


async def test_a_server_may_be_stopped_while_it_is_away(emulator):
    emulator.go_away(3600)
    await emulator.stop()
    emulator.go_away(3600)
    assert not emulator.is_away
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert await refuses(emulator)


def test_a_server_in_a_thread_goes_away_too():
    with Emulator(FileCloud({f"{BASE}f": CONFIG})).in_thread() as server:
        server.go_away(0.05)
        assert asyncio.run(refuses(server))
        while server.is_away:
            time.sleep(0.001)
        assert not asyncio.run(refuses(server))


async def test_a_long_header_is_longer_than_clients_read_by_default(emulator, connect):
    emulator.plan({f"{BASE}f": [Fault.LONG_HEADER]})
    wire = await connect()
    wire.send_request()
    status, headers = await wire.head()
    assert (status, len(headers["content-security-policy"]) > 10_000) == (200, True)
