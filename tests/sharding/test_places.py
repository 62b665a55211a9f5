import pytest
from support.object_store import BUCKET
from support.runs import TOKEN, export, manifest_of
from support.shards import Engine, export_sharded, fetch, gathered

from inventory.cloud.projects import ProjectRef
from inventory.emulator import Emulator, GeneratedCloud
from inventory.errors import OutputError
from inventory.pipeline import export as pipeline
from inventory.pipeline.discover import Discovery
from inventory.pipeline.rebuild import rebuild_tables
from inventory.progress import ProgressObserver
from inventory.runs.output import Output
from inventory.runs.prune import remove_run
from inventory.runs.status import read_status
from inventory.settings import ExportSettings
from inventory.sharding.export import export_in_shards
from inventory.sharding.plan import Sharding
from inventory.sources.files import Source
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
