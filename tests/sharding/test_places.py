import errno
import os

import pytest
from support.object_store import BUCKET
from support.runs import TOKEN, export, manifest_of
from support.shards import Engine, export_sharded, fetch, gathered, plan_only

from inventory.cloud.projects import ProjectRef
from inventory.emulator import Emulator, GeneratedCloud
from inventory.errors import OutputError
from inventory.pipeline import export as pipeline
from inventory.pipeline.discover import Discovery
from inventory.pipeline.rebuild import rebuild_tables
from inventory.progress import ProgressObserver
from inventory.runs import delivery
from inventory.runs.output import Output
from inventory.runs.prune import remove_run
from inventory.runs.status import read_status
from inventory.settings import ExportSettings
from inventory.sharding.export import export_in_shards
from inventory.sharding.plan import Sharding
from inventory.sources.files import Source
from inventory.storage import folder_store
from inventory.storage.object_store import parse

URL = f"s3://{BUCKET}/runs/today"
NAMES = ("functions", "destinations", "rejects")
REGIONS = ("cn-north-4", "ap-southeast-1")


@pytest.fixture
def server():
    with Emulator(GeneratedCloud(20, seed=3, regions=REGIONS), token=TOKEN).in_thread() as server:
        yield server


@pytest.fixture
def path(write_list, server):
    return write_list([*server.urns(), "odd"])


def keys(store):
    return {key.removeprefix("runs/today/") for key, content in store.objects().items() if content}


async def test_a_run_into_a_store_meets_there(tmp_path, store, server, path):
    environment = {"HW_AUTH_TOKEN": TOKEN, **store.environment()}
    output = Output(tmp_path / "work", parse(URL), work_dir_named=True)
    settings = ExportSettings(endpoint=server.url, max_per_second=0.0, format=("parquet", "csv"))
    plan = await export_in_shards(
        [Source(str(path))],
        output,
        settings,
        Sharding(None, urns_per_shard=1),
        mode="new",
        environment=environment,
        observer=ProgressObserver(),
    )
    assert keys(store) == {"plan.json", "shards/run.json", "shards/00000.jsonl", "shards/00001.jsonl"}
    for shard in plan.shards:
        folder = tmp_path / f"pod-{shard.number}"
        end = await fetch(URL, shard.number, work_dir=folder, environment=environment)
        assert end.code == 0, end.message
    assert len([key for key in keys(store) if key.endswith(".sqlite")]) == 2
    result = await gathered(output, environment)
    assert result.exit_code == 0
    await export(path, tmp_path / "one", endpoint=server.url)
    for name in NAMES:
        assert store.objects()[f"runs/today/{name}.parquet"] == (tmp_path / "one" / f"{name}.parquet").read_bytes()
    assert TOKEN.encode() not in b"".join(store.objects().values())
    result = await export_sharded(
        path, output, mode="overwrite", own=Engine(work_dir=output.folder, environment=environment),
        environment=environment, endpoint=server.url, sharding={"urns_per_shard": 1},
    )  # fmt: skip
    assert result.exit_code == 0
    assert result.manifest["shards"]["attempts"] == 2
    assert len([key for key in keys(store) if key.endswith(".sqlite")]) == 2


async def test_a_listing_is_divided_too(tmp_path, server):
    places = [ProjectRef(region, project) for region, project in _projects(server)]
    search = Discovery(places, versions=True, aliases=True)
    settings = ExportSettings(endpoint=server.url, max_per_second=0.0, format=("parquet", "csv"))
    await pipeline.export(
        search,
        Output(tmp_path / "one"),
        settings,
        mode="new",
        environment={"HW_AUTH_TOKEN": TOKEN},
        observer=ProgressObserver(),
    )
    server.clear()
    result = await export_sharded(search, tmp_path / "run", sharding={"urns_per_shard": 1}, endpoint=server.url)
    assert result.exit_code == 0
    assert result.manifest["requests"]["total"] == len(server.requests)
    for name in (*NAMES, "function_facts", "aliases"):
        for suffix in ("parquet", "csv"):
            file = f"{name}.{suffix}"
            assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "one" / file).read_bytes(), file
    for scope in manifest_of(tmp_path / "run")["scopes"]:
        assert scope["requests"] > scope["urns"] / 4


def _projects(server):
    return sorted({tuple(urn.split(":")[2:4]) for urn in server.urns()})


async def test_bodies_are_dropped_in_the_ledgers_of_the_shards(tmp_path, server, path):
    folder = tmp_path / "run"
    await export_sharded(path, folder, sharding={"urns_per_shard": 1}, endpoint=server.url)
    size = sum(file.stat().st_size for file in folder.rglob("*.sqlite"))
    result = rebuild_tables(folder, {}, ProgressObserver(), drop_bodies=True)
    assert result.exit_code == 0
    assert sum(file.stat().st_size for file in folder.rglob("*.sqlite")) < size
    assert read_status(folder).bodies_dropped
    assert (await gathered(folder)).nothing_to_do
    assert (await export_sharded(None, folder, mode="resume", endpoint=server.url)).nothing_to_do


