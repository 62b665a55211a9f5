"""Fewer calls: lists of configs are asked where that saves calls, and believed only where they say the same."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections import Counter

import pytest
from support.runs import by_urn, export, rows

from inventory.cloud.pages import ConfigPage
from inventory.cloud.pages import Operation as ApiOperation
from inventory.cloud.responses import Answer
from inventory.emulator import Emulator, Fault, Faults, FileCloud, GeneratedCloud, Reply
from inventory.emulator.gateway.routes import Operation
from inventory.ledger.writer import Ledger
from inventory.pipeline.batch import BatchFetcher
from inventory.pipeline.outcomes import success_outcome
from inventory.scheduling.retry import Attempts

SHOW, LIST_CONFIGS = ApiOperation.SHOW_CONFIG, ApiOperation.LIST_CONFIGS

P = "0123456789abcdef0123456789abcdef"


def urn(name, qualifier=None):
    return f"urn:fss:cn-north-4:{P}:function:default:{name}{f':{qualifier}' if qualifier else ''}"


def config(number, **more):
    return {"max_async_event_age_in_seconds": 60 + number, "max_async_retry_attempts": number % 4, **more}


def many(functions=12, versions=10, aliases=5, seed=7):
    dice = random.Random(seed)
    found = {}
    for function in range(functions):
        names = ["latest", *(f"v{n}" for n in range(versions)), *(f"!a{n}" for n in range(aliases))]
        for number, name in enumerate(names):
            side = {"destination": "SMN", "param": json.dumps({"topic_urn": f"t{number}"})}
            more = {"destination_config": {"on_failure": side}} if dice.random() < 0.8 else {}
            more |= {"enable_async_status_log": dice.random() < 0.5} if dice.random() < 0.3 else {}
            found[urn(f"f{function}", name)] = config(number, **more) if dice.random() < 0.7 else None
    return found


def sums(result):
    per_run = ("calls", "scopes")  # they contain the calls that this run made
    return {(t["name"], t["format"]): t["sha256"] for t in result.manifest["tables"] if t["name"] not in per_run}


def answering(server, monkeypatch, change):
    answer = server._answer

    def changed(route, scope, found):
        reply = answer(route, scope, found)
        return change(reply) if route.operation is Operation.LIST_CONFIGS else reply

    monkeypatch.setattr(server, "_answer", changed)


def calls_of(result):
    return result.manifest["requests"]["by_operation"]


@pytest.mark.parametrize("workers", [1, 64])
@pytest.mark.parametrize("lists_aliases", [True, False])
async def test_the_tables_are_those_of_the_plain_way(tmp_path, write_list, lists_aliases, workers):
    cloud = many()
    path = write_list([*cloud, urn("f1"), urn("gone", "v1"), urn("gone", "v2"), urn("gone", "v3"), urn("f1", "!none")])
    async with Emulator(FileCloud(cloud), lists_aliases=lists_aliases) as server:
        plain = await export(path, tmp_path / "plain", endpoint=server.url, batch=False)
        server.clear()
        batched = await export(path, tmp_path / "batched", endpoint=server.url, max_workers=workers)
        asked = len(server.requests)
    assert sums(batched) == sums(plain)
    assert calls_of(plain) == {SHOW: len(cloud) + 5}
    saved = batched.manifest["requests"]["saved_by_lists"]
    assert asked == batched.manifest["requests"]["total"] == len(cloud) + 5 - saved
    assert calls_of(batched)[LIST_CONFIGS] <= 13
    reported = Counter(row["operation"] for row in rows(tmp_path / "batched", "calls"))
    assert reported[LIST_CONFIGS] == saved + calls_of(batched)[LIST_CONFIGS]
    configured = sum(row["status"] == "configured" for row in by_urn(tmp_path / "plain").values())
    assert saved > configured * (0.7 if lists_aliases else 0.4)


async def test_long_lists_are_read_page_by_page(tmp_path, write_list):
    cloud = {urn("f", f"v{n}"): config(n) for n in range(250)}
    async with Emulator(FileCloud(cloud)) as server:
        result = await export(write_list(cloud), tmp_path / "run", endpoint=server.url)
        paths = [request.path for request in server.requests if "configs?" in request.path]
    assert [path.partition("?")[2] for path in paths] == [f"limit=100&marker={n}" for n in (0, 100, 200)]
    assert calls_of(result) == {LIST_CONFIGS: 3, SHOW: 2}
    assert {row["max_async_event_age_in_seconds"] for row in by_urn(tmp_path / "run").values()} == set(range(60, 310))


async def test_a_list_that_saves_nothing_is_not_asked(tmp_path, write_list):
    cloud = {urn(f"f{n}", name): config(n) for n in range(20) for name in ("latest", "v1")}
    async with Emulator(FileCloud(cloud)) as server:
        result = await export(write_list(cloud), tmp_path / "run", endpoint=server.url)
    assert calls_of(result) == {SHOW: 40}
    assert result.manifest["requests"]["saved_by_lists"] == 0


async def test_lists_that_tell_nothing_are_given_up(tmp_path, write_list):
    cloud = {urn(f"f{n}", f"v{q}"): None for n in range(100) for q in range(6)}
    async with Emulator(FileCloud(cloud)) as server:
        result = await export(write_list(cloud), tmp_path / "run", endpoint=server.url)
    assert 1 <= calls_of(result)[LIST_CONFIGS] <= 10
    assert calls_of(result)[SHOW] == 600
    assert result.manifest["requests"]["saved_by_lists"] == 0


BROKEN = {
    "no such api": Reply(404, b'{"error_msg":"The API does not exist","error_code":"APIGW.0101","request_id":"r"}'),
    "not allowed": Reply(403, b'{"error_code":"FSS.0403","error_msg":"no permission"}'),
    "broken": Reply(500, b'{"error_code":"FSS.0500","error_msg":"Internal server error."}'),
    "web page": Reply(200, b"<html></html>", {"Content-Type": "text/html"}),
    "null": Reply(200, b"null"),
    "no list": Reply(200, b'{"async_invoke_configs":{"a":1}}'),
    "no UTF-8": Reply(200, b'{"async_invoke_configs":[{"func_urn":"u","created_time":"\xff"}]}'),
    "deep": Reply(200, b'{"async_invoke_configs":[' + b"[" * 5000 + b"]" * 5000 + b"]}"),
    "odd items": Reply(200, b'{"async_invoke_configs":[1],"page_info":{"next_marker":0}}'),
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN)
async def test_a_service_without_the_list_costs_three_calls(tmp_path, write_list, monkeypatch, reply):
    cloud = many()
    async with Emulator(FileCloud(cloud)) as server:
        plain = await export(write_list(cloud), tmp_path / "plain", endpoint=server.url, batch=False)
        answering(server, monkeypatch, lambda _reply: reply)
        result = await export(write_list(cloud), tmp_path / "run", endpoint=server.url)
    assert result.exit_code == plain.exit_code == 0
    assert sums(result) == sums(plain)
    assert calls_of(result) == {LIST_CONFIGS: 3, SHOW: len(cloud)}


def leaves_out(name):
    return lambda item: {field: value for field, value in item.items() if field != name}


CHANGES = {
    "a field is left out": leaves_out("enable_async_status_log"),
    "a field is added": lambda item: {**item, "count": 2, "page_info": {"next_marker": 2}},
    "another config": lambda item: {**item, "max_async_retry_attempts": 7},
    "no qualifier": lambda item: {**item, "func_urn": item["func_urn"].rpartition(":")[0]},
    "no name": leaves_out("func_urn"),
    "a name that is none": lambda item: {**item, "func_urn": 5},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_what_a_list_says_otherwise_is_not_believed(tmp_path, write_list, monkeypatch, change):
    cloud = {
        urn(f"f{n}", f"v{q}"): config(q, enable_async_status_log=bool(q % 2), destination_config=None)
        for n in range(10)
        for q in range(8)
    }

    def changed(reply):
        body = json.loads(reply.body)
        body["async_invoke_configs"] = [change(item) for item in body["async_invoke_configs"]]
        return Reply(200, json.dumps(body).encode())

    async with Emulator(FileCloud(cloud)) as server:
        plain = await export(write_list(cloud), tmp_path / "plain", endpoint=server.url, batch=False)
        answering(server, monkeypatch, changed)
        result = await export(write_list(cloud), tmp_path / "run", endpoint=server.url)
    assert sums(result) == sums(plain)
    assert calls_of(result)[SHOW] == len(cloud)


async def test_a_urn_that_is_told_of_in_two_ways_is_asked_alone(tmp_path, write_list, monkeypatch):
    cloud = {urn("f", f"v{q}"): config(q, destination_config=None) for q in range(8)}

    def doubled(reply):
        body = json.loads(reply.body)
        first, second = body["async_invoke_configs"][3:5]
        body["async_invoke_configs"] += [first, {**second, "max_async_retry_attempts": 9}]
        return Reply(200, json.dumps(body).encode())

    async with Emulator(FileCloud(cloud)) as server:
        answering(server, monkeypatch, doubled)
        await export(write_list(cloud), tmp_path / "run", endpoint=server.url)
    by_name = {row["function_urn"]: row["operation"] for row in rows(tmp_path / "run", "calls")}
    first, second = list(cloud)[3:5]  # the emulator lists them in this order, after latest, which has no config
    assert (by_name[first], by_name[second]) == (LIST_CONFIGS, SHOW)
    assert by_urn(tmp_path / "run")[second]["max_async_retry_attempts"] == 0


async def test_markers_that_lead_nowhere_end_the_list(tmp_path, write_list, monkeypatch):
    cloud = {urn("f", f"v{q}"): config(q) for q in range(150)}
    for marker in (None, "", "soon", 0, "0", -1, [1]):
        async with Emulator(FileCloud(cloud)) as server:

            def stuck(reply, marker=marker):
                return Reply(200, json.dumps({**json.loads(reply.body), "page_info": {"next_marker": marker}}).encode())

            answering(server, monkeypatch, stuck)
            result = await export(
                write_list(cloud), tmp_path / "run", endpoint=server.url, mode="overwrite", batch=True
            )
        assert calls_of(result)[LIST_CONFIGS] == 1
        assert result.manifest["counts"]["status"]["configured"] == 150


async def test_faults_of_lists_cost_no_urn(tmp_path, write_list):
    cloud = many(functions=30)
    async with Emulator(FileCloud(cloud)) as server:
        plain = await export(write_list(cloud), tmp_path / "plain", endpoint=server.url, batch=False)
        server.clear()
        server.faults = Faults.parse("5xx=5%,reset=5%,malformed=5%", seed=3)
        result = await export(write_list(cloud), tmp_path / "run", endpoint=server.url, attempts=20)
        assert sums(result) == sums(plain)
        assert result.manifest["requests"]["total"] == len(server.requests)
    assert result.manifest["requests"]["saved_by_lists"] > 0


async def test_after_a_kill_no_call_is_made_again_but_those_in_flight(tmp_path, write_list):
    cloud = many(functions=20)
    workers = 4
    path = write_list(cloud)
    copies = []
    async with Emulator(FileCloud(cloud), faults=Faults(latency=0.002)) as server:
        asked = Counter()
        handle = server._judge

        def copying(call, *rest):
            asked[call.raw_path] += 1
            if asked.total() % 9 == 0:
                copy = tmp_path / f"copy{asked.total()}"
                shutil.copytree(tmp_path / "run", copy)
                copies.append((copy, Counter(asked)))
            return handle(call, *rest)

        server._judge = copying
        whole = await export(path, tmp_path / "run", endpoint=server.url, max_workers=workers)
        server._judge = handle
        assert len(copies) > 10
        for copy, before in copies:
            server.clear()
            resumed = await export([], copy, mode="resume", endpoint=server.url, max_workers=workers)
            repeated = before & Counter(request.path for request in server.requests)
            assert repeated.total() <= workers, copy.name
            assert sums(resumed) == sums(whole)


async def test_a_dead_token_costs_no_list(tmp_path, write_list):
    async with Emulator(FileCloud(many()), token="another") as server:
        result = await export(write_list(many()), tmp_path / "run", endpoint=server.url)
        assert [request.path for request in server.requests if "configs" in request.path] == []
    assert result.exit_code == 3


async def test_a_reset_list_is_tried_again_with_another_function(tmp_path, write_list):
    cloud = many(functions=6)
    async with Emulator(FileCloud(cloud)) as server:
        server.plan({urn("f0"): [Fault.RESET]})
        result = await export(write_list(cloud), tmp_path / "run", endpoint=server.url, max_workers=1)
    assert calls_of(result)[LIST_CONFIGS] == 6
    assert result.manifest["requests"]["saved_by_lists"] > 20


def test_what_was_listed_is_noted_with_its_outcomes(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.record_listed(urn("f"))
        assert not ledger.is_listed(urn("f"))
        ledger.commit()
        assert ledger.is_listed(urn("f"))
        assert not ledger.is_listed(urn("g"))


@pytest.mark.parametrize("urns", [5, 20, 40])
@pytest.mark.parametrize("seed", range(4))
async def test_a_short_list_of_urns_is_never_asked_by_more_calls_than_it_has(tmp_path, write_list, urns, seed):
    async with Emulator(GeneratedCloud(400, seed)) as server:
        path = write_list(server.urns(urns))
        result = await export(path, tmp_path / "run", endpoint=server.url)
    assert result.manifest["requests"]["total"] == result.manifest["input"]["urns"]


async def test_an_item_without_a_qualifier_settles_no_urn(tmp_path, write_list, monkeypatch):
    cloud = {urn(f"f{n}", f"v{q}"): config(q, destination_config=None) for n in range(8) for q in range(8)}
    cloud |= {urn(f"f{n}", "latest"): config(40, destination_config=None) for n in range(8)}
    cloud[urn("a", "latest")] = config(1)
    plain = [urn(f"f{n}") for n in range(8)]

    def without_qualifier(reply):
        body = json.loads(reply.body)
        for item in body["async_invoke_configs"] or ():
            name = item["func_urn"].rpartition("default:")[2]
            if name == "f0:latest" or (name.endswith(":v7") and name != "f0:v7"):  # f0 agrees with its own call
                item["func_urn"] = item["func_urn"].rpartition(":")[0]
        body["async_invoke_configs"] = [
            item for item in body["async_invoke_configs"] if not item["func_urn"].endswith(":latest")
        ]
        return Reply(200, json.dumps(body).encode())

    async with Emulator(FileCloud(cloud)) as server:
        answering(server, monkeypatch, without_qualifier)
        answer = server._answer

        def naming_no_latest(route, scope, found):
            reply = answer(route, scope, found)
            return (
                reply if route.operation is Operation.LIST_CONFIGS else Reply(200, reply.body.replace(b":latest", b""))
            )

        monkeypatch.setattr(server, "_answer", naming_no_latest)
        await export(write_list([*cloud, *plain]), tmp_path / "run", endpoint=server.url, max_workers=1)
    found = by_urn(tmp_path / "run")
    assert {found[one]["max_async_event_age_in_seconds"] for one in plain} == {100}
    reported = {row["function_urn"]: row["operation"] for row in rows(tmp_path / "run", "calls")}
    assert {reported[one] for one in plain} == {SHOW}


@pytest.mark.parametrize("workers", [1, 64])
async def test_a_function_with_thousands_of_qualifiers_is_listed_once_for_all_of_them(tmp_path, write_list, workers):
    cloud = {urn("f", f"v{n}"): config(n) for n in range(2500)}
    async with Emulator(FileCloud(cloud)) as server:
        result = await export(write_list(cloud), tmp_path / "run", endpoint=server.url, max_workers=workers)
    assert calls_of(result)[LIST_CONFIGS] == 25
    assert calls_of(result)[SHOW] <= 5
    assert result.manifest["counts"]["status"]["configured"] == 2500


async def test_a_list_that_is_too_long_to_be_kept_is_not_read_further(tmp_path, write_list, monkeypatch):
    monkeypatch.setattr("inventory.pipeline.batch.MAX_KEPT", 300)
    monkeypatch.setattr("inventory.pipeline.batch.MAX_GROUP", 50)
    cloud = {urn("f", f"v{n:04}"): config(n) for n in reversed(range(1000))}
    async with Emulator(FileCloud(cloud)) as server:
        result = await export(write_list(cloud), tmp_path / "run", endpoint=server.url, max_workers=1)
    assert calls_of(result)[LIST_CONFIGS] == 4
    assert result.manifest["counts"]["status"]["configured"] == 1000


class InstantScope:
    """Makes calls without limits."""

    is_proven = True
    is_closed = False

    def attempts(self, maximum):
        assert maximum == 1
        return Attempts(0.0)

    async def fetch(self, _operation, call, _attempts):
        return await call()


class VerifyingFetcher:
    """Settles a URN when its event is set; its own call and the list differ for ``different``."""

    def __init__(self, different):
        self.early = {}
        self.fetched = []
        self._different = different
        self.events = {}

    async def fetch(self, urn):
        self.fetched.append(urn)
        if urn in self.events:
            await self.events[urn].wait()
        body = b'{"max_async_retry_attempts":2}' if urn in self._different else b'{"max_async_retry_attempts":1}'
        return success_outcome(urn, Answer(body, None), SHOW, Attempts(0.0))


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("is_disproved_first", [True, False])
async def test_a_shape_that_one_of_two_groups_disproves_is_not_trusted(is_disproved_first):
    functions = {name: [urn(name, f"v{n}") for n in range(6)] for name in ("f", "g", "h")}
    right, wrong = functions["f"][0], functions["g"][0]
    fetcher = VerifyingFetcher(different={wrong})
    fetcher.events = {right: asyncio.Event(), wrong: asyncio.Event()}

    async def list_configs(function, _marker):
        urns = functions[function.rpartition(":")[2]]
        return ConfigPage([(urn, b'{"max_async_retry_attempts":1}') for urn in urns], None)

    async def keep(outcomes):
        kept.extend(outcomes)

    kept = []
    batch = BatchFetcher(
        InstantScope(),
        fetcher,
        list_configs,
        note_listed=lambda _function: None,
        was_listed=lambda _function: False,
        keep=keep,
    )
    jobs = list(batch.jobs(iter([one for urns in functions.values() for one in urns]), total=100))
    tasks = [asyncio.create_task(batch.fetch(*job)) for job in jobs if job[0] in fetcher.events]
    await settle()
    assert set(fetcher.fetched) == {right, wrong}  # both are on trial
    for checked in (wrong, right) if is_disproved_first else (right, wrong):
        fetcher.events[checked].set()
        await settle()
    await asyncio.gather(*tasks)
    before = len(kept)
    for job in jobs:
        if job[0] in functions["h"]:
            await batch.fetch(*job)
    assert len(kept) == before
    assert set(functions["h"]) <= set(fetcher.fetched)
