"""What the end-to-end tests share: an export in this loop, one as a process, and the tables of a run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

from support.forks import CAN_FORK, COMMAND, Fork
from typer.testing import CliRunner

from inventory.cli.app import app
from inventory.pipeline import export as pipeline
from inventory.progress import ProgressObserver
from inventory.runs.output import Output
from inventory.settings import ExportSettings
from inventory.settings_sources.checks import check_settings
from inventory.sources.files import Source
from inventory.tables.writer import read_table

TOKEN = "a-token-that-only-the-tests-know"


async def export(source, output, *, mode="new", observer=None, token=TOKEN, environment=None, **settings):
    """Runs an export in this loop, with no cap on the pace unless one is given."""
    settings = check_settings(ExportSettings(**{"max_per_second": 0.0, "format": ("parquet", "csv"), **settings}))
    sources = [Source(str(path)) for path in ([source] if isinstance(source, Path) else source)]
    if environment is None:
        environment = {} if token is None else {"HW_AUTH_TOKEN": token}
    place = output if isinstance(output, Output) else Output(output)
    return await pipeline.export(
        sources, place, settings, mode=mode, environment=environment, observer=observer or ProgressObserver()
    )


def rows(folder, table="functions", suffix="parquet"):
    """The rows of a table as dictionaries."""
    return read_table(Path(folder) / f"{table}.{suffix}").to_pylist()


def by_urn(folder):
    """The rows of ``functions`` by URN."""
    return {row["function_urn"]: row for row in rows(folder)}


def manifest_of(folder):
    """The manifest of a run."""
    return json.loads((Path(folder) / "manifest.json").read_text())


def wait_for(condition):
    """Waits until something that another process does is done; a test's own time limit ends it."""
    while not condition():
        time.sleep(0.02)


def call_cli(*arguments, cwd):
    """Runs the command in this process, with a token: for what it refuses, which starting one would only make slower.

    An exception that leaves it would be a traceback to a user; here it fails the test.
    """
    # What run_loop sets beside, for limits and collector, is set for a process of its own.
    with contextlib.chdir(cwd), mock.patch("inventory.cli.process.run_loop", asyncio.run):
        done = CliRunner().invoke(app, [*map(str, arguments)], prog_name="inventory", env={"HW_AUTH_TOKEN": TOKEN})
    if not isinstance(done.exception, SystemExit | None):
        raise done.exception
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def run_cli(*arguments, cwd=None, token=TOKEN, stdin=None, **environment):
    """Runs the command as a process of its own."""
    env = {**os.environ, **environment}
    env.pop("HW_AUTH_TOKEN", None)
    if token is not None:
        env["HW_AUTH_TOKEN"] = token
    words = [*COMMAND, *map(str, arguments)]
    if CAN_FORK:
        with Fork(*words, environment=env, folder=cwd) as process:
            output, errors = process.communicate(stdin)
        return subprocess.CompletedProcess(words, process.returncode, output, errors)
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=env, input=stdin or "", capture_output=True, text=True, check=False
    )
