"""A bug in the program: exit code 70, and a traceback without secrets."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import sys
from unittest import mock
import inventory.__main__ as program
from inventory.redaction import Redactor
known = Redactor("a-secret-that-a-redactor-knows")
def fail(*_):
    raise RuntimeError(sys.stdin.read())
with mock.patch("inventory.tables.dictionary.to_text", fail):
    sys.argv = ["inventory", "schema"]
    program.main()
"""


def test_a_fault_of_the_program_is_exit_code_70_with_a_traceback_without_secrets():
    text = (
        "x\ninventory: all 999 URNs answered\x1b[31m a-secret-that-a-redactor-knows token-of-the-environment "
        "http://user:pa@ss@host/"
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "HW_AUTH_TOKEN": "token-of-the-environment"},
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (70, "")
    lines = done.stderr.splitlines()
    assert lines[0] == "inventory: this is a fault of the program; please report it with these lines:"
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == (
        r"RuntimeError: x\ninventory: all 999 URNs answered\x1b[31m [redacted] [redacted] http://[redacted]@host/"
    )
    for secret in ("a-redactor-knows", "token-of", "pa@ss", "\x1b"):
        assert secret not in done.stderr
