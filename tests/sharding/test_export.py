import random
import shutil

import pytest
from support.processes import repeated
from support.runs import TOKEN, export, manifest_of
from support.shards import Ended, Engine, export_sharded, fetch, gathered, plan_only, tables_of

from inventory.emulator import Emulator, Fault, FileCloud, GeneratedCloud
from inventory.errors import InterruptedRunError, OutputError, UsageError
from inventory.ledger.reader import LedgerView
from inventory.ledger.writer import Ledger
from inventory.progress import ProgressObserver
from inventory.runs.facts import record_end
from inventory.runs.shard_plan import read_plan
from inventory.storage.folder_store import FolderStore

PROJECTS = 6


@pytest.fixture(scope="module")
def cloud():
    """Functions in several projects, of which two have names of which one begins with the other."""
    generated = GeneratedCloud(60, seed=5)
    functions = {}
    for number, urn in enumerate(generated.urns()):
        fields = urn.split(":")
        fields[3] = ["a", "a-b", "ab", "b", "c", "d"][number % PROJECTS]
        functions[":".join(fields)] = {"destination_config": {}, "max_async_retry_attempts": number % 4}
    return FileCloud(functions)


@pytest.fixture
def server(cloud):
    with Emulator(cloud, token=TOKEN).in_thread() as server:
        yield server


@pytest.fixture
def path(write_list, server):
    urns = server.urns()
    extra = [urn.rsplit(":", 1)[0] + ":!none" for urn in urns[:9]]
    lines = [*urns, *extra, *urns[:7], "no urn", "urn:fss:x"]
    random.Random(2).shuffle(lines)
    return write_list(lines)


def assert_equations(folder):
    manifest = manifest_of(folder)
    read = manifest["input"]
    assert read["entries"] == read["urns"] + read["duplicates"] + read["rejects"]
    assert sum(manifest["counts"]["status"].values()) == read["urns"]
    assert sum(scope["urns"] for scope in manifest["scopes"]) == read["urns"]
    assert sum(scope["requests"] for scope in manifest["scopes"]) == manifest["requests"]["total"]
    return manifest


@pytest.mark.parametrize("rows_per_file", [0, 7])
async def test_shards_give_the_tables_of_one_process(tmp_path, server, path, rows_per_file):
    await export(path, tmp_path / "one", endpoint=server.url, rows_per_file=rows_per_file)
    right = tables_of(tmp_path / "one")
    assert len(right) == 6 if not rows_per_file else len(right) > 20
    for number, (size, urns) in enumerate([(1, 1), (2, 20), (4, 10), (3, 10**6)]):
        server.clear()
        folder = tmp_path / f"many-{number}"
        sharding = {"urns_per_shard": urns}
        result = await export_sharded(
            path, folder, own=Engine(size), sharding=sharding, endpoint=server.url, rows_per_file=rows_per_file
        )
        assert result.exit_code == 0
        assert tables_of(folder) == right
        manifest = assert_equations(folder)
        assert manifest["requests"]["total"] == len(server.requests)
        shards = len(read_plan(FolderStore(folder)).shards)
        assert {**manifest["shards"], "versions": None} == {
            "number": shards, "attempts": shards, "engine": "here", "versions": None
        }  # fmt: skip


@pytest.mark.parametrize(("is_elsewhere", "rows_per_file"), [(False, 0), (True, 0), (True, 7)])
async def test_parts_by_hand_in_any_order_give_the_same_tables(tmp_path, server, path, is_elsewhere, rows_per_file):
    settings = {"endpoint": server.url, "rows_per_file": rows_per_file}
    await export(path, tmp_path / "one", **settings)
    folder = tmp_path / "run"
    plan = await plan_only(path, folder, urns_per_shard=15, **settings)
    assert len(plan.shards) > 3
    for part in (2, 0, 1):
        numbers = range(part, len(plan.shards), 3)
        work_dir = tmp_path / f"machine-{part}" if is_elsewhere else None
        assert (await fetch(folder, *numbers, work_dir=work_dir)).code == 0
        result = await gathered(folder)
        assert_equations(folder)
        assert result.exit_code == (5 if part != 1 else 0)
    assert tables_of(folder) == tables_of(tmp_path / "one")
    assert manifest_of(folder)["shards"]["engine"] == "by hand"
    work = [entry.name for entry in (folder / "shards").iterdir() if entry.is_dir()]
    assert bool(work) != is_elsewhere


