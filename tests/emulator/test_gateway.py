from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest

from inventory.emulator import Emulator, FileCloud, GeneratedCloud, Limit

PROJECT = "p" * 32
BASE = f"urn:fss:cn-north-4:{PROJECT}:function:default:"
CONFIG = {"func_urn": f"{BASE}f:latest", "max_async_retry_attempts": 1}


async def test_a_config_is_answered_as_in_the_documentation(session):
    urn = f"urn:fss:xxxxxxxxx:{PROJECT}:function:default:test:latest"
    target = '{"func_urn":"urn:fss:{region}:5691ba790e2b46ceb38316xxxxxxxxxx:function:default:testPython:latest"}'
    side = {"destination": "FunctionGraph", "param": target}
    example = {
        "func_urn": urn,
        "max_async_event_age_in_seconds": 60,
        "max_async_retry_attempts": 1,
        "destination_config": {"on_success": side, "on_failure": side},
        "created_time": "2021-03-04T14:50:02+08:00",
        "last_modified": "2021-03-04 14:50:02",
    }
    async with Emulator(FileCloud({urn: example})) as emulator:
        url = f"{emulator.url}/v2/{PROJECT}/fgs/functions/{urn}/async-invoke-config"
        async with session.get(url, headers={"X-Auth-Token": "t"}) as response:
            assert await response.text() == json.dumps(example, separators=(",", ":"))


@pytest.mark.parametrize(
    ("urn", "status", "body"),
    [
        (f"{BASE}g", 404, {"error_code": "FSS.0404", "error_msg": "The specified resource was not found."}),
        (f"{BASE}h", 404, {"error_code": "FSS.1051", "error_msg": "Not found the function"}),
        (f"{BASE}f:v1.0", 404, {"error_code": "FSS.1052", "error_msg": "Not found the function version"}),
        (f"{BASE}f:!dev", 404, {"error_code": "FSS.1053", "error_msg": "Not found the function alias"}),
        ("urn:fss:a:b", 400, {"error_code": "FSS.1309", "error_msg": "Invalid function URN."}),
        (
            f"urn:fss:r:{PROJECT}:workflow:default:w:v",
            400,
            {"error_code": "FSS.1309", "error_msg": "Invalid function URN."},
        ),
    ],
)
async def test_service_errors_begin_with_the_code(get, urn, status, body):
    got, raw, _ = await get(urn)
    assert got == status
    assert list(json.loads(raw).items()) == list(body.items())


@pytest.mark.parametrize(
    ("change", "status", "code", "message"),
    [
        ({}, 401, "APIGW.0301", "Incorrect IAM authentication information: x-auth-token not found"),
        ({"token": "wrong"}, 401, "APIGW.0301", "Incorrect IAM authentication information: decrypt token fail"),
        ({"token": "old"}, 401, "APIGW.0307", "The token must be updated"),
        (
            {"token": "right", "project": "a/b"},
            404,
            "APIGW.0101",
            "The API does not exist or has not been published in the environment",
        ),
    ],
)
async def test_gateway_errors_begin_with_the_message(emulator, get, change, status, code, message):
    emulator.token = "right"
    emulator.expired_tokens.add("old")
    got, raw, headers = await get(**{"token": None} | change)
    body = json.loads(raw)
    assert got == status
    assert list(body.items()) == [("error_msg", message), ("error_code", code), ("request_id", headers["X-Request-Id"])]
    assert raw.endswith(b"}\n")
    assert headers["Server"] == "api-gateway"


async def test_every_answer_has_the_gateways_headers(emulator, get):
    ids = set()
    for urn in (f"{BASE}f", f"{BASE}g", "urn:x"):
        _, _, headers = await get(urn)
        ids.add(headers["X-Request-Id"])
        assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-Id"])
        assert headers["Content-Type"] == "application/json"
        assert headers["Date"]
        assert "Retry-After" not in headers
    assert len(ids) == 3


@pytest.mark.parametrize("form", ["f", "default:f", f"{PROJECT}:default:f", f"{PROJECT}:default:f:latest", f"{BASE}f"])
async def test_short_forms_mean_the_paths_project(get, form):
    status, body, _ = await get(form)
    assert (status, json.loads(body)) == (200, CONFIG)


