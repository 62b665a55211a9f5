"""Types of the public API: mypy over a program with correct and wrong uses."""

import re
from pathlib import Path

from mypy import api

ROOT = Path(__file__).parents[2]
PROGRAM = """
from pathlib import Path
from typing import Any, assert_type

import pandas as pd

import inventory


async def correct(path: Path, urns: "pd.Series[str]") -> None:
    snapshot = inventory.export(urns, "run", max_per_second=20, format=("parquet", "csv"), progress=True)
    assert_type(snapshot, inventory.Snapshot)
    assert_type(await inventory.export_async(path, resume=True), inventory.Snapshot)
    assert_type(inventory.export(output="run", all=True, region=["a", "b"], versions=True), inventory.Snapshot)
    inventory.export((urn for urn in ["urn:fss"]), path, token_file=path)
    assert_type(inventory.open_snapshot(path).functions, pd.DataFrame)
    assert_type(snapshot.frame("calls", columns=["attempts"]), pd.DataFrame)
    assert_type(snapshot.manifest, dict[str, Any])
    assert_type(snapshot.unknown(), list[str])
    assert_type(snapshot.exit_code, int)
    assert_type(inventory.review(snapshot, only="FGA101", baseline=path), inventory.Review)
    assert_type(inventory.review("run").findings, pd.DataFrame)
    assert_type(snapshot.raise_for_unanswered(), inventory.Snapshot)
    assert_type(inventory.export(path, check=True), inventory.Snapshot)
    with inventory.Emulator(functions=3, limit="150/second", faults="5xx=1%") as cloud:
        assert_type(cloud, inventory.Emulator)
        assert_type(list(cloud.urns()), list[str])
        assert_type(cloud.urns()[:2], list[str])
    async with inventory.Emulator() as cloud:
        assert_type(cloud.url, str)
    try:
        pass
    except inventory.InventoryError as error:
        assert_type(str(error), str)
    assert issubclass(inventory.UnansweredWarning, UserWarning)
    assert_type(inventory.__version__, str)


def wrong(snapshot: inventory.Snapshot) -> None:
    inventory.export(3)  # arg-type
    inventory.export("urns.txt", resume="yes")  # arg-type
    inventory.export("urns.txt", max_worker=3)  # call-arg
    inventory.export("urns.txt", attempts="3")  # arg-type
    inventory.export_async("urns.txt").functions  # attr-defined
    inventory.open_snapshot(["run"])  # arg-type
    inventory.Emulator(functions="many")  # arg-type
    inventory.Emulator(faults=3)  # arg-type
    snapshot.function  # attr-defined
    inventory.review("run", rule="FGA101")  # call-arg
    snapshot.table("calls", 1)  # arg-type
    inventory.diffs  # attr-defined
"""


def test_a_type_checker_sees_the_public_types(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)  # for the settings and the cache of the project
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    output, complaints, _ = api.run([str(program)])
    errors = {int(line): code for line, code in re.findall(r"program\.py:(\d+): error: .*\[([a-z-]+)\]", output)}
    expected = {number: line.split("  # ")[1] for number, line in enumerate(PROGRAM.splitlines(), 1) if "  # " in line}
    assert errors == expected, f"{output}\n{complaints}"
