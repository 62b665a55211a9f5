"""Both transports on both event loops: the same answer or error for whatever a server sends."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import socket
import ssl
import zlib
from pathlib import Path
from typing import NamedTuple

import pytest
import uvloop
from support.raw_server import CLOSE, END, HOLD, RESET, RawServer

from inventory.cloud.client import Client
from inventory.cloud.credentials import TokenCredential
from inventory.cloud.transport import open_session
from inventory.cloud.wire_errors import InvalidRequestError, to_call_error
from inventory.emulator import Emulator, Fault, FileCloud
from inventory.emulator.faults.plan import STALLS
from inventory.errors import CallError, SettingsError

TRANSPORTS = ("direct", "session")
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
URN = "urn:fss:cn-north-4:0123456789abcdef0123456789abcdef:function:default:f"
CONFIG = json.dumps({"func_urn": URN, "max_async_retry_attempts": 1}).encode()
GONE = b'{"error_code":"FSS.1051","error_msg":"gone"}'


def answer(body: bytes = CONFIG, head: str = "", status: str = "200 OK", version: str = "1.1") -> bytes:
    return f"HTTP/{version} {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def headed(head: str, body: bytes = CONFIG, status: str = "200 OK", version: str = "1.1") -> bytes:
    return f"HTTP/{version} {status}\r\n{head}\r\n".encode("latin-1") + body


def chunked(*chunks: bytes, extension: str = "", trailer: str = "") -> bytes:
    sizes = [f"{len(chunk):x}{extension}\r\n".encode() + chunk + b"\r\n" for chunk in chunks]
    return headed("Transfer-Encoding: chunked\r\n", b"".join(sizes) + f"0\r\n{trailer}\r\n".encode())


def pieces(data: bytes, size: int = 1) -> list:
    return [part for start in range(0, len(data), size) for part in (data[start : start + size], 0.0002)]


class Outcome(NamedTuple):
    """What a caller learns from one call."""

    kind: str
    status: int | None
    message: str
    body: bytes | None


def run(loop: str, coroutine):
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(coroutine)


async def ask(  # noqa: PLR0913 - the client's settings
    url: str,
    choice: str,
    times: int = 1,
    timeout: float = 5.0,  # noqa: ASYNC109 - the client's
    pause: float = 0.0,
    *,
    urn: str = URN,
    project: str = "p0",
    ca_bundle: str | None = None,
) -> list[Outcome]:
    outcomes = []
    async with open_session(timeout, ca_bundle, choice) as session:
        client = Client(session, url, project, TokenCredential("a-long-token-of-the-tests", "x"))
        for _ in range(times):
            await asyncio.sleep(pause)
            try:
                answered = await client.show_async_invoke_config(urn)
                outcomes.append(Outcome("config", 200, answered.request_id or "", answered.body))
            except CallError as error:
                outcomes.append(
                    Outcome(str(error.kind or error.status), error.status_code, error.error_msg, error.body)
                )
    return outcomes


def open_sockets() -> int:
    names = []
    for file in Path("/proc/self/fd").iterdir():
        try:
            names.append(str(file.readlink()))
        except OSError:
            continue
    return sum(name.startswith("socket:") for name in names)


def ask_all(
    *plan, timeout: float = 5.0, times: int = 2, pause: float = 0.0
) -> dict[tuple[str, str], tuple[list[Outcome], RawServer]]:
    """What each transport makes of the plan on each event loop; no socket stays open."""
    found = {}
    for choice in TRANSPORTS:
        for loop in LOOPS:
            with RawServer(*plan) as server:
                before = open_sockets()
                found[choice, loop] = run(loop, ask(server.url, choice, times, timeout, pause)), server
                assert server.wait_until_ended()
            assert open_sockets() <= before
    return found


GZIP = "Content-Encoding: gzip\r\n"
DEFLATE = "Content-Encoding: deflate\r\n"


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


BIG = b" " * 3_000_000
ANSWERS = {
    "in single bytes": pieces(answer(head="X-Request-Id: r\r\n")),
    "in chunks": [chunked(CONFIG[:9], CONFIG[9:])],
    "in chunks, in single bytes": pieces(chunked(CONFIG[:9], CONFIG[9:], extension=";a=b", trailer="X-Late: 1\r\n")),
    "a trailer is no header": [chunked(CONFIG, trailer="Content-Encoding: gzip\r\n")],
    "spaces after a chunk's size": [chunked(CONFIG, extension="  ")],
    "compressed": [answer(gzip.compress(CONFIG), GZIP)],
    "compressed, in single bytes": pieces(answer(gzip.compress(CONFIG), GZIP)),
    "compressed in several members": [answer(gzip.compress(CONFIG[:9]) + gzip.compress(CONFIG[9:]) + b"\0" * 9, GZIP)],
    "deflate with a header": [answer(zlib.compress(CONFIG), DEFLATE)],
    "deflate without a header": [answer(raw_deflate(CONFIG), DEFLATE)],
    "a trailer with NUL": [chunked(CONFIG, trailer="X: a\0b\r\n")],
    "long extension of a chunk": [chunked(CONFIG, extension=f";a={'b' * 200_000}")],
    "chunk size with zeros": [
        headed("Transfer-Encoding: chunked\r\n", f"00{len(CONFIG):X}\r\n".encode() + CONFIG + b"\r\n000\r\n\r\n")
    ],
    "no length": [headed("", CONFIG), CLOSE],
    "HTTP/1.0, kept": [answer(head="Connection: keep-alive\r\n", version="1.0")],
    "offer of an upgrade": [answer(head="Upgrade: h2,h2c\r\nConnection: Upgrade, Keep-Alive\r\n")],
    "HTTP/1.0": [answer(version="1.0")],
    "HTTP/1.0 without length": [headed("", CONFIG, version="1.0"), CLOSE],
    "Connection: close": [answer(head="Connection: close\r\n"), CLOSE],
    "line ends without CR": [answer().replace(b"\r\n", b"\n")],
    "folded header": [answer(head="X-Folded: a\r\n b\r\n")],
    "no reason": [answer(status="200")],
    "blank line first": [b"\r\n" + answer()],
    "early hints": [headed("Link: </a>\r\n", b"", "103 Early Hints") * 3 + answer()],
    "continue, in single bytes": pieces(headed("", b"", "100 Continue") + answer()),
    "empty header": [answer(head="X-Empty:\r\nX-Blank:   \r\n")],
    "60,000 bytes in a header": [answer(head=f"X: {'x' * 60_000}\r\n")],
    "900 headers": [answer(head="".join(f"X-{n}: 1\r\n" for n in range(900)))],
    "bytes that are no UTF-8": [answer(head="X-Name: \xff\xfe\r\n".encode("latin-1").decode("latin-1"))],
    "followed by a response": [answer() + answer(GONE, status="404 Not Found")],
    "followed by a part of a response": [answer() + b"HTTP/1.1 404 Not"],
    "followed by one byte": [answer() + b"H"],
    "followed later by a response": [answer(), 0.02, answer(GONE, status="404 Not Found")],
    "followed later by a byte": [answer(), 0.02, b"x"],
    "followed later by a reset": [answer(), 0.01, RESET],
    "followed later by a close": [answer(), 0.01, CLOSE],
    "followed later by the end of sending": [answer(), 0.01, END],
}


@pytest.mark.parametrize("how", ANSWERS)
def test_right_answer_is_read(how):
    for (choice, loop), (outcomes, server) in ask_all(ANSWERS[how], [answer()], pause=0.05 * ("later" in how)).items():
        assert [outcome.body for outcome in outcomes] == [CONFIG] * 2, (choice, loop, outcomes)
        assert len(server.requests) == 2, (choice, loop)


INVALID = {
    "two equal lengths": ([answer(head=f"Content-Length: {len(CONFIG)}\r\n")], "Content-Length"),
    "two lengths": ([answer(head="Content-Length: 5\r\n")], "Content-Length"),
    "length and chunks": ([answer(head="Transfer-Encoding: chunked\r\n")], "not HTTP"),
    "chunks and length": ([headed("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n")], "not HTTP"),
    "vertical tab before chunked": ([headed("Transfer-Encoding: \x0bchunked\r\n"), CLOSE], "Transfer-Encoding"),
    "unknown transfer encoding": ([headed("Transfer-Encoding: xchunked\r\n"), CLOSE], "Transfer-Encoding"),
    "chunked, not last": ([headed("Transfer-Encoding: chunked, gzip\r\n"), CLOSE], "Transfer-Encoding"),
    "chunked twice": ([headed("Transfer-Encoding: chunked\r\n" * 2, b"0\r\n\r\n")], "Transfer-Encoding"),
    "compressed transfer": ([headed("Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n")], "Transfer-Encoding"),
    "negative length": ([headed("Content-Length: -5\r\n")], "Content-Length"),
    "length with a sign": ([headed("Content-Length: +5\r\n")], "Content-Length"),
    "length of two numbers": ([headed("Content-Length: 5 5\r\n")], "Content-Length"),
    "list of lengths": ([headed("Content-Length: 5, 5\r\n")], "Content-Length"),
    "hexadecimal length": ([headed("Content-Length: 0x5\r\n")], "Content-Length"),
    "length beyond 64 bits": ([headed(f"Content-Length: {9**30}\r\n")], "Content-Length"),
    "chunk size beyond 64 bits": ([headed("Transfer-Encoding: chunked\r\n", b"f" * 20 + b"\r\nx")], "not HTTP"),
    "chunk size of no number": ([headed("Transfer-Encoding: chunked\r\n", b"zz\r\nx")], "not HTTP"),
    "header without colon": ([headed("no colon\r\n")], "header"),
    "space before the colon": ([answer(head="X : 1\r\n")], "header"),
    "NUL in a header": ([answer(head="X: a\0b\r\n")], "header"),
    "CR in a header": ([answer(head="X: a\rb\r\n")], "not HTTP"),
    "no HTTP": ([b"SSH-2.0-OpenSSH_9.2\r\n\r\n", CLOSE], "not HTTP"),
    "TLS alert": ([b"\x15\x03\x01\x00\x02\x02\x46", CLOSE], "not HTTP"),
    "HTTP/3": ([headed("", version="3"), CLOSE], "not HTTP"),
    "status of letters": ([headed("", status="2xx OK"), CLOSE], "not HTTP"),
    "header line over the limit": ([answer(head=f"X: {'x' * 70_000}\r\n")], "65536 bytes"),
    "status line over the limit": ([answer(status=f"200 {'x' * 70_000}")], "65536 bytes"),
    "header line of an interim response over the limit": (
        [headed(f"X: {'x' * 70_000}\r\n", b"", "103 Early Hints") + answer()],
        "65536 bytes",
    ),
    "header line without end": ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, HOLD], "65536 bytes"),
    "too many headers": ([answer(head="".join(f"X-{n}: 1\r\n" for n in range(1100)))], "1000 header"),
    "too many equal headers": ([answer(head="X: 1\r\n" * 1100)], "1000 header"),
    "body over the limit": ([answer(CONFIG + BIG)], "1048576 bytes"),
    "chunks over the limit": ([chunked(CONFIG, BIG)], "1048576 bytes"),
    "no length, over the limit": ([headed("", CONFIG + BIG), CLOSE], "1048576 bytes"),
    "decompression bomb": ([answer(gzip.compress(b" " * 20_000_000), GZIP)], "1048576 bytes"),
    "broken compression": ([answer(b"123456789", GZIP)], "compressed"),
    "incomplete compression": ([answer(gzip.compress(CONFIG)[:-4], GZIP)], "compressed"),
    "garbage after the compression": ([answer(gzip.compress(CONFIG) + b"garbage", GZIP)], "compressed"),
    "bomb of many members": ([answer(gzip.compress(b" " * 300_000) * 9, GZIP)], "1048576 bytes"),
    "many empty members": ([answer(gzip.compress(b"") * 5_000, GZIP)], "compressed"),
    "unknown compression": ([answer(CONFIG, "Content-Encoding: br\r\n")], "br"),
    "length too short": ([answer(CONFIG[:-9]) + CONFIG[-9:]], "not HTTP"),
    "followed by garbage": ([answer() + b"garbage"], "not HTTP"),
    "switching protocols": ([headed("Connection: upgrade\r\nUpgrade: x\r\n", b"abc", "101 Switching")], "status"),
    "another function": ([answer(CONFIG.replace(b"default:f", b"default:g"))], "not what was asked for"),
}


@pytest.mark.parametrize("how", INVALID)
def test_invalid_response_is_a_bad_answer_and_ends_its_connection(how):
    step, words = INVALID[how]
    found = ask_all(step, [answer()])
    for key, ((first, second), server) in found.items():
        assert (first.kind, words in first.message) == ("bad_answer", True), (key, first)
        assert second.body == CONFIG, (key, second)
        assert (server.connections, len(server.requests)) == (2, 2), key
    assert len({outcomes[0] for outcomes, _ in found.values()}) == 1, found


BROKEN = {
    "closed": [CLOSE],
    "reset": [RESET],
    "closed within the head": [b"HTTP/1.1 200 OK\r\nX: ", CLOSE],
    "reset within the head": [b"HTTP/1.1 200 OK\r\nX: ", 0.02, RESET],
    "closed after an interim response": [headed("", b"", "103 Hints"), CLOSE],
    "length too long": [headed("Content-Length: 999\r\n"), CLOSE],
    "reset within the body": [headed("Content-Length: 999\r\n"), 0.02, RESET],
    "closed within a chunk": [headed("Transfer-Encoding: chunked\r\n", b"ff\r\nabc"), CLOSE],
    "closed before the last chunk": [headed("Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n"), CLOSE],
    "end of sending": [END, 0.1],
    "end of sending within the head": [b"HTTP/1.1 200", END, 0.1],
    "reset within a chunk's extension": [headed("Transfer-Encoding: chunked\r\n", b"5;a"), 0.02, RESET],
    "closed within a trailer": [chunked(CONFIG, trailer="X: 1")[:-2], CLOSE],
    "reset without length": [headed("", CONFIG[:9]), 0.02, RESET],
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("before", [0, 1])
def test_broken_connection_is_a_connection_error_without_hidden_repetition(how, before):
    found = ask_all(*[[answer()]] * before, BROKEN[how], [answer()], times=before + 2)
    for key, (outcomes, server) in found.items():
        assert [outcome.kind for outcome in outcomes] == ["config"] * before + ["connection", "config"], (key, outcomes)
        assert (server.connections, len(server.requests)) == (2, before + 2), key
    assert len({outcomes[before] for outcomes, _ in found.values()}) == 1, found


SPEAKS_FIRST = {"bytes that are no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n", "one byte": b"x"}


@pytest.mark.parametrize("what", SPEAKS_FIRST)
@pytest.mark.parametrize("choice", TRANSPORTS)
@pytest.mark.parametrize("loop", LOOPS)
def test_server_that_speaks_first_is_no_http_server(loop, choice, what):
    with RawServer([SPEAKS_FIRST[what], HOLD], speaks_first=True) as server:
        (outcome,) = run(loop, ask(server.url, choice))
    assert outcome.kind in {"bad_answer", "connection"}, outcome
    assert choice == "session" or "not HTTP" in outcome.message


@pytest.mark.parametrize("status", ["429 No", "503 No"])
def test_server_may_refuse_before_it_reads_the_request(status):
    for choice in TRANSPORTS:
        for loop in LOOPS:
            with RawServer([answer(b"{}", status=status), HOLD], speaks_first=True) as server:
                (outcome,) = run(loop, ask(server.url, choice))
            assert outcome.kind == STATUSES[status], (choice, loop, outcome)


@pytest.mark.parametrize("loop", LOOPS)
def test_refusal_before_the_request_counts_if_the_connection_is_closed_after_it(loop):
    with RawServer([answer(b"{}", status="503 No"), CLOSE], speaks_first=True) as server:
        (outcome,) = run(loop, ask(server.url, "direct"))
    assert outcome.kind in {"server_error", "connection"}  # a reset may overtake it


STALLED = {
    "no answer": [HOLD],
    "within the head": [b"HTTP/1.1 200 OK\r\nX: ", HOLD],
    "within the body": [headed("Content-Length: 999\r\n"), HOLD],
    "within a chunk": [headed("Transfer-Encoding: chunked\r\n", b"ff\r\nabc"), HOLD],
    "bytes that never end": [headed("Content-Length: 9999\r\n", b""), *[b" ", 0.05] * 40],
}


@pytest.mark.parametrize("how", STALLED)
def test_stalled_answer_is_a_timeout(how):
    for key, ((first, second), server) in ask_all(STALLED[how], [answer()], timeout=0.5).items():
        assert (first.kind, first.message) == ("timeout", "no complete response in time"), (key, first)
        assert second.body == CONFIG, key
        assert server.connections == 2, key


STATUSES = {"401 No": "refused", "429 No": "throttled", "503 No": "server_error", "400 No": "bad_request"}
UNREADABLE = {
    "header line over the limit": lambda status: [answer(b"{}", f"X: {'x' * 70_000}\r\n", status)],
    "broken header": lambda status: [headed("no colon\r\n", b"", status), CLOSE],
    "head that breaks off": lambda status: [f"HTTP/1.1 {status}\r\nServer: ".encode(), CLOSE],
    "head that is reset": lambda status: [f"HTTP/1.1 {status}\r\nServer: ".encode(), 0.02, RESET],
    "head that stalls": lambda status: [f"HTTP/1.1 {status}\r\nServer: ".encode(), HOLD],
    "body that breaks off": lambda status: [headed("Content-Length: 999\r\n", b"{", status), CLOSE],
    "body that stalls": lambda status: [headed("Content-Length: 999\r\n", b"{", status), HOLD],
    "two lengths": lambda status: [answer(b"{}", "Content-Length: 7\r\n", status)],
    "unknown transfer encoding": lambda status: [headed("Transfer-Encoding: x\r\n", b"{", status), CLOSE],
    "unknown encoding": lambda status: [answer(b"123456789", "Content-Encoding: br\r\n", status)],
    "page of 2 MB": lambda status: [answer(b"<html>" + b"y" * 2_000_000, "", status)],
}


@pytest.mark.parametrize("how", UNREADABLE)
@pytest.mark.parametrize("status", STATUSES)
def test_status_is_sufficient_if_the_rest_is_unreadable(status, how):
    timeout = 0.5 if "stalls" in how else 5.0
    found = ask_all(UNREADABLE[how](status), [answer()], timeout=timeout)
    for key, ((first, second), server) in found.items():
        assert (first.kind, first.status) == (STATUSES[status], int(status[:3])), (key, first)
        assert first.message, key
        assert second.body == CONFIG, (key, second)
        assert len(server.requests) == 2, key
    assert len({outcomes[0] for outcomes, _ in found.values()}) == 1, found


async def ask_with_fault(fault: Fault, choice: str) -> list[Outcome]:
    urn = f"{URN}:latest"
    async with Emulator(FileCloud({urn: {}}), token="a-long-token-of-the-tests") as server:
        server.plan({urn: [fault]})
        outcomes = await ask(
            server.url, choice, 2, 1.0 if fault in STALLS else 10.0, urn=urn, project=URN.split(":")[3]
        )
        assert fault in {request.fault for request in server.requests}
        return outcomes


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.AWAY])
def test_fault_of_the_emulator_has_the_same_outcome_on_both_transports(fault):
    found = [run(loop, ask_with_fault(fault, choice)) for choice in TRANSPORTS for loop in LOOPS]
    for first, second in found:
        assert (first.kind, first.status, without_numbers(first.message)) == (
            found[0][0].kind,
            found[0][0].status,
            without_numbers(found[0][0].message),
        )
        assert second.kind == "config"


def without_numbers(message: str) -> str:
    """Request ids and dates differ from call to call."""
    return re.sub(r"[0-9a-f]{8,}|[0-9]+", "#", message) if "requested" not in message else message


@pytest.mark.parametrize("choice", TRANSPORTS)
@pytest.mark.parametrize("loop", LOOPS)
def test_repeated_call_after_a_reused_connection_broke_goes_out_on_a_new_one(choice, loop):
    async def outcomes(server: RawServer) -> list[object]:
        async with open_session(5.0, None, choice) as session:
            client = Client(session, server.url, "p0", TokenCredential("a-long-token-of-the-tests", "x"))
            calls = (client.show_async_invoke_config(URN) for _ in range(3))
            found: list[object] = [*await asyncio.gather(*calls)]
            for _ in range(2):
                try:
                    found.append(await client.show_async_invoke_config(URN))
                except CallError as error:
                    found.append(error.kind)
            return found

    with RawServer(*[[0.1, answer()]] * 3, [CLOSE], [answer()]) as server:
        found = run(loop, outcomes(server))
    assert found[3] == "connection"
    assert found[4].body == CONFIG
    assert server.connections == 4  # although two more connections were idle


CANCELLED = {
    "while connecting": (None, 0.05),
    "before the head": ([HOLD], 0.2),
    "within the head": ([b"HTTP/1.1 200 OK\r\nX: ", HOLD], 0.2),
    "within the body": ([headed("Content-Length: 999\r\n"), HOLD], 0.2),
}


@pytest.mark.parametrize("choice", TRANSPORTS)
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("when", CANCELLED)
def test_cancelled_call_closes_its_connection(when, loop, choice):
    step, seconds = CANCELLED[when]

    async def cancel(server: RawServer) -> None:
        # A TLS client waits for the handshake of a server that speaks none.
        url = server.url if step else server.url.replace("http:", "https:")
        async with open_session(5.0, None, choice) as session:
            client = Client(session, url, "p0", TokenCredential("a-long-token-of-the-tests", "x"))
            call = asyncio.create_task(client.show_async_invoke_config(URN))
            await asyncio.sleep(seconds)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.sleep(0.02)
            assert await asyncio.to_thread(server.wait_until_ended)

    before = open_sockets()
    with RawServer(step or [answer()]) as server:
        run(loop, cancel(server))
    assert open_sockets() <= before


async def test_cancelled_call_stays_cancelled_if_the_loop_has_closed_the_socket():
    async def close_and_cancel(*_, sock, **__):
        os.close(sock.fileno())  # as uvloop does
        raise asyncio.CancelledError

    with RawServer([answer()]) as server:
        async with open_session(5.0, None, "direct") as session:
            asyncio.get_running_loop().create_connection = close_and_cancel
            with pytest.raises(asyncio.CancelledError):
                await session.transport(server.url).request("/a", {}, 100, lambda response: response)


LIMITS = {
    "fields of an interim response": [headed("X: 1\r\n" * 1100, b"", "103 Hints") + answer()],
    "NUL in an interim response": [headed("X: a\0b\r\n", b"", "103 Hints") + answer()],
    "status line in two parts": [f"HTTP/1.1 200 {'x' * 60_000}".encode(), 0.02, f"{'x' * 9_000}\r\n".encode(), HOLD],
    "trailer line": [chunked(CONFIG, trailer=f"X: {'x' * 70_000}\r\n")],
    "trailer line without end": [chunked(CONFIG, trailer=f"X: {'x' * 300_000}"), HOLD],
    "trailers without end": [chunked(CONFIG, trailer="X: 1\r\n" * 3_000)[:-2], HOLD],
}
"""Which of these aiohttp limits depends on its version, and on how the bytes arrive."""


@pytest.mark.parametrize("what", LIMITS)
@pytest.mark.parametrize("loop", LOOPS)
def test_limits_hold_for_interim_responses_trailers_and_parts(loop, what):
    with RawServer(LIMITS[what], [answer()]) as server:
        first, second = run(loop, ask(server.url, "direct", 2))
    assert (first.kind, second.body, server.connections) == ("bad_answer", CONFIG, 2)


CERTIFICATES = Path(__file__).parents[1] / "data" / "certificates"
AUTHORITY = str(CERTIFICATES / "authority.pem")


async def ask_over_tls(choice: str, certificate: str, host: str, ca_bundle: str) -> tuple[list[Outcome], list[str]]:
    names = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer())
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{certificate}.pem", CERTIFICATES / "key.pem")
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # a handshake that the client ends
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://{host}:{server.sockets[0].getsockname()[1]}"
        return await ask(url, choice, 2, ca_bundle=ca_bundle), names


@pytest.mark.parametrize(
    ("certificate", "host", "words"),
    [
        ("good", "127.0.0.1", None),
        ("good", "localhost", None),
        ("expired", "localhost", "it has expired"),
        ("other", "localhost", "it was issued for another host"),
        ("selfsigned", "localhost", "it is self-signed"),
    ],
)
def test_certificate_is_checked_and_the_host_is_named_in_the_handshake(certificate, host, words):
    found = []
    for choice in TRANSPORTS:
        for loop in LOOPS:
            outcomes, names = run(loop, ask_over_tls(choice, certificate, host, AUTHORITY))
            assert set(names) == {None if host[0] == "1" else "localhost"}, (choice, loop)
            assert [one.body == CONFIG for one in outcomes] == [words is None] * 2, outcomes
            assert words is None or words in outcomes[0].message
            assert len(names) == (1 if words is None else 2)  # connections
            found.append(re.sub(r":[0-9]+ is", " is", outcomes[0].message))
    assert len(set(found)) == 1, found


@pytest.mark.parametrize("url", ["http://no-such-host.invalid", "http://127.0.0.1:9", None], ids=["DNS", "port", "TLS"])
def test_unreachable_server_has_the_same_error_on_both_transports(url):
    found = set()
    with RawServer([b"no TLS\r\n\r\n", CLOSE], speaks_first=True) as server:
        for choice in TRANSPORTS:
            for loop in LOOPS:
                (outcome,) = run(loop, ask(url or server.url.replace("http:", "https:"), choice))
                assert outcome.kind == "connection"
                found.add(outcome.message)
    assert len(found) == 1, found
    assert "no connection to" in found.pop()


@pytest.mark.parametrize("choice", TRANSPORTS)
@pytest.mark.parametrize("loop", LOOPS)
def test_server_with_an_ipv6_address_is_reached(loop, choice):
    try:
        server = RawServer([answer()], host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        assert run(loop, ask(server.url, choice))[0].body == CONFIG
    assert f"Host: [::1]:{server.port}\r\n".encode() in server.requests[0]


@pytest.mark.parametrize("choice", TRANSPORTS)
def test_second_address_is_tried_while_the_first_does_not_answer(choice, monkeypatch):
    real = socket.getaddrinfo

    def addresses(host, port, *arguments, **options):
        if host != "two.example":
            return real(host, port, *arguments, **options)
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, ("192.0.2.1", port)), (*kind, ("127.0.0.1", port))]  # RFC 5737: the first is nowhere

    monkeypatch.setattr(socket, "getaddrinfo", addresses)
    with RawServer([answer()]) as server:
        assert run("asyncio", ask(f"http://two.example:{server.port}", choice))[0].body == CONFIG


@pytest.mark.parametrize("choice", TRANSPORTS)
@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/a b", {}),
        ("/a\r\nX: 1", {}),
        ("/é", {}),
        ("/a", {"X": "1\r\nY: 2"}),
        ("/a", {"X": "1\nY: 2"}),
        ("/a", {"X": "a\0b"}),
        ("/a", {"X\r\nY": "1"}),
        ("/a", {"X: 1": "1"}),
        ("/a", {"": "1"}),
    ],
)
def test_request_that_would_inject_a_header_is_not_sent(choice, target, headers):
    async def send(server: RawServer) -> None:
        async with open_session(5.0, None, choice) as session:
            transport = session.transport(server.url)
            with pytest.raises(InvalidRequestError):
                await transport.request(target, headers, 100, lambda response: response)
            assert (await transport.request("/a", {}, 100, lambda response: response)).status == 200

    with RawServer([answer(b"{}")]) as server:
        run("asyncio", send(server))
    assert [request.split(b"\r\n")[0] for request in server.requests] == [b"GET /a HTTP/1.1"]


def test_invalid_request_is_a_permanent_error():
    error = to_call_error(InvalidRequestError("a header holds a line break"), "server", lambda text: text)
    assert (error.kind, error.retryable) == ("bad_request", False)


def test_both_transports_send_the_same_request():
    sent = set()
    for choice in TRANSPORTS:
        with RawServer([answer()]) as server:
            run("uvloop", ask(server.url, choice))
            head = server.requests[0].decode().replace(str(server.port), "port").split("\r\n")
            sent.add((head[0], *sorted(line.lower() for line in head[1:])))
    assert len(sent) == 1, sent


@pytest.mark.parametrize("loop", LOOPS)
def test_content_of_a_request_is_sent_with_its_length(loop):
    async def post(server: RawServer, choice: str) -> int:
        async with open_session(5.0, None, choice) as session:
            transport = session.transport(server.url)
            return await transport.request("/a", {}, 100, lambda response: response.status, "POST", b"{}")

    for choice in TRANSPORTS:
        with RawServer([answer(b"{}", status="201 Created")]) as server:
            assert run(loop, post(server, choice)) == 201
        assert server.requests[0].startswith(b"POST /a HTTP/1.1\r\n")
        assert b"content-length: 2\r\n" in server.requests[0].lower()


def test_transport_is_chosen_by_setting_and_proxy(monkeypatch):
    async def chosen(choice: str) -> str:
        async with open_session(5.0, None, choice) as session:
            return type(session.transport("https://fg.example")).__name__

    assert [run("asyncio", chosen(choice)) for choice in ("auto", "direct", "session")] == [
        "DirectTransport",
        "DirectTransport",
        "SessionTransport",
    ]
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert run("asyncio", chosen("auto")) == "SessionTransport"
    with pytest.raises(SettingsError, match="--transport direct makes no call through a proxy"):
        run("asyncio", chosen("direct"))
    monkeypatch.setenv("NO_PROXY", "fg.example")
    assert run("asyncio", chosen("direct")) == "DirectTransport"


@pytest.mark.parametrize("loop", LOOPS)
def test_many_calls_at_once_share_connections_and_look_ups(loop, monkeypatch):
    lookups = []
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: lookups.append(args) or real(*args, **more))

    async def calls(server: RawServer) -> None:
        async with open_session(5.0, None, "direct") as session:
            client = Client(
                session, server.url.replace("127.0.0.1", "localhost"), "p0", TokenCredential("a-token", "x")
            )
            for _ in range(3):
                await asyncio.gather(*(client.show_async_invoke_config(URN) for _ in range(20)))

    with RawServer([answer()]) as server:
        run(loop, calls(server))
    assert server.connections == 20
    assert len(server.requests) == 60
    assert len([host for host, *_ in lookups if host == "localhost"]) <= 1
