from __future__ import annotations

import asyncio
import json
import random

import aiohttp
import pytest

from inventory.emulator import Emulator, Fault, Faults, FileCloud, Limit, Reply

PROJECT = "p" * 32
BASE = f"urn:fss:cn-north-4:{PROJECT}:function:default:"
CONFIG = {"func_urn": f"{BASE}f:latest", "max_async_retry_attempts": 1}


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "start"),
    [
        (Fault.BAD_GATEWAY, 502, "application/json", b'{"error_msg":"Backend unavailable","error_code":"APIGW.0201"'),
        (Fault.PROXY_ERROR, 503, "text/html", b"<html>"),
        (Fault.SERVICE_ERROR, 500, "application/json", b'{"error_code":"FSS.0500"'),
        (Fault.BACKEND_TIMEOUT, 504, "application/json", b'{"error_msg":"Backend timeout","error_code":"APIG.0203"'),
        (Fault.THROTTLED, 429, "application/json", b'{"error_msg":"The throttling threshold has been reached'),
        (Fault.STRAY, 429, "application/json", b'{"error_code":"FSS.0429","error_msg":"Too many requests"}'),
        (Fault.TRUNCATED, 200, "application/json", json.dumps(CONFIG, separators=(",", ":")).encode()[:20]),
        (Fault.HTML, 200, "text/html", b"<html>"),
        (Fault.EMPTY, 200, "application/json", b""),
        (Fault.NULL, 200, "application/json", b"null"),
        (Fault.ARRAY, 200, "application/json", b"[]"),
        (Fault.REDIRECT, 302, "text/html", b"<html>"),
        (Fault.BLOCKED, 418, "text/html", "<html>\r\n<head><title>访问被拦截！".encode()),  # noqa: RUF001 - the firewall's text
        (Fault.THROTTLED_BY_SERVICE, 429, "application/json", b'{"error_code":"FSS.0429"'),
        (Fault.THROTTLED_SECONDS, 429, "application/json", b'{"error_code":"FSS.0429"'),
        (Fault.THROTTLED_DATE, 429, "application/json", b'{"error_code":"FSS.0429"'),
        (Fault.BYTE_ORDER_MARK, 200, "application/json", b'\xef\xbb\xbf{"func_urn"'),
        (Fault.OTHER_URN, 200, "application/json", f'{{"func_urn":"{BASE}f-other"'.encode()),
    ],
)
async def test_each_fault_has_its_documented_form(emulator, get, fault, status, content_type, start):
    emulator.plan({f"{BASE}f": [fault]})
    got, body, headers = await get()
    assert (got, headers["Content-Type"]) == (status, content_type)
    assert body.startswith(start)
    assert (await get())[:2] == (200, json.dumps(CONFIG, separators=(",", ":")).encode())
    assert [(request.status, request.fault) for request in emulator.requests] == [(status, fault.value), (200, None)]


async def test_truncated_body_is_not_json(emulator, get):
    emulator.plan({f"{BASE}f": [Fault.TRUNCATED]})
    with pytest.raises(json.JSONDecodeError):
        json.loads((await get())[1])


@pytest.mark.parametrize(("fault", "times"), [(Fault.RESET, 2), (Fault.RESET_IN_BODY, 1)])
async def test_a_reset_breaks_the_connection_as_often_as_planned(emulator, get, fault, times):
    emulator.plan({f"{BASE}f": [fault] * times})
    with pytest.raises(aiohttp.ClientError):
        await get()
    assert (await get())[0] == 200
    assert [(request.status, request.fault) for request in emulator.requests] == [(None, fault.value)] * times + [
        (200, None)
    ]
    assert emulator.counts == {None: times, 200: 1}


@pytest.mark.parametrize(("fault", "is_answer_begun"), [(Fault.RESET, False), (Fault.RESET_IN_BODY, True)])
async def test_reset_sends_rst(emulator, fault, is_answer_begun):
    emulator.plan({f"{BASE}f": [fault]})
    reader, writer = await asyncio.open_connection("127.0.0.1", int(emulator.url.rpartition(":")[2]))
    writer.write(
        f"GET /v2/p/fgs/functions/{BASE}f/async-invoke-config HTTP/1.1\r\nHost: x\r\nX-Auth-Token: t\r\n\r\n".encode()
    )
    received = bytearray()
    error = None
    while error is None:
        try:
            received += await reader.readexactly(1)
        except OSError as caught:
            error = caught
    assert isinstance(error, ConnectionResetError)
    writer.transport.abort()
    assert received.startswith(b"HTTP/1.1 200") == is_answer_begun
    assert not received.endswith(b"}")


async def test_throttled_twice_then_right(emulator, get):
    emulator.plan({f"{BASE}f": [Fault.THROTTLED] * 2})
    assert [(await get())[0], (await get(f"{BASE}g"))[0], (await get())[0], (await get())[0]] == [429, 404, 429, 200]


