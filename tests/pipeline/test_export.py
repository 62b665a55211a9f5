"""The whole road, over real HTTP against the emulator."""

import asyncio
import hashlib
import json
import random
from collections import Counter

import pytest
from support.runs import TOKEN, by_urn, export, manifest_of, rows

from inventory.emulator import Emulator, Fault, Faults, FileCloud, GeneratedCloud, Limit, Reply
from inventory.errors import (
    CredentialsError,
    ExitCode,
    InterruptedRunError,
    OutputError,
    SettingsError,
    SourceError,
    UsageError,
)
from inventory.progress import ProgressObserver
from inventory.settings import AccountSettings

P = "urn:fss:cn-north-4:0123456789abcdef0123456789abcdef:function:default:"
OTHER = "urn:fss:ap-southeast-1:fedcba9876543210fedcba9876543210:function:default:"
CONFIG = {
    "max_async_event_age_in_seconds": 60,
    "max_async_retry_attempts": 1,
    "destination_config": {"on_failure": {"destination": "SMN", "param": '{"topic_urn":"urn:smn:cn-north-4:p:t"}'}},
    "created_time": "2021-03-04T14:50:02+08:00",
    "last_modified": "2021-03-04 14:50:02",
}
STABLE = ("functions", "destinations", "rejects")


def refused(code="APIGW.0301", status=401):
    return Reply(status, json.dumps({"error_msg": "decrypt token fail", "error_code": code}).encode())


async def test_every_entry_is_accounted_for(tmp_path, write_list):
    cloud = FileCloud({f"{P}a:latest": CONFIG, f"{P}b:latest": None})
    entries = [f"{P}a:latest", f"{P}b:latest", f"{P}gone:latest", f"{P}a:latest", "not a urn", f"{P}a:v9", f"{P}a:!x"]
    async with Emulator(cloud, token=TOKEN) as server:
        result = await export(write_list(entries), tmp_path / "run", endpoint=server.url)
    assert result.exit_code == ExitCode.ANSWERED
    assert result.manifest["input"] | {"files": []} == {
        "files": [],
        "entries": 7,
        "urns": 5,
        "duplicates": 1,
        "rejects": 1,
        "cleaned": 0,
        "listed": None,
    }
    assert {urn.removeprefix(P): row["status"] for urn, row in by_urn(tmp_path / "run").items()} == {
        "a:latest": "configured",
        "b:latest": "not_configured",
        "gone:latest": "not_found",
        "a:v9": "not_found",
        "a:!x": "not_found",
    }
    assert sum(result.manifest["counts"]["status"].values()) == 5


async def test_the_bytes_do_not_depend_on_workers_order_or_faults(tmp_path, write_list):
    cloud = GeneratedCloud(150, regions=("cn-north-4", "ap-southeast-1"))
    urns = list(cloud.urns())
    shuffled = random.Random(3).sample(urns, len(urns))
    faults = Faults.parse("latency=2ms,5xx=2%,reset=2%,malformed=2%")
    async with Emulator(cloud) as calm, Emulator(cloud, faults=faults) as troubled:
        await export(write_list(urns), tmp_path / "one", endpoint=calm.url, max_workers=1)
        result = await export(
            write_list(shuffled), tmp_path / "many", endpoint=troubled.url, max_workers=64, attempts=12
        )
    assert result.manifest["requests"]["retries"] > 0
    for table in STABLE:
        for suffix in ("parquet", "csv"):
            one, many = (tmp_path / folder / f"{table}.{suffix}" for folder in ("one", "many"))
            assert one.read_bytes() == many.read_bytes(), f"{table}.{suffix}"


async def test_csv_and_parquet_hold_the_same_cells(tmp_path, write_list):
    async with Emulator(functions=80) as server:
        await export(write_list([*server.urns(), "=cmd()"]), tmp_path / "run", endpoint=server.url)
    for table in ("functions", "destinations", "calls", "rejects", "scopes"):
        assert rows(tmp_path / "run", table, "csv") == rows(tmp_path / "run", table)
        assert rows(tmp_path / "run", table)


async def test_the_manifest_says_what_was_written(tmp_path, write_list):
    async with Emulator(functions=60, faults=Faults.parse("5xx=5%")) as server:
        result = await export(write_list(server.urns()), tmp_path / "run", endpoint=server.url)
        seen = Counter(str(status) for status in server.counts.elements())
    manifest = manifest_of(tmp_path / "run")
    assert manifest == result.manifest
    assert manifest["requests"]["by_http_status"] == dict(seen)
    assert manifest["requests"]["total"] == sum(seen.values())
    assert manifest["complete"] is True
    assert manifest["exit_code"] == 0
    for table in manifest["tables"]:
        content = (tmp_path / "run" / table["path"]).read_bytes()
        assert len(content) == table["bytes"]
        assert hashlib.sha256(content).hexdigest() == table["sha256"]
        assert len(rows(tmp_path / "run", table["name"], table["format"])) == table["rows"]
    assert TOKEN not in json.dumps(manifest)


