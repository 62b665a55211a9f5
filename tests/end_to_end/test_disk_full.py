"""Full disks, read-only folders and no descriptors left: one sentence, exit code 4, and --resume once there is room.

All of it is real: the system refuses. Where a file system has to be mounted for that and may not be, a test is skipped.
"""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.interrupts import (
    ADD_URNS,
    BUILD_TABLES,
    CLOSE_LEDGER,
    COMMIT,
    CONNECT,
    COUNT_SCOPES,
    FINISH_TABLE,
    LOAD,
    WRITE_MANIFEST,
)
from support.processes import (
    HAPPENS_AT,
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
from support.runs import TOKEN, manifest_of

from inventory.emulator import Emulator, Faults, GeneratedCloud

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts of Linux")

FULL_AT = [
    f"{CONNECT}:before:1",
    f"{ADD_URNS}:before:1",
    f"{COUNT_SCOPES}:after:1",
    f"{COMMIT}:before:4",
    f"{BUILD_TABLES}:before:1",
    f"{FINISH_TABLE}:after:3",
    f"{WRITE_MANIFEST}:before:1",
]
"""Steps of a run at which the disk becomes full."""
OPEN_AT = [
    f"{LOAD}:before:1",
    f"{BUILD_TABLES}:before:1",
    f"{WRITE_MANIFEST}:before:1",
]


@pytest.fixture
def cloud():
    return GeneratedCloud(70, seed=5)


@pytest.fixture
def server(cloud):
    with Emulator(cloud, token=TOKEN, faults=Faults(latency=0.002)).in_thread() as server:
        yield server


@pytest.fixture
def path(write_list, cloud):
    return write_list([*cloud.urns(), "not a urn"])


@pytest.fixture
def right(tmp_path, path, server):
    run(*command(server, path, tmp_path / "right"))
    server.clear()
    return tables_of(tmp_path / "right")


@pytest.fixture
def mounted(tmp_path):
    place = tmp_path / "mounted"
    place.mkdir()

    def mount(*options):
        subprocess.run(
            ["mount", "-o", ",".join(options), "-t", "tmpfs", "tmpfs", place], check=True, capture_output=True
        )
        return place

    try:
        mount("size=1m")
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    yield lambda *options: mount("remount", *options)
    subprocess.run(["umount", "-l", place], check=False)


def happens(what, *arguments, words):
    said = run(*arguments, program=(HAPPENS_AT, what), code=4)
    assert said.count("\n") == 1, said
    assert any(one in said for one in words), said


def test_a_disk_that_is_full_at_any_stage_costs_a_sentence(tmp_path, path, right, server):
    folder = tmp_path / "run"
    for step in FULL_AT:
        more = ["--resume"] if (folder / "ledger.sqlite").exists() else []
        happens(f"full@{step}", *command(server, path, folder, *more), words=["free disk space", "ulimit -f"])
        assert_nothing_half(folder, right)
        assert not (folder / "manifest.json").exists()
        assert not list(folder.glob(".*.part"))
    run(*command(server, path, folder, "--resume"))
    assert_right(folder, right)
    assert repeated(server) <= WORKERS * len(FULL_AT)


def test_a_disk_that_is_full_at_the_end_leaves_only_the_log_of_the_ledger(tmp_path, path, right, server):
    folder = tmp_path / "run"
    run(*command(server, path, folder), program=(HAPPENS_AT, f"full@{CLOSE_LEDGER}:before:1"))
    whole = {*(table["path"] for table in manifest_of(folder)["tables"]), "ledger.sqlite", "manifest.json"}
    left = {file.name for file in folder.iterdir()} - whole
    assert left == {"ledger.sqlite-wal", "ledger.sqlite-shm"}
    assert tables_of(folder) == right
    run(*command(server, path, folder, "--resume"))
    assert_right(folder, right)


def test_where_no_file_can_be_opened_a_run_ends_in_order(tmp_path, path, right, server):
    folder = tmp_path / "run"
    for step in OPEN_AT:
        more = ["--resume"] if (folder / "ledger.sqlite").exists() else []
        with begin(*command(server, path, folder, *more), program=(HAPPENS_AT, f"open@{step}")) as process:
            _, said = process.communicate()
        assert process.returncode in (2, 4)
        assert "Too many open files" in said
        assert said.count("\n") == 1
    run(*command(server, path, folder, *(["--resume"] if folder.exists() else [])))
    assert_right(folder, right)


def test_few_descriptors_make_a_run_slower_and_no_worse(tmp_path, path, right, server):
    limits = ("prlimit", "--nofile=34:34")
    run(*command(server, path, tmp_path / "run", "--max-workers", "64"), before=limits)
    assert_right(tmp_path / "run", right)
    assert manifest_of(tmp_path / "run")["requests"]["retries"] == 0
    assert repeated(server) == 0


@pytest.mark.parametrize("most", [6, 12, 18, 28])
def test_too_few_descriptors_are_told_before_anything_is_begun(tmp_path, path, right, server, most):
    limits = ("prlimit", f"--nofile={most}:{most}")
    reported = rf"^inventory: only {most} files may be open at a time, and \d+ are needed: allow more \(ulimit -n\)\n$"
    assert re.match(reported, run(*command(server, path, tmp_path / "run"), before=limits, code=4))
    assert re.match(reported, run("tables", str(tmp_path / "right"), "--naive-timezone", "UTC", before=limits, code=4))
    assert not (tmp_path / "run").exists()
    assert tables_of(tmp_path / "right") == right
    assert not server.requests


def test_a_disk_that_grows_by_a_megabyte_at_a_time(tmp_path, mounted, path, right, server):
    folder = tmp_path / "mounted" / "run"
    filler = tmp_path / "mounted" / "filler"
    filler.write_bytes(bytes(1024 * 1024 - 160 * 1024))  # the rest is not even enough for the list and its outcomes
    failed = 0
    for size in range(1, 9):
        mounted(f"size={size}m")
        with begin(*command(server, path, folder, *(["--resume"] if folder.exists() else []))) as process:
            _, said = process.communicate()
        assert "Traceback" not in said
        assert_nothing_half(folder, right)
        if process.returncode == 0:
            break
        failed += 1
        assert (process.returncode, said.count("\n")) == (4, 1)
        assert "free disk space" in said
    assert failed >= 1
    mounted("size=16m")
    run(*command(server, path, folder, "--resume"))  # the log of the ledger may have had no room to be moved into it
    assert_right(folder, right)
    assert repeated(server) <= WORKERS * failed


def test_tables_on_a_disk_that_grows_by_a_little(tmp_path, mounted, path, right, server):
    folder = tmp_path / "mounted" / "run"
    mounted("size=8m")
    kill_at(f"{BUILD_TABLES}:before:1", *command(server, path, folder))
    server.clear()
    used = sum(file.stat().st_size // 4096 + 2 for file in folder.iterdir()) * 4096
    failed = 0
    for size in range(used, used + 4 * 1024 * 1024, 96 * 1024):
        mounted(f"size={size}")
        with begin(*command(server, path, folder, "--resume")) as process:
            _, said = process.communicate()
        assert_nothing_half(folder, right)
        if process.returncode == 0:
            break
        failed += 1
        assert (process.returncode, said.count("\n")) == (4, 1)
        assert "free disk space" in said
    assert failed >= 1
    assert_right(folder, right)
    assert not server.requests


def test_a_read_only_folder_is_told_at_every_stage(tmp_path, mounted, path, right, server):
    half, whole = (tmp_path / "mounted" / name for name in ("half", "whole"))
    mounted("size=16m")
    kill_at(f"{COMMIT}:after:4", *command(server, path, half))
    run(*command(server, path, whole))
    mounted("ro")
    attempts = [
        (tmp_path / "mounted" / "new",),
        (half, "--resume"),
        (whole, "--resume"),
        (whole, "--overwrite"),
    ]
    with ThreadPoolExecutor(2) as threads:
        words = list(threads.map(lambda attempt: run(*command(server, path, *attempt), code=4), attempts))
    assert all("cannot be written" in said and said.count("\n") == 1 for said in words), words
    mounted("rw")
    run(*command(server, path, half, "--resume"))
    assert_right(half, right)
    assert_right(whole, right)


def test_a_clock_that_jumps_changes_no_table(tmp_path, path, right, server):
    folder = tmp_path / "run"
    jumping = {"program": (HAPPENS_AT, "jump@1"), "fresh": True}
    with begin(*command(server, path, folder), **jumping) as process:
        _, said = process.communicate()
    assert process.returncode == 0, said
    assert_right(folder, right)
    kill_at(f"{COMMIT}:after:3", *command(server, path, folder, "--overwrite"))
    run(*command(server, path, folder, "--resume"), **jumping)
    assert_right(folder, right)
