import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import distributed
import pytest
from support.processes import Process
from support.runs import TOKEN, export, manifest_of, wait_for

from inventory.emulator import Emulator, Fault, GeneratedCloud
from inventory.errors import UsageError
from inventory.progress import ProgressObserver
from inventory.runs.output import Output
from inventory.runs.shard_plan import VERSIONS
from inventory.settings import ExportSettings
from inventory.sharding import engines
from inventory.sharding.export import export_in_shards
from inventory.sharding.plan import Sharding
from inventory.sources.files import Source

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
    pytest.mark.timeout(180),  # a cluster takes some seconds to start on a busy machine
]


def start(folder, *words, **environment):
    log = (folder / f"{words[0]}-{len(list(folder.iterdir()))}.log").open("wb")
    file = ("--scheduler-file", str(folder / "scheduler.json"))
    own = {name: text for name, text in os.environ.items() if not name.startswith("HW_")}
    with log:
        return Process(
            [sys.executable, "-m", "dask", *words, *file], stdout=log, stderr=log, env={**own, **environment}
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def scheduler(folder):
    """A scheduler with one worker that has no credential and one that has."""
    words = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0")
    worker = ("worker", "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder))
    with start(folder, *words, DASK_DISTRIBUTED__SCHEDULER__LOCKS__LEASE_TIMEOUT="2s") as process:
        wait_for((folder / "scheduler.json").exists)
        address = json.loads((folder / "scheduler.json").read_text())["address"]
        with (
            start(folder, *worker, "--name", "empty", "--resources", "account:none=1") as empty,
            start(folder, *worker, "--name", "keys", HW_AUTH_TOKEN=TOKEN) as keys,
        ):
            with distributed.Client(address, set_as_default=False) as client:
                client.wait_for_workers(2)
            yield address
            for one in (keys, empty, process):
                one.terminate()


@pytest.fixture
def server():
    cloud = GeneratedCloud(30, seed=3, regions=("cn-north-4", "ap-southeast-1"))
    with Emulator(cloud, token=TOKEN).in_thread() as server:
        yield server


async def export_on(scheduler, path, output, url, environment=None):
    return await export_in_shards(
        [Source(str(path))],
        Output(output),
        ExportSettings(endpoint=url, max_per_second=0.0, format=("parquet", "csv")),
        Sharding("dask", scheduler=scheduler, urns_per_shard=1),
        mode="new",
        environment=environment or {},
        observer=ProgressObserver(),
    )


def test_a_shard_goes_to_a_worker_with_a_credential_and_no_secret_travels(
    tmp_path, write_list, server, scheduler, folder
):
    path = write_list(server.urns())
    result = asyncio.run(export_on(scheduler, path, tmp_path / "run", server.url))
    assert result.exit_code == 0, result.note
    asyncio.run(export(path, tmp_path / "one", endpoint=server.url))
    for name in ("functions", "destinations", "rejects"):
        for suffix in ("parquet", "csv"):
            file = f"{name}.{suffix}"
            assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "one" / file).read_bytes()
    assert manifest_of(tmp_path / "run")["shards"]["engine"] == "dask"
    texts = [path.read_bytes() for place in (tmp_path / "run", folder) for path in place.rglob("*") if path.is_file()]
    assert len(texts) > 10
    assert not [text for text in texts if TOKEN.encode() in text]


@pytest.mark.slow
def test_a_lost_worker_repeats_its_shard_at_most_and_nothing_is_lost(tmp_path, write_list, server, scheduler, folder):
    urns = server.urns()
    asked = []

    def stall(_urn, _times):
        asked.append(_urn)
        return Fault.STALLED if len(asked) > len(urns) // 4 and not is_lost else None

    is_lost = []
    server.plan(stall)
    worker = ("worker", "--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(folder))
    with (
        start(folder, *worker, "--name", "victim", HW_AUTH_TOKEN=TOKEN) as victim,
        distributed.Client(scheduler, set_as_default=False) as client,
    ):
        client.wait_for_workers(3)
        with ThreadPoolExecutor(1) as threads:
            work = threads.submit(asyncio.run, export_on(scheduler, write_list(urns), tmp_path / "run", server.url))
            wait_for(lambda: work.done() or len(asked) > len(urns) // 4 + 5)
            victim.kill()
            is_lost.append(True)
            result = work.result()
    assert result.exit_code == 0, result.note
    assert sum(result.manifest["counts"]["status"].values()) == len(urns)


def test_a_worker_of_another_version_is_refused_by_name(tmp_path, write_list, server, scheduler, monkeypatch):
    monkeypatch.setattr("inventory.sharding.plan.VERSIONS", {**VERSIONS, "tables": "99"})
    with pytest.raises(UsageError, match=r"worker tcp://127\.0\.0\.1:\d+ has tables \d+ and the plan was made with 99"):
        asyncio.run(export_on(scheduler, write_list(server.urns()), tmp_path / "run", server.url))
    assert not server.requests


def test_a_scheduler_that_is_not_there_is_one_sentence(tmp_path, write_list, server, monkeypatch):
    monkeypatch.setattr(engines, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(UsageError, match=r"the scheduler tcp://127\.0\.0\.1:9 cannot be used"):
        asyncio.run(export_on("tcp://127.0.0.1:9", write_list(server.urns()), tmp_path / "run", server.url))


async def test_without_the_library_the_message_has_the_line_that_installs_it(tmp_path, write_list, server, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(engines, "_load", missing)
    with pytest.raises(UsageError, match=r"pip install 'functiongraph-inventory\[dask\]'"):
        await export_on(None, write_list(server.urns()), tmp_path / "run", server.url)


def test_nothing_of_dask_is_loaded_without_need():
    code = (
        "import sys, inventory.cli.app, inventory.sharding.export, inventory.sharding.shard;"
        "print({'dask', 'distributed'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