async def test_a_refused_token_stops_at_once_and_a_good_one_goes_on(tmp_path, write_list):
    async with Emulator(functions=100, token="another-token-than-ours") as server:
        path = write_list(server.urns())
        result = await export(path, tmp_path / "run", endpoint=server.url, max_workers=64)
        assert 1 <= len(server.requests) <= 3
        assert result.exit_code == ExitCode.CREDENTIALS
        assert result.manifest["complete"] is False
        counts = result.manifest["counts"]["status"]
        assert counts["not_attempted"] == len(rows(tmp_path / "run")) - counts["failed"] > 0
        server.token = TOKEN
        server.clear()
        resumed = await export([], tmp_path / "run", mode="resume", endpoint=server.url, batch=False)
        assert resumed.exit_code == ExitCode.ANSWERED
        assert len(server.requests) == resumed.manifest["input"]["urns"]
        assert not resumed.manifest["counts"]["status"]["failed"]


async def test_a_refused_scope_does_not_stop_the_others(tmp_path, write_list):
    refusing = {f"{OTHER}f{number}:latest": refused() for number in range(40)}
    cloud = FileCloud({f"{P}f{number}:latest": CONFIG for number in range(40)}, refusing)
    async with Emulator(cloud) as server:
        path = write_list(cloud.urns())
        result = await export(path, tmp_path / "run", endpoint=server.url)
        assert sum(request.status == 401 for request in server.requests) <= 3
    assert result.exit_code == ExitCode.CREDENTIALS
    statuses = Counter((row["region"], row["status"]) for row in rows(tmp_path / "run"))
    assert statuses["cn-north-4", "configured"] == 40
    assert statuses["ap-southeast-1", "not_attempted"] >= 37
    assert [bool(scope["stopped"]) for scope in result.manifest["scopes"]] == [True, False]


async def test_a_resumed_run_asks_only_what_failed(tmp_path, write_list):
    cloud = FileCloud({f"{P}f{number}:latest": CONFIG for number in range(10)})
    path = write_list(cloud.urns())
    async with Emulator(cloud) as server:
        await export(path, tmp_path / "calm", endpoint=server.url)
        server.plan({f"{P}f3:latest": [Fault.BAD_GATEWAY] * 2})
        first = await export(path, tmp_path / "run", endpoint=server.url, attempts=2)
        assert first.exit_code == ExitCode.SOME_FAILED
        assert by_urn(tmp_path / "run")[f"{P}f3:latest"]["error_kind"] == "server_error"
        server.clear()
        second = await export(path, tmp_path / "run", mode="resume", endpoint=server.url, attempts=2)
        assert [request.urn for request in server.requests] == [f"{P}f3:latest"]
    assert second.exit_code == ExitCode.ANSWERED
    assert second.manifest["requests"]["total"] == 12
    for table in STABLE:
        name = f"{table}.parquet"
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "calm" / name).read_bytes()


async def test_a_complete_run_is_not_asked_again(tmp_path, write_list):
    async with Emulator(functions=20) as server:
        path = write_list(server.urns())
        await export(path, tmp_path / "run", endpoint=server.url)
        before = {file.name: file.read_bytes() for file in (tmp_path / "run").glob("*.[pcj]*")}
        server.clear()
        result = await export(path, tmp_path / "run", mode="resume", endpoint=server.url)
        assert result.nothing_to_do
        assert not server.requests
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").glob("*.[pcj]*")} == before


async def test_a_run_is_never_written_over_by_accident(tmp_path, write_list):
    async with Emulator(functions=5) as server:
        path = write_list(server.urns())
        await export(path, tmp_path / "run", endpoint=server.url)
        with pytest.raises(OutputError, match=r"contains a run already .*--resume .*--overwrite"):
            await export(path, tmp_path / "run", endpoint=server.url)
        result = await export(path, tmp_path / "run", mode="overwrite", endpoint=server.url, format=("csv",))
    assert result.exit_code == ExitCode.ANSWERED
    assert not list((tmp_path / "run").glob("*.parquet"))


