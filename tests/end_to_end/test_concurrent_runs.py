"""One process per run, and only on an undamaged ledger; a refused process says what to do."""

from __future__ import annotations

import random
import shutil
import sqlite3
import sys
from contextlib import closing

import pytest
from support.interrupts import COMMIT, COUNT_SCOPES
from support.processes import STABLE, WORKERS, assert_right, begin, command, kill_at, repeated, run, tables_of
from support.runs import TOKEN, export, manifest_of, wait_for

from inventory.emulator import Emulator, Fault
from inventory.errors import InventoryError, LedgerUnusableError, OutputError
from inventory.ledger.writer import Ledger
from inventory.pipeline.rebuild import rebuild_tables
from inventory.progress import ProgressObserver
from inventory.runs.facts import RunFacts
from inventory.runs.folder import RunFolder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks and kills of POSIX")


@pytest.fixture
def server():
    with Emulator(functions=40, seed=3, token=TOKEN).in_thread() as server:
        yield server


@pytest.fixture
def path(write_list, server):
    return write_list(server.urns())


def files_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_second_process_is_told_and_changes_nothing(tmp_path, server, path):
    folder = tmp_path / "run"
    server.plan(lambda _urn, _times: Fault.STALLED)
    with begin(*command(server, path, folder)) as first:
        wait_for(lambda: server._number >= 1)
        before = files_of(folder)
        for more in ((), ("--resume",), ("--overwrite",)):
            words = run(*command(server, path, folder, *more), code=4)
            assert "inventory process" in words
            assert words.endswith("wait until it ends\n")
            assert (files_of(folder), server._number) == (before, 1)
        first.kill()
    server.plan(None)
    run(*command(server, path, folder, "--resume"))  # the lock of a dead process stands in nobody's way
    assert manifest_of(folder)["complete"]


def test_of_two_that_begin_at_once_one_goes_on(tmp_path, server, path):
    folder = tmp_path / "run"
    with begin(*command(server, path, folder)) as one, begin(*command(server, path, folder)) as other:
        said = [process.communicate()[1] for process in (one, other)]
    assert sorted([one.returncode, other.returncode]) == [0, 4], said
    assert not any("Traceback" in words for words in said)
    assert repeated(server) == 0
    assert manifest_of(folder)["complete"]
    run(*command(server, path, folder, "--resume"))


async def test_a_run_that_another_made_while_we_waited_is_not_written_over(tmp_path, server, path, monkeypatch):
    folder = tmp_path / "run"
    await export(path, folder, endpoint=server.url)
    before = {name: (folder / name).read_bytes() for name in STABLE}
    monkeypatch.setattr(RunFolder, "prepare", lambda self, _mode: setattr(self, "fresh", True))
    with pytest.raises(OutputError, match=r"another inventory process has made a run in .*; give another --output"):
        await export(path, folder, endpoint=server.url)
    assert {name: (folder / name).read_bytes() for name in STABLE} == before
    assert (folder / "manifest.json").exists()


def test_a_ledger_that_was_removed_while_we_waited_is_not_used(tmp_path, monkeypatch):
    path = tmp_path / "ledger.sqlite"
    monkeypatch.setattr("pathlib.Path.exists", lambda _self: False)
    with pytest.raises(OutputError, match="in use by another inventory process"):
        Ledger(path)


def test_a_complete_run_that_is_resumed_does_nothing_and_says_so(tmp_path, server, path):
    folder = tmp_path / "run"
    run(*command(server, path, folder))
    server.clear()
    before = files_of(folder)
    assert "contains a run already" in run(*command(server, path, folder), code=4)
    assert files_of(folder) == before
    with begin("export", "--resume", "--output", str(folder)) as process:
        said, words = process.communicate()
    assert (process.returncode, said, words) == (0, f"{folder}\n", f"{folder} is complete: nothing was left to do.\n")
    assert not server.requests
    changed = {name for name, content in files_of(folder).items() if before.get(name) != content}
    assert changed <= {"ledger.sqlite"}  # SQLite's own counter


def cut_off(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3 - 100])


def zero_a_page(file):
    content = bytearray(file.read_bytes())
    content[4096 * 2 : 4096 * 3] = bytes(4096)
    file.write_bytes(content)


def spill(file):
    content = bytearray(file.read_bytes())
    content[4096 : 4096 * 4] = random.Random(2).randbytes(4096 * 3)
    file.write_bytes(content)


def zero_the_header(file):
    file.write_bytes(bytes(100) + file.read_bytes()[100:])


