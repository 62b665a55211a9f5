"""Runs the commands that documents and examples show: a shell whose programs call the emulator."""

import os
import subprocess
import sys

from support.runs import TOKEN


def write_program(path, text):
    """Writes a shell script that can be executed."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def write_programs(folder, url):
    """Writes ``inventory`` into a folder: the command, with the emulator as the cloud."""
    folder.mkdir(exist_ok=True)
    write_program(
        folder / "inventory",
        f'case "$*" in check*|*--all*) set -- "$@" --iam-endpoint {url};; esac\n'
        f'case "$1" in export|discover|check) set -- "$@" --endpoint {url};; esac\n'
        f'exec {sys.executable} -m inventory "$@"',
    )


def run_shell(command, folder, programs, **environment):
    """Runs a command, a list of words, with the programs of a folder first on the PATH."""
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "HW_AUTH_TOKEN": TOKEN, **environment}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