async def test_status_and_prune_know_the_shards(tmp_path, server, path):
    folder = tmp_path / "runs/old"
    await export_sharded(path, folder, sharding={"urns_per_shard": 1}, endpoint=server.url)
    status = read_status(folder)
    assert (status.state, status.left, status.shards) == ("complete", 0, (0, 0, 2, 0))
    assert status.calls == manifest_of(folder)["requests"]["total"]
    assert sum(sum(scope.status.values()) for scope in status.scopes) == status.urns
    (folder / "shards/00001.json").unlink()
    assert read_status(folder).shards == (0, 0, 1, 1)
    assert remove_run(folder) == []
    assert not folder.exists()


@pytest.mark.parametrize("name", ["shards", "plan.json"])
async def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path, server, path, name):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / name).mkdir() if name == "plan.json" else (folder / name).write_text("mine")
    with pytest.raises(OutputError, match=f"{name}.* cannot be "):
        await export_sharded(path, folder, endpoint=server.url)
    assert not server.requests


class FullDisk:
    """Fails copies of ledgers, as a full or read-only place does, a number of times."""

    def __init__(self, monkeypatch, code, times):
        self.code, self.left = code, times
        self._copy = folder_store._copy
        monkeypatch.setattr(folder_store, "_copy", self)
        monkeypatch.setattr(delivery, "_PAUSES", (0.0, 0.0))

    def __call__(self, path, sink):
        if path.suffix == ".sqlite" and self.left:
            self.left -= 1
            raise OSError(self.code, os.strerror(self.code))
        return self._copy(path, sink)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
async def test_a_shared_folder_that_cannot_be_written_for_a_moment_is_tried_again(
    tmp_path, server, path, code, monkeypatch
):
    await plan_only(path, tmp_path / "run", endpoint=server.url)
    disk = FullDisk(monkeypatch, code, 2)
    assert (await fetch(tmp_path / "run", 0, work_dir=tmp_path / "worker")).code == 0
    assert not disk.left


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
async def test_answers_stay_in_the_local_ledger_while_the_shared_folder_is_full(
    tmp_path, server, path, code, monkeypatch
):
    folder = tmp_path / "run"
    await plan_only(path, folder, urns_per_shard=10**6, endpoint=server.url)
    disk = FullDisk(monkeypatch, code, 10**6)
    end = await fetch(folder, 0, work_dir=tmp_path / "worker")
    ledger = tmp_path / "worker/shards/00000/ledger.sqlite"
    assert end.code == 4
    assert f"cannot be written: {os.strerror(code)};" in end.message
    assert end.message.endswith(f"then run the shard again: {ledger} keeps its answers")
    assert (await gathered(folder)).exit_code == 5
    assert not [*folder.rglob("*.part")]
    calls, disk.left = len(server.requests), 0
    assert (await fetch(folder, 0, work_dir=tmp_path / "worker")).code == 0
    result = await gathered(folder)
    assert (result.exit_code, len(server.requests), result.manifest["requests"]["total"]) == (0, calls, calls)


async def test_an_export_whose_shards_cannot_deliver_ends_with_4_and_loses_nothing(tmp_path, server, path, monkeypatch):
    monkeypatch.setattr("inventory.sharding.coordinator._PAUSE_SECONDS", 0.0)
    disk = FullDisk(monkeypatch, errno.ENOSPC, 10**6)
    own = Engine(work_dir=tmp_path / "worker")
    result = await export_sharded(path, tmp_path / "run", own=own, sharding={"urns_per_shard": 1}, endpoint=server.url)
    assert result.exit_code == 4
    assert "shard 0 failed: " in result.note
    assert "No space left on device" in result.note
    assert result.manifest["counts"]["status"]["not_attempted"] == result.manifest["input"]["urns"]
    assert [own.started.count(number) for number in (0, 1)] == [3, 3]
    calls, disk.left = len(server.requests), 0
    own = Engine(work_dir=tmp_path / "worker")
    result = await export_sharded(None, tmp_path / "run", mode="resume", own=own, endpoint=server.url)
    assert (result.exit_code, len(server.requests), result.manifest["requests"]["total"]) == (0, calls, calls)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ((507, "InsufficientStorage"), "the store says InsufficientStorage"),
        ((403, "AccessDenied"), "the store denies access"),
        ((500, "InternalError"), "the store has an internal error"),
    ],
)
async def test_a_store_that_refuses_a_delivery_ends_the_shard_with_4_and_it_is_delivered_later(
    tmp_path, store, server, path, fault, message, monkeypatch
):
    monkeypatch.setattr(delivery, "_PAUSES", (0.0, 0.0))
    environment = {"HW_AUTH_TOKEN": TOKEN, **store.environment()}
    output = Output(tmp_path / "work", parse(URL), work_dir_named=True)
    await plan_only(path, output, environment=environment, endpoint=server.url)
    refused = []

    def refuse(request):
        if request["REQUEST_METHOD"] in {"PUT", "POST"} and ".sqlite" in request["PATH_INFO"]:
            refused.append(request["PATH_INFO"])
            return fault
        return None

    store.fault = refuse
    end = await fetch(URL, 0, work_dir=tmp_path / "pod", environment=environment)
    assert (end.code, len(refused) >= 3) == (4, True)
    assert f"{URL}: {message}" in end.message
    assert not [key for key in keys(store) if key == "shards/00000.json" or key.endswith(".sqlite")]
    calls = len(server.requests)
    store.fault = lambda _request: None
    assert (await fetch(URL, 0, work_dir=tmp_path / "pod", environment=environment)).code == 0
    assert len(server.requests) == calls