async def test_overwriting_loses_nothing_before_the_new_list_is_in(tmp_path, write_list):
    def files():
        return {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir() if file.suffix != ".sqlite"}

    broken = tmp_path / "list.json"
    broken.write_text(f'["{P}a:latest", "{P}b:la')
    stopped = ProgressObserver()
    stopped.cancel(2)
    async with Emulator(functions=5) as server:
        path = write_list(server.urns())
        await export(path, tmp_path / "run", endpoint=server.url)
        before = files()
        with pytest.raises(SourceError):
            await export(broken, tmp_path / "run", mode="overwrite", endpoint=server.url)
        with pytest.raises(InterruptedRunError, match=r"^stopped by SIGINT$"):
            await export(path, tmp_path / "run", mode="overwrite", endpoint=server.url, observer=stopped)
        with pytest.raises(CredentialsError):
            await export(path, tmp_path / "run", mode="overwrite", endpoint=server.url, token=None)
        assert files() == before
        result = await export([], tmp_path / "run", mode="resume", endpoint=server.url)
        assert result.nothing_to_do


async def test_a_table_of_the_run_itself_may_be_the_list_that_overwrites_it(tmp_path, write_list):
    async with Emulator(functions=5) as server:
        await export(write_list(server.urns()), tmp_path / "run", endpoint=server.url)
        table = tmp_path / "run" / "functions.parquet"
        result = await export(table, tmp_path / "run", mode="overwrite", endpoint=server.url)
    assert result.manifest["input"]["urns"] == len(rows(tmp_path / "run")) > 0


async def test_no_file_is_left_that_the_manifest_does_not_list(tmp_path, write_list):
    async with Emulator(FileCloud({f"{P}a:latest": CONFIG, f"{P}b:latest": CONFIG})) as server:
        server.plan({f"{P}a:latest": [Fault.BAD_GATEWAY]})
        await export(write_list(server.urns()), tmp_path / "run", endpoint=server.url, attempts=1)
        result = await export([], tmp_path / "run", mode="resume", endpoint=server.url, format=("csv",))
    there = {file.name for file in (tmp_path / "run").iterdir()}
    assert there == {"ledger.sqlite", "manifest.json", *(table["path"] for table in result.manifest["tables"])}


async def test_a_resumed_run_is_never_worse_than_it_was(tmp_path, write_list):
    not_permitted = Reply(401, b'{"error_code": "FSS.0401", "error_msg": "not permit"}')
    cloud = FileCloud(
        {f"{P}f{n:02}:latest": CONFIG for n in range(20)}, {f"{P}g{n}:latest": not_permitted for n in range(5)}
    )
    async with Emulator(cloud) as server:
        first = await export(write_list(cloud.urns()), tmp_path / "run", endpoint=server.url)
        before = {table: (tmp_path / "run" / f"{table}.parquet").read_bytes() for table in STABLE}
        again = await export([], tmp_path / "run", mode="resume", endpoint=server.url)
        # A refusal may mean the credential, so a list verifies it, in the first session if three come in a row.
        calls = len(server.requests)
    assert calls in {31, 32}
    assert (first.exit_code, again.exit_code) == (ExitCode.SOME_FAILED, ExitCode.SOME_FAILED)
    assert {table: (tmp_path / "run" / f"{table}.parquet").read_bytes() for table in STABLE} == before
    assert (again.manifest["requests"]["total"], again.manifest["requests"]["retries"]) == (calls, 5)


async def test_a_resumed_run_that_is_stopped_keeps_what_it_knew(tmp_path, write_list):
    not_permitted = Reply(401, b'{"error_code": "FSS.0401", "error_msg": "not permit"}')
    cloud = FileCloud({f"{P}a:latest": CONFIG}, {f"{P}g{n}:latest": not_permitted for n in range(5)})
    async with Emulator(cloud, token=TOKEN) as server:
        await export(write_list(cloud.urns()), tmp_path / "run", endpoint=server.url)
        result = await export([], tmp_path / "run", mode="resume", endpoint=server.url, token="a-dead-token-of-ours")
    assert result.exit_code == ExitCode.CREDENTIALS
    assert Counter(row["error_msg"] for row in rows(tmp_path / "run"))["not permit"] == 4
    assert result.manifest["counts"]["status"]["not_attempted"] == 0


