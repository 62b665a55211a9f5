import pandas as pd
import pytest
from runs import TOKEN, export

import inventory
from inventory.errors import OutputError, SettingsError, UsageError


async def test_an_export_in_a_running_loop_gives_a_snapshot(tmp_path, write_list, monkeypatch):
    """export_async takes the command line's words and opens the tables of the run."""
    monkeypatch.setenv("HW_AUTH_TOKEN", TOKEN)
    async with inventory.Emulator(functions=30, token=TOKEN) as server:
        path = write_list(server.urns())
        snapshot = await inventory.export_async(path, tmp_path / "run", endpoint=server.url, max_per_second=0)
    assert len(snapshot.functions) == snapshot.manifest["input"]["urns"] > 30
    assert repr(snapshot).startswith(f"Snapshot({str(tmp_path / 'run')!r}: ")


def test_an_export_without_a_loop_runs_one(tmp_path, write_list, monkeypatch):
    """Export does the same in code that is not asynchronous."""
    monkeypatch.setenv("HW_AUTH_TOKEN", TOKEN)
    with inventory.Emulator(functions=5).in_thread() as server:
        snapshot = inventory.export([write_list(server.urns())], tmp_path / "run", endpoint=server.url)
    assert snapshot.manifest["complete"]


@pytest.mark.parametrize("formats", [("parquet",), ("csv",)])
async def test_a_snapshot_has_the_four_tables_as_frames(tmp_path, write_list, formats):
    """functions, destinations, calls and rejects are frames of Arrow types, from Parquet as from CSV."""
    async with inventory.Emulator(functions=30) as server:
        await export(write_list([*server.urns(), "odd"]), tmp_path / "run", endpoint=server.url, format=formats)
    snapshot = inventory.open_snapshot(tmp_path / "run")
    frames = {name: getattr(snapshot, name) for name in ("functions", "destinations", "calls", "rejects")}
    assert all(isinstance(frame, pd.DataFrame) and len(frame) for frame in frames.values())
    assert str(frames["functions"]["created_time"].dtype) == "timestamp[us, tz=UTC][pyarrow]"
    assert frames["functions"]["max_async_retry_attempts"].sum() > 0
    assert list(frames["rejects"]["text"]) == ["odd"]


async def test_words_that_the_command_line_does_not_know_are_refused(tmp_path, write_list):
    """A wrong option is an error that names it, and so is a run without a list."""
    with pytest.raises(TypeError, match="max_worker"):
        await inventory.export_async(write_list([]), max_worker=3)
    with pytest.raises(SettingsError, match="--attempts 0"):
        await inventory.export_async(write_list([]), attempts=0)
    with pytest.raises(UsageError, match="no list of URNs"):
        await inventory.export_async([])


def test_the_door_names_only_what_is_behind_it():
    """Every name of __all__ can be had, and no other."""
    assert all(getattr(inventory, name) is not None for name in inventory.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = inventory.nonsense