def of_another_version(file):
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA user_version = 99")


def of_another_program(file):
    file.unlink()
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE facts (what TEXT)")


@pytest.mark.parametrize(
    "spoil", [cut_off, zero_a_page, spill, zero_the_header, of_another_version, of_another_program]
)
async def test_a_ledger_that_cannot_be_trusted_is_refused(tmp_path, server, path, spoil):
    folder = tmp_path / "run"
    await export(path, folder, endpoint=server.url)
    spoil(folder / "ledger.sqlite")
    before = tables_of(folder)
    server.clear()
    with pytest.raises(LedgerUnusableError, match=r"start again with --overwrite$|give another --output$") as caught:
        await export(path, folder, mode="resume", endpoint=server.url)
    assert caught.value.exit_code == 4
    assert (tables_of(folder), len(server.requests)) == (before, 0)
    await export(path, folder, mode="overwrite", endpoint=server.url)
    assert_right(folder, before)


async def test_without_its_last_commits_a_ledger_goes_on_from_those_before(tmp_path, server, path):
    killed = tmp_path / "killed"
    kill_at(f"{COMMIT}:after:4", *command(server, path, killed))
    await export(path, tmp_path / "right", endpoint=server.url)
    wal = (killed / "ledger.sqlite-wal").read_bytes()
    assert len(wal) > 20_000
    spoilt = {
        "gone": None,
        "emptied": b"",
        "cut off": wal[: len(wal) // 2 + 13],
        "garbage": b"\xa5" * len(wal),
        "without a header": bytes(32) + wal[32:],
    }
    for name, content in spoilt.items():
        folder = tmp_path / name
        shutil.copytree(killed, folder)
        (folder / "ledger.sqlite-wal").unlink()
        if content is not None:
            (folder / "ledger.sqlite-wal").write_bytes(content)
        await export(path, folder, mode="resume", endpoint=server.url)
        assert_right(folder, tables_of(tmp_path / "right"))


async def test_damage_at_random_places_is_refused_or_harmless(tmp_path, server, path):
    folder = tmp_path / "run"
    await export(path, folder, endpoint=server.url)
    before = tables_of(folder)
    whole = (folder / "ledger.sqlite").read_bytes()
    dice = random.Random(7)
    refused = 0
    for number in range(30):
        spoilt = bytearray(whole)
        at = dice.randrange(0, len(whole) - 64)
        length = dice.choice([1, 8, 64, 4096])
        spoilt[at : at + length] = dice.randbytes(min(length, len(whole) - at))
        copy = tmp_path / f"run-{number}"
        copy.mkdir()
        (copy / "ledger.sqlite").write_bytes(spoilt)
        try:
            await export([], copy, mode="resume", endpoint=server.url)
        except InventoryError:
            refused += 1
        else:
            assert tables_of(copy) == before
        shutil.rmtree(copy)
    assert refused >= 5


@pytest.mark.parametrize("column", ["body", "urn"])
async def test_a_text_that_was_changed_is_told_before_a_table_changes(tmp_path, server, path, column):
    folder = tmp_path / "run"
    await export(path, folder, endpoint=server.url)
    before = tables_of(folder)
    server.clear()
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as database, database:
        if column == "body":
            database.execute("UPDATE outcomes SET body = x'a5a5' WHERE status = 'configured'")
        else:
            database.execute("UPDATE urns SET urn = 'urn:fss:spoilt' WHERE urn = (SELECT min(urn) FROM urns)")
    with pytest.raises(LedgerUnusableError, match=r"is damaged \(.*\); start again with --overwrite$"):
        rebuild_tables(folder, {}, ProgressObserver())
    with pytest.raises(LedgerUnusableError, match=r"is damaged \(.*\); start again with --overwrite$"):
        await export(path, folder, mode="resume", endpoint=server.url)
    assert not server.requests
    assert tables_of(folder) == before
    assert (folder / "manifest.json").exists()


def test_a_list_that_was_never_in_is_asked_for_again(tmp_path, server, path):
    folder = tmp_path / "run"
    kill_at(f"{COUNT_SCOPES}:after:1", *command(server, path, folder))
    words = run(*command(server, None, folder, "--resume"), code=2)
    assert "the list of this run was not read completely: give it again" in words
    run(*command(server, path, folder, "--resume"))
    with Ledger(folder / "ledger.sqlite") as ledger:
        assert RunFacts(ledger).is_loaded
    assert repeated(server) <= WORKERS
