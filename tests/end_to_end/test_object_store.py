"""Runs in an object store: parts, status, rebuilt tables, dropped bodies."""

from __future__ import annotations

import pytest
from support.object_store import BUCKET
from support.runs import TOKEN, export, run_cli

import inventory
from inventory.emulator import Emulator, Reply
from inventory.errors import OutputError
from inventory.ledger.writer import Ledger
from inventory.runs.facts import RunFacts
from inventory.runs.output import Output
from inventory.runs.status import read_status
from inventory.storage.object_store import parse

URL = f"s3://{BUCKET}/runs/today"


@pytest.fixture
def server():
    with Emulator(functions=30, token=TOKEN).in_thread() as server:
        yield server


@pytest.fixture
def work(tmp_path):
    return tmp_path / "work"


@pytest.fixture
def run(store, server, work, write_list):
    path = write_list(server.urns())

    async def go(*, mode="new", **more):
        environment = {"HW_AUTH_TOKEN": TOKEN, **store.environment()}
        place = Output(work, parse(URL), work_dir_named=True)
        return await export(path, place, mode=mode, environment=environment, endpoint=server.url, **more)

    return go


def names(store):
    found = {key.removeprefix("runs/today/") for key, content in store.objects().items() if content}
    return {name for name in found if name}


def goes_on(work):
    return f"export --resume --output {URL} --work-dir {work}"


def are_dropped(work):
    with Ledger(work / "ledger.sqlite") as ledger:
        return RunFacts(ledger).bodies_dropped


async def test_parts_go_up_are_read_and_go_away(run, store, work):
    result = await run(rows_per_file=10)
    paths = {table["path"] for table in result.manifest["tables"]}
    parts = {path for path in paths if "/part-" in path}
    assert {path.partition("/")[0] for path in parts} > {"functions", "functions-csv"}
    assert names(store) == {"manifest.json", *paths}
    reported = inventory.open_snapshot(work).table("functions")
    assert inventory.open_snapshot(URL).table("functions").equals(reported)
    await run(mode="resume", rows_per_file=0)
    assert not parts & names(store)
    assert inventory.open_snapshot(URL).table("functions").equals(reported)


async def test_parts_that_are_not_ours_stay_and_are_no_run(run, store):
    store.client().put_object(Bucket=BUCKET, Key="runs/today/functions/mine.parquet", Body=b"mine")
    await run(rows_per_file=10)
    assert store.objects()["runs/today/functions/mine.parquet"] == b"mine"


async def test_tables_that_are_built_again_go_up_with_the_next_resume(run, store, server, work):
    await run(format=("parquet",))
    assert read_status(work).next == "nothing: every URN is answered and the tables are complete"
    server.clear()
    before = store.objects()
    built = run_cli("tables", work, "--format", "csv")
    assert (built.returncode, built.stdout, store.objects()) == (0, f"{work}\n", before)
    assert f"{URL} does not have these tables yet; upload them with: " in built.stderr
    assert built.stderr.rstrip().endswith(goes_on(work))
    assert read_status(work).next.endswith(goes_on(work))
    await run(mode="resume", format=("parquet",))
    assert not server.requests
    assert "functions.csv" in names(store)
    assert read_status(work).next.startswith("nothing: ")


async def test_bodies_are_dropped_when_all_is_up(run, store, work):
    store.fault = lambda request: (403, "AccessDenied") if request["PATH_INFO"].endswith("calls.csv") else None
    with pytest.raises(OutputError, match="--resume uploads the rest"):
        await run(drop_bodies=True)
    assert not are_dropped(work)
    assert goes_on(work) in read_status(work).next
    store.fault = lambda _request: None
    await run(mode="resume", drop_bodies=True)
    assert are_dropped(work)
    assert read_status(work).next.startswith("nothing; its bodies are dropped")


async def test_bodies_of_a_run_with_failures_are_kept_for_the_way_into_the_store(run, server, work):
    server.plan(lambda urn, _times: Reply(400, b"{}") if urn == min(server.urns()) else None)
    await run()
    built = run_cli("tables", work, "--drop-bodies")
    assert "the bodies are kept in the ledger, as --resume needs them: 1 URN failed" in built.stderr
    assert not are_dropped(work)
    assert read_status(work).next.endswith(goes_on(work))


@pytest.mark.parametrize("command", ["status", "tables"])
def test_a_url_is_no_folder(command):
    said = run_cli(command, URL)
    assert said.returncode == 2
    assert "work folder" in said.stderr
