"""Measures the tables of a run: ``python tests/benchmarks/tables.py``; see ``--help``.

Builds the tables of one ledger with different numbers of processes, in turns, each build in a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import process

if TYPE_CHECKING:
    from collections.abc import Sequence

_WRITE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from answers import BODY, PREFIX, PROJECT
from inventory.ledger.writer import Ledger
from inventory.outcome import Outcome
path, rows = Path(sys.argv[2]), int(sys.argv[3])
with Ledger(path) as ledger:
    urns = [f"{PREFIX}orders-{number:07d}:latest" for number in range(rows)]
    with ledger.loading():
        ledger.add_urns(urns)
        ledger.count_scopes([("cn-north-4", PROJECT)])
    for number, urn in enumerate(urns):
        body, request = (BODY % urn).encode(), f"{number:032x}"
        ledger.record(Outcome(urn, "configured", None, 200, None, None, body, "Show", 1, 0, request, 1.5, number))
        if number % 1000 == 0:
            ledger.commit()
    ledger.commit()
    ledger.sort_outcomes()
"""
_BUILD = """
import os
os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
import gc, sys, time
from pathlib import Path
from inventory.ledger.writer import Ledger
from inventory.pipeline import build_tables
from inventory.progress import ProgressObserver
from inventory.settings import ExportSettings
gc.set_threshold(50_000)
build_tables._count_processes = lambda *_: int(sys.argv[2])
with Ledger(Path(sys.argv[1])) as ledger:
    began = time.perf_counter()
    settings = ExportSettings(format=tuple(sys.argv[3].split(",")))
    build_tables.build_tables(ledger, Path(sys.argv[1]).parent, settings, [], ProgressObserver())
    print(time.perf_counter() - began)
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measures the tables of a run by the number of processes.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="URNs, each with a config and two destinations")
    parser.add_argument("--processes", type=int, action="append", help="default: 1 and 2")
    parser.add_argument("--format", default="parquet", help="parquet, csv, or both with a comma")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        ledger = Path(name) / "ledger.sqlite"
        process.run("-c", _WRITE, Path(__file__).parent, ledger, asked.rows)
        costs: dict[int, list[process.Cost]] = {count: [] for count in asked.processes or (1, 2)}
        for _ in range(asked.rounds):
            for count, own in costs.items():
                own.append(process.run("-c", _BUILD, ledger, count, asked.format))
        sys.stdout.write("| URNs | processes | seconds | CPU per URN | peak memory |\n|--:|--:|--:|--:|--:|\n")
        for count, own in costs.items():
            seconds = statistics.median(float(cost.output) for cost in own)
            cpu = statistics.median(cost.cpu for cost in own) / asked.rows * 1e6
            peak = max(cost.peak for cost in own) / 1e6
            sys.stdout.write(f"| {asked.rows:,} | {count} | {seconds:.1f} | {cpu:.1f} µs | {peak:.0f} MB |\n")


if __name__ == "__main__":
    main()
