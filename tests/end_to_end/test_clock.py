"""A clock that goes back: times stay ordered, prune removes no more."""

from __future__ import annotations

import os
import time

import pytest
from support.histories import at, describe, nights, one_run
from support.runs import export, manifest_of, rows
from typer.testing import CliRunner

import inventory
from inventory.api.history import history
from inventory.cli.app import app
from inventory.emulator import Emulator, GeneratedCloud


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return one_run(tmp_path_factory.mktemp("clock"))


def prune(folder, *options):
    done = CliRunner().invoke(app, ["prune", str(folder), *options])
    assert done.exit_code == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def written(path, seconds):
    for one in path.iterdir():
        os.utime(one, (seconds, seconds))


async def test_a_run_is_never_finished_before_it_began(tmp_path, write_list, monkeypatch):
    real = time.time_ns
    cloud = GeneratedCloud(5)
    async with Emulator(cloud) as server:
        monkeypatch.setattr("time.time_ns", lambda: real() - 3600 * 10**9)
        monkeypatch.setattr("inventory.pipeline.export.manifest.now", _falling(inventory.runs.manifest.now))
        await export(write_list(cloud.urns()), tmp_path / "run", endpoint=server.url)
    manifest = manifest_of(tmp_path / "run")
    assert manifest["finished"] >= manifest["started"]
    for row in rows(tmp_path / "run", "calls"):
        assert row["finished_at"].strftime("%Y-%m-%dT%H:%M:%SZ") >= manifest["started"]


def _falling(now):
    said = []

    def fall():
        said.append(now())
        return said[0] if len(said) == 1 else "2020-01-01T00:00:00Z"

    return fall


def test_the_run_that_was_written_last_stays(run, tmp_path):
    made = nights(run, tmp_path, 3)
    late = at(run, tmp_path, "late", "2026-10-01T01:00:00Z")
    for index, path in enumerate([*made, late]):
        written(path, 10**9 + index)
    gone, words = prune(tmp_path, "--keep-last", "1")
    assert gone == [str(made[0]), str(made[1])]
    assert f"kept {late}: written last, but its time is older: a clock was set back\n" in words


def test_a_run_in_the_future_takes_no_place_of_another(run, tmp_path):
    made = nights(run, tmp_path, 3)
    ahead = at(run, tmp_path, "ahead", "2996-01-01T01:00:00Z")
    gone, words = prune(tmp_path, "--keep-last", "2")
    assert gone == [str(made[0])]
    assert f"kept {ahead}: it ended in the future: a clock is wrong, so the policy ignores it\n" in words
    assert history(tmp_path).latest.path == made[2]


def test_where_the_clock_is_behind_now_nothing_goes(run, tmp_path):
    for year in (2996, 2997, 2998):
        at(run, tmp_path, str(year), f"{year}-01-01T01:00:00Z")
    gone, _ = prune(tmp_path, "--keep-last", "1", "--incomplete")
    assert gone == []
    assert history(tmp_path).latest.path.name == "2998"


def test_a_stopped_run_stays_where_only_a_run_of_the_future_is_newer(run, tmp_path):
    at(run, tmp_path, "ahead", "2996-01-01T01:00:00Z")
    stopped = at(run, tmp_path, "stopped", "2026-11-01T01:00:00Z")
    (stopped / "manifest.json").unlink()
    gone, words = prune(tmp_path, "--keep-last", "1", "--incomplete")
    assert gone == []
    assert "there is no newer complete run" in words


def test_a_history_orders_a_run_whose_clock_went_back_by_its_later_time(run, tmp_path):
    first, second = nights(run, tmp_path, 2)
    describe(first, started="2026-11-01T00:59:00Z")
    describe(second, started="2026-11-02T00:59:00Z", finished="2026-10-01T00:00:00Z")
    assert [one.path for one in history(tmp_path)] == [first, second]
