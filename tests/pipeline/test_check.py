from __future__ import annotations

import io
import json
import re
import signal
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from support.processes import begin
from support.runs import TOKEN, run_cli

from inventory.cli.check import as_text
from inventory.cloud.accounts import PasswordProvider, TokenProvider
from inventory.cloud.credentials import TokenCredential
from inventory.cloud.iam import IamUser
from inventory.cloud.projects import ProjectRef, find_projects
from inventory.emulator import Emulator, FileCloud, GeneratedCloud, Limit, Reply, Scope, User
from inventory.pipeline import check as checkup
from inventory.pipeline.check import check_scopes
from inventory.settings import ExportSettings

P = "0" * 32
R = "cn-north-4"
ACCOUNT = TokenProvider(TokenCredential(TOKEN, "x"))


def text_of(found):
    return as_text([found], None)


async def steps_of(server, *, account=ACCOUNT, endpoint=None, project=P):
    given = ExportSettings(endpoint=endpoint or server.url, iam_endpoint=server.url)
    (found,) = await check_scopes([(R, project)], given, account)
    return found, {step.name: step.ok for step in found.steps}


async def test_all_is_well():
    async with Emulator(GeneratedCloud(5, projects=[P]), token=TOKEN) as server:
        found, steps = await steps_of(server)
        assert [request.path.split("/")[-1].split("?")[0] for request in server.requests] == [
            "functions",
            "projects",
            "async-invoke-config",
        ]
    assert steps == {
        "endpoint": True,
        "TLS": None,
        "clock": True,
        "credential": True,
        "project": True,
        "list": True,
        "read": True,
    }
    assert found.ok
    assert f"? TLS: plain http ({R}/{P} at {server.url})" in text_of(found)


@pytest.mark.parametrize(
    ("status", "code", "failed"),
    [
        (401, "APIGW.0301", "credential"),
        (401, "FSS.0401", "credential"),
        (403, "FSS.1126", "list"),
        (403, "APIGW.0310", "list"),
        (404, "APIGW.0101", "endpoint"),
    ],
)
async def test_each_refusal_is_a_step_of_its_own(monkeypatch, status, code, failed):
    async with Emulator(GeneratedCloud(5, projects=[P])) as server:
        body = json.dumps({"error_code": code, "error_msg": "no"}).encode()
        monkeypatch.setattr(server, "_answer", lambda *_: Reply(status, body))
        found, steps = await steps_of(server)
    assert next(name for name, ok in steps.items() if ok is False) == failed
    assert not found.ok
    words = next(step.message for step in found.steps if step.ok is False)
    assert code in words
    assert "; " in words


async def test_reading_may_be_refused_where_listing_is_not(monkeypatch):
    async with Emulator(GeneratedCloud(5, projects=[P])) as server:
        answer = server._answer
        body = b'{"error_code":"FSS.1126","error_msg":"no permission"}'
        monkeypatch.setattr(
            server, "_answer", lambda route, *more: Reply(403, body) if route.urn else answer(route, *more)
        )
        found, steps = await steps_of(server)
    assert (steps["list"], steps["read"]) == (True, False)
    assert "functiongraph:function:getConfig" in text_of(found)


async def test_a_project_without_functions_is_read_too():
    cloud = FileCloud({})
    cloud.scopes = (Scope(R, P),)
    async with Emulator(cloud) as server:
        found, _ = await steps_of(server)
    assert found.ok


async def test_an_endpoint_that_is_down_and_one_that_is_not_safe():
    async with Emulator(GeneratedCloud(1, projects=[P])) as server:
        found, steps = await steps_of(server, endpoint="http://127.0.0.1:1")
        assert steps == {"endpoint": False}
        assert "see that --endpoint is right" in text_of(found)
        found, steps = await steps_of(server, endpoint=server.url.replace("http:", "https:"))
        assert (steps["endpoint"], steps["TLS"]) == (True, False)


