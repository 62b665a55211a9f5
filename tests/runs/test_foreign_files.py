"""Files of other programs where a run has its tables: refused before a change, or left alone."""

from __future__ import annotations

import os
import shutil

import pytest
from support.histories import nights
from support.runs import TOKEN, export, manifest_of
from typer.testing import CliRunner

import inventory
from inventory.cli.app import app
from inventory.emulator import Emulator
from inventory.errors import ExitCode, OutputError
from inventory.pipeline.rebuild import rebuild_tables
from inventory.progress import ProgressObserver
from inventory.tables.writer import read_table

IN_ONE_FILE = ["functions.csv/part-00000-1f.csv", ".calls.parquet.part/x", ".manifest.json.part/x"]
IN_PARTS = ["functions-csv/_SUCCESS", "functions/part-00000.parquet/x", "calls-csv/part-00000.csv/x"]


@pytest.fixture
def server():
    emulator = Emulator(functions=30, token=TOKEN)
    with emulator.in_thread():
        yield emulator


@pytest.fixture
def run(server, tmp_path, write_list):
    path = write_list([*server.urns(), "odd"])

    async def go(mode="new", **settings):
        sources = [] if mode == "resume" else path
        return await export(sources, tmp_path / "run", mode=mode, endpoint=server.url, **settings)

    return go


def put(run, name):
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    (run / name).write_text("mine")
    return run / name


def content(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*") if path.name != "ledger.sqlite"}


def obstacles(*settings):
    return [(name, settings) for name in IN_ONE_FILE for settings in ({}, {"rows_per_file": 10})] + [
        (name, {"rows_per_file": 10}) for name in IN_PARTS
    ]


@pytest.mark.parametrize(("name", "settings"), obstacles())
async def test_a_new_run_is_refused_before_a_call(run, server, tmp_path, name, settings):
    put(tmp_path / "run", name)
    before = content(tmp_path)
    with pytest.raises(OutputError, match=r"has the name of a table and is not of a run; move it away"):
        await run(**settings)
    assert (content(tmp_path), server.requests) == (before, [])


@pytest.mark.parametrize(("name", "settings"), obstacles())
async def test_overwrite_resume_and_tables_are_refused_and_the_run_stays_whole(run, server, tmp_path, name, settings):
    folder = tmp_path / "run"
    await run(format=("csv",) if "parquet" in name else ("parquet",))
    shutil.rmtree((folder / name).parent, ignore_errors=True)
    foreign = put(folder, name)
    before, calls = content(folder), len(server.requests)
    for mode in ("overwrite", "resume"):
        with pytest.raises(OutputError, match="has the name of a table"):
            await run(mode, **settings)
        assert content(folder) == before, mode
    both = {"format": ("parquet", "csv"), **settings}
    with pytest.raises(OutputError, match="has the name of a table"):
        rebuild_tables(folder, both, ProgressObserver())
    assert content(folder) == before
    assert len(server.requests) == calls
    assert inventory.open_snapshot(folder).functions is not None
    shutil.rmtree(foreign.parent)
    rebuild_tables(folder, both, ProgressObserver())
    assert {file["format"] for file in manifest_of(folder)["tables"]} == {"parquet", "csv"}


@pytest.mark.parametrize("name", ["functions.csv/part-0.csv", "functions/_SUCCESS", "calls-csv/part-00000.csv/x"])
async def test_a_folder_in_the_place_of_a_table_that_the_run_does_not_write_is_left_alone(run, tmp_path, name):
    folder = tmp_path / "run"
    mine = put(folder, name)
    for mode in ("new", "overwrite", "resume"):
        result = await run(mode, format=("parquet",))
        assert result.exit_code == ExitCode.ANSWERED
    rebuild_tables(folder, {"format": ("parquet",), "naive_timezone": "UTC"}, ProgressObserver())
    assert mine.read_text() == "mine"
    assert len(inventory.open_snapshot(folder).table("functions")) == manifest_of(folder)["input"]["urns"]


async def test_a_folder_that_appears_during_a_rebuild_leaves_the_old_tables_whole(run, tmp_path):
    folder = tmp_path / "run"
    await run(format=("parquet",))
    manifest = manifest_of(folder)

    class Spark(ProgressObserver):
        def on_build_tables(self, *_progress):
            put(folder, "functions.csv/part-0.csv")

    with pytest.raises(OutputError, match="has the name of a table"):
        rebuild_tables(folder, {"format": ("csv",)}, Spark())
    assert manifest_of(folder) == manifest
    assert len(inventory.open_snapshot(folder).table("functions")) == manifest_of(folder)["input"]["urns"]


async def test_prune_removes_the_run_and_leaves_the_folder(run, tmp_path):
    await run(format=("parquet",))
    mine = put(tmp_path / "run", "functions.csv/part-0.csv")
    other = put(tmp_path / "run", "functions/part-00000.parquet/x")
    (tmp_path / "runs").mkdir()
    first, _ = nights(tmp_path / "run", tmp_path / "runs", 2)
    done = CliRunner().invoke(app, ["prune", str(tmp_path / "runs"), "--keep-last", "1", "--quiet"])
    assert (done.exit_code, done.stdout) == (0, f"{first}\n"), done.stderr
    assert done.stderr == f"inventory: {first} stays, with files that are not of the run: functions, functions.csv\n"
    left = {path.relative_to(first) for path in first.rglob("*") if path.is_file()}
    assert left == {path.relative_to(tmp_path / "run") for path in (mine, other)}


def replace_with(path, kind, tmp_path):
    target = tmp_path / "target"
    target.write_text("mine")
    path.unlink()
    if kind == "link":
        path.symlink_to(target)
    elif kind == "link to a folder":
        (tmp_path / "elsewhere").mkdir()
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "dangling link":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("mine")
        path.chmod(0o400)
    return target


@pytest.mark.parametrize("name", ["functions.csv", "functions.parquet", "rejects.csv"])
@pytest.mark.parametrize("kind", ["link", "link to a folder", "dangling link", "pipe", "read-only file"])
async def test_what_is_in_the_place_of_a_table_is_replaced_and_no_link_is_followed(run, tmp_path, name, kind):
    folder = tmp_path / "run"
    await run()
    before = {table: read_table(folder / table) for table in ("functions.csv", "functions.parquet", "rejects.csv")}
    for again in ("resume", "tables", "overwrite"):
        target = replace_with(folder / name, kind, tmp_path)
        if kind not in {"read-only file", "link"}:
            with pytest.raises(OutputError, match=r"cannot be read as a table|No such file"):
                read_table(folder / name)
        if again == "tables":
            rebuild_tables(folder, {}, ProgressObserver())
        else:
            await run(again)
        assert target.read_text() == "mine"
        assert not (folder / name).is_symlink()
        assert {table: read_table(folder / table).equals(before[table]) for table in before} == dict.fromkeys(
            before, True
        )
        shutil.rmtree(tmp_path / "elsewhere", ignore_errors=True)
