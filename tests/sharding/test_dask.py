import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin

import distributed
import pytest
from support.processes import Process
from support.runs import TOKEN, export, manifest_of, wait_for
from support.shards import plan_only, tables_of

from inventory.cloud.projects import ProjectRef
from inventory.emulator import Emulator, Fault, GeneratedCloud
from inventory.emulator.responses import Reply
from inventory.errors import UsageError
from inventory.pipeline import export as pipeline
from inventory.pipeline.discover import Discovery
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
    worker = ("worker", "--nthreads", "1", "--dashboard-address", "127.0.0.1:0", "--local-directory", str(folder))
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
            for one in (keys, empty, process):  # workers end sooner while their scheduler answers
                one.terminate()
                one.wait()


@pytest.fixture
def server():
    cloud = GeneratedCloud(30, seed=3, regions=("cn-north-4", "ap-southeast-1"))
    with Emulator(cloud, token=TOKEN).in_thread() as server:
        yield server


async def export_on(scheduler, source, output, url, *, mode="new", environment=None, processes=None, **settings):
    return await export_in_shards(
        [Source(str(source))] if isinstance(source, Path) else source,
        Output(output),
        ExportSettings(endpoint=url, max_per_second=0.0, format=("parquet", "csv"), **settings),
        Sharding("dask", processes, scheduler=scheduler, urns_per_shard=1),
        mode=mode,
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


PAGES = (
    *("/info/main/workers.html", "/info/main/exceptions.html", "/info/main/logs.html", "/metrics", "/health"),
    *("/json/counts.json", "/json/identity.json", "/json/index.html"),
)


def read_pages(address):
    """Reads the pages of a dashboard and all pages that they link to, by their paths."""
    waiting, pages = [f"{address}{path}" for path in PAGES], {}
    while waiting:
        url = waiting.pop()
        if url.startswith(address) and url not in pages:
            with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(url, timeout=20) as answer:
                pages[url] = answer.read().decode(errors="replace")
                waiting += [urljoin(url, link) for link in re.findall(r'href="([^"#]+)"', pages[url])]
    return pages


def test_no_page_log_or_exception_contains_a_secret_while_tasks_fail(tmp_path, write_list, server, scheduler, folder):
    asyncio.run(plan_only(write_list(server.urns()), tmp_path / "run", urns_per_shard=1, endpoint=server.url))
    (tmp_path / "run/shards/00001.jsonl").unlink()
    server.plan(lambda _urn, _times: Reply(400, b'{"error_msg": "X-Auth-Token: %s"}' % TOKEN.encode()))
    pages = []
    with distributed.Client(scheduler, set_as_default=False) as client, ThreadPoolExecutor(1) as threads:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        services = [client.scheduler_info()["services"], *(worker["services"] for worker in workers)]
        work = threads.submit(asyncio.run, export_on(scheduler, [], tmp_path / "run", server.url, mode="resume"))
        while not work.done():
            pages += [read_pages(f"http://127.0.0.1:{own['dashboard']}") for own in services]
            time.sleep(0.2)
        result = work.result()
        logs = repr([client.get_scheduler_logs(), client.get_worker_logs(), client.get_events()])
    assert (result.exit_code, "shard 1 failed: " in result.note) == (4, True)
    files = [path for place in (tmp_path / "run", folder) for path in place.rglob("*") if path.is_file()]
    texts = [logs, result.note, *(str(path.read_bytes()) for path in files)]
    texts += [text for read in pages for page in read.items() for text in page]
    for expected in ("_ShardFailedError", "/info/task/shard-0000", "/info/call-stack", "dask_scheduler_tasks"):
        assert any(expected in text for text in texts), expected
    assert not [text for text in texts if TOKEN in text]


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 10, 100])
def test_a_wrong_key_costs_at_most_three_calls_with_many_workers(
    tmp_path, write_list, server, scheduler, folder, threads
):
    server.token = "another-token"
    lines = [f"urn:fss:cn-north-4:{number:032}:function:default:f:latest" for number in range(100)]
    worker = ("worker", "--nthreads", str(threads), "--no-dashboard", "--local-directory", str(folder))
    with (
        start(folder, *worker, "--name", f"wrong-{threads}", HW_AUTH_TOKEN="a-wrong-token") as many,
        distributed.Client(scheduler, set_as_default=False) as client,
    ):
        client.wait_for_workers(3)
        result = asyncio.run(export_on(scheduler, write_list(lines), tmp_path / "run", server.url))
        many.terminate()
    assert result.exit_code == 3
    assert 1 <= len(server.requests) <= 3
    assert result.manifest["counts"]["status"]["not_attempted"] >= 97


@pytest.mark.slow
def test_any_number_of_workers_gives_the_tables_of_one_process(tmp_path, server):
    projects = sorted({tuple(urn.split(":")[2:4]) for urn in server.urns()})
    search = Discovery([ProjectRef(*project) for project in projects], versions=True, aliases=True)
    environment = {"HW_AUTH_TOKEN": TOKEN}
    for rows_per_file in (0, 7):
        one = tmp_path / f"one-{rows_per_file}"
        settings = {"endpoint": server.url, "rows_per_file": rows_per_file}
        form = ExportSettings(max_per_second=0.0, format=("parquet", "csv"), **settings)
        observer = ProgressObserver()
        asyncio.run(pipeline.export(search, Output(one), form, mode="new", environment=environment, observer=observer))
        right = tables_of(one)
        assert len(right) == 10 if not rows_per_file else len(right) > 20
        for processes in (1, 2, 4):
            server.clear()
            folder = tmp_path / f"dask-{rows_per_file}-{processes}"
            work = export_on(
                None, search, folder, server.url, environment=environment, processes=processes,
                rows_per_file=rows_per_file,
            )  # fmt: skip
            result = asyncio.run(work)
            assert (result.exit_code, result.note) == (0, "")
            assert tables_of(folder) == right
            assert result.manifest["requests"]["total"] == len(server.requests)


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