async def test_a_shard_that_is_killed_goes_on_from_its_ledger(tmp_path, server, path, monkeypatch):
    monkeypatch.setattr("inventory.sharding.coordinator._PAUSE_SECONDS", 0.0)

    def die(number, attempt):
        return Ended(-9, "") if number == 1 and attempt < 3 else None

    own = Engine(before=die)
    result = await export_sharded(path, tmp_path / "run", own=own, sharding={"urns_per_shard": 20}, endpoint=server.url)
    assert result.exit_code == 0
    assert own.started.count(1) == 3
    assert repeated(server) == 0


async def test_calls_that_a_killed_shard_did_not_count_are_counted_when_it_is_continued(tmp_path, server, path):
    folder = tmp_path / "run"
    await plan_only(path, folder, urns_per_shard=1000, endpoint=server.url)
    assert (await fetch(folder, 0)).code == 0
    ledger_file = folder / "shards/00000/ledger.sqlite"
    with LedgerView(ledger_file) as view:
        before = view.answers()
    with Ledger(ledger_file) as ledger:
        record_end(ledger, None)
        ledger._db.execute("DELETE FROM answers WHERE operation = 'ShowFunctionAsyncInvokeConfig'")
    assert (await fetch(folder, 0)).code == 0
    with LedgerView(ledger_file) as view:
        assert view.answers() == before


@pytest.mark.parametrize(("ends", "code"), [([70], 70), ([-9], 70), ([4], 4), ([70, 4], 4), ([2], 70)])
async def test_a_shard_that_fails_three_times_is_not_attempted(tmp_path, server, path, ends, code, monkeypatch):
    monkeypatch.setattr("inventory.sharding.coordinator._PAUSE_SECONDS", 0.0)

    def fail(number, attempt):
        return Ended(ends[attempt % len(ends)], "it broke") if number == 1 else None

    own = Engine(before=fail)
    result = await export_sharded(path, tmp_path / "run", own=own, sharding={"urns_per_shard": 20}, endpoint=server.url)
    assert own.started.count(1) == 3
    assert (result.exit_code, "shard 1 failed: it broke" in result.note) == (code, True)
    manifest = assert_equations(tmp_path / "run")
    assert not manifest["complete"]
    assert manifest["counts"]["status"]["not_attempted"] == read_plan(FolderStore(tmp_path / "run")).shards[1].entries
    result = await export_sharded(None, tmp_path / "run", mode="resume", endpoint=server.url)
    assert result.exit_code == 0
    assert repeated(server) == 0
    await export(path, tmp_path / "one", endpoint=server.url)
    assert tables_of(tmp_path / "run") == tables_of(tmp_path / "one")


async def test_a_run_that_is_complete_is_not_fetched_again(tmp_path, server, path):
    own = Engine()
    await export_sharded(path, tmp_path / "run", endpoint=server.url)
    result = await export_sharded(None, tmp_path / "run", mode="resume", own=own, endpoint=server.url)
    assert result.nothing_to_do
    assert own.started == []
    assert (await gathered(tmp_path / "run")).nothing_to_do


async def test_resume_retries_failed_urns_of_their_shard_alone(tmp_path, server, path):
    bad = min(server.urns())
    server.plan(lambda urn, _times: Fault.SERVICE_ERROR if urn == bad else None)
    result = await export_sharded(
        path, tmp_path / "run", sharding={"urns_per_shard": 1}, endpoint=server.url, attempts=1
    )
    assert result.exit_code == 1
    server.plan(None)
    server.clear()
    own = Engine()
    result = await export_sharded(None, tmp_path / "run", mode="resume", own=own, endpoint=server.url, attempts=1)
    assert (result.exit_code, own.started, len(server.requests)) == (0, [0], 1)
    assert manifest_of(tmp_path / "run")["shards"]["attempts"] == PROJECTS + 1


