from __future__ import annotations

from pathlib import Path

import pytest

from inventory.errors import UsageError
from inventory.object_store import ObjectUrl
from inventory.output import Output, chosen_output, default_work_dir

TEXT = "s3://a-bucket/runs/today"
URL = ObjectUrl("s3", "a-bucket", "runs/today")


def test_a_folder_is_where_a_run_works_and_ends(tmp_path):
    """A folder is both, as text and as an option."""
    output = chosen_output(str(tmp_path / "a run"), None, {}, resume=False)
    assert output == Output(tmp_path / "a run")
    assert str(output) == str(tmp_path / "a run")
    assert output.options == f"--output '{tmp_path}/a run'"


def test_without_an_output_there_is_the_default_folder():
    """Nothing said is output/<UTC timestamp>, as ever."""
    assert chosen_output(None, None, {}, resume=False).folder.parent == Path("output")


def test_the_work_folder_of_a_url_is_always_the_same(tmp_path):
    """The same URL, with and without a slash at its end, finds the same folder under XDG_STATE_HOME."""
    environment = {"XDG_STATE_HOME": str(tmp_path)}
    one, same, other, obs = (
        chosen_output(text, None, environment, resume=False).folder
        for text in (TEXT, f"{TEXT}/", "s3://a-bucket/runs-today", TEXT.replace("s3", "obs"))
    )
    assert one == same
    assert len({one, other, obs}) == 3
    assert one.parent == tmp_path / "functiongraph-inventory"
    assert one.name.startswith("s3-a-bucket-runs-today-")


@pytest.mark.parametrize("state", [None, "", "relative/folder"])
def test_without_a_state_directory_it_is_under_the_home(monkeypatch, tmp_path, state):
    """No XDG_STATE_HOME, or one that is no absolute path, is ~/.local/state."""
    monkeypatch.setenv("HOME", str(tmp_path))
    environment = {} if state is None else {"XDG_STATE_HOME": state}
    assert tmp_path / ".local" / "state" in default_work_dir(URL, environment).parents


def test_an_odd_and_long_url_makes_a_plain_short_name():
    """Whatever the prefix holds, the folder's name can be one on every system."""
    name = default_work_dir(ObjectUrl("s3", "a-bucket", "ü b/" * 100 + "x"), {}).name
    assert len(name) < 100
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_a_named_work_folder_is_named_again(tmp_path):
    """--work-dir is where the run works, and part of what goes on with it."""
    output = chosen_output(TEXT, tmp_path / "work", {}, resume=False)
    assert (output.folder, output.url) == (tmp_path / "work", URL)
    assert output.options == f"--output {TEXT} --work-dir {tmp_path}/work"
    assert chosen_output(TEXT, None, {}, resume=False).options == f"--output {TEXT}"


@pytest.mark.parametrize("text", [None, "a/folder"])
def test_a_folder_takes_no_work_folder(tmp_path, text):
    """--work-dir with a folder is a mistake that is told."""
    with pytest.raises(UsageError, match="--work-dir goes with an --output of s3:// or obs://"):
        chosen_output(text, tmp_path, {}, resume=False)


def test_a_work_folder_that_is_gone_is_told_with_what_to_do(tmp_path):
    """--resume without the ledger says where it was looked for, and both ways on."""
    with pytest.raises(UsageError, match=rf"work holds no ledger of {TEXT}; .*--work-dir; .*--overwrite"):
        chosen_output(TEXT, tmp_path / "work", {}, resume=True)
