"""A killed export: the resumed run repeats at most the calls in flight."""

from __future__ import annotations

import random
import sys
import time

import pytest
from support.interrupts import (
    ADD_URNS,
    BUILD_TABLES,
    CLOSE_LEDGER,
    COMMIT,
    COUNT_SCOPES,
    FINISH_TABLE,
    LOAD,
    READ_FACT,
    RECORD,
    RECORD_LISTED,
    REMOVE_RESULTS,
    REPLACE,
    WRITE_ROWS,
)
from support.processes import (
    STABLE,
    WORKERS,
    assert_nothing_half,
    assert_right,
    begin,
    command,
    kill_at,
    repeated,
    run,
    tables_of,
)
from support.runs import TOKEN, manifest_of, wait_for

from inventory.emulator import Emulator, Faults, GeneratedCloud
from inventory.runs.status import read_status

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")

ROUNDS = 4
# In the order of a run.
LIST = [
    f"{READ_FACT}:before:1",  # the ledger is made, and nothing is in it
    f"{ADD_URNS}:after:1",
    f"{COUNT_SCOPES}:after:1",  # all of it is in, and not committed
    f"{LOAD}:after:1",
]
OUTCOMES = [
    f"{COMMIT}:before:1",
    f"{COMMIT}:after:1",
    f"{RECORD}:after:4",
    f"{COMMIT}:after:4",
]
TABLES = [
    f"{BUILD_TABLES}:before:1",
    f"{WRITE_ROWS}:after:2",
    f"{FINISH_TABLE}:after:2",
    f"{REPLACE}:before:1",  # the tables get their names one by one: ten, and then the manifest's
    f"{REPLACE}:after:1",
]
NAMES_AND_MANIFEST = [
    f"{REPLACE}:before:5",
    f"{REPLACE}:after:10",
    f"{REPLACE}:before:11",
    f"{REPLACE}:after:11",
    f"{CLOSE_LEDGER}:before:2",  # all is done: what is killed now only says so
]
WITH_LISTS = [f"{RECORD_LISTED}:before:1", f"{RECORD_LISTED}:after:1", f"{COMMIT}:after:2", f"{RECORD_LISTED}:after:2"]
"""Lists of configs are committed with their outcomes."""
CHAINS = {
    "list": (LIST, "--no-batch"),
    "outcomes": (OUTCOMES, "--no-batch"),
    "tables": (TABLES, "--no-batch"),
    "names-and-manifest": (NAMES_AND_MANIFEST, "--no-batch"),
    "with-lists": (WITH_LISTS, "--quiet"),
}


@pytest.fixture
def cloud():
    return GeneratedCloud(60, seed=5, regions=("cn-north-4", "ap-southeast-1"))


@pytest.fixture
def server(cloud):
    with Emulator(cloud, token=TOKEN, faults=Faults(latency=0.002)).in_thread() as server:
        yield server


@pytest.fixture
def undisturbed(tmp_path, write_list, cloud, server):
    def undisturbed(name="urns.txt", every=1):
        urns = list(cloud.urns())[::every]
        path = write_list([*urns, urns[0], "not a urn"], name)
        run(*command(server, path, tmp_path / f"right-{name}"))
        server.clear()
        return path, tables_of(tmp_path / f"right-{name}")

    return undisturbed


def resumed(folder):
    return ["--resume"] if (folder / "ledger.sqlite").exists() else []


@pytest.mark.parametrize("chain", CHAINS)
def test_a_run_that_is_killed_at_each_step_can_be_resumed(tmp_path, undisturbed, server, chain):
    path, right = undisturbed()
    folder = tmp_path / chain
    steps, *more = CHAINS[chain]
    for step in steps:
        kill_at(step, *command(server, path, folder, *more, *resumed(folder)))
        assert_nothing_half(folder, right)
    run(*command(server, None, folder, "--resume"))
    assert repeated(server) <= WORKERS * len(steps)
    assert_right(folder, right)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_that_is_killed_at_random_can_be_resumed(tmp_path, undisturbed, cloud, seed):
    path, right = undisturbed()
    folder = tmp_path / f"run-{seed}"
    dice = random.Random(seed)
    with Emulator(cloud, token=TOKEN, faults=Faults(latency=0.03)).in_thread() as server:
        for _ in range(ROUNDS):
            enough = len(server.requests) + dice.randint(0, 30)
            with begin(*command(server, path, folder, *resumed(folder))) as process:
                wait_for(lambda: process.poll() is not None or len(server.requests) >= enough)  # noqa: B023
                time.sleep(dice.uniform(0, 0.1))
                process.kill()
            if folder.exists():
                assert_nothing_half(folder, right)
        run(*command(server, path, folder, *resumed(folder)))
        assert repeated(server) <= WORKERS * ROUNDS
    assert_right(folder, right)


def test_a_killed_listing_starts_again(tmp_path, cloud):
    run_all = ("--all", "--versions", "--aliases", "--region", "cn-north-4", "--project-id", cloud.scopes[0].project_id)
    with Emulator(cloud, token=TOKEN, faults=Faults(latency=0.02)).in_thread() as server:
        run(*command(server, None, tmp_path / "right", *run_all))
        right = tables_of(tmp_path / "right")
        server.clear()
        folder = tmp_path / "run"
        with begin(*command(server, None, folder, *run_all)) as process:
            wait_for(lambda: len(server.requests) > 20)
            process.kill()
        words = run(*command(server, None, folder, "--resume"), code=2)
        assert "the list of this run was not read completely: give it again, or --all" in words
        kill_at(f"{LOAD}:before:1", *command(server, None, folder, *run_all, "--resume"))
        server.clear()
        kill_at(f"{LOAD}:after:1", *command(server, None, folder, *run_all, "--resume"))
        kill_at(f"{COMMIT}:after:2", *command(server, None, folder, "--resume"))
        run(*command(server, None, folder, "--resume"))
        assert repeated(server) <= WORKERS * 2
    assert_right(folder, right)


def test_a_killed_overwrite_leaves_the_old_run_or_the_new_one(tmp_path, undisturbed, server):
    old, old_tables = undisturbed("old.txt", every=3)
    new, new_tables = undisturbed()
    folder = tmp_path / "right-old.txt"
    kill_at(f"{COUNT_SCOPES}:after:1", *command(server, new, folder, "--overwrite"))
    assert (tables_of(folder), manifest_of(folder)["complete"]) == (old_tables, True)
    run(*command(server, old, folder, "--resume"))
    assert not server.requests
    assert_right(folder, old_tables)
    kill_at(f"{LOAD}:after:1", *command(server, new, folder, "--overwrite"))
    kill_at(f"{REMOVE_RESULTS}:after:1", *command(server, new, folder, "--overwrite"))
    assert not [name for name in STABLE if (folder / name).exists()]
    kill_at(f"{COMMIT}:after:2", *command(server, new, folder, "--resume"))
    run(*command(server, None, folder, "--resume"))
    assert repeated(server) <= WORKERS
    assert_right(folder, new_tables)


def test_a_killed_overwrite_with_an_empty_list_does_not_count_as_the_old_run(tmp_path, undisturbed, server, write_list):
    undisturbed("old.txt", every=9)
    folder = tmp_path / "right-old.txt"
    kill_at(f"{LOAD}:after:1", *command(server, write_list([], "none.txt"), folder, "--overwrite"))
    standing = read_status(folder)
    assert (standing.urns, standing.state, standing.exit_code) == (0, "stopped", None)
    words = run(*command(server, None, folder, "--resume"), code=2)
    assert "none.txt contains no URN" in words
    assert manifest_of(folder)["input"]["urns"] == 0
