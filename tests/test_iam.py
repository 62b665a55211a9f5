"""Tokens from IAM: one per project, renewed in time, once, and never told."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web
from runs import by_urn, export, rows

from inventory.emulator import Emulator, FileCloud, Scope, User
from inventory.errors import (
    BadAnswerError,
    CallConnectionError,
    CallTimeoutError,
    CredentialRefusedError,
    ExitCode,
    ServerError,
    WrongEndpointError,
)
from inventory.iam import IamToken, list_projects
from inventory.iam import User as IamUser
from inventory.settings import AccountSettings

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


async def no_time(_seconds):
    """A sleep that takes none."""


@asynccontextmanager
async def answering(*answers):
    """An IAM of fixed answers, the last one for good; gives its URL, a session, and the bodies that came."""
    bodies = []

    async def give(request):
        bodies.append(await request.text())
        answer = answers[min(len(bodies), len(answers)) - 1]
        return answer if isinstance(answer, web.StreamResponse) else web.Response(**answer)

    runner = web.ServerRunner(web.Server(give))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(2)) as session:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", session, bodies
    await runner.cleanup()


def token_answer(token="the-first-token-of-iam", ends="2026-11-25T00:00:00.000000Z"):
    return {
        "status": 201,
        "headers": {"X-Subject-Token": token},
        "text": json.dumps({"token": {"expires_at": ends}}),
    }


async def test_a_user_exports_two_projects_with_a_token_each(tmp_path, write_list):
    """Name and password are all that a run over two regions needs: one token per project, asked for once."""
    async with Emulator(cloud(), users=[READER]) as server:
        result = await export(
            write_list(URNS), tmp_path / "run", endpoint=server.url, iam_endpoint=server.url, environment=VARIABLES
        )
        assert Counter(request.path.split("?")[0].split("/")[1] for request in server.requests) == {"v2": 60, "v3": 2}
        given = list(server.iam.given)
    assert result.exit_code == ExitCode.ANSWERED
    assert result.manifest["requests"]["total"] == 60
    everything = b"".join(file.read_bytes() for file in (tmp_path / "run").iterdir())
    assert not any(secret.encode() in everything for secret in (PASSWORD, *given))


async def test_a_wrong_password_is_told_by_iam_and_nothing_else_is_asked(tmp_path, write_list):
    """IAM is asked once per scope and once for the domain, FunctionGraph never; the code is 3, the reason IAM's."""
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


async def test_a_token_that_must_be_updated_is_renewed_once_and_the_run_goes_on(tmp_path, write_list):
    """After APIGW.0307 in the middle of a run, all workers share one renewal, and every URN is answered."""
    async with Emulator(cloud(), users=[READER]) as server:
        answered = 0

        def expire(_urn, _times):
            nonlocal answered
            answered += 1
            if answered == 20:
                server.expired_tokens.update(server.iam.given)

        server.plan(expire)
        result = await export(
            write_list(URNS[:30]),
            tmp_path / "run",
            endpoint=server.url,
            iam_endpoint=server.url,
            environment=VARIABLES,
            max_workers=8,
        )
        assert len(server.iam.given) == 2
        assert 1 <= server.counts[401] <= 8
        assert server.counts[200] == 30
        assert result.manifest["requests"]["by_http_status"]["401"] == server.counts[401]
    assert result.exit_code == ExitCode.ANSWERED


async def test_a_renewed_token_that_is_refused_too_stops_the_scope(tmp_path, write_list):
    """A token of IAM that the gateway never takes is renewed once, and not for every URN."""
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
        assert len(other.iam.given) == 2
    assert result.exit_code == ExitCode.CREDENTIALS
    assert "APIGW.0307" in result.manifest["scopes"][0]["stopped"]


class Everything:
    """A set that has all there is."""

    def __contains__(self, _item):
        return True


async def test_many_workers_share_one_request_for_a_token():
    """However many wait for the first token, IAM is asked once; the request names project, user and domain."""
    async with answering(token_answer()) as (url, session, bodies):
        token = IamToken(session, url, user(), {"project": {"id": "p"}}, now=lambda: 0.0)
        await asyncio.gather(*(token.ready() for _ in range(64)))
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


