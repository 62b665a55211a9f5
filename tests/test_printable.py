"""Foreign text is shown as one printable line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import unicodedata
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.runs import TOKEN, call_cli, run_cli

import inventory
from inventory.api import summary as card
from inventory.emulator import Emulator, FileCloud
from inventory.errors import CallError, InventoryError
from inventory.printable import error_text, printable, printable_json, printable_lines, shell_word

LIE = "inventory: all 999 URNs answered; complete"
# A line break, ESC, BEL, C1, bidi, zero width, format, separators, private use, DEL, tag, invisible.
ODD = (
    "\r\n\x1b]0;t\x07\x9b31m\u202e\u2066\u200e\u061c\u200b\u2060\ufeff\u00ad\u2028\u2029\x85\x0b\x0c\ue000\x7f"
    "\U000e0041\u3164\ufe0f[red]"
)
HOSTILE = f"x{ODD}{LIE}\n{LIE}\n"
PROJECT = "0123456789abcdef0123456789abcdef"
URN = f"urn:fss:cn-north-4:{PROJECT}:function:default:"
ALLOWED = {"\n"}


def assert_ours(text, *, where=""):
    for character in set(text) - ALLOWED:
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}, (where, text)
    assert not [line for line in re.split(r"[\r\n\x0b\x0c\x85\u2028\u2029]", text) if line.startswith(LIE)], where


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, übergroß 中文 ✓ \\n", "plain, übergroß 中文 ✓ \\n"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[31m\x07\x00\x7f\x9b", r"\x1b[31m\x07\x00\x7f\x9b"),
        ("\u202a\u202e\u2066\u2069\u200e\u200f\u061c", r"\u202a\u202e\u2066\u2069\u200e\u200f\u061c"),
        ("\u200b\u2060\ufeff\u00ad\u180e", r"\u200b\u2060\ufeff\xad\u180e"),
        ("\u2028\u2029\u00a0\x85", r"\u2028\u2029\xa0\x85"),
        ("\udc80\ue000\U0010ffff\U000e0001", r"\udc80\ue000\U0010ffff\U000e0001"),
        ("\u3164\ufe0f\u115f\u034f", r"\u3164\ufe0f\u115f\u034f"),
    ],
)
def test_what_does_not_print_is_escaped(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown


def test_every_character_comes_out_printable():
    for code in range(sys.maxunicode + 1):
        assert printable(chr(code)).isprintable()


def test_a_long_text_is_cut_with_a_mark():
    assert printable("a\n" * 5, 4) == r"a\na ..."
    assert printable("abcd", 4) == "abcd"


def test_json_keeps_what_it_says():
    value = {"text": HOSTILE, "path": "\udcff"}
    text = printable_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert_ours(text)


def test_lines_are_ours():
    assert printable_lines(["a\nb", "c"]) == "a\\nb\nc"


@pytest.mark.parametrize("text", ["plain", "two words", "quo'te", HOSTILE, "back\\slash\n", os.fsdecode(b"\xff\n'")])
def test_a_word_of_a_command_is_read_back_by_the_shell(text):
    word = shell_word(text)
    assert printable(word) == word
    read = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)
    assert os.fsdecode(read.stdout) == text


def test_an_error_is_one_printable_line():
    for error in (InventoryError(HOSTILE), CallError(HOSTILE, error_code=HOSTILE, status_code=500)):
        for text in (str(error), error.message, repr(error)):
            assert_ours(text)
            assert "\n" not in text
    assert CallError(HOSTILE).error_msg == HOSTILE
    error = InventoryError("x")
    error.message += HOSTILE
    assert_ours(str(error))
    assert len(str(CallError("y" * 9999))) < 600


def test_the_card_of_a_snapshot_is_printable():
    scope = {"region": "r", "project_id": HOSTILE, "stopped": HOSTILE}
    assert_ours("\n".join(card.describe_unknown(card.SummaryData(HOSTILE, _manifest([scope]), False, None))))


def _manifest(scopes):
    statuses = dict.fromkeys(("configured", "not_configured", "not_found", "failed", "not_attempted"), 0)
    return {
        "scopes": scopes,
        "input": {"urns": 1, "entries": 1, "rejects": 0},
        "counts": {"status": {**statuses, "not_attempted": 1}, "error_kind": {}},
    }


class _Hostile(BaseHTTPRequestHandler):
    """Answers every call with an error whose every text is hostile."""

    status = 500
    protocol_version = "HTTP/1.1"

    def _answer(self):
        body = json.dumps(
            dict.fromkeys(("error_code", "error_msg", "request_id", "message", "code"), HOSTILE),
            ensure_ascii=type(self).status % 2 == 0,
        ).encode()
        self.close_connection = True
        head = (
            f"HTTP/1.1 {type(self).status} bad \x1b[31m\u0085{LIE}\r\nContent-Type: application/json\r\n"
            f"X-Request-Id: \x1b[31m{LIE}\r\nX-Apig-Message: \x9b31m\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.wfile.write(head.encode("latin-1") + body)

    do_GET = do_POST = do_CONNECT = _answer  # noqa: N815 - as the library calls them

    def log_message(self, *_words):
        """Says nothing."""


@pytest.fixture
def hostile():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hostile) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield lambda status: setattr(_Hostile, "status", status), f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("status", [200, 401, 403, 404, 418, 500])
def test_a_hostile_server_makes_no_line(hostile, tmp_path, write_list, status):
    answer, url = hostile
    answer(status)
    path = write_list([f"{URN}a", f"{URN}b:v1"])
    common = ("--endpoint", url, "--iam-endpoint", url)
    run = ("--output", tmp_path / "run", "--attempts", "1", "--timeout", "5", "--max-time", "4")
    done = [
        run_cli("export", path, *common, *run),
        run_cli("export", path, *common, *run, "--overwrite", "--log-format", "json"),
        run_cli("status", tmp_path / "run"),
        run_cli("check", path, *common),
        run_cli("discover", "--region", "cn-north-4", *common),
    ]
    for one in done:
        assert_ours(one.stdout + one.stderr, where=one.args)
        assert "Traceback" not in one.stderr


def test_a_hostile_proxy_makes_no_line(hostile, write_list, tmp_path):
    answer, url = hostile
    answer(407)
    done = run_cli(
        *("export", write_list([f"{URN}a"]), "--output", tmp_path / "run", "--attempts", "1", "--max-time", "4"),
        HTTPS_PROXY=url,
        NO_PROXY="",
    )
    assert_ours(done.stdout + done.stderr)
    assert (done.returncode, "407" in done.stderr) == (5, True)


def test_a_hostile_list_makes_no_line(tmp_path):
    with Emulator(FileCloud({})).in_thread() as server:
        for name, text in {
            "a.txt": f"{HOSTILE}{URN}{ODD}\n{URN}a\n",
            "b.csv": f'"{HOSTILE}",function_urn\n"{HOSTILE}","{HOSTILE}"\n',
            "c.csv": f'"{HOSTILE}","b"\n1,2\n',
            "d.json": json.dumps([{HOSTILE: HOSTILE}, HOSTILE]),
            "e.json": f"[{HOSTILE}",
            "f.jsonl": f'{{"function_urn": "{ODD}"}}\n{HOSTILE}',
        }.items():
            path = tmp_path / name
            path.write_text(text, encoding="utf-8")
            common = ("--endpoint", server.url)
            for words in (
                ("export", path, *common, "--output", tmp_path / f"{name}.run"),
                ("export", path, *common, "--dry-run"),
                ("export", path, *common, "--dry-run", "--column", HOSTILE),
                ("check", path, *common),
            ):
                done = call_cli(*words, cwd=tmp_path)
                assert_ours(done.stdout + done.stderr, where=words)
                assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        f'"{ODD.encode("unicode_escape").decode()}" = 1\n',
        json.dumps(HOSTILE) + " = 1",
        "region = " + json.dumps(HOSTILE),
        "format = [" + json.dumps(HOSTILE) + "]",
        "[[accounts]]\nname = " + json.dumps(HOSTILE),
        f"x = {HOSTILE}",
        "endpoint = " + json.dumps(f"http://{HOSTILE}"),
        "token-file = " + json.dumps(HOSTILE),
        "naive-timezone = " + json.dumps(HOSTILE),
    ],
)
def test_a_hostile_settings_file_makes_no_line(tmp_path, write_list, text):
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    for command in (("export", write_list([f"{URN}a"]), "--dry-run"), ("check", "--region", "cn-north-4")):
        done = call_cli(*command, "--settings", path, "--endpoint", "http://127.0.0.1:1", cwd=tmp_path)
        assert_ours(done.stdout + done.stderr)
        assert "Traceback" not in done.stderr


def test_hostile_names_and_environment_make_no_line(tmp_path, write_list):
    odd = HOSTILE.strip().replace("/", "")[:60]
    path = write_list([f"{URN}a", "no urn"])
    named = tmp_path / f"{odd}.txt"
    named.write_text(f"{URN}a\n")
    folder = tmp_path / "runs" / odd
    dead = ("--endpoint", "http://127.0.0.1:1", "--attempts", "1")
    for words in (
        ("export", tmp_path / odd, "--output", folder),
        ("export", path, *dead, "--output", folder),
        ("export", path, *dead, "--output", folder),
        ("export", path, *dead, "--output", folder, "--overwrite", "--log-format", "json"),
        ("export", named, "--dry-run"),
        ("status", folder),
        ("status", tmp_path / odd),
        ("tables", tmp_path / odd),
        ("prune", folder, "--keep-last", "1"),
        ("prune", tmp_path / "runs", "--keep-last", "1", "--incomplete"),
        ("diff", folder, tmp_path / odd),
        ("diff", folder, folder),
        ("diff", folder, folder, "--format", "markdown"),
        ("diff", folder, folder, "--format", "json"),
        ("emulate", "--state", tmp_path / odd),
        ("emulate", "--faults", odd),
        ("schema", odd),
        ("check", "--region", odd, "--endpoint", "http://127.0.0.1:1"),
        ("export", path, "--token-file", tmp_path / odd, "--output", tmp_path / "x"),
        ("discover", "--region", "cn-north-4", "--project-id", "p", "--output", tmp_path / odd / odd),
    ):
        done = call_cli(*words, cwd=tmp_path)
        assert_ours(done.stderr, where=words)
        if words[0] not in {"export", "prune"}:  # whose stdout is the folder's name: data
            assert_ours(done.stdout, where=words)
        assert "Traceback" not in done.stderr
    for words in ((odd,), ("schema", f"--{odd}"), ("schema", "--format", odd)):
        done = run_cli(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert_ours(done.stderr, where=words)
    for name in ("HW_AUTH_TOKEN", "HW_ACCESS_KEY", "HTTPS_PROXY", "HTTP_PROXY", "SSL_CERT_FILE", "HW_USER_NAME"):
        done = run_cli("check", "--region", "cn-north-4", *dead[:2], token=None, **{"HW_AUTH_TOKEN": "t", name: odd})
        assert_ours(done.stdout + done.stderr, where=name)
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1:strict"])
def test_a_name_of_any_bytes_is_printed_as_it_is(tmp_path, write_list, encoding):
    folder = tmp_path / os.fsdecode("\u4e2d".encode() + b"\xff")
    with Emulator(FileCloud({f"{URN}a:latest": None}), token=TOKEN).in_thread() as server:
        command = [sys.executable, "-m", "inventory", "export", write_list([f"{URN}a"]), "--endpoint", server.url]
        environment = {**os.environ, "HW_AUTH_TOKEN": TOKEN, "PYTHONIOENCODING": encoding}
        done = subprocess.run([*command, "--output", folder], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, os.fsencode(folder) + b"\n"), done.stderr
    command = [sys.executable, "-m", "inventory", "diff", folder, folder]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, b"NEW" in done.stdout) == (0, True), done.stderr
    history = inventory.history(tmp_path)
    assert history.load("status", "functions").shape[0] == 1
    assert history.summary()["path"][0].endswith("\u4e2d\\udcff")


def test_an_empty_name_of_the_folder_of_runs_is_refused():
    done = run_cli("prune", "", "--keep-last", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the name of the folder is empty" in done.stderr


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((503, None, "503 Service Unavailable"), "503 Service Unavailable"),
        ((503, None, "503 Busy now 503 Busy now nginx"), "503 Busy now nginx"),
        ((503, "FSS.0503", "FSS.0503 down"), "503 FSS.0503 down"),
        ((503, "FSS.0503", "503 FSS.0503 down"), "503 FSS.0503 down"),
        ((503, None, "5030 calls"), "503 5030 calls"),
        ((500, "FSS.0500", "system error"), "500 FSS.0500 system error"),
        ((503, None, "503"), "503"),
        ((404, None, "404 404 Not Found"), "404 Not Found"),
        ((503, None, None), "503"),
        ((None, None, "timed out"), "timed out"),
        ((None, None, None), ""),
    ],
)
def test_an_error_text_repeats_nothing(parts, text):
    assert error_text(*parts) == text
