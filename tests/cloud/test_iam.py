"""IAM tokens: one per project, renewed in time, never shown."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import math
import os
import re
import socket
import time
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from unittest import mock

import pytest
from aiohttp import web
from support.runs import by_urn, export, rows

from inventory.cloud import iam_client
from inventory.cloud.credentials import TokenCredential
from inventory.cloud.iam import IamTokenCredential, IamUser, list_projects
from inventory.cloud.responses import Answer
from inventory.cloud.transport import open_session
from inventory.emulator import Emulator, FileCloud, Scope, User
from inventory.errors import (
    BadAnswerError,
    BlockedError,
    CallConnectionError,
    CallError,
    CallTimeoutError,
    CredentialRefusedError,
    ExitCode,
    ServerError,
    ThrottledError,
    WrongEndpointError,
)
from inventory.pipeline.scope import Scope as RunScope
from inventory.scheduling.dispatcher import Dispatcher
from inventory.settings import AccountSettings, ExportSettings

PASSWORD = "a-long-password-of-the-tests"
READER = User("reader", PASSWORD, "company")
VARIABLES = {"HW_USER_NAME": "reader", "HW_USER_PASSWORD": PASSWORD, "HW_DOMAIN_NAME": "company"}
P, Q = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
CONFIG = {"max_async_retry_attempts": 1}
URNS = [f"urn:fss:cn-north-4:{P}:function:default:f{n}:latest" for n in range(30)] + [
    f"urn:fss:ap-southeast-1:{Q}:function:default:f{n}:latest" for n in range(30)
]


def cloud():
    return FileCloud(dict.fromkeys(URNS, CONFIG))


def user():
    return IamUser("reader", PASSWORD, "company")


async def skip_sleep(_seconds): ...


class Bodies(list):
    """Bodies and paths of the received requests."""

    def __init__(self):
        super().__init__()
        self.paths = []
        self.note = lambda: None


@asynccontextmanager
async def answering(*answers):
    bodies = Bodies()

    async def give(request):
        bodies.append(await request.text())
        bodies.note()
        bodies.paths.append(request.raw_path)
        answer = answers[min(len(bodies), len(answers)) - 1]
        return answer if isinstance(answer, web.StreamResponse) else web.Response(**answer)

    runner = web.ServerRunner(web.Server(give))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with open_session(2.0) as session:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}", session, bodies
    finally:
        await runner.cleanup()


def token_answer(token="the-first-token-of-iam", ends="2026-11-25T00:00:00.000000Z"):
    return {
        "status": 201,
        "headers": {"X-Subject-Token": token},
        "text": json.dumps({"token": {"expires_at": ends}}),
    }


async def test_export_requests_one_token_per_project(tmp_path, write_list):
    async with Emulator(cloud(), users=[READER]) as server:
        result = await export(
            write_list(URNS), tmp_path / "run", endpoint=server.url, iam_endpoint=server.url, environment=VARIABLES
        )
        assert Counter(request.path.split("?")[0].split("/")[1] for request in server.requests) == {"v2": 60, "v3": 2}
        given = list(server.iam.tokens)
    assert result.exit_code == ExitCode.ANSWERED
    assert result.manifest["requests"]["total"] == 60
    everything = b"".join(file.read_bytes() for file in (tmp_path / "run").iterdir())
    assert not any(secret.encode() in everything for secret in (PASSWORD, *given))


async def test_wrong_password_stops_the_export(tmp_path, write_list):
    async with Emulator(cloud(), users=[READER]) as server:
        result = await export(
            write_list(URNS),
            tmp_path / "run",
            endpoint=server.url,
            iam_endpoint=server.url,
            environment={**VARIABLES, "HW_USER_PASSWORD": "not-the-right-password"},
        )
        assert [request.path.split("?")[0] for request in server.requests] == ["/v3/auth/tokens"] * 3
    assert result.exit_code == ExitCode.CREDENTIALS
    assert result.manifest["requests"]["total"] == 0
    assert "The username or password is wrong." in result.manifest["scopes"][0]["stopped"]
    assert {row["status"] for row in rows(tmp_path / "run")} == {"failed", "not_attempted"}


async def test_expired_token_is_renewed_once(tmp_path, write_list):
    async with Emulator(cloud(), users=[READER]) as server:
        answered = 0

        def expire(_urn, _times):
            nonlocal answered
            answered += 1
            if answered == 20:
                server.expired_tokens.update(server.iam.tokens)

        server.plan(expire)
        result = await export(
            write_list(URNS[:30]),
            tmp_path / "run",
            endpoint=server.url,
            iam_endpoint=server.url,
            environment=VARIABLES,
            max_workers=8,
        )
        assert len(server.iam.tokens) == 2
        assert 1 <= server.counts[401] <= 8
        assert server.counts[200] == 30
        assert result.manifest["requests"]["by_http_status"]["401"] == server.counts[401]
    assert result.exit_code == ExitCode.ANSWERED


async def test_refused_renewed_token_stops_the_scope(tmp_path, write_list):
    other = Emulator(cloud(), users=[READER])
    async with Emulator(cloud(), token="another") as server, other:
        server.expired_tokens = Everything()
        result = await export(
            write_list(URNS[:30]),
            tmp_path / "run",
            endpoint=server.url,
            iam_endpoint=other.url,
            environment=VARIABLES,
        )
        assert server.counts.total() == server.counts[401] == 2
        assert len(other.iam.tokens) == 2
    assert result.exit_code == ExitCode.CREDENTIALS
    assert "APIGW.0307" in result.manifest["scopes"][0]["stopped"]


class Everything:
    """A set that contains everything."""

    def __contains__(self, _item):
        return True


async def test_workers_share_one_token_request():
    async with answering(token_answer()) as (url, session, bodies):
        token = IamTokenCredential(session, url, user(), {"project": {"id": "p"}}, now=lambda: 0.0)
        await asyncio.gather(*(token.prepare() for _ in range(64)))
        assert token.headers(None) == {"X-Auth-Token": "the-first-token-of-iam"}
    assert [json.loads(body) for body in bodies] == [
        {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"name": "reader", "password": PASSWORD, "domain": {"name": "company"}}},
                },
                "scope": {"project": {"id": "p"}},
            }
        }
    ]


async def test_iam_gets_a_limited_number_of_calls_at_once():
    in_flight = most = 0

    async def respond(*_args, **_options):
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0)
        in_flight -= 1

    session = mock.Mock(transport=lambda _endpoint: mock.Mock(request=respond))
    client = iam_client.IamClient("http://iam.example", session)
    request = iam_client.IamRequest("GET", "/v3", lambda _url: {}, user().redactor)
    await asyncio.gather(*(client.send(request) for _ in range(3 * iam_client.MAX_CALLS)), return_exceptions=True)
    assert most == iam_client.MAX_CALLS


REFUSAL = {"status": 401, "text": '{"error":{"code":401,"message":"wrong"}}'}


async def test_wrong_password_does_not_lock_the_user():
    async with answering(REFUSAL) as (url, session, bodies):
        reader = user()
        tokens = [IamTokenCredential(session, url, reader, {"project": {"id": f"p{n}"}}) for n in range(20)]
        ended = await asyncio.gather(*(token.prepare() for token in tokens), return_exceptions=True)
        assert {type(error) for error in ended} == {CredentialRefusedError}
        assert len(bodies) == 4


async def test_foreign_project_does_not_stop_other_projects():
    async with answering(REFUSAL, token_answer("token-of-the-domain"), *[REFUSAL] * 5, token_answer()) as (
        url,
        session,
        bodies,
    ):
        reader = user()
        for number in range(6):
            with pytest.raises(CredentialRefusedError):
                await IamTokenCredential(session, url, reader, {"project": {"id": f"foreign{number}"}}).prepare()
        await IamTokenCredential(session, url, reader, {"project": {"id": "own"}}).prepare()
        assert ["domain" in json.loads(body)["auth"]["scope"] for body in bodies] == [False, True] + [False] * 6


@pytest.mark.parametrize(
    ("lifetime", "kept", "renewed"),
    [(86_400, 86_400 - 301, 86_400 - 299), (1000, 899, 901), (None, 539, 541)],
)
async def test_token_is_cached_until_shortly_before_expiry(lifetime, kept, renewed):
    clock = SimpleNamespace(now=1_000_000.0)
    ends = None
    if lifetime is not None:
        ends = datetime.fromtimestamp(clock.now + lifetime, UTC).isoformat()
    async with answering(token_answer("first-token-of-iam", ends), token_answer("second-token-of-iam", ends)) as (
        url,
        session,
        bodies,
    ):
        token = IamTokenCredential(session, url, user(), {"project": {"id": "p"}}, now=lambda: clock.now)
        await token.prepare()
        clock.now = 1_000_000.0 + kept
        await token.prepare()
        assert (len(bodies), token.generation) == (1, 1)
        clock.now = 1_000_000.0 + renewed
        await token.prepare()
        assert (len(bodies), token.generation) == (2, 2)
        assert token.headers(None) == {"X-Auth-Token": "second-token-of-iam"}
    assert token.redactor.redact("first-token-of-iam second-token-of-iam") == "[redacted] [redacted]"


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (
            {"status": 401, "text": '{"error":{"code":401,"message":"wrong","title":"U"}}'},
            CredentialRefusedError,
            "wrong",
        ),
        ({"status": 403, "text": "{}"}, CredentialRefusedError, "returned 403"),
        ({"status": 404, "text": "<html>"}, WrongEndpointError, "returned 404"),
        ({"status": 503, "text": ""}, ServerError, "returned 503"),
        ({"status": 429, "text": ""}, ThrottledError, "returned 429"),
        ({"status": 418, "text": "<html>"}, BlockedError, "returned 418"),
        (
            {"status": 403, "text": "<html>Filtered", "content_type": "text/html"},
            BlockedError,
            "returned 403: a proxy or web filter",
        ),
        ({"status": 407, "text": ""}, BlockedError, "returned 407: a proxy or web filter"),
        ({"status": 200, "text": "<html>Welcome", "content_type": "text/html"}, BlockedError, "a web page"),
        (
            {"status": 302, "headers": {"Location": "http://x"}, "text": ""},
            WrongEndpointError,
            "returned 302: a redirect to",
        ),
        ({"status": 201, "text": "{}"}, BadAnswerError, "returned no token"),
        ({"status": 201, "text": "<html>", "headers": {"X-Subject-Token": "t"}}, BadAnswerError, "not JSON"),
        (
            {"status": 401, "text": json.dumps({"error": {"message": f"bad {PASSWORD}"}})},
            CredentialRefusedError,
            r"bad \[redacted\]",
        ),
    ],
)
async def test_iam_error_has_type_and_reason(answer, error, words):
    async with answering(answer) as (url, session, _):
        token = IamTokenCredential(session, url, user(), {"project": {"id": "p"}}, sleep=skip_sleep)
        with pytest.raises(error, match=words) as caught:
            await token.prepare()
        assert f"IAM at {url}" in str(caught.value)
        assert PASSWORD not in str(caught.value)


async def test_temporary_iam_error_is_retried():
    trouble = {"status": 503, "text": ""}
    async with answering(trouble, {"status": 429, "text": ""}, token_answer()) as (url, session, bodies):
        token = IamTokenCredential(session, url, user(), {"project": {"id": "p"}}, now=lambda: 0.0, sleep=skip_sleep)
        await token.prepare()
        assert len(bodies) == 3


@pytest.mark.parametrize("hours_off", [-30, 30])
async def test_lifetime_follows_iams_clock(hours_off):
    clock = SimpleNamespace(now=1_000_000.0)
    began = datetime.fromtimestamp(clock.now - 3600 * hours_off, UTC)
    body = {"token": {"issued_at": began.isoformat(), "expires_at": (began + timedelta(hours=24)).isoformat()}}
    answers = [
        {"status": 201, "headers": {"X-Subject-Token": f"token-{n}-of-iam"}, "text": json.dumps(body)} for n in "ab"
    ]
    async with answering(*answers) as (url, session, bodies):
        token = IamTokenCredential(session, url, user(), {"project": {"id": "p"}}, now=lambda: clock.now)
        for seconds in (0, 1, 86_400 - 301):
            clock.now = 1_000_000.0 + seconds
            await token.prepare()
        assert len(bodies) == 1
        clock.now = 1_000_000.0 + 86_400 - 299
        await token.prepare()
        assert len(bodies) == 2


async def test_iam_is_called_through_the_proxy(monkeypatch):
    async with answering(token_answer()) as (url, session, bodies):
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("no_proxy", "")
        await IamTokenCredential(session, "http://iam.example", user(), {"project": {"id": "p"}}).prepare()
        assert len(bodies) == 1


async def test_unreachable_iam_is_reported():
    async with answering({"status": 200, "text": "{}"}) as (_, session, _bodies):
        token = IamTokenCredential(session, "http://127.0.0.1:1", user(), {"project": {"id": "p"}}, sleep=skip_sleep)
        with pytest.raises(CallConnectionError, match=r"IAM at http://127\.0\.0\.1:1"):
            await token.prepare()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with open_session(0.05) as session:
            with pytest.raises(CallTimeoutError, match="no complete response in time"):
                await IamTokenCredential(session, url, user(), {"project": {"id": "p"}}, sleep=skip_sleep).prepare()


async def test_projects_are_listed_with_a_domain_token():
    from inventory.cloud.accounts import PasswordProvider  # noqa: PLC0415

    sub = "11111111111111111111111111111111"
    scopes = [Scope("cn-north-4", P), Scope("ap-southeast-1", Q), Scope("cn-north-4", sub)]
    state = cloud()
    state.scopes = tuple(scopes)
    async with Emulator(state, users=[READER]) as server, open_session(30.0) as session:
        account = PasswordProvider(user(), lambda _region: server.url)
        found = await list_projects(session, server.url, account.iam_credential(session, "cn-north-4"))
    assert found == {P: "cn-north-4", Q: "ap-southeast-1", sub: "cn-north-4_11111111"}


def a_page(ids, following=None):
    projects = [{"id": one, "name": "r"} for one in ids]
    return {"status": 200, "text": json.dumps({"projects": projects, "links": {"next": following}})}


async def projects_of(*answers, base=""):
    async with answering(*answers) as (url, session, bodies):
        found = await list_projects(session, f"{url}{base}", TokenCredential("a-token", "x"))
        return found, bodies.paths


@pytest.mark.parametrize(
    "link",
    [
        "{url}/v3/projects?page=2",
        "https://iam.internal.example:8443/v3/projects?page=2",
        "//other.example/v3/projects?page=2",
        "/v3/projects?page=2",
        "projects?page=2",
        "?page=2",
    ],
)
@pytest.mark.parametrize("base", ["", "/behind/a/proxy"])
async def test_next_page_is_requested_from_the_endpoint(link, base):
    if base:
        link = link.replace("{url}", "{url}" + base)
    found, paths = await projects_of(a_page("a", link.replace("{url}", "http://any")), a_page("b"), base=base)
    assert found == {"a": "r", "b": "r"}
    assert paths == [f"{base}/v3/projects?enabled=true", f"{base}/v3/projects?page=2"]


@pytest.mark.parametrize(
    "link", ["/v3/projects?enabled=true", "?enabled=true", "#top", "mailto:x", "http://[", 7, {"href": "/v3/projects"}]
)
async def test_invalid_next_page_is_an_error(link):
    with pytest.raises(BadAnswerError, match=r"repeated or too many|invalid link"):
        await projects_of(a_page("a", link))


@pytest.mark.parametrize("link", [None, "", False])
async def test_last_page_has_no_next_page(link):
    assert (await projects_of(a_page("a", link)))[0] == {"a": "r"}


async def test_cyclic_pages_are_an_error():
    with pytest.raises(BadAnswerError, match="repeated or too many pages"):
        await projects_of(a_page("a", "?page=2"), a_page("b", "?page=3"), a_page("c", "?page=2"), a_page("c"))


async def test_project_without_id_is_an_error():
    odd = {"status": 200, "text": json.dumps({"projects": [{"id": "a", "name": "r"}, {"id": 7}, "x", None]})}
    assert (await projects_of(odd))[0] == {"a": "r"}
    odd = {"status": 200, "text": json.dumps({"projects": [{"id": None, "name": "cn-north-4"}]})}
    with pytest.raises(BadAnswerError, match="the project 'cn-north-4' without an id"):
        await projects_of(odd)


class Raw:
    """An IAM that writes raw bytes in pieces."""

    def __init__(self, *answers, size=0):
        self.answers = answers
        self.size = size
        self.calls = 0

    async def answer(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: ([0-9]+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        answer = self.answers[min(self.calls, len(self.answers) - 1)]
        self.calls += 1
        with contextlib.suppress(ConnectionError):
            for at in range(0, len(answer), self.size or len(answer)):
                writer.write(answer[at : at + (self.size or len(answer))])
                await writer.drain()
                await asyncio.sleep(0)
            writer.close()

    @asynccontextmanager
    async def serve(self):
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        async with server, open_session(5.0) as session:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", session


ROLES = {"token": {"roles": [{"id": f"{n:032}", "name": f"system_all_{n}"} for n in range(3000)]}}
PROJECTS = {"projects": [{"id": f"{n:032}", "name": f"cn-north-4_{n}", "links": {}} for n in range(2500)]}


def raw(status, body, form="plain", *headers):
    lines = [f"HTTP/1.1 {status} X", *headers, "Connection: close"]
    if form == "gzip":
        body = gzip.compress(body)
        lines.append("Content-Encoding: gzip")
    if form == "chunked":
        lines.append("Transfer-Encoding: chunked")
        pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    else:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize("size", [0, 1447, 50_000])
@pytest.mark.parametrize("form", ["plain", "chunked", "gzip"])
async def test_long_response_is_read_completely(form, size):
    token = raw(201, json.dumps(ROLES).encode(), form, "X-Subject-Token: the-token-of-iam")
    projects = raw(200, json.dumps(PROJECTS).encode(), form)
    async with Raw(token, projects, size=size).serve() as (url, session):
        credential = IamTokenCredential(session, url, user(), {"domain": {"name": "company"}})
        assert len(await list_projects(session, url, credential)) == 2500
        assert credential.headers(url) == {"X-Auth-Token": "the-token-of-iam"}


async def test_response_in_single_bytes_is_read():
    token = raw(201, b'{"token": {}}', "chunked", "X-Subject-Token: the-token-of-iam")
    async with Raw(token, size=1).serve() as (url, session):
        credential = IamTokenCredential(session, url, user(), {"project": {"id": "p"}})
        await credential.prepare()
        assert credential.headers(url) == {"X-Auth-Token": "the-token-of-iam"}


async def test_too_large_response_is_an_error():
    long = raw(201, b" " * 20_000_000, "plain", "X-Subject-Token: the-token-of-iam")
    async with Raw(long).serve() as (url, session):
        with pytest.raises(BadAnswerError, match=r"a response of more than [0-9]+ bytes"):
            await IamTokenCredential(session, url, user(), {"project": {"id": "p"}}, sleep=skip_sleep).prepare()


UNREADABLE = {
    "broken off": raw(401, b"x" * 1000)[:-500],
    "huge": raw(401, b" " * 20_000_000),
    "encoding": raw(401, b"x", "plain", "Content-Encoding: br"),
    "broken gzip": raw(401, gzip.compress(b"xyz")[:-3], "plain", "Content-Encoding: gzip"),
    "long headers": raw(401, b"{}", "plain", f"X-Policy: {'x' * 11_000}"),
    "huge headers": raw(401, b"{}", "plain", f"X-Policy: {'x' * 200_000}"),
    "chunks": b"HTTP/1.1 401 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "behind a 103": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 401 X\r\nno colon\r\n\r\n",
    "cut": b"HTTP/1.1 401",
    "version": b"HTTP/2 401\r\n\r\n",
}


@pytest.mark.parametrize(
    "rest",
    ["\r\nContent-Le", "\r\n", "\x00\x01\r\n\r\n", "\r\nno colon\r\n\r\n", "\r\nContent-Length: 9\r\n\r\n{}"],
)
@pytest.mark.parametrize("status", [200, 201, 404])
async def test_broken_response_is_not_quoted(status, rest):
    async with Raw(f"HTTP/1.1 {status} X\r\nX-Subject-Token: the-token-of-iam{rest}".encode()).serve() as (
        url,
        session,
    ):
        with pytest.raises(CallError) as caught:
            await IamTokenCredential(session, url, user(), {"project": {"id": "p"}}, sleep=skip_sleep).prepare()
    assert "the-token" not in f"{caught.value}{caught.value!r}{vars(caught.value)}"


@pytest.mark.parametrize("what", UNREADABLE)
async def test_unreadable_401_is_a_refusal(what):
    iam = Raw(UNREADABLE[what])
    async with iam.serve() as (url, session):
        reader = user()
        tokens = [
            IamTokenCredential(session, url, reader, {"project": {"id": f"p{n}"}}, sleep=skip_sleep) for n in range(20)
        ]
        ended = await asyncio.gather(*(token.prepare() for token in tokens), return_exceptions=True)
        assert {type(error) for error in ended} == {CredentialRefusedError}
        assert iam.calls == 4


@pytest.mark.parametrize("status", [200, 403])
async def test_a_web_page_is_sent_a_password_once(status):
    iam = Raw(raw(status, b"<html>Welcome</html>"))
    async with iam.serve() as (url, session):
        reader = user()
        for number in range(20):
            with pytest.raises(BlockedError) as caught:
                await IamTokenCredential(
                    session, url, reader, {"project": {"id": f"p{number}"}}, sleep=skip_sleep
                ).prepare()
            assert caught.value.stops_scope
        assert iam.calls == 1


async def test_broken_json_tries_a_password_three_times():
    iam = Raw(raw(200, b'{"token":'))
    async with iam.serve() as (url, session):
        reader = user()
        for number in range(20):
            with pytest.raises((BadAnswerError, CredentialRefusedError), match="not JSON"):
                await IamTokenCredential(
                    session, url, reader, {"project": {"id": f"p{number}"}}, sleep=skip_sleep
                ).prepare()
        assert iam.calls == 3


@pytest.mark.parametrize("headers", [{}, {"X-Subject-Token": "two words"}])
async def test_a_201_without_a_usable_token_stops_the_scope(tmp_path, write_list, headers):
    async with answering({"status": 201, "text": '{"token": {}}', "headers": headers}) as (url, _, bodies):
        result = await export(
            write_list(URNS[:10]),
            tmp_path / "run",
            endpoint="http://127.0.0.1:1",
            iam_endpoint=url,
            environment=VARIABLES,
        )
        assert len(bodies) == 3
    assert result.exit_code == ExitCode.STOPPED
    assert "returned no token" in result.manifest["scopes"][0]["stopped"]


DOWN = {"status": 503, "text": ""}


def living(seconds, token="the-first-token-of-iam"):
    began = datetime(2026, 1, 1, tzinfo=UTC)
    body = {"token": {"issued_at": began.isoformat(), "expires_at": (began + timedelta(seconds=seconds)).isoformat()}}
    return {"status": 201, "headers": {"X-Subject-Token": token}, "text": json.dumps(body)}


async def test_valid_token_is_used_while_iam_is_down():
    clock = SimpleNamespace(now=0.0)
    async with answering(living(86_400), *[DOWN] * 2, living(86_400, "the-second-token-of-iam")) as (
        url,
        session,
        bodies,
    ):
        token = IamTokenCredential(
            session, url, user(), {"project": {"id": "p"}}, now=lambda: clock.now, sleep=skip_sleep
        )
        await token.prepare()
        clock.now = 86_400 - 290.0
        for expected in (2, 2, 3, 3, 4):
            await asyncio.gather(*(token.prepare() for _ in range(64)))
            assert len(bodies) == expected
            clock.now += 35.0
        assert token.generation == 2
        assert token.headers(url) == {"X-Auth-Token": "the-second-token-of-iam"}


async def test_refused_renewal_keeps_the_token_until_expiry():
    clock = SimpleNamespace(now=0.0)
    async with answering(living(1000), REFUSAL) as (url, session, bodies):
        token = IamTokenCredential(
            session, url, user(), {"domain": {"name": "company"}}, now=lambda: clock.now, sleep=skip_sleep
        )
        await token.prepare()
        for clock.now in (910.0, 950.0, 999.0):
            await token.prepare()
        assert len(bodies) == 2
        clock.now = 1001.0
        with pytest.raises(CredentialRefusedError):
            await token.prepare()
        assert len(bodies) == 3


async def test_waiting_callers_share_the_error():
    async with answering(DOWN) as (url, session, bodies):
        token = IamTokenCredential(session, url, user(), {"project": {"id": "p"}}, sleep=skip_sleep)
        ended = await asyncio.gather(*(token.prepare() for _ in range(64)), return_exceptions=True)
        assert {type(error) for error in ended} == {ServerError}
        assert len(bodies) == 3


async def test_429_pauses_all_callers():
    busy = {"status": 429, "headers": {"Retry-After": "30"}, "text": ""}
    clock = SimpleNamespace(now=1000.0)
    asked = []

    async def pass_time(seconds):
        clock.now += seconds
        await asyncio.sleep(0)

    async with answering(busy, token_answer()) as (url, session, bodies):
        bodies.note = lambda: asked.append(clock.now)
        iam_client._CLIENTS[session] = {
            url: iam_client.IamClient(url, session, clock=lambda: clock.now, sleep=pass_time)
        }
        tokens = [IamTokenCredential(session, url, user(), {"project": {"id": f"p{n}"}}) for n in range(10)]
        await tokens[0].prepare()
        await asyncio.gather(*(token.prepare() for token in tokens))
        assert len(bodies) == 11
        assert asked[0] == 1000.0
        assert min(asked[1:]) >= 1030.0


@pytest.mark.parametrize(("text", "seconds"), [("7", 7.0), ("Sun, 06 Nov 1994 08:49:47 GMT", 10.0), ("soon", None)])
async def test_retry_after_of_iam_is_read(text, seconds):
    headers = {"Retry-After": text, "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}
    async with answering({"status": 429, "headers": headers, "text": ""}) as (url, session, _):
        client = iam_client.IamClient(url, session)
        call = iam_client.IamRequest("GET", "/v3/projects", lambda _url: {}, user().redactor)
        with pytest.raises(ThrottledError) as caught:
            await client.fetch(call)
    assert caught.value.retry_after == seconds


async def test_silent_iam_is_probed():
    clock = SimpleNamespace(now=1000.0)

    async def pass_time(seconds):
        clock.now += seconds

    async with answering(DOWN) as (url, session, bodies):
        iam_client._CLIENTS[session] = {
            url: iam_client.IamClient(url, session, clock=lambda: clock.now, sleep=pass_time)
        }
        for number in range(1000):
            with pytest.raises(ServerError, match="returned 503"):
                await IamTokenCredential(session, url, user(), {"project": {"id": f"p{number}"}}).prepare()
        assert len(bodies) < 300


@pytest.mark.parametrize("answer", [DOWN, {"status": 429, "headers": {"Retry-After": "600"}, "text": ""}])
async def test_given_up_iam_stops_scopes_at_once(answer):
    clock = SimpleNamespace(now=1000.0)

    async def pass_time(seconds):
        clock.now += seconds
        await asyncio.sleep(0)

    async with answering(answer) as (url, session, bodies):
        iam_client._CLIENTS[session] = {
            url: iam_client.IamClient(url, session, clock=lambda: clock.now, sleep=pass_time)
        }
        tokens = [IamTokenCredential(session, url, user(), {"project": {"id": f"p{n}"}}) for n in range(20)]
        ended = await asyncio.gather(*(token.prepare() for token in tokens), return_exceptions=True)
        asked, now = len(bodies), clock.now
        assert ended[-1].stops_scope
        with pytest.raises(type(ended[-1]), match="returned") as caught:
            await tokens[0].prepare()
        assert caught.value.stops_scope
        assert (len(bodies), clock.now) == (asked, now)


def test_scope_waits_for_iam(in_virtual_time):
    class Away:
        """A credential that is unavailable during an interval."""

        def __init__(self, clock, seconds):
            self.clock = clock
            self.begins, self.ends = clock() + 5.0, clock() + 5.0 + seconds
            self.generation, self.lockout, self.redactor = 0, None, None
            self.is_ready = False

        async def prepare(self):
            await asyncio.sleep(0.1)
            if self.begins < self.clock() < self.ends:
                raise ServerError("IAM returned 503")

    async def work(clock, seconds):
        async def ask(_urn):
            await asyncio.sleep(0.5)
            return Answer(b"{}", None)

        settings = ExportSettings(max_per_second=0, attempts=1)
        scope = RunScope(
            ask, Away(clock, seconds), settings, count_call=lambda *_: None, dispatcher=Dispatcher(clock=clock)
        )
        urns = iter(range(1000))

        async def worker():
            return [await scope.fetch_config(str(urn)) for urn in urns if not scope.is_closed]

        done = await asyncio.gather(*(worker() for _ in range(8)))
        return scope, Counter(outcome.status for some in done for outcome in some if outcome)

    scope, statuses = in_virtual_time(lambda clock: work(clock, 60.0))
    assert scope.stopped is None
    assert statuses["failed"] <= 10
    assert statuses["configured"] >= 990
    scope, statuses = in_virtual_time(lambda clock: work(clock, math.inf))
    assert isinstance(scope.stopped, ServerError)
    assert statuses["failed"] <= 30


@pytest.mark.parametrize("ends", ["1999-01-01T00:00:00Z", "soon", 7, None])
async def test_token_without_valid_expiry_stays_in_use(ends):
    clock = SimpleNamespace(now=1_800_000_000.0)
    async with answering(token_answer(ends=ends), DOWN) as (url, session, bodies):
        token = IamTokenCredential(
            session, url, user(), {"project": {"id": "p"}}, now=lambda: clock.now, sleep=skip_sleep
        )
        for _ in range(10):
            await token.prepare()
            clock.now += 541.0
        assert len(bodies) == 10
        assert token.headers(url) == {"X-Auth-Token": "the-first-token-of-iam"}


async def test_time_without_zone_is_utc():
    clock = SimpleNamespace(now=datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    with mock.patch.dict(os.environ, TZ="Asia/Shanghai"):
        time.tzset()
        try:
            async with answering(token_answer(ends="2026-01-01T01:00:00")) as (url, session, bodies):
                token = IamTokenCredential(session, url, user(), {"project": {"id": "p"}}, now=lambda: clock.now)
                await token.prepare()
                clock.now += 3299.0
                await token.prepare()
                assert len(bodies) == 1
        finally:
            os.environ["TZ"] = "UTC"
            time.tzset()


def test_user_does_not_reveal_the_password():
    import pickle  # noqa: PLC0415

    assert repr(user()) == "IamUser('reader' of 'company')"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(user())


async def test_invalid_region_stops_only_its_scope(tmp_path, write_list):
    odd = f"urn:fss:cn_north_4:{P}:function:default:f:latest"
    async with Emulator(cloud(), users=[READER]) as server:
        accounts = (
            AccountSettings("good", iam_endpoint=server.url, regions=("cn-north-4",)),
            AccountSettings("odd", regions=("cn_north_4",)),
        )
        settings = {"endpoint": server.url, "environment": VARIABLES, "accounts": accounts}
        for mode in ("new", "resume"):
            source = write_list([odd, *URNS[:30]]) if mode == "new" else []
            result = await export(source, tmp_path / "run", mode=mode, **settings)
            assert result.exit_code == 3
            assert result.manifest["counts"]["status"]["configured"] == 30
            assert [bool(scope["stopped"]) for scope in result.manifest["scopes"]] == [False, True]
    assert "'cn_north_4'" in result.manifest["scopes"][1]["stopped"]
    (row,) = [row for row in by_urn(tmp_path / "run").values() if row["status"] != "configured"]
    assert (row["status"], row["error_kind"]) == ("failed", "refused")
