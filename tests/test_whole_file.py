"""A file has its name only when it is whole."""

from __future__ import annotations

import os

import pytest

from inventory.errors import OutputError
from inventory.whole_file import temporary_name, written_whole


def test_a_file_has_its_name_when_the_block_has_ended(tmp_path):
    """Until then the old content is there, and the new one has another name."""
    path = tmp_path / "list.txt"
    path.write_text("old")
    with written_whole(path) as sink:
        sink.write(b"new")
        assert path.read_text() == "old"
        assert temporary_name(path).exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def broken_off(path, error):
    """Writes half a file."""
    with written_whole(path, ", then go on") as sink:
        sink.write(b"half")
        raise error


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("odd"), KeyboardInterrupt()])
def test_what_breaks_off_leaves_nothing(tmp_path, error):
    """Whatever ends the block: the old file stays, and no half one; what the system says is one sentence."""
    path = tmp_path / "list.txt"
    path.write_text("old")
    with pytest.raises(OutputError if isinstance(error, OSError) else type(error)):
        broken_off(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["gone/a", "file/a"])
def test_a_place_that_cannot_be_written_says_what_to_do(tmp_path, name):
    """A folder that is not there, or a file in its place."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"a cannot be written: .*; see that its folder is there, then go on"):
        broken_off(tmp_path / name, ValueError("never reached"))


def test_a_pipe_is_written_and_not_replaced(tmp_path):
    """What is no file, as /dev/null, stays what it is; a link stays one, and the file behind it is new."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with written_whole(pipe) as sink:
        sink.write(b"data")
    assert os.read(reader, 9) == b"data"
    os.close(reader)
    assert pipe.is_fifo()
    (tmp_path / "file").write_text("old")
    link.symlink_to(tmp_path / "file")
    with written_whole(link) as sink:
        sink.write(b"new")
    assert (link.is_symlink(), (tmp_path / "file").read_text()) == (True, "new")
