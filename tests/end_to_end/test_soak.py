"""Many runs in one process leave no task, thread, descriptor or file."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from support.runs import TOKEN, export, manifest_of, run_cli

import inventory
from inventory.emulator import Emulator, Faults, GeneratedCloud
from inventory.errors import InterruptedRunError, OutputError, SourceError
from inventory.progress import ProgressObserver

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc"),
]
RUNS = 24


def held():
    gc.collect()
    descriptors = []
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - the names are numbers
        try:
            descriptors.append(os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115
        except OSError:  # the one that listed them
            continue
    kinds = sorted(name.split(":")[0] for name in descriptors)
    temporary = sorted(path.name for path in Path(tempfile.gettempdir()).iterdir())
    return kinds, sorted(thread.name for thread in threading.enumerate()), temporary


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


@pytest.mark.usefixtures("temporary")
def test_many_runs_in_one_process_leave_nothing(tmp_path, write_list, monkeypatch):
    monkeypatch.setenv("HW_AUTH_TOKEN", TOKEN)
    broken = tmp_path / "broken.json"
    broken.write_text('["urn:fss:x')
    stopped = ProgressObserver()
    stopped.cancel(2)
    faults = Faults.parse("5xx=2%,reset=2%,length=2%,gzip=5%,chunked=5%", seed=1)
    with Emulator(functions=8, token=TOKEN, faults=faults).in_thread() as server:
        path = write_list(server.urns())
        one = {"endpoint": server.url, "max_per_second": 0.0, "max_workers": 8}

        def round_of(number):
            folder = tmp_path / f"run-{number}"
            snapshot = inventory.export(path, folder, format=("parquet", "csv"), **one)
            assert len(snapshot.functions)
            with pytest.raises(OutputError):
                inventory.export(path, folder, **one)
            with pytest.raises(SourceError):
                inventory.export(broken, folder, overwrite=True, **one)
            with pytest.raises(InterruptedRunError):
                asyncio.run(export(path, tmp_path / "never", observer=stopped, endpoint=server.url))
            assert inventory.export([], folder, resume=True, **one).manifest["complete"]
            left = {path.name for path in folder.iterdir()}
            assert left == {table["path"] for table in manifest_of(folder)["tables"]} | {
                "ledger.sqlite",
                "manifest.json",
            }

        for number in range(3):
            round_of(number)
        before = held()
        for number in range(3, RUNS // 3):  # of each round, three runs get as far as a ledger
            round_of(number)
        assert held() == before


async def test_a_long_run_with_every_fault_leaves_nothing(tmp_path, write_list, temporary):
    cloud = GeneratedCloud(350, regions=("cn-north-4", "ap-southeast-1"))
    rates = "5xx=2%,reset=2%,malformed=2%,length=2%,giant=0.1%,stall=0.3%,other_urn=2%,redirect=1%,no_content=1%"
    rates += ",broken_gzip=1%,gzip=10%,chunked=10%,throttled=0.2%,storm=0.5%"
    path = write_list(cloud.urns())
    settings = {"timeout": 1.5, "attempts": 8}
    async with Emulator(cloud, token=TOKEN) as server:
        await export(path, tmp_path / "calm", endpoint=server.url, **settings)
        await asyncio.to_thread(lambda: None)
    before, tasks = held(), asyncio.all_tasks()
    async with Emulator(cloud, token=TOKEN, faults=Faults.parse(rates, seed=1)) as server:
        await export(path, tmp_path / "run", endpoint=server.url, **settings)
    assert manifest_of(tmp_path / "run")["requests"]["retries"] > 20
    descriptors, threads, files = held()
    assert (descriptors, files, asyncio.all_tasks()) == (before[0], before[2], tasks)
    assert [name for name in threads if not name.startswith("asyncio_")] == [
        name for name in before[1] if not name.startswith("asyncio_")
    ]
    assert not list(temporary.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="what a process leaves is looked for in its own folder")
def test_a_process_leaves_no_temporary_file(tmp_path, temporary):
    with Emulator(functions=8, token=TOKEN).in_thread() as server:
        first = run_cli(
            "export", "-", "--endpoint", server.url, "--output", tmp_path / "one", stdin="\n".join(server.urns())
        )
        again = run_cli("export", tmp_path / "one" / "functions.parquet", "--endpoint", server.url, cwd=tmp_path)
    assert (first.returncode, again.returncode) == (0, 0)
    assert not list(temporary.iterdir())