async def test_the_tables_are_built_again_without_a_call(tmp_path, write_list):
    async with Emulator(FileCloud({f"{P}a:latest": CONFIG})) as server:
        await export(write_list([f"{P}a:latest"]), tmp_path / "run", endpoint=server.url, format=("parquet",))
        server.clear()
        resumed = {"mode": "resume", "endpoint": server.url}
        assert by_urn(tmp_path / "run")[f"{P}a:latest"]["last_modified"] is None
        await export([], tmp_path / "run", **resumed, format=("csv",), naive_timezone="Asia/Shanghai")
        assert by_urn(tmp_path / "run")[f"{P}a:latest"]["last_modified"].hour == 6
        assert rows(tmp_path / "run", "functions", "csv") == rows(tmp_path / "run"), "the formats add up"
        (tmp_path / "run" / "calls.csv").unlink()
        result = await export([], tmp_path / "run", **resumed, naive_timezone="Asia/Shanghai")
        assert (tmp_path / "run" / "calls.csv").exists()
        assert not result.nothing_to_do
        assert not server.requests


async def test_the_commit_mark_is_gone_while_a_resumed_run_asks(tmp_path, write_list):
    cloud = FileCloud({f"{P}a:latest": CONFIG})
    async with Emulator(cloud) as server:
        server.plan({f"{P}a:latest": [Fault.BAD_GATEWAY]})
        await export(write_list(cloud.urns()), tmp_path / "run", endpoint=server.url, attempts=1)
        seen = []

        def look(_urn, _times):
            seen.append((tmp_path / "run" / "manifest.json").exists())

        server.plan(look)
        await export([], tmp_path / "run", mode="resume", endpoint=server.url)
    assert seen == [False]


async def test_a_manifest_that_is_none_is_told(tmp_path, write_list):
    async with Emulator(FileCloud({f"{P}a:latest": CONFIG})) as server:
        await export(write_list([f"{P}a:latest"]), tmp_path / "run", endpoint=server.url)
        (tmp_path / "run" / "manifest.json").write_text("{}")
        with pytest.raises(OutputError, match=r"manifest\.json is damaged: it is no manifest"):
            await export([], tmp_path / "run", mode="resume", endpoint=server.url)


async def test_another_list_or_endpoint_is_no_resumption(tmp_path, write_list):
    async with Emulator(functions=5) as server:
        path = write_list(server.urns())
        await export(path, tmp_path / "run", endpoint=server.url)
        with pytest.raises(SourceError, match="not the list that this run began with"):
            await export(write_list(["x"], "other.txt"), tmp_path / "run", mode="resume", endpoint=server.url)
        with pytest.raises(SettingsError, match="--column was None"):
            await export([], tmp_path / "run", mode="resume", endpoint=server.url, column="b")
        with pytest.raises(SettingsError, match="--endpoint was http://127"):
            await export(path, tmp_path / "run", mode="resume", endpoint="http://127.0.0.1:1")
        elsewhere = (AccountSettings("all", endpoint="http://127.0.0.1:1"),)
        with pytest.raises(SettingsError, match=r"the endpoint of cn-north-4/\w+ was http://127"):
            await export([], tmp_path / "run", mode="resume", endpoint=server.url, accounts=elsewhere)
        with pytest.raises(UsageError, match="contains no run"):
            await export(path, tmp_path / "nothing", mode="resume", endpoint=server.url)