async def test_encoded_and_raw_urns_mean_the_same(emulator, get):
    urn = f"{BASE}f:!prod"
    raw, encoded = await get(urn), await get(quote(urn, safe=""))
    assert raw[:2] == encoded[:2]
    assert [request.urn for request in emulator.requests] == [urn, urn]
    assert "%21" in emulator.requests[1].path


@pytest.mark.parametrize("path", ["/", "/v2", f"/v2/{PROJECT}/fgs/function", f"/v1/{PROJECT}/x", "//", "/emulate"])
async def test_an_unknown_path_is_the_gateways_404(emulator, session, path):
    async with session.get(f"{emulator.url}{path}") as response:
        assert (response.status, (await response.json())["error_code"]) == (404, "APIGW.0101")


async def test_another_method_is_an_unknown_api(emulator, session):
    url = f"{emulator.url}/v2/{PROJECT}/fgs/functions/{BASE}f/async-invoke-config"
    async with session.put(url, json={}, headers={"X-Auth-Token": "t"}) as response:
        assert (await response.json())["error_code"] == "APIGW.0101"


async def test_long_tokens_are_accepted(get):
    assert (await get(token="t" * 40_000))[0] == 200


async def test_signed_calls_pass_unchecked_if_any_token_is_accepted(emulator, get):
    signed = {"Authorization": "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host, Signature=0"}
    assert (await get(token=None, **signed))[0] == 200
    assert (await get(token=None, Authorization="Basic x"))[0] == 401
    emulator.token = "right"
    assert (await get(token=None, **signed))[0] == 401


async def test_throttled_answer_is_the_recorded_one(emulator, get):
    emulator.token = "t"
    emulator.limit = Limit.parse("1/5minute")
    assert [(await get(token="x"))[0], (await get())[0]] == [401, 200]
    status, raw, headers = await get()
    message = "The throttling threshold has been reached: policy user over ratelimit,limit:1,time:5 minute"
    assert status == 429
    assert list(json.loads(raw).items())[:2] == [("error_msg", message), ("error_code", "APIGW.0308")]
    assert "Retry-After" not in headers


async def test_the_window_follows_the_clock_that_was_given(session):
    now = [0.0]
    limit = Limit.parse("1/minute", retry_after=True, old_prefix=True)
    async with Emulator(FileCloud({f"{BASE}f": CONFIG}), limit=limit, clock=lambda: now[0]) as emulator:
        url = f"{emulator.url}/v2/{PROJECT}/fgs/functions/f/async-invoke-config"
        seen = []
        for now[0] in (0.0, 12.5, 60.0):
            async with session.get(url, headers={"X-Auth-Token": "t"}) as response:
                seen.append((response.status, response.headers.get("Retry-After")))
    assert seen == [(200, None), (429, "48"), (200, None)]


@pytest.mark.parametrize(("policy", "refused"), [("user", [0, 0, 1, 1]), ("ip", [0, 1, 1, 1]), ("api", [0, 1, 0, 1])])
async def test_a_policy_shares_a_window_over_projects_or_operations(session, policy, refused):
    cloud = GeneratedCloud(40, regions=("cn-north-4", "cn-east-3"))
    calls = [f"/v2/{scope.project_id}/fgs/functions" for scope in cloud.scopes]
    calls += [f"{path}/f/versions" for path in calls]
    async with Emulator(cloud, limit=f"1/day:{policy}") as emulator:
        for path in calls:
            async with session.get(f"{emulator.url}{path}", headers={"X-Auth-Token": "t"}) as response:
                if response.status == 429:
                    message = (await response.json())["error_msg"]
                    assert message.endswith(f"reached: policy {policy} over ratelimit,limit:1,time:1 day")
        assert [int(request.status == 429) for request in emulator.requests] == refused


async def test_scopes_are_throttled_apart(session):
    cloud = GeneratedCloud(2, regions=("cn-north-4", "cn-east-3"))
    async with Emulator(cloud, limit=Limit(1, 1, "day")) as emulator:
        urns = {urn.split(":")[2]: urn for urn in emulator.urns() if urn.endswith(":latest")}
        for urn in [*urns.values()] * 2:
            url = f"{emulator.url}/v2/{urn.split(':')[3]}/fgs/functions/{urn}/async-invoke-config"
            async with session.get(url, headers={"X-Auth-Token": "t"}):
                pass
        assert [request.status == 429 for request in emulator.requests] == [False, False, True, True]
        assert {request.scope for request in emulator.requests} == set(cloud.scopes)
