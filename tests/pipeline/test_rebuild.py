"""The tables of a run built again from its ledger, without a call."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys

import pytest
from support.clouds import CONFIG, OTHER, P, cloud_of, contents, limited
from support.runs import by_urn, export, manifest_of, rows, run_cli

from inventory import open_snapshot
from inventory.emulator import Emulator, Fault, FileCloud, Limit, Reply
from inventory.errors import ExitCode, InterruptedRunError, OutputError, UsageError
from inventory.ledger import database as ledger_file
from inventory.ledger.writer import Ledger
from inventory.pipeline.rebuild import rebuild_tables
from inventory.progress import ProgressObserver

TABLES = ("functions", "destinations", "calls", "rejects", "scopes")


def again(folder, observer=None, **shape):
    return rebuild_tables(folder, shape, observer or ProgressObserver())


@pytest.fixture
async def run(tmp_path, write_list):
    cloud = cloud_of(25)
    async with Emulator(cloud, limit=Limit.parse("20/second")) as server:
        path = write_list([*cloud.urns(), "odd"])
        await export(path, tmp_path / "run", endpoint=server.url, format=("parquet",), max_per_second=None)
    return tmp_path / "run"


async def test_the_tables_are_those_of_the_run(run):
    before = contents(run)
    for table in TABLES:
        (run / f"{table}.parquet").unlink()
    result = again(run)
    assert contents(run) == before
    assert result.exit_code == ExitCode.ANSWERED


async def test_csv_comes_to_what_is_there(run):
    before, manifest = contents(run), manifest_of(run)
    assert manifest["scopes"][0]["limit_learnt"]["calls"] == 20
    again(run, format=("csv",))
    after = contents(run)
    assert {name: after[name] for name in before if name != "manifest.json"} == {
        name: content for name, content in before.items() if name != "manifest.json"
    }
    for table in TABLES:
        assert rows(run, table, "csv") == rows(run, table)
    reported = manifest_of(run)
    assert {(table["name"], table["format"]) for table in reported.pop("tables")} == {
        (name, form) for name in TABLES for form in ("parquet", "csv")
    }
    manifest.pop("tables")
    manifest["settings"]["format"] = ["parquet", "csv"]
    assert reported == manifest


async def test_the_zone_of_a_time_may_be_said_later(run):
    again(run, naive_timezone="Asia/Shanghai")
    assert by_urn(run)[f"{P}f000:latest"]["last_modified"].hour == 6
    again(run, format=("csv",))
    assert by_urn(run)[f"{P}f000:latest"]["last_modified"].hour == 6
    assert manifest_of(run)["settings"]["naive-timezone"] == "Asia/Shanghai"


async def test_a_resumed_run_takes_the_tables_as_they_were_built_again(run):
    again(run, naive_timezone="Asia/Shanghai", format=("csv",), rows_per_file=10)
    before = contents(run)
    done = run_cli("export", "--resume", "--output", run)
    assert (done.returncode, "nothing was left to do" in done.stderr) == (0, True), done.stderr
    assert contents(run) == before


async def test_no_credential_and_no_network_is_needed(run):
    done = run_cli("tables", run, "--format", "csv", token=None)
    assert (done.returncode, done.stdout) == (0, f"{run}\n")
    assert (
        "functions 25 rows, destinations 25 rows, calls 25 rows, rejects 1 row, scopes 1 row (parquet, csv)"
        in done.stderr
    )
    assert (run / "functions.csv").exists()


async def test_what_was_stopped_stays_as_the_manifest_had_it(tmp_path, write_list):
    refused = Reply(401, b'{"error_code": "APIGW.0301", "error_msg": "decrypt token fail"}')
    cloud = FileCloud({f"{P}a:latest": CONFIG}, {f"{OTHER}f{number}:latest": refused for number in range(9)})
    async with Emulator(cloud) as server:
        result = await export(write_list(cloud.urns()), tmp_path / "run", endpoint=server.url)
    assert result.exit_code == ExitCode.CREDENTIALS
    before = contents(tmp_path / "run")
    built = again(tmp_path / "run")
    assert contents(tmp_path / "run") == before
    assert built.manifest["scopes"][0]["stopped"].startswith("refused")
    assert (built.exit_code, built.manifest["exit_code"], built.manifest["complete"]) == (0, 3, False)


async def test_an_incomplete_run_has_tables_too(tmp_path, write_list):
    observer, cloud, folder = ProgressObserver(), cloud_of(40), tmp_path / "run"
    async with Emulator(cloud) as server:

        def stop(_urn, _times):
            if len(server.requests) == 20:
                observer.cancel(15)

        server.plan(stop)
        with pytest.raises(InterruptedRunError):
            await export(write_list(cloud.urns()), folder, endpoint=server.url, observer=observer, max_workers=1)
        assert not (folder / "manifest.json").exists()
        manifest = again(folder).manifest
        counts = manifest["counts"]["status"]
        assert 0 < counts["configured"] < 40
        assert counts["configured"] + counts["not_attempted"] == 40
        assert (manifest["complete"], manifest["exit_code"]) == (False, 5)
        assert manifest["started"] <= manifest["finished"]
        assert manifest["requests"]["total"] == counts["configured"]
        before = contents(folder)
        again(folder)
        assert contents(folder) == before
        result = await export([], folder, mode="resume", endpoint=server.url)
    assert (result.exit_code, result.manifest["counts"]["status"]["configured"]) == (0, 40)
    assert result.manifest["requests"]["total"] == 40


async def test_a_session_that_goes_on_forgets_how_the_last_one_ended(tmp_path, write_list):
    cloud = cloud_of(3)
    async with Emulator(cloud) as server:
        server.plan({f"{P}f001:latest": [Fault.BAD_GATEWAY]})
        await export(write_list(cloud.urns()), tmp_path / "run", endpoint=server.url, attempts=1)
        observer = ProgressObserver()

        def stop(_urn, _times):
            observer.cancel(15)

        server.plan(stop)
        with pytest.raises(InterruptedRunError):
            await export([], tmp_path / "run", mode="resume", endpoint=server.url, observer=observer)
    manifest = again(tmp_path / "run").manifest
    assert (manifest["exit_code"], manifest["complete"]) == (0, True)
    assert manifest["requests"]["total"] == 4


async def test_a_stop_leaves_all_as_it_was(run):
    before = contents(run)
    observer = ProgressObserver()
    observer.cancel(15)
    with pytest.raises(InterruptedRunError):
        again(run, observer, format=("csv",), rows_per_file=7)
    assert contents(run) == before


async def test_a_stop_between_tables_and_bodies_says_which_are_done(run, monkeypatch):
    monkeypatch.setattr(ledger_file, "_STEPS_BETWEEN_CHECKS", 1)
    observer = ProgressObserver()
    monkeypatch.setattr(observer, "on_build_tables", lambda number, total: number == total and observer.cancel(15))
    with pytest.raises(InterruptedRunError, match="the tables are whole, and --drop-bodies continues"):
        rebuild_tables(run, {"format": ("csv",)}, observer, drop_bodies=True)
    assert (run / "functions.csv").exists()
    assert "bodies" not in rebuild_tables(run, {}, ProgressObserver(), drop_bodies=True).note


async def test_no_room_leaves_all_as_it_was(run, monkeypatch):
    before = contents(run)

    def full(_number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("inventory.tables.writer._CsvWriter.close", lambda _self: full(0))
    with pytest.raises(OutputError, match="table functions cannot be written: No space left on device"):
        again(run, format=("csv",))
    assert contents(run) == before


@pytest.mark.parametrize("rows_per_file", [0, 7])
@pytest.mark.parametrize("step", ["replace", "remove_manifest", "write_manifest", "write"])
def test_a_kill_at_any_step_loses_nothing(run, step, rows_per_file):
    shutil.copytree(run, run.parent / "calm")
    again(run.parent / "calm", format=("csv",), rows_per_file=rows_per_file)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from inventory.pipeline import rebuild\n"
        "from inventory.progress import ProgressObserver\n"
        "from inventory.runs import finish, folder, manifest\n"
        "kill = lambda *_, **__: os._exit(9)\n"
        "real, replaced = Path.replace, []\n"
        "def replace(path, target):\n"
        "    if '.part' not in str(target) and len(replaced) == 3: kill()\n"
        "    if '.part' not in str(target): replaced.append(target)\n"
        "    return real(path, target)\n"
        "targets = {'replace': (Path, replace), 'remove_manifest': (folder.RunFolder, kill),\n"
        "          'write_manifest': (finish, kill), 'write': (manifest, kill)}\n"
        "setattr(targets[sys.argv[2]][0], sys.argv[2], targets[sys.argv[2]][1])\n"
        "shape = {'format': ('csv',), 'rows_per_file': int(sys.argv[3])}\n"
        "rebuild.rebuild_tables(Path(sys.argv[1]), shape, ProgressObserver())\n"
    )
    before = contents(run)
    killed = subprocess.run([sys.executable, "-c", code, run, step, str(rows_per_file)], check=False)
    assert killed.returncode == 9
    if step == "remove_manifest":
        assert {name: content for name, content in contents(run).items() if ".part" not in name} == before
    else:
        assert not (run / "manifest.json").exists()
    again(run)
    assert contents(run) == contents(run.parent / "calm")


def test_a_folder_without_a_run_is_refused(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(UsageError, match=r"contains no run: there is no ledger\.sqlite in it"):
            again(path)
    assert list(tmp_path.iterdir()) == []


def of_another_version(path):
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def damaged(path):
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


@pytest.mark.parametrize(("damage", "message"), [(of_another_version, "ledger 99, not 5"), (damaged, "damaged")])
async def test_an_unusable_ledger_is_refused(run, damage, message):
    before = contents(run)
    damage(run / "ledger.sqlite")
    done = run_cli("tables", run)
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)
    assert message in done.stderr
    assert contents(run) == before


async def test_a_run_that_is_in_use_is_refused(run):
    with Ledger(run / "ledger.sqlite"), pytest.raises(OutputError, match="in use by another inventory process"):
        again(run)


def test_a_list_that_was_never_read_to_its_end_is_refused(tmp_path):
    Ledger(tmp_path / "ledger.sqlite").close()
    with pytest.raises(UsageError, match=r"was not read completely: .* with --resume"):
        again(tmp_path)


async def test_a_switch_between_one_file_and_parts_leaves_no_stale_file(run):
    calm = contents(run)
    complete = open_snapshot(run).table("functions")
    for rows_per_file, parts in ((10, 3), (5, 5), (24, 2), (25, 1), (0, 1)):
        manifest = again(run, rows_per_file=rows_per_file).manifest
        listed = {table["path"] for table in manifest["tables"]}
        assert set(contents(run)) == {"manifest.json", *listed}
        assert sum(table["name"] == "functions" for table in manifest["tables"]) == parts
        assert open_snapshot(run).table("functions").equals(complete)
        assert len(open_snapshot(run).rejects) == 1
        assert manifest["settings"]["rows-per-file"] == rows_per_file
    assert contents(run) == calm
    assert not [path for path in run.iterdir() if path.is_dir()]


async def test_an_export_writes_parts_and_knows_them(tmp_path, write_list):
    cloud = cloud_of(25)
    async with Emulator(cloud) as server:
        path, folder = write_list(cloud.urns()), tmp_path / "run"
        result = await export(path, folder, endpoint=server.url, rows_per_file=10)
        assert {table["path"] for table in result.manifest["tables"] if table["name"] == "functions"} == {
            *(f"functions/part-0000{number}.parquet" for number in range(3)),
            *(f"functions-csv/part-0000{number}.csv" for number in range(3)),
        }
        again_asked = await export([], folder, mode="resume", endpoint=server.url, rows_per_file=10)
        assert again_asked.nothing_to_do
        with pytest.raises(OutputError, match="contains a run already"):
            await export(path, folder, endpoint=server.url)
        (folder / "functions" / "part-00001.parquet").unlink()
        repaired = await export([], folder, mode="resume", endpoint=server.url, rows_per_file=10)
        assert not repaired.nothing_to_do
        assert repaired.manifest["tables"] == result.manifest["tables"]
        await export(path, folder, mode="overwrite", endpoint=server.url, format=("parquet",))
        assert len(server.requests) == 50
    assert sorted(contents(folder)) == sorted(["manifest.json", *(f"{table}.parquet" for table in TABLES)])
    assert sorted(path.name for path in folder.iterdir()) == sorted(["ledger.sqlite", *contents(folder)])


async def test_rows_per_file_must_be_a_number_of_rows(run):
    done = run_cli("tables", run, "--rows-per-file", "-1")
    assert (done.returncode, "--rows-per-file -1 cannot be used; give rows" in done.stderr) == (2, True)


@pytest.mark.parametrize("kilobytes", [0, 3, 8])
def test_a_file_that_may_not_grow_ends_in_one_sentence_and_all_is_as_it_was(run, kilobytes):
    before = contents(run)
    done = limited(kilobytes, "tables", run, "--format", "csv", "--rows-per-file", "7")
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1), done.stderr
    assert "cannot be written" in done.stderr
    assert contents(run) == before
    assert run_cli("tables", run, "--format", "csv", token=None).returncode == 0