REFUSAL = {"status": 401, "text": '{"error":{"code":401,"message":"wrong"}}'}


async def test_a_wrong_password_does_not_lock_the_user():
    """However many projects wait for a token: four refusals are the most, and IAM locks a user after five."""
    async with answering(REFUSAL) as (url, session, bodies):
        reader = user()
        tokens = [IamToken(session, url, reader, {"project": {"id": f"p{n}"}}) for n in range(20)]
        ended = await asyncio.gather(*(token.ready() for token in tokens), return_exceptions=True)
        assert {type(error) for error in ended} == {CredentialRefusedError}
        assert len(bodies) == 4


async def test_projects_that_are_not_the_users_stop_no_other():
    """IAM says the same of a foreign project as of a wrong password; that the domain is open tells them apart."""
    async with answering(REFUSAL, token_answer("token-of-the-domain"), *[REFUSAL] * 5, token_answer()) as (
        url,
        session,
        bodies,
    ):
        reader = user()
        for number in range(6):
            with pytest.raises(CredentialRefusedError):
                await IamToken(session, url, reader, {"project": {"id": f"foreign{number}"}}).ready()
        await IamToken(session, url, reader, {"project": {"id": "own"}}).ready()
        assert ["domain" in json.loads(body)["auth"]["scope"] for body in bodies] == [False, True] + [False] * 6


@pytest.mark.parametrize(
    ("lifetime", "kept", "renewed"),
    [(86_400, 86_400 - 301, 86_400 - 299), (1000, 899, 901), (None, 539, 541)],
)
async def test_a_token_is_kept_until_shortly_before_its_end(lifetime, kept, renewed):
    """Five minutes before the end, or in the last tenth of a short life, or of ten minutes where no end is told."""
    clock = SimpleNamespace(now=1_000_000.0)
    ends = None
    if lifetime is not None:
        ends = datetime.fromtimestamp(clock.now + lifetime, UTC).isoformat()
    async with answering(token_answer("first-token-of-iam", ends), token_answer("second-token-of-iam", ends)) as (
        url,
        session,
        bodies,
    ):
        token = IamToken(session, url, user(), {"project": {"id": "p"}}, now=lambda: clock.now)
        await token.ready()
        clock.now = 1_000_000.0 + kept
        await token.ready()
        assert (len(bodies), token.generation) == (1, 1)
        clock.now = 1_000_000.0 + renewed
        await token.ready()
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
        ({"status": 403, "text": "{}"}, CredentialRefusedError, "said 403"),
        ({"status": 404, "text": "<html>"}, WrongEndpointError, "said 404"),
        ({"status": 503, "text": ""}, ServerError, "said 503"),
        ({"status": 429, "text": ""}, ServerError, "said 429"),
        ({"status": 302, "headers": {"Location": "http://x"}, "text": ""}, WrongEndpointError, "said 302"),
        ({"status": 201, "text": "{}"}, BadAnswerError, "gave no token"),
        ({"status": 201, "text": "<html>", "headers": {"X-Subject-Token": "t"}}, BadAnswerError, "no JSON"),
        (
            {"status": 401, "text": json.dumps({"error": {"message": f"bad {PASSWORD}"}})},
            CredentialRefusedError,
            r"bad \[redacted\]",
        ),
    ],
)
async def test_every_refusal_of_iam_is_one_typed_error(answer, error, words):
    """Whatever IAM answers is an error with its reason and IAM's address, without the password."""
    async with answering(answer) as (url, session, _):
        token = IamToken(session, url, user(), {"project": {"id": "p"}}, sleep=no_time)
        with pytest.raises(error, match=words) as caught:
            await token.ready()
        assert f"IAM at {url}" in str(caught.value)
        assert PASSWORD not in str(caught.value)


async def test_a_moments_trouble_of_iam_is_tried_again():
    """A 503 and a 429 are no refusal: the third try brings the token."""
    trouble = {"status": 503, "text": ""}
    async with answering(trouble, {"status": 429, "text": ""}, token_answer()) as (url, session, bodies):
        token = IamToken(session, url, user(), {"project": {"id": "p"}}, now=lambda: 0.0, sleep=no_time)
        await token.ready()
        assert len(bodies) == 3