async def test_a_list_that_cannot_be_read_leaves_no_trace(tmp_path, write_list):
    broken = tmp_path / "list.json"
    broken.write_text(f'["{P}a:latest", "{P}b:la')
    with pytest.raises(SourceError, match="no whole JSON array"):
        await export(broken, tmp_path / "run")
    with pytest.raises(CredentialsError, match="HW_AUTH_TOKEN"):
        await export(write_list([f"{P}a:latest"]), tmp_path / "run", token=None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("entries", [[], ["# nothing but a comment"], ["foo bar", "urn:smn:a:b:c"]])
async def test_a_list_without_a_urn_is_told(tmp_path, write_list, entries):
    result = await export(write_list(entries), tmp_path / "run")
    assert result.exit_code == ExitCode.USAGE
    assert result.manifest["complete"] is False
    assert rows(tmp_path / "run") == []
    assert len(rows(tmp_path / "run", "rejects")) == sum(not entry.startswith("#") for entry in entries)


async def test_a_limit_is_learnt_and_kept(tmp_path, write_list):
    cloud = FileCloud({f"{P}f{number:02}:latest": CONFIG for number in range(60)})
    async with Emulator(cloud, limit=Limit.parse("15/second")) as server:
        path = write_list(cloud.urns())
        result = await export(path, tmp_path / "run", endpoint=server.url, max_per_second=200)
    assert result.exit_code == ExitCode.ANSWERED
    assert result.manifest["scopes"][0]["limit_learnt"] == {"calls": 15, "seconds": 1.0, "policy": "user"}
    assert result.manifest["counts"]["status"]["configured"] == 60
    assert 0 < result.manifest["scopes"][0]["refused"] == result.manifest["requests"]["throttled"] <= 10
    # How much of it should be used, simulations say (test_throttle_simulation); here the machine may be busy.
    assert 0 < result.manifest["scopes"][0]["limit_used"] <= 1.0
    assert all(row["attempts"] == 1 for row in rows(tmp_path / "run", "calls"))


async def test_an_endpoint_that_is_down_is_given_up(tmp_path, write_list):
    path = write_list(f"{P}f{number}:latest" for number in range(200))
    result = await export(path, tmp_path / "run", endpoint="http://127.0.0.1:1", attempts=1)
    assert result.exit_code == ExitCode.STOPPED
    counts = result.manifest["counts"]
    assert 6 <= counts["status"]["failed"] == counts["error_kind"]["connection"] < 60
    assert counts["status"]["not_attempted"] == 200 - counts["status"]["failed"]


async def test_no_task_is_left_behind(tmp_path, write_list):
    with Emulator(functions=20).in_thread() as server:
        await export(write_list(server.urns()), tmp_path / "run", endpoint=server.url)
        with pytest.raises(OutputError):
            await export(write_list(server.urns()), tmp_path / "run", endpoint=server.url)
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_run_that_is_out_of_time_ends_in_good_order(tmp_path, write_list):
    cloud = FileCloud({f"{P}f{number:02}:latest": CONFIG for number in range(60)})
    async with Emulator(cloud) as server:
        path = write_list(cloud.urns())
        result = await export(path, tmp_path / "run", endpoint=server.url, max_per_second=20, max_time=0.6)
        status = result.manifest["counts"]["status"]
        assert (result.exit_code, result.manifest["complete"]) == (ExitCode.STOPPED, False)
        assert status["configured"] + status["not_attempted"] == 60
        assert min(status["configured"], status["not_attempted"]) > 0
        assert "--max-time" in result.manifest["scopes"][0]["stopped"]
        again = await export(
            path, tmp_path / "run", mode="resume", endpoint=server.url, max_per_second=200, max_time=None
        )
        assert (again.exit_code, again.manifest["counts"]["status"]["configured"]) == (ExitCode.ANSWERED, 60)
        assert server.counts == {200: 60}


async def test_odd_json_reaches_the_tables_whole(tmp_path, write_list):
    f = "urn:fss:cn-north-4:p0:function:default:"
    body = (
        b'\xef\xbb\xbf{"max_async_retry_attempts":3,"note":"a\\ud83d","digits":[0.10000000000000000001,-0,1e400],'
        b'"twice":1,"twice":2,"destination_config":{"on_failure":{"destination":"OBS","param":'
        b'"{\\"bucket\\":\\"b\\\\udc00\\"}"}}}'
    )
    lost = Reply(404, b'{"error_code":"FSS.1051","x":"\\ud83d","y":-0}')
    async with Emulator(FileCloud({}, {f"{f}odd": Reply(200, body), f"{f}lost": lost}), token=TOKEN) as server:
        urns = write_list([f"{f}odd", f"{f}lost"])
        result = await export(urns, tmp_path / "run", endpoint=server.url)
    assert result.exit_code is ExitCode.ANSWERED
    found = by_urn(tmp_path / "run")
    assert found[f"{f}odd"]["max_async_retry_attempts"] == 3
    assert found[f"{f}odd"]["extra"] == (
        '{"digits":[0.10000000000000000001,-0,1e400],"note":"a\\\\ud83d","repeated_keys":{"twice":[1]},"twice":2}'
    )
    assert found[f"{f}lost"]["extra"] == '{"x":"\\\\ud83d","y":-0}'
    assert rows(tmp_path / "run", "destinations")[0]["obs_bucket"] == "b\\udc00"


async def test_a_config_of_another_version_is_no_row(tmp_path, write_list):
    f = "urn:fss:cn-north-4:p0:function:default:f"
    swapped = {f"{f}:v1": f"{f}:v2", f"{f}:v2": f"{f}:v1", f"{f}:!prod": f"{f}:v2", f: f"{f}:latest"}
    answers = {urn: Reply(200, json.dumps({"func_urn": named}).encode()) for urn, named in swapped.items()}
    async with Emulator(FileCloud({}, answers), token=TOKEN) as server:
        result = await export(write_list(swapped), tmp_path / "run", endpoint=server.url, attempts=2, batch=False)
    found = by_urn(tmp_path / "run")
    assert {urn: row["error_kind"] for urn, row in found.items()} == {
        f"{f}:v1": "bad_answer",
        f"{f}:v2": "bad_answer",
        f"{f}:!prod": None,
        f: None,
    }
    assert result.manifest["counts"]["named_otherwise"] == 1
