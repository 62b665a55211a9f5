"""Exports under every fault: they end, count every call, and never store a wrong answer."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from support.runs import TOKEN, by_urn, export, manifest_of, rows

from inventory.cloud.client import Client
from inventory.emulator import Emulator, Fault, Faults, GeneratedCloud
from inventory.emulator.faults.plan import GIANTS, RECOVERABLE, STALLS, THROTTLES
from inventory.errors import CallError, ExitCode

TIMEOUT = 1.5
"""Timeout in seconds: long enough for every other answer on a busy machine."""
DEAR = frozenset({*STALLS, *GIANTS, *THROTTLES, Fault.AWAY})
"""Slow faults hit few URNs once; others hit more URNs up to three times."""
TABLES = ("functions", "destinations")
TO_THE_END = ("failed", "not_attempted")


def planned(urns, kinds, *, seed):
    dice = random.Random(seed)
    times = Counter(":".join(urn.split(":")[:7]) for urn in urns)
    single = [urn for urn in urns if times[":".join(urn.split(":")[:7])] == 1]
    firsts = [kind for kind in kinds for _ in range(1 if kind in DEAR else 4)]
    cheap = [kind for kind in kinds if kind not in DEAR]
    return {
        urn: [first] if first in DEAR else [first, *dice.choices(cheap, k=dice.randint(0, 2))]
        for urn, first in zip(dice.sample(single, len(firsts)), firsts, strict=True)
    }


@pytest.fixture
def export_right(tmp_path, write_list):
    async def export_right(functions):
        cloud = GeneratedCloud(functions=functions, regions=("cn-north-4", "ap-southeast-1"))
        urns = list(cloud.urns())
        path = write_list([*urns, urns[0], urns[7], "not a urn"])
        async with Emulator(cloud, token=TOKEN) as server:
            await export(path, tmp_path / "right", endpoint=server.url, max_workers=16)
        return cloud, path, urns, tmp_path / "right"

    return export_right


def assert_accounted(folder, path, urns):
    manifest = manifest_of(folder)
    read = manifest["input"]
    assert read["entries"] == len(path.read_text().splitlines()) == read["urns"] + read["duplicates"] + read["rejects"]
    assert sorted(row["function_urn"] for row in rows(folder)) == sorted(urns)
    assert sum(manifest["counts"]["status"].values()) == read["urns"] == len(urns)


def assert_right(folder, right):
    open_urns = {urn for urn, row in by_urn(folder).items() if row["status"] in TO_THE_END}
    for table in TABLES:
        found = [row for row in rows(folder, table) if row["function_urn"] not in open_urns]
        assert found == [row for row in rows(right, table) if row["function_urn"] not in open_urns]
    return open_urns


async def assert_logged(folder, server, broken=0):
    while sum(server.counts.values()) < server._number:  # noqa: ASYNC110 - we may have left before the log is written
        await asyncio.sleep(0.001)
    requests = manifest_of(folder)["requests"]
    logged = Counter({"none" if status is None else str(status): calls for status, calls in server.counts.items()})
    counted = Counter(requests["by_http_status"])
    assert requests["total"] == counted.total()
    assert 0 <= counted.total() - logged.total() <= broken
    assert (counted - logged).keys() <= {"none"}
    assert (counted - logged).total() <= broken


@pytest.fixture
def broken_calls(monkeypatch):
    counts = Counter()
    get = Client._get

    async def counted(self, *about, **more):
        try:
            return await get(self, *about, **more)
        except CallError as error:
            if error.kind == "connection":
                counts["refused" if "no connection to" in error.error_msg else "broken"] += 1
            raise

    monkeypatch.setattr(Client, "_get", counted)
    return counts


async def test_all_faults_at_once(export_right, tmp_path, broken_calls):
    cloud, path, urns, folder = await export_right(450)
    first, second = (sorted(urn for urn in urns if f":{scope.project_id}:" in urn) for scope in cloud.scopes)
    plan = planned(first, RECOVERABLE, seed=4)
    blocked = second[len(second) // 2 :]
    async with Emulator(cloud, token=TOKEN, faults=Faults(absence=0.1)) as server:
        server.plan(plan | {urn: [Fault.BLOCKED] for urn in blocked})
        result = await export(path, tmp_path / "run", endpoint=server.url, timeout=TIMEOUT, attempts=8)
        met = {request.fault for request in server.requests} - {None}
        await assert_logged(tmp_path / "run", server, broken=broken_calls.total())
    assert met == set(Fault)
    assert_accounted(tmp_path / "run", path, urns)
    open_urns = assert_right(tmp_path / "run", folder)
    assert result.exit_code == ExitCode.STOPPED
    assert "blocked" in {row["error_kind"] for row in rows(tmp_path / "run")}
    assert open_urns <= set(second)


@pytest.mark.parametrize("seed", [1])
async def test_faults_by_rate(export_right, tmp_path, seed):
    cloud, path, urns, folder = await export_right(150)
    rates = "5xx=2%,reset=2%,malformed=2%,length=2%,giant=1%,stall=1%,other_urn=2%,redirect=1%,no_content=1%"
    rates += ",broken_gzip=1%,gzip=10%,chunked=10%,throttled=0.2%,storm=1%"
    async with Emulator(cloud, token=TOKEN, faults=Faults.parse(rates, seed=seed)) as server:
        await export(path, tmp_path / "run", endpoint=server.url, timeout=TIMEOUT, attempts=8)
        await assert_logged(tmp_path / "run", server)
    assert_accounted(tmp_path / "run", path, urns)
    assert_right(tmp_path / "run", folder)


async def test_a_repeated_500_holds_nobody_up(export_right, tmp_path):
    cloud, path, urns, folder = await export_right(150)
    async with Emulator(cloud, token=TOKEN) as server:
        server.plan({urns[3]: [Fault.SERVICE_ERROR] * 99})
        await export(path, tmp_path / "run", endpoint=server.url, attempts=3, max_workers=2)
        calls = [request for request in server.requests if request.urn == urns[3]]
        await assert_logged(tmp_path / "run", server)
    assert 1 <= len(calls) <= 3
    assert assert_right(tmp_path / "run", folder) == {urns[3]}
    failed = by_urn(tmp_path / "run")[urns[3]]
    assert (failed["error_kind"], failed["http_status"], failed["error_code"]) == ("server_error", 500, "FSS.0500")


async def test_an_answer_for_another_urn_is_never_taken(export_right, tmp_path):
    cloud, path, urns, folder = await export_right(150)
    crossed = set(urns[:200:20])
    async with Emulator(cloud, token=TOKEN) as server:
        server.plan(dict.fromkeys(crossed, [Fault.OTHER_URN] * 99))
        result = await export(path, tmp_path / "run", endpoint=server.url, attempts=2)
        await assert_logged(tmp_path / "run", server)
    assert result.exit_code == ExitCode.SOME_FAILED
    failed = assert_right(tmp_path / "run", folder)  # others of them may have been told by a list of configs
    assert set() < failed <= crossed
    for urn in failed:
        row = by_urn(tmp_path / "run")[urn]
        assert (row["error_kind"], row["http_status"], row["answered_urn"]) == ("bad_answer", 200, None)
        assert row["error_msg"].startswith("not what was asked for: the config of urn:fss:")


async def test_a_server_that_comes_back_is_asked_again(export_right, tmp_path, broken_calls):
    cloud, path, urns, folder = await export_right(150)
    async with Emulator(cloud, token=TOKEN, faults=Faults(absence=0.3)) as server:
        server.plan({urns[150]: [Fault.AWAY]})
        result = await export(path, tmp_path / "run", endpoint=server.url, max_workers=16, attempts=8)
        await assert_logged(tmp_path / "run", server, broken=broken_calls.total())
    assert_accounted(tmp_path / "run", path, urns)
    assert assert_right(tmp_path / "run", folder) == set()
    assert result.exit_code == ExitCode.ANSWERED
