"""Dropping of raw bodies from the ledger."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys

import pytest
from support.clouds import P, cloud_of, contents, limited
from support.documents import blocks
from support.runs import TOKEN, export, manifest_of, rows, run_cli

from inventory import open_snapshot
from inventory.emulator import Emulator, Fault
from inventory.errors import UsageError
from inventory.ledger.writer import Ledger
from inventory.pipeline.rebuild import rebuild_tables
from inventory.progress import ProgressObserver


def bodies(folder):
    with Ledger(folder / "ledger.sqlite") as ledger:
        return [urn.removeprefix(P) for urn, outcome in ledger.rows() if outcome is not None and outcome.body]


async def exported(folder, write_list, server, failing=(), **settings):
    server.plan({f"{P}{name}:latest": [Fault.BAD_GATEWAY] * 9 for name in failing})
    path = write_list(server.urns())
    return await export(path, folder, endpoint=server.url, attempts=1, **settings)


async def test_bodies_are_dropped_once_the_tables_are_whole(tmp_path, write_list):
    async with Emulator(cloud_of(3)) as server:
        await exported(tmp_path / "kept", write_list, server)
        result = await exported(tmp_path / "run", write_list, server, drop_bodies=True)
        resumed = await export([], tmp_path / "run", mode="resume", endpoint=server.url)
        assert len(server.requests) == 6
    assert (result.note, resumed.nothing_to_do) == ("", True)
    assert (len(bodies(tmp_path / "kept")), bodies(tmp_path / "run")) == (3, [])
    for table in ("functions", "destinations", "rejects"):
        assert rows(tmp_path / "run", table) == rows(tmp_path / "kept", table)
    assert (tmp_path / "run" / "ledger.sqlite").stat().st_size <= (tmp_path / "kept" / "ledger.sqlite").stat().st_size
    assert len(open_snapshot(tmp_path / "run").functions) == 3


async def test_an_export_keeps_what_its_resumption_needs(tmp_path, write_list):
    async with Emulator(cloud_of(3)) as server:
        first = await exported(tmp_path / "run", write_list, server, ["f001"], drop_bodies=True)
        assert first.note == "the bodies are kept in the ledger, as --resume needs them: 1 URN failed"
        assert len(bodies(tmp_path / "run")) >= 2
        server.clear()
        second = await export([], tmp_path / "run", mode="resume", endpoint=server.url, drop_bodies=True)
        assert (second.note, second.exit_code) == ("", 0)
    assert bodies(tmp_path / "run") == []


async def test_a_run_that_was_asked_to_drop_does_so_when_it_is_resumed(tmp_path, write_list):
    async with Emulator(cloud_of(3)) as server:
        await exported(tmp_path / "run", write_list, server, ["f001"], drop_bodies=True)
        server.clear()
        done = await asyncio.to_thread(run_cli, "export", "--resume", "--output", tmp_path / "run")
        assert done.returncode == 0, done.stderr
    assert bodies(tmp_path / "run") == []


async def test_bodies_of_a_complete_run_may_be_dropped_later(tmp_path, write_list):
    async with Emulator(cloud_of(3)) as server:
        await exported(tmp_path / "run", write_list, server)
        before = contents(tmp_path / "run")
        result = await export([], tmp_path / "run", mode="resume", endpoint=server.url, drop_bodies=True)
        assert len(server.requests) == 3
    assert result.nothing_to_do
    assert (bodies(tmp_path / "run"), contents(tmp_path / "run")) == ([], before)


async def test_tables_may_drop_them_with_failures(tmp_path, write_list):
    async with Emulator(cloud_of(3)) as server:
        await exported(tmp_path / "run", write_list, server, ["f001"])
        done = run_cli("tables", tmp_path / "run", "--drop-bodies", token=None)
    assert done.returncode == 0
    assert "the 1 URN that failed cannot be asked again in this folder" in done.stderr
    assert bodies(tmp_path / "run") == ["f001:latest"]


async def test_what_failed_is_a_list_of_its_own(tmp_path, write_list, monkeypatch):
    (snippet,) = blocks("output.md", "python")
    monkeypatch.chdir(tmp_path)
    async with Emulator(cloud_of(3)) as server:
        await exported(tmp_path / "output" / "today", write_list, server, ["f001"])
        rebuild_tables(tmp_path / "output" / "today", {}, ProgressObserver(), drop_bodies=True)
        exec(snippet.code, {})  # noqa: S102 - the guide is ours
        server.clear()
        await export(tmp_path / "failed.csv", tmp_path / "again", endpoint=server.url)
    assert [row["function_urn"] for row in rows(tmp_path / "again", "functions")] == [f"{P}f001:latest"]


async def test_what_dropped_bodies_forbid_is_refused_before_anything_changes(tmp_path, write_list):
    folder = tmp_path / "run"
    async with Emulator(cloud_of(3)) as server:
        await exported(folder, write_list, server, ["f001"], format=("parquet",))
        rebuild_tables(folder, {}, ProgressObserver(), drop_bodies=True)
        before, calls = contents(folder), len(server.requests)
        resumed = {"mode": "resume", "endpoint": server.url}
        with pytest.raises(UsageError, match=r"dropped .* 1 failed URN cannot be retried here; .* by status"):
            await export([], folder, **resumed, format=("parquet",))
        for shape in ({}, {"format": ("csv",)}):
            with pytest.raises(
                UsageError, match=r"dropped .* its tables cannot be built again; the existing tables stay"
            ):
                rebuild_tables(folder, shape, ProgressObserver())
        done = run_cli("status", folder)
        assert "next: export a list of the 1 failed URN to another folder" in done.stdout
        assert (contents(folder), len(server.requests)) == (before, calls)
        assert manifest_of(folder)["counts"]["status"]["failed"] == 1


async def test_a_complete_run_without_bodies_does_nothing_or_says_why_not(tmp_path, write_list):
    folder = tmp_path / "run"
    async with Emulator(cloud_of(3)) as server:
        await exported(folder, write_list, server, format=("parquet",), drop_bodies=True)
        resumed = {"mode": "resume", "endpoint": server.url, "format": ("parquet",)}
        with pytest.raises(UsageError, match="its tables cannot be built again"):
            await export([], folder, **{**resumed, "format": ("csv",)})
        assert (await export([], folder, **resumed)).nothing_to_do
        await export(write_list(server.urns()), folder, mode="overwrite", endpoint=server.url)
        assert len(server.requests) == 6
    assert len(bodies(folder)) == 3


async def test_bodies_of_a_run_that_is_not_at_its_end_are_kept(tmp_path, write_list):
    path = write_list(f"{P}f{number}:latest" for number in range(99))
    await export(path, tmp_path / "run", endpoint="http://127.0.0.1:1", attempts=1)
    result = rebuild_tables(tmp_path / "run", {}, ProgressObserver(), drop_bodies=True)
    assert "the bodies are kept in the ledger, as --resume needs them" in result.note
    assert "not attempted" in result.note


@pytest.mark.parametrize("step", ["UPDATE", "VACUUM"])
async def test_a_kill_while_bodies_are_dropped_loses_nothing(tmp_path, write_list, step):
    folder = tmp_path / "run"
    async with Emulator(cloud_of(3)) as server:
        await exported(folder, write_list, server)
        before = contents(folder)
        assert killed_at(folder, step) == 9
        assert contents(folder) == before
        assert len(bodies(folder)) == (3 if step == "UPDATE" else 0)
        result = await export([], folder, mode="resume", endpoint=server.url, drop_bodies=True)
    assert result.nothing_to_do
    assert (bodies(folder), contents(folder)) == ([], before)


async def test_tables_makes_a_file_smaller_that_a_kill_left_large(tmp_path, write_list):
    folder = tmp_path / "run"
    async with Emulator(cloud_of(60)) as server:
        await exported(folder, write_list, server)
    before = contents(folder)
    assert killed_at(folder, "VACUUM") == 9
    with Ledger(folder / "ledger.sqlite"):
        pass  # what was committed is moved from the log
    size = (folder / "ledger.sqlite").stat().st_size
    assert rebuild_tables(folder, {}, ProgressObserver(), drop_bodies=True).nothing_to_do
    assert (folder / "ledger.sqlite").stat().st_size < size
    assert contents(folder) == before


def killed_at(folder, step):
    code = (
        "import os, sys; from pathlib import Path; from inventory.ledger.writer import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]) / 'ledger.sqlite')\n"
        "ledger._db.set_trace_callback(lambda sql: sql.startswith(sys.argv[2]) and os._exit(9))\n"
        "ledger.drop_bodies()"
    )
    return subprocess.run([sys.executable, "-c", code, folder, step], check=False).returncode


def test_no_room_for_the_smaller_file_is_one_sentence(tmp_path, write_list):
    with Emulator(functions=300, token=TOKEN).in_thread() as server:
        assert asyncio.run(export(write_list(server.urns()), tmp_path / "run", endpoint=server.url)).exit_code == 0
    before = contents(tmp_path / "run")
    size = (tmp_path / "run" / "ledger.sqlite").stat().st_size
    largest = max(map(len, before.values()))
    assert largest + 50_000 < size
    done = limited((largest + 50_000) // 1024, "tables", tmp_path / "run", "--drop-bodies")
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1), done.stderr
    assert re.search(r"ledger\.sqlite cannot be written: .*; free disk space", done.stderr)
    assert contents(tmp_path / "run") == before
    again = run_cli("tables", tmp_path / "run", "--drop-bodies")
    assert (again.returncode, contents(tmp_path / "run") == before) == (0, True), again.stderr
    more = run_cli("tables", tmp_path / "run", "--drop-bodies")
    assert (more.returncode, "The tables are unchanged" in more.stderr) == (0, True), more.stderr
    assert run_cli("tables", tmp_path / "run").returncode == 2
    assert (tmp_path / "run" / "ledger.sqlite").stat().st_size < size
