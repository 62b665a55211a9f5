from __future__ import annotations

import asyncio
import gzip
import inspect
import json
import re
import tracemalloc
import zlib
from contextlib import asynccontextmanager, suppress
from functools import partial
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses
from yarl import URL

from inventory.cloud.client import Client
from inventory.cloud.credentials import TokenCredential
from inventory.cloud.response_body import has_final_status_line, skip_interim_responses
from inventory.cloud.transport import open_session
from inventory.errors import BadAnswerError, CallConnectionError, CallError, CallTimeoutError
from inventory.proxies import proxy_for

URN = "urn:fss:cn-north-4:p0:function:default:f:!prod"
SECRET = "MIIRxgYJKoZIhvcNAQcCoIIR+tz"
CONFIG = b'{"func_urn":"u","max_async_retry_attempts":1}'
PATH = f"/v2/p0/fgs/functions/{URN}/async-invoke-config"


def answer(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class RawServer:
    """Writes planned bytes for each request; ``None`` closes the connection."""

    def __init__(self, *plan: bytes | None, reset: bool = False) -> None:
        self.plan = list(plan)
        self.reset = reset
        self.requests: list[str] = []
        self.sent = 0
        self.connections = 0
        self.tasks: list[asyncio.Task] = []
        self.late = b""
        """Bytes that are written once, when the client is done with the first answer."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        self.connections += 1
        self.writer = writer
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(request.decode())
                step = self.plan[min(len(self.requests), len(self.plan)) - 1]
                if step is None:
                    return
                for start in range(0, len(step), 65536):
                    writer.write(step[start : start + 65536])
                    await writer.drain()
                    self.sent = start + 65536
                if b"Content-Length: 999\r\n" in step or b"\r\n\r\n" not in step or step.endswith(b"CLOSE"):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if self.reset:
                writer.transport.abort()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def ask(
        self,
        times: int = 1,
        timeout: float = 5.0,  # noqa: ASYNC109 - the client's
        endpoint: str = "http://127.0.0.1:{port}",
    ) -> list[object]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        results: list[object] = []
        async with server, open_session(timeout) as session, self.proxied(endpoint, port):
            client = Client(session, endpoint.format(port=port), "p0", TokenCredential(SECRET, "x"))
            for _ in range(times):
                try:
                    results.append(await client.show_async_invoke_config(URN))
                except CallError as error:
                    results.append(error)
                if self.late:
                    self.writer.write(self.late)
                    self.late = b""
                    for _ in range(5):  # the loop brings them to the client, who waits for nothing
                        await asyncio.sleep(0.001)
        await asyncio.gather(*self.tasks)
        return results

    @asynccontextmanager
    async def proxied(self, endpoint: str, port: int):
        with pytest.MonkeyPatch.context() as patch:
            if "{port}" not in endpoint:
                patch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
                patch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
            yield

    async def ask_at_once(self, times: int) -> list[object]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, open_session(20.0) as session:
            client = Client(session, f"http://127.0.0.1:{port}", "p0", TokenCredential(SECRET, "x"))
            calls = (client.show_async_invoke_config(URN) for _ in range(times))
            return await asyncio.gather(*calls, return_exceptions=True)


class Response(aiohttp.ClientResponse):
    """Adds the argument that newer versions of aiohttp need and aioresponses does not pass."""

    def __init__(self, *args, **more) -> None:
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse).parameters:
            more.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **more)


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    with aioresponses() as web:
        web.get = partial(web.get, response_class=Response)
        yield web


async def show(endpoint: str = "https://fg.example", urn: str = URN, project: str = "p0"):
    async with open_session(5.0) as session:
        return await Client(session, endpoint, project, TokenCredential(SECRET, "x")).show_async_invoke_config(urn)


async def test_show_config_requests_the_documented_path(web):
    web.get(f"https://fg.example{PATH}", body=CONFIG, headers={"X-Request-Id": "r-1"})
    found = await show()
    assert (found.body, found.request_id) == (CONFIG, "r-1")
    ((method, url),) = web.requests
    assert (method, str(url)) == ("GET", f"https://fg.example{PATH}")


async def test_base_path_of_the_endpoint_is_kept(web):
    web.get(f"https://gate.example/fg{PATH}", body=CONFIG)
    assert (await show("https://gate.example/fg")).body == CONFIG


@pytest.mark.parametrize(
    ("urn", "raw"),
    [
        ("urn:fss:r:p0:function:d:f:v1.0", "urn:fss:r:p0:function:d:f:v1.0"),
        ("urn:fss:r:p0:function:d:é", "urn:fss:r:p0:function:d:%C3%A9"),
        ("urn:fss:r:p0:function:<d>:f", "urn:fss:r:p0:function:%3Cd%3E:f"),
    ],
)
async def test_special_characters_are_encoded_once(web, urn, raw):
    url = f"https://fg.example/v2/p0/fgs/functions/{raw}/async-invoke-config"
    web.get(URL(url, encoded=True), body=CONFIG)
    assert (await show(urn=urn)).body == CONFIG
    assert [str(url) for _, url in web.requests] == [url]


async def test_redirect_is_not_followed(web):
    web.get(f"https://fg.example{PATH}", status=302, headers={"Location": "https://evil.example/"})
    web.get("https://evil.example/", body=CONFIG)
    with pytest.raises(BadAnswerError) as caught:
        await show()
    assert caught.value.status_code == 302
    assert [url.host for _, url in web.requests] == ["fg.example"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), "timeout"),
        (aiohttp.ServerTimeoutError(), "timeout"),
        (aiohttp.ServerDisconnectedError(), "connection"),
        (aiohttp.ClientPayloadError("cut"), "connection"),
        (aiohttp.ClientOSError(104, "reset"), "connection"),
        (ConnectionResetError(104, "reset"), "connection"),
        (OSError(113, "No route to host"), "connection"),
    ],
)
async def test_connection_failure_is_a_typed_error(web, error, kind):
    web.get(f"https://fg.example{PATH}", exception=error)
    with pytest.raises(CallError) as caught:
        await show()
    assert (caught.value.kind, caught.value.status_code, caught.value.retryable) == (kind, None, True)
    assert SECRET not in str(caught.value)


async def test_request_has_the_documented_headers():
    wire = RawServer(answer(CONFIG))
    (found,) = await wire.ask()
    assert found.body == CONFIG
    head = wire.requests[0]
    assert head.startswith(f"GET {PATH} HTTP/1.1\r\n")
    assert f"X-Auth-Token: {SECRET}\r\n" in head
    assert "Content-Type: application/json\r\n" in head
    assert "User-Agent: functiongraph-inventory/" in head
    assert "cookie" not in head.lower()


async def test_cookies_are_not_kept():
    wire = RawServer(answer(CONFIG, headers="Set-Cookie: HWWAFSESID=1\r\n"))
    await wire.ask(2)
    assert len(wire.requests) == 2
    assert "HWWAFSESID" not in wire.requests[1]


async def test_calls_share_a_connection():
    wire = RawServer(
        answer(CONFIG), answer(b'{"error_code":"FSS.1051","error_msg":"gone"}', "404 Not Found"), answer(CONFIG)
    )
    first, second, third = await wire.ask(3)
    assert (first.body, second.status, third.body) == (CONFIG, "not_found", CONFIG)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("broken", [None, b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"], ids=["head", "body"])
@pytest.mark.parametrize("before", [0, 1, 3])
async def test_broken_connection_is_not_retried_by_aiohttp(before, broken, reset):
    wire = RawServer(*[answer(CONFIG)] * before, broken, reset=reset)
    results = await wire.ask(before + 1)
    assert [result.body for result in results[:-1]] == [CONFIG] * before
    assert isinstance(results[-1], CallConnectionError)
    assert len(wire.requests) == before + 1


@pytest.mark.parametrize("headers", ["Content-Length: 104857600\r\n", "Transfer-Encoding: chunked\r\n", ""])
async def test_huge_body_is_refused(headers):
    body = b"6400000\r\n" + b" " * 104_857_600 if "chunked" in headers else b" " * 104_857_600
    wire = RawServer(f"HTTP/1.1 200 OK\r\n{headers}\r\n".encode() + body)
    (error,) = await wire.ask()
    assert isinstance(error, BadAnswerError)
    assert error.status_code == 200
    assert "1048576 bytes" in error.error_msg
    assert wire.sent < 40_000_000


async def test_decompression_bomb_is_refused():
    bomb = gzip.compress(b" " * 50_000_000)
    (error,) = await RawServer(answer(bomb, headers="Content-Encoding: gzip\r\n")).ask()
    assert isinstance(error, BadAnswerError)
    assert "1048576 bytes" in error.error_msg


async def test_decompression_stops_at_the_limit():
    bomb = gzip.compress(b" " * 100_000_000, compresslevel=1)
    tracemalloc.start()
    try:
        found = await RawServer(answer(bomb, headers="Content-Encoding: gzip\r\n")).ask_at_once(16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert {type(error) for error in found} == {BadAnswerError}
    assert peak < 48_000_000


@pytest.mark.parametrize(
    ("body", "encoding", "words"),
    [
        (gzip.compress(CONFIG)[:-1], "gzip", "incomplete"),
        (gzip.compress(CONFIG)[:20], "x-gzip", "incomplete"),
        (gzip.compress(CONFIG)[:-8] + b"\0" * 8, "gzip", "invalid compressed"),
        (CONFIG, "gzip", "invalid compressed"),
        (CONFIG, "br", "unsupported content encoding: 'br'"),
        (zlib.compress(CONFIG), "deflate", None),
        (CONFIG, "identity", None),
        (CONFIG, "", None),
        (CONFIG, " Identity ", None),
    ],
)
async def test_invalid_compression_is_a_bad_answer(body, encoding, words):
    (found,) = await RawServer(answer(body, headers=f"Content-Encoding: {encoding}\r\n")).ask()
    if words is None:
        assert found.body == CONFIG
    else:
        assert isinstance(found, BadAnswerError)
        assert (found.status_code, found.retryable, words in found.error_msg) == (200, True, True)


@pytest.mark.parametrize("size", [1_048_576, 1_048_577])
async def test_body_limit_is_exact(size):
    body = CONFIG[:-1] + b" " * (size - len(CONFIG)) + b"}"
    (found,) = await RawServer(answer(body)).ask()
    assert isinstance(found, BadAnswerError) == (size > 1_048_576)


async def test_compressed_response_is_read():
    (found,) = await RawServer(answer(gzip.compress(CONFIG), headers="Content-Encoding: gzip\r\n")).ask()
    assert found.body == CONFIG


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"not HTTP at all\r\n\r\nCLOSE", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\nbad header\r\n\r\nCLOSE", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\nCLOSE", "bad_answer"),
        (answer(b"no gzip", headers="Content-Encoding: gzip\r\n"), "bad_answer"),
        (answer(b"<html>", "503 Service Unavailable"), "server_error"),
        (answer(b"", "204 No Content").replace(b"Content-Length: 0\r\n", b""), "bad_answer"),
        (answer(b""), "bad_answer"),
    ],
    ids=["no-http", "bad-header", "huge-header", "bad-gzip", "503", "204", "empty"],
)
async def test_invalid_response_is_a_typed_error(raw, kind):
    (error,) = await RawServer(raw).ask()
    assert error.kind in kind.split("|")
    assert error.retryable
    assert SECRET not in f"{error!r}{error}"


DIRECT, PROXIED = "http://127.0.0.1:{port}", "http://fg.example"
PAGE = b"<html>" + b"y" * 2_000_000
UNREADABLE = {
    "a header line over the limit": answer(b"{}", "{status}", f"X: {'x' * 70_000}\r\n"),
    "too many fields": answer(b"{}", "{status}", "".join(f"X-{n}: 1\r\n" for n in range(1200))),
    "a broken header": b"HTTP/1.1 {status}\r\nbad header\r\n\r\nCLOSE",
    "a head that breaks off": b"HTTP/1.1 {status}\r\nServer: ",
    "a body that breaks off": b"HTTP/1.1 {status}\r\nContent-Length: 999\r\n\r\n{",
    "a chunk that breaks off": b"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabcCLOSE",
    "a broken chunk": b"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nabcCLOSE",
    "an unknown encoding": answer(b"123456789", "{status}", "Content-Encoding: br\r\n"),
    "a broken encoding": answer(b"123456789", "{status}", "Content-Encoding: gzip\r\n"),
    "a page of 2 MB": answer(PAGE, "{status}"),
}


@pytest.mark.parametrize("endpoint", [DIRECT, PROXIED], ids=["direct", "proxied"])
@pytest.mark.parametrize("how", UNREADABLE)
async def test_status_is_sufficient_if_the_rest_is_unreadable(how, endpoint):
    kinds = {"401 No": "refused", "429 No": "throttled", "503 No": "server_error", "400 No": "bad_request"}
    for status, kind in kinds.items():
        wire = RawServer(UNREADABLE[how].replace(b"{status}", status.encode()), answer(CONFIG))
        first, second = await wire.ask(2, endpoint=endpoint)
        assert (first.kind, first.status_code, first.stops_scope) == (kind, int(status[:3]), kind == "refused"), first
        assert first.error_msg
        assert second.body == CONFIG
        assert len(wire.requests) == 2


@pytest.mark.parametrize("endpoint", [DIRECT, PROXIED], ids=["direct", "proxied"])
@pytest.mark.parametrize("sent", [b"HTTP/1.1 401 No\r\n", b"HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\n{"])
async def test_incomplete_401_is_a_refusal(sent, endpoint):
    class Stalling(RawServer):
        async def serve(self, reader, writer):
            self.tasks.append(asyncio.current_task())
            await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            with suppress(ConnectionError):
                await reader.read()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    (error,) = await Stalling().ask(timeout=0.3, endpoint=endpoint)
    assert (error.kind, error.stops_scope, "no complete response in time" in error.error_msg) == ("refused", True, True)


@pytest.mark.parametrize("endpoint", [DIRECT, PROXIED], ids=["direct", "proxied"])
@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 401 No\r\nX: " + b"x" * 70_000 + b"\r\n\r\nCLOSE",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3 + b"HTTP/1.1 401 No\r\nno colon\r\n\r\nCLOSE",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 No\r\nContent-LCLOSE",
        b"\r\nHTTP/1.1 401 No\r\nno colon\r\n\r\nCLOSE",
        b"HTTP/1.1 401",
        b"HTTP/2 401\r\nContent-Length: 0\r\n\r\nCLOSE",
        b"http/1.1 401 No\r\nContent-Length: 0\r\n\r\nCLOSE",
    ],
    ids=["hints", "many hints", "continue", "blank line", "cut", "version", "lower case"],
)
async def test_401_after_interim_responses_is_a_refusal(raw, endpoint):
    (error,) = await RawServer(raw).ask(endpoint=endpoint)
    assert (error.kind, error.status_code, error.stops_scope) == ("refused", 401, True), error


@pytest.mark.parametrize("endpoint", [DIRECT, PROXIED], ids=["direct", "proxied"])
@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize(
    "rest",
    [
        f"X-Echo: {SECRET[::-1]}\r\nContent-Le",
        f"X-Echo: {SECRET[::-1]}\x00\x01\r\n\r\nCLOSE",
        f"{SECRET[::-1]}\r\n\r\nCLOSE",
        f"Content-Length: {SECRET[::-1]}\r\n\r\nCLOSE",
    ],
)
async def test_broken_head_is_not_quoted(rest, status, endpoint):
    (error,) = await RawServer(f"HTTP/1.1 {status} OK\r\n{rest}".encode()).ask(endpoint=endpoint)
    assert error.retryable
    assert SECRET[::-1][:12] not in f"{error!r}{error}{error.body}"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_interim_responses_are_skipped(size):
    raw = b"\r\nHTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 5000 + b"\r\n\r\n\nHTTP/1.1 401 No\r\n" + b"y" * 100
    kept = b""
    for start in range(0, len(raw), size):
        if not has_final_status_line(kept):
            kept = skip_interim_responses(kept + raw[start : start + size])
        assert len(kept) <= 64
    assert kept.startswith(b"HTTP/1.1 401 No\r\n")


@pytest.mark.parametrize("endpoint", [DIRECT, PROXIED], ids=["direct", "proxied"])
@pytest.mark.parametrize("how", UNREADABLE)
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
async def test_unreadable_200_or_404_is_retryable(status, how, endpoint):
    (error,) = await RawServer(UNREADABLE[how].replace(b"{status}", status.encode())).ask(endpoint=endpoint)
    if status[0] == "2" or "2 MB" in how:
        assert error.kind in {"bad_answer", "connection"}
        assert error.retryable


@pytest.mark.parametrize("endpoint", [DIRECT, PROXIED], ids=["direct", "proxied"])
async def test_large_headers_are_read(endpoint):
    fields = "".join(f"X-{n}: 1\r\n" for n in range(900))
    for headers in (f"Content-Security-Policy: {'x' * 60_000}\r\n", fields):
        (found,) = await RawServer(answer(CONFIG, headers=headers)).ask(endpoint=endpoint)
        assert found.body == CONFIG
    for headers, words in (
        (f"X: {'x' * 70_000}\r\n", "65536 bytes"),
        (fields + fields.replace("X", "Y"), "1000 header"),
    ):
        (error,) = await RawServer(answer(CONFIG, headers=headers)).ask(endpoint=endpoint)
        assert (error.kind, words in error.error_msg) == ("bad_answer", True), error


@pytest.mark.parametrize(
    ("endpoint", "status", "kind"),
    [
        ("https://fg.example", "407 Proxy Authentication Required", "blocked"),
        ("https://fg.example", "403 Forbidden", "blocked"),
        ("https://fg.example", "502 Bad Gateway", "connection"),
        (PROXIED, "407 Proxy Authentication Required", "blocked"),
    ],
)
async def test_refusal_by_the_proxy_stops_the_scope(endpoint, status, kind):
    (error,) = await RawServer(answer(b"<html>no", status)).ask(endpoint=endpoint)
    assert (error.kind, error.stops_scope, error.retryable) == (kind, kind == "blocked", kind != "blocked")
    assert "proxy" in error.error_msg


GONE = answer(b'{"error_code":"FSS.1051","error_msg":"gone"}', "404 Not Found")


@pytest.mark.parametrize("rest", [GONE, GONE[:-7], GONE[:20], b'{"max_async', b"\r\n"], ids=str)
async def test_unexpected_bytes_are_not_the_next_response(rest):
    for late in (False, True):
        wire = RawServer(answer(CONFIG) if late else answer(CONFIG) + rest, answer(CONFIG))
        wire.late = rest if late else b""
        found = await wire.ask(3)
        assert [one.body for one in found[1:]] == [CONFIG] * 2
        assert found[0].body == CONFIG or (found[0].kind == "bad_answer" and not late)
        assert len(wire.requests) == 3


async def test_connection_with_a_truncated_body_is_not_reused():
    wire = RawServer(answer(CONFIG[:-5]), answer(CONFIG), answer(CONFIG))
    found = await wire.ask(3)
    assert [getattr(one, "body", None) for one in found[1:]] == [CONFIG] * 2
    assert isinstance(found[0], BadAnswerError)
    assert wire.connections == 2


async def test_config_of_another_function_is_refused():
    other = b'{"func_urn":"urn:fss:cn-north-4:p0:function:default:g:!prod"}'
    wire = RawServer(answer(other), answer(CONFIG))
    first, second = await wire.ask(2)
    assert (first.kind, first.status_code, second.body) == ("bad_answer", 200, CONFIG)
    assert wire.connections == 2


@pytest.mark.parametrize("framing", ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: -5"])
async def test_invalid_length_is_bounded(framing):
    body = b"6400000\r\n" + b" " * 104_857_600
    wire = RawServer(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode() + body)
    (error,) = await wire.ask()
    assert isinstance(error, CallError)
    assert error.retryable
    assert wire.sent < 40_000_000


async def test_incomplete_response_is_a_timeout():
    started = answer(CONFIG)[:-5].replace(b"Content-Length: ", b"Content-Length: 1")
    (error,) = await RawServer(started).ask(timeout=0.05)
    assert isinstance(error, CallTimeoutError)


async def test_unreachable_endpoint_is_named():
    with pytest.raises(CallConnectionError) as caught:
        await show("http://127.0.0.1:9")
    assert caught.value.error_msg == "no connection to 127.0.0.1:9: Connection refused"


async def test_token_in_a_config_is_redacted():
    (found,) = await RawServer(answer(CONFIG[:-1] + f',"debug":"{SECRET}"}}'.encode())).ask()
    assert found.body == CONFIG[:-1] + b',"debug":"[redacted]"}'


async def test_token_in_an_error_is_redacted():
    body = json.dumps({"error_code": "APIGW.0301", "error_msg": f"verify fail, x-auth-token:{SECRET}"}).encode()
    (error,) = await RawServer(answer(body, "401 Unauthorized")).ask()
    assert not re.search(re.escape(SECRET), f"{error.error_msg}{error.body!r}{error}")


@pytest.mark.parametrize(
    ("endpoint", "proxy"),
    [
        ("https://fg.example", "http://proxy.example:3128"),
        ("http://127.0.0.1:1", None),
        ("http://localhost:1", None),
        ("https://inside.example", None),
    ],
)
def test_proxy_of_the_environment_is_used(monkeypatch, endpoint, proxy):
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    found = proxy_for(endpoint)
    assert (found and found.url) == proxy
