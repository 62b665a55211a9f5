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
        (b"", "contains no token"),
        (b" \n\t\n", "contains no token"),
        (b"\xff\xfe\x00\x01", "is not text"),
        (b"secretline1\nsecretline2\n", "more than a token"),
        (b"secretline1 secretline2", "more than a token"),
        ("secretline1é".encode(), "more than a token"),
        (b"secretline1\x00secretline2", "more than a token"),
    ],
)
def test_invalid_token_file_is_not_quoted(tmp_path, content, words):
    path = tmp_path / "token.txt"
    path.write_bytes(content)
    with pytest.raises(CredentialsError, match=words) as caught:
        read_token_file(path)
    assert "token.txt" in str(caught.value)
    assert "secretline" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["missing", "."])
def test_missing_token_file_is_named(tmp_path, name):
    with pytest.raises(CredentialsError, match="cannot be read"):
        read_token_file(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_unreadable_token_file_is_named(tmp_path):
    path = tmp_path / "token"
    path.write_text(SECRET)
    path.chmod(0)
    with pytest.raises(CredentialsError, match="Permission denied"):
        read_token_file(path)


def test_token_is_not_revealed():
    token = TokenCredential(SECRET, "HW_AUTH_TOKEN")
    assert SECRET not in repr(token) + str(token) + f"{token}"
    with pytest.raises(TypeError, match="cannot be pickled") as caught:
        pickle.dumps(token)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_changed_token_file_is_read_again(tmp_path):
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
async def test_incomplete_token_file_keeps_the_old_token(tmp_path, content):
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


async def test_token_changed_during_the_first_read_is_read_again(tmp_path, monkeypatch):
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
    token._check_at = 0.0
    await token.prepare()
    assert token.headers(PLACE) == {"X-Auth-Token": "another-token"}


async def test_refused_token_is_read_again(tmp_path):
    path = tmp_path / "token"
    path.write_text("first-token")
    token = read_token_file(path)
    before = path.stat()
    path.write_text("other-token")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await token.renew(0)
    assert token.headers(PLACE) == {"X-Auth-Token": "other-token"}


async def test_pipe_is_read_once():
    end, other = os.pipe()
    os.write(other, SECRET.encode())
    os.close(other)
    token = read_token_file(Path(f"/dev/fd/{end}"))
    token._check_at = 0.0
    await token.prepare()
    assert not await token.renew(0)
    assert token.headers(PLACE) == {"X-Auth-Token": SECRET}
    os.close(end)


def test_byte_order_mark_in_a_token_file_is_ignored(tmp_path):
    path = tmp_path / "token"
    path.write_bytes(b"\xef\xbb\xbf" + SECRET.encode() + b"\r\n")
    assert read_token_file(path).headers(PLACE) == {"X-Auth-Token": SECRET}


def test_huge_token_file_is_refused(tmp_path):
    path = tmp_path / "token"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(CredentialsError, match="more than a token"):
        read_token_file(path)


async def test_token_of_the_environment_cannot_be_renewed():
    token = TokenCredential(SECRET, "HW_AUTH_TOKEN")
    await token.prepare()
    assert not await token.renew(0)
