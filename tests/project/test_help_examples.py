"""The examples of help texts run, in their order, against an emulated cloud."""

import shlex
import shutil

import pytest
from support.histories import nights, one_run
from support.runs import TOKEN, run_cli

from inventory.cli.app import main_command
from inventory.cli.examples import EXAMPLES
from inventory.emulator import Emulator, GeneratedCloud

SERVES = {"emulate"}
"""Commands that run until they are stopped; test_readme.py starts it."""
AFTER = {"gather": "shard"}
"""Commands that need what the examples of another one have made."""


@pytest.fixture(scope="module")
def cloud():
    with Emulator(GeneratedCloud(8, regions=("cn-north-4",)), token=TOKEN).in_thread() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def prepared(cloud, tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    run = one_run(folder)
    nights(run, folder / "output", 2)
    run.rename(folder / "output" / "today")
    (folder / "urns.txt").write_text("\n".join(cloud.urns()))
    (folder / "state.json").write_text('{"format_version":"1.0"}')
    return folder


def test_every_command_has_examples():
    assert set(EXAMPLES) == set(main_command().commands)
    assert all(line.startswith("inventory ") for lines in EXAMPLES.values() for line in lines)
    assert all(any(f"inventory {command}" in line for line in lines) for command, lines in EXAMPLES.items())


@pytest.mark.timeout(180)  # three reviews, on a machine that does other things too
@pytest.mark.parametrize("command", sorted(EXAMPLES.keys() - SERVES))
def test_every_example_of_a_command_runs(command, cloud, prepared, tmp_path):
    folder = tmp_path / "folder"
    shutil.copytree(prepared, folder)
    places = {"INVENTORY_ENDPOINT": cloud.url, "INVENTORY_IAM_ENDPOINT": cloud.url}
    for line in (*EXAMPLES.get(AFTER.get(command, ""), ()), *EXAMPLES[command]):
        words, _, file = line.partition(" > ")
        done = run_cli(*shlex.split(words)[1:], cwd=folder, **places)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        if file:
            (folder / file).write_text(done.stdout)
