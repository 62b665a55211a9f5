from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.runs import TOKEN, call_cli, run_cli

from inventory.cloud.access_keys import find_access_keys
from inventory.emulator import Emulator
from inventory.errors import OutputError, UsageError
from inventory.runs.output import (
    Output,
    default_work_dir,
    output_for_folder,
    program_name,
    reserve_folder,
    resolve_output,
)
from inventory.storage.object_store import ObjectUrl

TEXT = "s3://a-bucket/runs/today"
URL = ObjectUrl("s3", "a-bucket", "runs/today")


def test_a_folder_is_where_a_run_works_and_ends(tmp_path):
    output = resolve_output(str(tmp_path / "a run"), None, {}, resume=False)
    assert output == Output(tmp_path / "a run")
    assert str(output) == str(tmp_path / "a run")
    assert output.options == f"--output '{tmp_path}/a run'"


def test_without_an_output_there_is_the_default_folder():
    assert resolve_output(None, None, {}, resume=False).folder.parent == Path("output")


def test_the_work_folder_of_a_url_is_always_the_same(tmp_path):
    environment = {"XDG_STATE_HOME": str(tmp_path)}
    one, same, other, obs = (
        resolve_output(text, None, environment, resume=False).folder
        for text in (TEXT, f"{TEXT}/", "s3://a-bucket/runs-today", TEXT.replace("s3", "obs"))
    )
    assert one == same
    assert len({one, other, obs}) == 3
    assert one.parent == tmp_path / "functiongraph-inventory"
    assert one.name.startswith("s3-a-bucket-runs-today-")


@pytest.mark.parametrize("state", [None, "", "relative/folder"])
def test_without_a_state_directory_it_is_under_the_home(monkeypatch, tmp_path, state):
    monkeypatch.setenv("HOME", str(tmp_path))
    environment = {} if state is None else {"XDG_STATE_HOME": state}
    assert tmp_path / ".local" / "state" in default_work_dir(URL, environment).parents


def test_an_odd_and_long_url_makes_a_plain_short_name():
    name = default_work_dir(ObjectUrl("s3", "a-bucket", "ü b/" * 100 + "x"), {}).name
    assert len(name) < 100
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_a_named_work_folder_is_named_again(tmp_path):
    output = resolve_output(TEXT, tmp_path / "work", {}, resume=False)
    assert (output.folder, output.url) == (tmp_path / "work", URL)
    assert output.options == f"--output {TEXT} --work-dir {tmp_path}/work"
    assert resolve_output(TEXT, None, {}, resume=False).options == f"--output {TEXT}"


def test_two_runs_of_one_second_get_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["now", "now", "now-2"]  # what each look finds free
    monkeypatch.setattr("inventory.runs.output.default_folder", lambda: Path("output", names.pop(0)))
    (tmp_path / "output" / "now").mkdir(parents=True)
    with reserve_folder(resolve_output(None, None, {}, resume=False)) as output:
        assert output.folder == Path("output/now-2")
        (output.folder / "kept").touch()
    names += ["now-3", "now-3"]
    with reserve_folder(output_for_folder(None)) as output:
        assert output.folder.is_dir()
    assert sorted(path.name for path in Path("output").iterdir()) == ["now", "now-2"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("output").write_text("x")
    with (
        pytest.raises(OutputError, match=r"^output/\S+ cannot be written: .*; give another --output$"),
        reserve_folder(output_for_folder(None)),
    ):
        pass


def test_many_runs_at_once_without_an_output_all_end_well(tmp_path, write_list):
    with Emulator(functions=5, token=TOKEN).in_thread() as server:
        path = write_list(server.urns())
        with ThreadPoolExecutor(6) as threads:
            runs = [threads.submit(run_cli, "export", path, "--endpoint", server.url, cwd=tmp_path) for _ in range(6)]
        done = [run.result() for run in runs]
    assert [(one.returncode, one.stderr) for one in done if one.returncode] == []
    assert len({one.stdout for one in done}) == 6
    assert all((tmp_path / one.stdout.strip() / "manifest.json").exists() for one in done)


@pytest.mark.parametrize("text", [None, "a/folder"])
def test_a_folder_takes_no_work_folder(tmp_path, text):
    with pytest.raises(UsageError, match="--output is an empty text; name a folder"):  # an unset variable of a shell
        resolve_output("", None, {}, resume=False)
    with pytest.raises(UsageError, match="--work-dir needs an --output of s3:// or obs://"):
        resolve_output(text, tmp_path, {}, resume=False)


def test_a_work_folder_that_is_gone_is_told_with_what_to_do(tmp_path):
    with pytest.raises(UsageError, match=rf"work contains no ledger of {TEXT}; .*--work-dir; .*--overwrite"):
        resolve_output(TEXT, tmp_path / "work", {}, resume=True)


@pytest.fixture
def _nameless(monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54321)


@pytest.mark.usefixtures("_nameless")
def test_without_a_home_a_work_folder_must_be_named(tmp_path):
    with pytest.raises(UsageError, match="this user has no home folder: name a folder with --work-dir"):
        resolve_output(TEXT, None, {}, resume=False)
    assert resolve_output(TEXT, tmp_path, {}, resume=False).folder == tmp_path
    state = {"XDG_STATE_HOME": str(tmp_path)}
    assert tmp_path in resolve_output(TEXT, None, state, resume=False).folder.parents


def test_a_home_that_cannot_be_written_is_told_like_none(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UsageError, match=r"home/\.local/state cannot be written: name a folder with --work-dir"):
        resolve_output(TEXT, None, {}, resume=False)


@pytest.mark.usefixtures("_nameless")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("export", "urns.txt", "--dry-run"), 0, ""),
        (("export", "urns.txt", "--token-file", "~/token"), 3, "--token-file ~/token cannot be read"),
        (("export", "urns.txt", "--settings", "accounts.toml"), 3, "profile ~/profile cannot be read"),
        (("check", "urns.txt", "--endpoint", "http://127.0.0.1:1"), 3, ""),
        (("demo", "--functions", "3", "--output", "demo"), 0, ""),
        (("export", "urns.txt", "--output", TEXT), 2, "--work-dir"),
    ],
)
def test_commands_of_a_nameless_user_end_as_those_of_others(tmp_path, write_list, arguments, code, words):
    write_list(["urn:fss:cn-north-4:p:function:default:f"])
    (tmp_path / "accounts.toml").write_text("[[accounts]]\nname = 'a'\nprofile = '~/profile'\n")
    done = call_cli(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert words in done.stderr


@pytest.mark.usefixtures("_nameless")
def test_access_keys_of_a_nameless_user_are_looked_for_without_a_profile(monkeypatch):
    place = "huaweicloudsdkcore.auth.internal.MetadataAccessor._METADATA_ENDPOINT"
    monkeypatch.setattr(place, "http://127.0.0.1:1")
    assert find_access_keys() == (None, [])


@pytest.mark.skipif(sys.platform == "win32", reason="links need a permission")
def test_an_interpreter_that_links_to_the_one_on_the_path_is_another_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("bin", "venv"):
        (tmp_path / folder).mkdir()
    program, link = tmp_path / "bin" / "python3", tmp_path / "venv" / "python3"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    link.symlink_to(program)
    (tmp_path / "other").symlink_to(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(tmp_path / "other"))
    assert [program_name(str(path)) for path in (program, link)] == ["python3", "venv/python3"]