async def test_a_cancelled_run_stops_all_shards_which_deliver(tmp_path, server, path):
    server.plan(lambda _urn, times: Fault.STALLED if times > 0 and len(server.requests) > 30 else None)

    class Stop(ProgressObserver):
        def on_fetch(self, _progress):
            if len(server.requests) > 30:
                self.cancel(2)

    with pytest.raises(InterruptedRunError) as stopped:
        await export_sharded(
            path, tmp_path / "run", observer=Stop(), sharding={"urns_per_shard": 20}, endpoint=server.url
        )
    assert stopped.value.exit_code == 130
    records = sorted((tmp_path / "run/shards").glob("*[0-9].json"))
    assert records
    answered = len(server.requests)
    server.plan(None)
    server.clear()
    result = await export_sharded(None, tmp_path / "run", mode="resume", endpoint=server.url)
    assert result.exit_code == 0
    assert len(server.requests) < 90
    assert answered


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: path.write_bytes(b""),
        flip_a_bit,
        lambda path: path.unlink(),
    ],
)
async def test_a_damaged_delivery_is_rejected_and_fetched_again(tmp_path, server, path, spoil):
    folder = tmp_path / "run"
    plan = await plan_only(path, folder, urns_per_shard=20, endpoint=server.url)
    numbers = range(len(plan.shards))
    await fetch(folder, *numbers, work_dir=tmp_path / "elsewhere")
    (delivered,) = (folder / "shards").glob("00001-*.sqlite")
    spoil(delivered)
    result = await gathered(folder)
    assert result.exit_code == 4
    assert f"shard 1 failed: its delivery {delivered} is missing or damaged, as its SHA-256 shows" in result.note
    counts = assert_equations(folder)["counts"]["status"]
    assert counts["not_attempted"] == plan.shards[1].entries
    assert (await fetch(folder, 1, work_dir=tmp_path / "third")).code == 0
    assert (await gathered(folder)).exit_code == 0
    (delivered,) = (folder / "shards").glob("00001-*.sqlite")
    spoil(delivered)
    result = await export_sharded(None, folder, mode="resume", endpoint=server.url)
    assert result.exit_code == 0
    await export(path, tmp_path / "one", endpoint=server.url)
    assert tables_of(folder) == tables_of(tmp_path / "one")


async def test_a_ledger_of_an_earlier_run_of_the_same_list_is_not_used_again(tmp_path, server, path):
    for name in ("yesterday", "today"):
        server.clear()
        await plan_only(path, tmp_path / name, urns_per_shard=10**6, endpoint=server.url)
        assert (await fetch(tmp_path / name, 0, work_dir=tmp_path / "worker")).code == 0
        result = await gathered(tmp_path / name)
        assert (result.exit_code, len(server.requests)) == (0, result.manifest["requests"]["total"])
        assert server.requests


async def test_a_delivery_of_an_earlier_run_of_the_same_list_is_not_accepted(tmp_path, server, path):
    folder = tmp_path / "run"
    await plan_only(path, folder, urns_per_shard=10**6, endpoint=server.url)
    assert (await fetch(folder, 0, work_dir=tmp_path / "worker")).code == 0
    late = {file.name: file.read_bytes() for file in (folder / "shards").glob("00000*")}
    shutil.rmtree(folder)
    await plan_only(path, folder, urns_per_shard=10**6, endpoint=server.url)
    for name, content in late.items():
        (folder / "shards" / name).write_bytes(content)
    assert (await gathered(folder)).exit_code == 5


async def test_a_shard_continues_with_what_another_machine_delivered(tmp_path, server, path):
    folder = tmp_path / "run"
    await plan_only(path, folder, urns_per_shard=10**6, endpoint=server.url)

    class Stop(ProgressObserver):
        def on_fetch(self, progress):
            if progress.done >= 10:
                self.cancel(15)

    assert (await fetch(folder, 0, work_dir=tmp_path / "one", observer=Stop())).code == 143
    answered = len(server.requests)
    assert answered >= 10
    assert (await fetch(folder, 0, work_dir=tmp_path / "other")).code == 0
    assert repeated(server) == 0
    assert len(list((folder / "shards").glob("*.sqlite"))) == 1


async def test_shared_limits_are_divided_by_the_processes(tmp_path, server, path):
    own = Engine(4)
    await export_sharded(path, tmp_path / "four", own=own, sharding={"urns_per_shard": 10}, endpoint=server.url)
    assert {tuple(arguments[:2]) for arguments in own.arguments} == {("--endpoint-share", "0.25")}
    own = Engine(4)
    await export_sharded(path, tmp_path / "one", own=own, sharding={"urns_per_shard": 10**6}, endpoint=server.url)
    assert own.arguments == [["--endpoint-share", "1.0"]]
    own = Engine(4)
    sharding = {"urns_per_shard": 10, "endpoint_share": 0.1}
    await export_sharded(path, tmp_path / "given", own=own, sharding=sharding, endpoint=server.url, max_time=60.0)
    assert {tuple(arguments[:2]) for arguments in own.arguments} == {("--endpoint-share", "0.1")}
    assert {arguments[2] for arguments in own.arguments} == {"--max-time"}


