"""Atomic file writes."""

from __future__ import annotations

import errno
import os

import pytest

from inventory.errors import OutputError
from inventory.storage.files import atomic_write, has_sync, read_file, sync, temporary_folder, temporary_name


def test_a_file_has_its_name_when_the_block_has_ended(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("old")
    with atomic_write(path) as sink:
        sink.write(b"new")
        assert path.read_text() == "old"
        assert temporary_name(path).exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def broken_off(path, error):
    with atomic_write(path, ", then rerun") as sink:
        sink.write(b"half")
        raise error


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("odd"), KeyboardInterrupt()])
def test_what_breaks_off_leaves_nothing(tmp_path, error):
    path = tmp_path / "list.txt"
    path.write_text("old")
    with pytest.raises(OutputError if isinstance(error, OSError) else type(error)):
        broken_off(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["gone/a", "file/a"])
def test_a_place_that_cannot_be_written_says_what_to_do(tmp_path, name):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"a cannot be written: .*; check that its folder exists, then rerun"):
        broken_off(tmp_path / name, ValueError("never reached"))


def test_a_pipe_is_written_and_not_replaced(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with atomic_write(pipe) as sink:
        sink.write(b"data")
    assert os.read(reader, 9) == b"data"
    os.close(reader)
    assert pipe.is_fifo()
    (tmp_path / "file").write_text("old")
    link.symlink_to(tmp_path / "file")
    with atomic_write(link) as sink:
        sink.write(b"new")
    assert (link.is_symlink(), (tmp_path / "file").read_text()) == (True, "new")


@pytest.fixture(params=["link", "dangling link", "hard link", "pipe", "rest"])
def planted(request, tmp_path):
    target = tmp_path / "target"
    target.write_text("of another")

    def plant(name):
        match request.param:
            case "link":
                name.symlink_to(target)
            case "dangling link":
                name.symlink_to(tmp_path / "made")
            case "hard link":
                name.hardlink_to(target)
            case "pipe":
                os.mkfifo(name)
            case "rest":
                name.write_text("half a file of a killed process, longer than the new one")

    yield plant
    assert target.read_text() == "of another"
    assert not (tmp_path / "made").exists()


def test_what_was_planted_at_the_temporary_name_is_replaced(tmp_path, planted):
    path = tmp_path / "list.txt"
    planted(temporary_name(path))
    with atomic_write(path) as sink:
        sink.write(b"new")
    assert (path.read_text(), path.is_symlink(), path.stat().st_nlink) == ("new", False, 1)
    assert not temporary_name(path).exists()


def test_what_was_planted_at_a_name_of_our_own_is_replaced(tmp_path, planted):
    path = tmp_path / "manifest.json"
    planted(path)
    with atomic_write(path, ours=True) as sink:
        sink.write(b"new")
    assert (path.read_text(), path.is_symlink(), path.stat().st_nlink) == ("new", False, 1)


def test_a_folder_at_the_temporary_name_is_one_sentence(tmp_path):
    path = tmp_path / "list.txt"
    temporary_name(path).mkdir()
    with pytest.raises(OutputError, match=r"list.txt cannot be written: .*; (move the folder|grant write)"):
        broken_off(path, ValueError("never reached"))


def test_an_atomic_write_is_on_disk_in_full_before_it_has_its_name(tmp_path, monkeypatch):
    path = tmp_path / "list.txt"
    synced = []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_size, path.exists())))
    with atomic_write(path) as sink:
        sink.write(b"new")
    assert (synced, path.read_bytes()) == ([(3, False)], b"new")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_sync_is_no_error(tmp_path, monkeypatch, number):
    path = tmp_path / "list.txt"
    monkeypatch.setattr("os.fsync", failing(number))
    with atomic_write(path) as sink:
        sink.write(b"new")
    assert path.read_text() == "new"
    assert not has_sync(path)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_sync_that_fails_is_an_error(tmp_path, monkeypatch, number):
    path = tmp_path / "list.txt"
    path.write_text("old")
    monkeypatch.setattr("os.fsync", failing(number))
    with pytest.raises(OutputError, match=r"list\.txt cannot be written"), atomic_write(path) as sink:
        sink.write(b"new")
    assert path.read_text() == "old"
    assert has_sync(path)
    with pytest.raises(OSError, match="x"):
        sync(0)


def failing(number):
    def fail(*_any):
        raise OSError(number, "x")

    return fail


def test_where_nothing_can_be_asked_sync_is_there(tmp_path, monkeypatch):
    assert has_sync(tmp_path / "none")
    monkeypatch.delattr("os.fdatasync")
    (tmp_path / "file").touch()
    assert has_sync(tmp_path / "file")


def test_without_a_place_for_temporary_files_one_sentence_names_the_variable(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: [str(tmp_path / "none")])
    with pytest.raises(OutputError, match=r"temporary files cannot be written: .*; set TMPDIR"), temporary_folder():
        pass
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: [str(tmp_path)])
    with temporary_folder() as folder:
        (folder / "file").touch()
    assert not folder.exists()


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="It is no file"):
        read_file(tmp_path / "pipe")
    (tmp_path / "file").write_text("text")
    assert read_file(tmp_path / "file") == b"text"


def test_a_name_that_the_system_refuses_is_one_sentence(tmp_path):
    with pytest.raises(OutputError, match="cannot be written: File name too long; use a shorter name, then rerun"):
        broken_off(tmp_path / ("n" * 300), ValueError("never reached"))