@pytest.mark.parametrize(("seconds", "ok"), [(0, True), (-890, True), (890, True), (-1000, False), (1000, False)])
def test_a_clock_that_is_off_is_told(seconds, ok):
    step = checkup._clock(format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True))
    assert step.ok is ok
    minutes = abs(seconds) // 60  # the server's clock differs, so this machine's differs the other way round
    pattern = rf"{minutes} min \d+ s {'ahead' if seconds < 0 else 'behind'}" if seconds else r"|\d s ahead"
    assert re.match(pattern, step.message)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_clock_that_nobody_tells_is_not_known(date):
    assert checkup._clock(date).ok is None


async def test_a_user_that_iam_refuses_asks_nothing_else():
    async with Emulator(GeneratedCloud(1, projects=[P]), users=[User("reader", "right", "company")]) as server:
        account = PasswordProvider(IamUser("reader", "wrong-password", "company"), lambda _region: server.url)
        found, steps = await steps_of(server, account=account)
        assert {request.path.partition("?")[0] for request in server.requests} == {"/v3/auth/tokens"}
        assert len(server.requests) == 2, "for the project, and for the domain, which says whether it is the password"
    assert steps == {"credential": False}
    assert "The username or password is wrong" in text_of(found)


async def test_a_project_that_iam_does_not_show_fails():
    async with Emulator(GeneratedCloud(1, projects=[P])) as server:
        _, steps = await steps_of(server, project="f" * 32)
    assert steps["project"] is False


async def test_a_moments_trouble_is_told_as_that():
    async with Emulator(GeneratedCloud(1, projects=[P]), limit=Limit.parse("1/hour")) as server:
        await steps_of(server)
        found, steps = await steps_of(server)
    assert steps["list"] is False
    assert "try again" in text_of(found)


def test_check_is_a_table_of_ticks(tmp_path, write_list):
    with Emulator(GeneratedCloud(4, regions=(R, "ap-southeast-1")), token=TOKEN).in_thread() as server:
        places = ["--endpoint", server.url, "--iam-endpoint", server.url]
        path = write_list(server.urns())
        done = run_cli("check", path, *places)
        headings, first, second, empty, *problems = done.stdout.splitlines()
        assert (done.returncode, done.stderr, empty) == (0, "", "")
        assert headings.split() == ["scope", *checkup.STEPS]
        assert {line.split()[0].partition("/")[0] for line in (first, second)} == {R, "ap-southeast-1"}
        for line in (first, second):
            marks = {name: line[headings.index(name)] for name in checkup.STEPS}
            assert marks == {**dict.fromkeys(checkup.STEPS, "✓"), "TLS": "?"}
        assert problems[0].startswith("? TLS: plain http (")
        assert problems[0].endswith(" and 1 other scope)")
        assert problems[-1] == "2 scopes: 2 ready, 0 failed"
        alone = run_cli("check", "--region", R, *places)
        assert alone.stdout.splitlines()[-1] == "1 scope: 1 ready, 0 failed"
        refused = run_cli("check", "--region", R, "--project-id", P, *places, token="a-dead-token-of-ours")
        assert refused.returncode == 3
        assert re.search(rf"^{R}/{P} .*✗", refused.stdout, re.MULTILINE)
        assert re.search(r"^✗ credential: .*APIGW.0301.*; ", refused.stdout, re.MULTILINE)
        assert "a-dead-token-of-ours" not in refused.stdout + refused.stderr
        listed = json.loads(run_cli("check", path, *places, "--format", "json").stdout)
        assert [(scope["ok"], len(scope["steps"])) for scope in listed] == [(True, 7)] * 2
        assert listed[0]["steps"][1] == {"name": "TLS", "ok": None, "message": "plain http"}
    assert run_cli("check", cwd=tmp_path).returncode == 2
    assert "no function URN" in run_cli("check", write_list(["odd"], "odd.txt")).stderr