async def test_a_plan_may_give_an_exact_answer(emulator, get):
    blocked = Reply(418, "<title>访问被拦截！</title>".encode(), {"Content-Type": "text/html", "Server": "CloudWAF"})  # noqa: RUF001 - the firewall's text
    emulator.plan({f"{BASE}f": [blocked]})
    status, body, headers = await get()
    assert (status, body, headers["Server"]) == (418, blocked.body, "CloudWAF")
    assert emulator.requests[0].fault == "planned"


async def test_faults_by_rate_may_be_switched_mid_run(emulator, get):
    emulator.faults = Faults(error_5xx=1)
    statuses = {(await get())[0] for _ in range(30)}
    emulator.faults = None
    assert statuses == {500, 502, 503, 504}
    assert (await get())[0] == 200


@pytest.mark.parametrize(("workers", "limit"), [(1, None), (8, None), (60, None), (8, "20/day")])
async def test_which_urns_fail_depends_on_the_seed_only(session, workers, limit):
    names = [f"f{number}" for number in range(60)]
    path = f"/v2/{PROJECT}/fgs/functions/{{}}/async-invoke-config"
    faults = Faults(error_5xx=0.5, seed=7)
    expected = {name for name in names if all(faults.draw(path.format(name), attempt)[1] for attempt in range(3))}
    places = asyncio.Semaphore(workers)
    failed = set()

    async def call(name):
        statuses = []
        while len(statuses) < 3 and 404 not in statuses:
            async with places, session.get(f"{emulator.url}{path.format(name)}", headers={"X-Auth-Token": "t"}) as got:
                if got.status == 429:
                    emulator.limit = limit  # begins a window
                else:
                    statuses.append(got.status)
        if 404 not in statuses:
            failed.add(name)

    async with Emulator(FileCloud({}), faults=faults, limit=limit) as emulator:
        await asyncio.gather(*map(call, random.Random(workers).sample(names, len(names))))
        assert (429 in emulator.counts) == (limit is not None)
    assert failed == expected
    assert 3 <= len(failed) <= 15


@pytest.mark.parametrize("refusal", ["limit", "token"])
async def test_a_call_that_the_gateway_refuses_is_no_attempt(emulator, get, refusal):
    emulator.faults = faults = Faults(error_5xx=0.5)
    for attempt in range(8):
        if refusal == "limit":
            emulator.limit = Limit(1, 1, "day")
            await get(f"{BASE}other")
            assert (await get())[0] == 429
            emulator.limit = None
        else:
            emulator.token = "another"
            assert (await get())[0] == 401
            emulator.token = None
        assert emulator.requests[-1].fault is None
        await get()
        _, drawn = faults.draw(f"/v2/{PROJECT}/fgs/functions/{BASE}f/async-invoke-config", attempt)
        assert emulator.requests[-1].fault == drawn


async def test_a_refused_call_of_iam_is_no_attempt(emulator, session):
    emulator.token, emulator.faults = "t", Faults(others={"chunked": 0.5})
    for attempt in range(8):
        for token, status, fault in (
            ("x", 401, None),
            ("t", 200, emulator.faults.draw("/v3/projects", attempt)[1]),
        ):
            async with session.get(f"{emulator.url}/v3/projects", headers={"X-Auth-Token": token}) as response:
                assert response.status == status
            assert emulator.requests[-1].fault == fault


async def test_a_plan_overrides_the_faults_by_rate(emulator, get):
    emulator.faults = Faults(error_5xx=1)
    emulator.plan({f"{BASE}f": [Fault.NULL]})
    assert [(await get())[:2], (await get())[0] >= 500] == [(200, b"null"), True]


async def test_clear_begins_with_the_first_attempt_again(emulator, get):
    emulator.faults = "stray=100%"
    assert [(await get())[0], (await get())[0]] == [429, 200]
    emulator.clear()
    assert [(await get())[0], (await get())[0]] == [429, 200]


async def test_operations_of_a_function_have_their_own_attempts(emulator, get, session):
    emulator.faults = "stray=100%"
    url = f"{emulator.url}/v2/{PROJECT}/fgs/functions/{BASE}f/versions"
    for expected in (429, 200):
        assert (await get())[0] == expected
        async with session.get(url, headers={"X-Auth-Token": "t"}) as response:
            assert response.status == expected


async def test_stray_refusals_are_charged_and_leave_the_limit_alone(emulator, get):
    emulator.limit, emulator.faults = "3/day", "stray=100%"
    statuses = [(await get(f"{BASE}{name}"))[0] for name in ("f", "g", "f", "f")]
    assert statuses == [429, 429, 200, 429]
    assert [request.fault for request in emulator.requests] == ["stray", "stray", None, None]


async def test_a_client_that_leaves_is_logged_without_a_status(emulator, get):
    emulator.faults = Faults(latency=3600, jitter=0)
    call = asyncio.create_task(get())
    while not emulator._number:  # noqa: ASYNC110 - the arrival has no event to wait for
        await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    while not emulator.requests:  # noqa: ASYNC110 - the departure has no event either
        await asyncio.sleep(0)
    assert emulator.requests[0].status is None
