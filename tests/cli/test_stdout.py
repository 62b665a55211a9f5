"""Claims about data on standard output."""

import os
import subprocess
import sys

import pytest
from support.written_runs import config, urn, write_run

pty = pytest.importorskip("pty", reason="terminals of POSIX")

FOREIGN = "\x1b[31mred \x1b]0;title\x07 \x9b31m \u202eesrever \u200bé"


def test_csv_on_a_terminal_is_escaped_and_in_a_pipe_is_raw(tmp_path):
    runs = [write_run(tmp_path / str(day), {urn("a"): config(note=f"{day} {FOREIGN}")}, day=day) for day in range(2)]
    command = [sys.executable, "-m", "inventory", "diff", *map(str, runs), "--format", "csv"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    assert "\x1b" not in raw  # JSON escapes it; the characters below stay raw
    assert "\u202e" in raw
    main, terminal = pty.openpty()
    with subprocess.Popen(command, stdout=terminal, stderr=subprocess.DEVNULL) as process:
        os.close(terminal)
        shown = b""
        try:
            while block := os.read(main, 4096):
                shown += block
        except OSError:  # Linux: the last writer has closed the terminal
            pass
        assert process.wait() == 0
    os.close(main)
    text = shown.decode().replace("\r\n", "\n")
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "\\u202eesrever" in text
    assert "é" in text
    assert text.count("\n") == raw.count("\n")
