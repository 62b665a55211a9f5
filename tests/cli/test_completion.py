"""Completion in bash, by the script that a user installs."""

import os
import shutil
import subprocess
import sys

import pytest
from support.runs import run_cli

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

COMPLETE = """
source <(inventory --show-completion)
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_inventory_completion inventory
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def bash(tmp_path):
    program = tmp_path / "bin" / "inventory"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m inventory "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}

    def run(script, *words):
        command = ["bash", "--norc", "-c", script, "bash", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    return run


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        (["dis"], ["discover"]),
        (["export", "--max-w"], ["--max-workers"]),
        (["export", "urns.txt", "--log-format", ""], ["text", "json"]),
        (["export", "--format", "c"], ["csv"]),
        (["review", "run", "--fail-on", "cr"], ["critical"]),
        (["review", "run", "--show", "p"], ["pass"]),
    ],
)
def test_bash_completes_commands_options_and_choices(bash, words, completions):
    assert bash(COMPLETE, "inventory", *words).split() == completions


@pytest.mark.parametrize(
    "words", [["export", "ur"], ["export", "--settings", "in"], ["export", "--token-file", ""], ["status", "out"]]
)
def test_bash_completes_files_itself(bash, words):
    assert bash(COMPLETE, "inventory", *words).split() == []  # bash then completes files, by -o default
    assert "complete -o default -F" in bash("source <(inventory --show-completion); complete -p inventory")


def test_completion_is_installed(bash, tmp_path):
    bash("inventory --install-completion; true")
    assert "complete -o default" in (tmp_path / ".bash_completions" / "inventory.sh").read_text()


def test_a_wrong_request_for_completions_is_an_error():
    assert run_cli("x", _INVENTORY_COMPLETE="nonsense").returncode == 1