async def test_a_stream_without_ticks_gets_words(monkeypatch):
    async with Emulator(GeneratedCloud(1, projects=[P])) as server:
        found, _ = await steps_of(server)
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="cp1252"))
    text = as_text([found], 120)
    assert text.splitlines()[1].split()[1:4] == ["ok", "?", "ok"]
    assert text.isascii()


async def test_a_table_of_ticks_fits_a_narrow_terminal():
    async with Emulator(GeneratedCloud(1, projects=[P])) as server:
        found, _ = await steps_of(server)
    table = as_text([found], 80)
    assert max(map(len, table.splitlines())) <= 80
    assert "\n  " in table
    assert f"{R}/{P[:8]}..." in table


def test_a_region_that_iam_does_not_tell_of_is_a_line_too(tmp_path):
    regions = f'regions = ["{R}", "ap-southeast-1"]'
    cloud = GeneratedCloud(4, regions=(R, "ap-southeast-1"))
    with (
        Emulator(cloud, token=TOKEN).in_thread() as good,
        Emulator(GeneratedCloud(1), token="another").in_thread() as other,
    ):
        accounts = [("GOOD", good.url), ("REFUSED", other.url), ("DOWN", "http://127.0.0.1:1")]
        (tmp_path / "three.toml").write_text(
            "\n".join(
                f'[[accounts]]\nname = "{name}"\nenvironment = "{name}"\n{regions}\n'
                f'endpoint = "{url}"\niam-endpoint = "{url}"'
                for name, url in accounts
            )
        )
        environment = {f"{name}_AUTH_TOKEN": TOKEN for name, _ in accounts}
        done = run_cli("check", "--settings", tmp_path / "three.toml", **environment)
        assert len(other.requests) == 1, "a credential that IAM refused is not tried in the next region"
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.splitlines()[-1] == "6 scopes: 2 ready, 4 failed"
    problems = [line for line in done.stdout.splitlines() if line.startswith("✗ project: ")]
    assert sum("its projects cannot be listed" in line for line in problems) == 3
    assert sum("refused the credential before" in line for line in problems) == 1
    for name, url in accounts[1:]:
        assert sum(f"account {name!r}: " in line and f" at {url})" in line for line in problems) == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_check_at_once(number, code):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with begin("check", "--region", R, "--iam-endpoint", url) as run:
            asking, _ = silent.accept()
            with asking:
                asking.recv(1)
                run.send_signal(number)
                words = run.communicate()[1]
    assert (run.returncode, words) == (code, f"inventory: stopped by {number.name}\n")


async def test_a_region_that_no_endpoint_can_hold_fails_alone():
    account = PasswordProvider(IamUser("reader", "right", "company"), ExportSettings().iam_endpoint_for)
    settings = ExportSettings(endpoint="http://127.0.0.1:1")
    (found,) = await check_scopes([("cn_north_4", P)], settings, account)
    assert "'cn_north_4' is invalid in the endpoint's host name" in text_of(found)
    (found,) = await check_scopes([("cn_north_4", P)], ExportSettings(), account)
    assert not found.ok
    assert "'cn_north_4' is invalid in the endpoint's host name" in text_of(found)
    places, unseen = await find_projects([ProjectRef("cn_north_4")], settings, account)
    assert (places, [one.region for one in unseen]) == ([], ["cn_north_4"])


@pytest.mark.parametrize(
    "answer",
    [
        Reply(302, b"", {"Location": "https://login.example/"}),
        Reply(200, b"<html>Welcome", {"Content-Type": "text/html"}),
        Reply(204, b""),
        Reply(511, b"<html>Portal", {"Content-Type": "text/html"}),
    ],
    ids=["302", "200", "204", "511"],
)
async def test_an_answer_of_something_else_accepts_nothing(monkeypatch, answer):
    async with Emulator(GeneratedCloud(5, projects=[P])) as server:
        monkeypatch.setattr(server, "_answer", lambda *_: answer)
        found, steps = await steps_of(server)
    assert (steps["endpoint"], steps["credential"], steps["list"], found.ok) == (None, None, False, False)