@pytest.mark.parametrize("size", [1, 10, 100])
async def test_a_wrong_key_costs_at_most_three_calls_in_all(tmp_path, server, path, size):
    own = Engine(size, environment={"HW_AUTH_TOKEN": "a-wrong-token"})
    result = await export_sharded(path, tmp_path / "run", own=own, sharding={"urns_per_shard": 1}, endpoint=server.url)
    assert result.exit_code == 3
    assert 1 <= len(server.requests) <= 3
    assert own.started == [0]
    manifest = assert_equations(tmp_path / "run")
    assert manifest["counts"]["status"]["not_attempted"] >= manifest["input"]["urns"] - 3


async def test_a_part_of_a_hundred_shards_tries_a_wrong_key_at_most_three_times(tmp_path, server, write_list):
    path = write_list([f"urn:fss:cn-north-4:{number:032}:function:default:f:latest" for number in range(100)])
    assert len((await plan_only(path, tmp_path / "run", urns_per_shard=1, endpoint=server.url)).shards) == 100
    end = await fetch(tmp_path / "run", *range(100), environment={"HW_AUTH_TOKEN": "a-wrong-token"})
    assert end.code == 3
    assert 1 <= len(server.requests) <= 3


async def test_the_first_shard_goes_alone_until_the_service_accepted_a_call(tmp_path, server, path):
    own = Engine(10)
    at_first = []
    server.plan(lambda _urn, _times: at_first.append(len(own.started)))
    await export_sharded(path, tmp_path / "run", own=own, sharding={"urns_per_shard": 1}, endpoint=server.url)
    assert at_first[0] == 1
    assert sorted(own.started) == [*range(PROJECTS)]


async def test_without_a_credential_nothing_is_attempted(tmp_path, server, path):
    own = Engine(environment={"HOME": str(tmp_path)})
    result = await export_sharded(path, tmp_path / "run", own=own, sharding={"urns_per_shard": 1}, endpoint=server.url)
    assert (result.exit_code, own.started, len(server.requests)) == (3, [0], 0)
    manifest = assert_equations(tmp_path / "run")
    assert manifest["counts"]["status"]["not_attempted"] == manifest["input"]["urns"]
    assert "no credential" in result.note


async def test_a_run_is_continued_as_it_was_begun(tmp_path, server, path):
    await export(path, tmp_path / "one", endpoint=server.url)
    with pytest.raises(UsageError, match="has one process: continue it without --engine"):
        await export_sharded(None, tmp_path / "one", mode="resume", endpoint=server.url)
    await export_sharded(path, tmp_path / "many", endpoint=server.url)
    with pytest.raises(UsageError, match="is in shards: continue it with inventory export --resume"):
        await export([], tmp_path / "many", mode="resume", endpoint=server.url)


@pytest.mark.parametrize("begin", [export, export_sharded])
async def test_overwrite_begins_again_and_leaves_nothing_of_the_shards(tmp_path, server, path, begin, write_list):
    await export_sharded(path, tmp_path / "run", sharding={"urns_per_shard": 1}, endpoint=server.url)
    server.clear()
    short = write_list(server.urns()[:5], "short.txt")
    await begin(short, tmp_path / "run", mode="overwrite", endpoint=server.url)
    assert len(server.requests) == 5
    assert (tmp_path / "run/plan.json").exists() == (begin is export_sharded)
    assert manifest_of(tmp_path / "run")["input"]["urns"] == 5


async def test_a_second_process_on_a_shard_is_refused(tmp_path, server, path):
    folder = tmp_path / "run"
    await plan_only(path, folder, endpoint=server.url)
    await fetch(folder, 0)
    server.clear()
    with Ledger(folder / "shards/00000/ledger.sqlite"):
        end = await fetch(folder, 0)
        assert end.code == 4
        assert "in use by another inventory process" in end.message
        with pytest.raises(OutputError, match="fetches a shard"):
            await export_sharded(path, folder, mode="overwrite", endpoint=server.url)
    assert not server.requests


@pytest.mark.parametrize("number", [99, 10**9])
async def test_an_unknown_shard_is_refused(tmp_path, server, path, number):
    await plan_only(path, tmp_path / "run", endpoint=server.url)
    end = await fetch(tmp_path / "run", number)
    assert end.code == 2
    assert f"there is no shard {number}" in end.message
