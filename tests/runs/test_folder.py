from __future__ import annotations

import re

import pytest

from inventory.errors import OutputError, UsageError
from inventory.runs.folder import RunFolder, default_folder

LEFT_BY_A_RUN = [
    "ledger.sqlite",
    "ledger.sqlite-wal",
    "ledger.sqlite-shm",
    "manifest.json",
    ".manifest.json.part",
    *(
        f"{table}.{suffix}"
        for table in ("functions", "destinations", "calls", "rejects")
        for suffix in ("parquet", "csv")
    ),
    *(f".{table}.csv.part" for table in ("functions", "destinations", "calls", "rejects")),
    ".functions.parquet.part",
]


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "a" / "run")


def test_the_default_folder_is_a_utc_timestamp():
    assert re.fullmatch(r"output/\d{8}T\d{6}Z", default_folder().as_posix())


def test_a_new_folder_is_made(folder):
    folder.prepare("new")
    assert folder.path.is_dir()
    assert (folder.made, folder.ledger.name, folder.manifest.name) == (True, "ledger.sqlite", "manifest.json")


@pytest.mark.parametrize("mode", ["new", "overwrite"])
def test_other_files_in_the_folder_stay(folder, mode):
    folder.path.mkdir(parents=True)
    (folder.path / "notes.txt").write_text("mine")
    (folder.path / "other.parquet").write_text("mine")
    folder.prepare(mode)
    assert sorted(path.name for path in folder.path.iterdir()) == ["notes.txt", "other.parquet"]
    assert not folder.made


@pytest.mark.parametrize("name", LEFT_BY_A_RUN)
def test_a_folder_that_holds_a_run_is_never_written_over(folder, name):
    folder.path.mkdir(parents=True)
    (folder.path / name).write_text("kept")
    with pytest.raises(OutputError, match=r"contains a run.*--resume.*--overwrite"):
        folder.prepare("new")
    assert (folder.path / name).read_text() == "kept"


def test_overwrite_touches_nothing_before_the_new_list_is_in(folder):
    folder.path.mkdir(parents=True)
    for name in (*LEFT_BY_A_RUN, "notes.txt"):
        (folder.path / name).write_text("x")
    folder.prepare("overwrite")
    assert not folder.fresh
    assert sorted(path.name for path in folder.path.iterdir()) == sorted([*LEFT_BY_A_RUN, "notes.txt"])


def test_results_go_manifest_first_and_all_but_what_is_kept(folder):
    folder.path.mkdir(parents=True)
    for name in (*LEFT_BY_A_RUN, "notes.txt"):
        (folder.path / name).write_text("x")
    assert next(iter(folder._results())) == folder.manifest
    folder.remove_results(keep=["calls.csv"])
    left = ["calls.csv", "ledger.sqlite", "ledger.sqlite-shm", "ledger.sqlite-wal", "notes.txt"]
    assert sorted(path.name for path in folder.path.iterdir()) == left


def test_a_result_that_cannot_be_removed_is_named(folder, monkeypatch):
    def refuse(path, **_more):
        if path.name == "calls.csv":
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(OutputError, match=r"calls\.csv cannot be removed: "):
        folder.remove_results()


def test_resume_needs_a_run(folder):
    with pytest.raises(UsageError, match="contains no run"):
        folder.prepare("resume")
    assert not folder.path.exists()


def test_resume_leaves_all_as_it_is(folder):
    folder.path.mkdir(parents=True)
    for name in LEFT_BY_A_RUN:
        (folder.path / name).write_text("x")
    folder.prepare("resume")
    assert sorted(path.name for path in folder.path.iterdir()) == sorted(LEFT_BY_A_RUN)


@pytest.mark.parametrize("mode", ["new", "overwrite"])
def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path, mode):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError, match="cannot be written"):
            RunFolder(path).prepare(mode)


@pytest.mark.parametrize("mode", ["new", "overwrite"])
def test_a_name_that_the_system_refuses_is_an_output_error(tmp_path, mode):
    with pytest.raises(OutputError, match="File name too long; give another --output"):
        RunFolder(tmp_path / ("x" * 300)).prepare(mode)


@pytest.mark.parametrize("mode", ["new", "overwrite", "resume"])
def test_a_folder_that_may_not_be_looked_into_is_one_sentence(folder, mode, monkeypatch):
    def refuse(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.stat", refuse)
    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises((OutputError, UsageError)):
        folder.prepare(mode)


def test_a_run_that_never_began_leaves_no_trace(folder):
    folder.prepare("new")
    folder.ledger.write_text("x")
    with folder.unless_empty():
        folder.remove_all()
        assert list(folder.path.iterdir()) == []
    assert not folder.path.exists()
    folder.path.mkdir()
    folder.made = False
    folder.prepare("new")
    folder.ledger.write_text("x")
    with folder.unless_empty():
        folder.remove_all()
    assert list(folder.path.iterdir()) == []


def test_remove_spares_what_is_not_ours(folder):
    folder.prepare("new")
    (folder.path / "notes.txt").write_text("mine")
    with folder.unless_empty():
        folder.remove_all()
    assert [path.name for path in folder.path.iterdir()] == ["notes.txt"]


def parts_of_a_run(folder):
    names = ("functions/part-00000.parquet", "functions/part-00001.parquet", "calls-csv/part-00000.csv")
    for name in (*names, ".functions.part/parquet/part-00000.parquet", "calls-csv/notes.txt", "calls/notes.txt"):
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_text("x")
    return names


def test_parts_are_results_of_a_run(folder):
    parts_of_a_run(folder)
    with pytest.raises(OutputError, match=r"contains a run already .*--overwrite"):
        folder.prepare("new")
    folder.remove_results()
    left = sorted(path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*"))
    assert left == ["calls", "calls-csv", "calls-csv/notes.txt", "calls/notes.txt"]
    folder.prepare("new")


def test_parts_that_are_to_be_kept_stay(folder):
    kept, *_ = parts_of_a_run(folder)
    folder.remove_results(keep=[kept])
    assert [path.name for path in (folder.path / "functions").iterdir()] == ["part-00000.parquet"]
    assert not (folder.path / ".functions.part").exists()
