from __future__ import annotations

import os
import pickle
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest
from yarl import URL

from inventory.cloud.credentials import TokenCredential, read_token_file
from inventory.errors import CredentialsError

SECRET = "MIIRxgYJKoZIhvcNAQcCoIIR+tz-CCEbMCAQExDTALBglghkgBZQM/AQ=="
PLACE = URL("https://fg.example/v2")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no token"),
        (b" \n\t\n", "holds no token"),
        (b"\xff\xfe\x00\x01", "is not text"),
        (b"secretline1\nsecretline2\n", "more than a token"),
        (b"secretline1 secretline2", "more than a token"),
        ("secretline1é".encode(), "more than a token"),
        (b"secretline1\x00secretline2", "more than a token"),
    ],
)
def test_a_file_without_one_token_is_refused_and_not_quoted(tmp_path, content, words):
    """Empty, binary, several lines: the message says which, names the file, and repeats nothing of it."""
    path = tmp_path / "token.txt"
    path.write_bytes(content)
    with pytest.raises(CredentialsError, match=words) as caught:
        read_token_file(path)
    assert "token.txt" in str(caught.value)
    assert "secretline" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_token_file_that_cannot_be_read_is_named(tmp_path, name):
    """A file that was named and cannot be read is an error."""
    with pytest.raises(CredentialsError, match="cannot be read"):
        read_token_file(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_an_unreadable_token_file(tmp_path):
    """A file without the right to read it is named with the system's reason."""
    path = tmp_path / "token"
    path.write_text(SECRET)
    path.chmod(0)
    with pytest.raises(CredentialsError, match="Permission denied"):
        read_token_file(path)


def test_a_token_shows_itself_nowhere():
    """Neither repr nor str nor a pickle nor a traceback gives the secret away."""
    token = TokenCredential(SECRET, "HW_AUTH_TOKEN")
    assert SECRET not in repr(token) + str(token) + f"{token}"
    with pytest.raises(TypeError, match="cannot be pickled") as caught:
        pickle.dumps(token)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_a_token_file_is_read_again_when_it_changes(tmp_path):
    """Another program renews the file: the next call goes out with its new token, and the old one stays secret too."""
    path = tmp_path / "token"
    path.write_text(SECRET)
    clock = SimpleNamespace(now=0.0)
    token = TokenCredential(SECRET, "x", file=path, clock=lambda: clock.now)
    await token.prepare()
    assert (token.headers(PLACE), token.generation) == ({"X-Auth-Token": SECRET}, 0)
    renewed = SECRET[::-1]
    path.write_text(f"{renewed}\n\n")
    await token.prepare()
    assert token.generation == 0, "it is looked at once a second, not for every call"
    clock.now = 1.0
    await token.prepare()
    assert (token.headers(PLACE), token.generation) == ({"X-Auth-Token": renewed}, 1)
    assert token.redactor.redact(f"{SECRET} {renewed}") == "[redacted] [redacted]"


@pytest.mark.parametrize("content", [None, "", "two words", SECRET])
async def test_a_token_file_that_is_just_being_written_leaves_the_old_token(tmp_path, content):
    """A file that is gone, empty, odd or the same gives no new token; one that is whole later does."""
    path = tmp_path / "token"
    path.write_text(f"{SECRET} ")
    token = read_token_file(path)
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert not await token.renew(0)
    assert token.headers(PLACE) == {"X-Auth-Token": SECRET}
    path.write_text("another-token")
    assert await token.renew(0)
    assert await token.renew(0), "who comes later with the old one is told so too"
    assert token.headers(PLACE) == {"X-Auth-Token": "another-token"}


async def test_a_token_that_changes_while_it_is_read_first_is_read_again(tmp_path, monkeypatch):
    """A file that is renewed between the reading of its text and the first call is read again."""
    path = tmp_path / "token"
    path.write_text(SECRET)
    read = Path.open

    def read_and_renew(file, *mode):
        found = read(file, *mode)
        monkeypatch.setattr(Path, "open", read)
        file.with_suffix(".new").write_text("another-token")
        file.with_suffix(".new").replace(file)
        return found

    monkeypatch.setattr(Path, "open", read_and_renew)
    token = read_token_file(path)
    token._look_at = 0.0
    await token.prepare()
    assert token.headers(PLACE) == {"X-Auth-Token": "another-token"}


async def test_a_refused_token_is_looked_for_although_the_file_shows_no_change(tmp_path):
    """Times of files may be coarse: after a refusal the file is read, whatever its times say."""
    path = tmp_path / "token"
    path.write_text("first-token")
    token = read_token_file(path)
    before = path.stat()
    path.write_text("other-token")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await token.renew(0)
    assert token.headers(PLACE) == {"X-Auth-Token": "other-token"}


async def test_a_pipe_is_read_once():
    """A token that comes through a pipe cannot be read again: the first one is kept, and nothing waits for another."""
    end, other = os.pipe()
    os.write(other, SECRET.encode())
    os.close(other)
    token = read_token_file(Path(f"/dev/fd/{end}"))
    token._look_at = 0.0
    await token.prepare()
    assert not await token.renew(0)
    assert token.headers(PLACE) == {"X-Auth-Token": SECRET}
    os.close(end)


def test_a_token_file_with_a_byte_order_mark_is_read(tmp_path):
    """Editors of Windows write one."""
    path = tmp_path / "token"
    path.write_bytes(b"\xef\xbb\xbf" + SECRET.encode() + b"\r\n")
    assert read_token_file(path).headers(PLACE) == {"X-Auth-Token": SECRET}


def test_a_huge_token_file_is_not_read_to_its_end(tmp_path):
    """A file of another kind is refused after a megabyte."""
    path = tmp_path / "token"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(CredentialsError, match="more than a token"):
        read_token_file(path)


async def test_a_token_of_the_environment_cannot_be_renewed():
    """There is nowhere to look for another one."""
    token = TokenCredential(SECRET, "HW_AUTH_TOKEN")
    await token.prepare()
    assert not await token.renew(0)