@pytest.mark.parametrize("hours_off", [-30, 30])
async def test_a_clock_that_is_hours_off_asks_for_no_token_at_each_call(hours_off):
    """How long a token lives is told by IAM's own clock, where it says when the token began."""
    clock = SimpleNamespace(now=1_000_000.0)
    began = datetime.fromtimestamp(clock.now - 3600 * hours_off, UTC)
    body = {"token": {"issued_at": began.isoformat(), "expires_at": (began + timedelta(hours=24)).isoformat()}}
    answers = [
        {"status": 201, "headers": {"X-Subject-Token": f"token-{n}-of-iam"}, "text": json.dumps(body)} for n in "ab"
    ]
    async with answering(*answers) as (url, session, bodies):
        token = IamToken(session, url, user(), {"project": {"id": "p"}}, now=lambda: clock.now)
        for seconds in (0, 1, 86_400 - 301):
            clock.now = 1_000_000.0 + seconds
            await token.ready()
        assert len(bodies) == 1
        clock.now = 1_000_000.0 + 86_400 - 299
        await token.ready()
        assert len(bodies) == 2


async def test_iam_is_asked_by_the_proxy_that_the_environment_names(monkeypatch):
    """Where nothing but a proxy is reachable, there is no other way to a token."""
    async with answering(token_answer()) as (url, session, bodies):
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("no_proxy", "")
        await IamToken(session, "http://iam.example", user(), {"project": {"id": "p"}}).ready()
        assert len(bodies) == 1


async def test_an_iam_that_is_not_there_is_told():
    """No connection and no answer in time are what they are."""
    async with answering({"status": 200, "text": "{}"}) as (_, session, _bodies):
        token = IamToken(session, "http://127.0.0.1:1", user(), {"project": {"id": "p"}}, sleep=no_time)
        with pytest.raises(CallConnectionError, match=r"IAM at http://127\.0\.0\.1:1"):
            await token.ready()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(0.05)) as session:
            with pytest.raises(CallTimeoutError, match="no whole answer in time"):
                await IamToken(session, url, user(), {"project": {"id": "p"}}, sleep=no_time).ready()


async def test_projects_are_listed_with_the_domains_token():
    """Default projects are named like their region, sub-projects after it."""
    from inventory.credentials import UserAccount  # noqa: PLC0415

    sub = "11111111111111111111111111111111"
    scopes = [Scope("cn-north-4", P), Scope("ap-southeast-1", Q), Scope("cn-north-4", sub)]
    state = cloud()
    state.scopes = tuple(scopes)
    async with Emulator(state, users=[READER]) as server, aiohttp.ClientSession() as session:
        account = UserAccount(user(), lambda _region: server.url)
        found = await list_projects(session, server.url, account.overview(session, "cn-north-4"))
    assert found == {P: "cn-north-4", Q: "ap-southeast-1", sub: "cn-north-4_11111111"}


async def test_a_next_page_of_projects_on_another_host_is_not_asked():
    """The credential goes to IAM, and nowhere that IAM's answer says."""
    page = {"projects": [{"id": "a", "name": "r"}, {"id": 7}, "x"], "links": {"next": "http://127.0.0.1:1/v3/projects"}}
    async with answering(token_answer(), {"status": 200, "text": json.dumps(page)}) as (url, session, _):
        token = IamToken(session, url, user(), {"domain": {"name": "company"}}, now=lambda: 0.0)
        assert await list_projects(session, url, token) == {"a": "r"}


def test_a_user_shows_no_password():
    """Neither repr nor pickle."""
    import pickle  # noqa: PLC0415

    assert repr(user()) == "User('reader' of 'company')"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(user())


async def test_a_region_that_iams_endpoint_cannot_hold_stops_its_own_scope_alone(tmp_path, write_list):
    """With a fixed endpoint such a URN is asked for nowhere, the others are answered, and --resume goes on."""
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
