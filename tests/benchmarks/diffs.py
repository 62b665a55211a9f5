"""Measures ``inventory.diff``: ``python tests/benchmarks/diffs.py``; see ``--help``.

Compares two runs of many functions, with 1,000 changes and with every function changed, each in a process of its own.
"""

from __future__ import annotations

import argparse
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
from support.written_runs import write_many
folder, rows = Path(sys.argv[2]), int(sys.argv[3])
write_many(folder / "old", rows)
write_many(folder / "few", rows, day=1, changed=range(0, rows, max(1, rows // 1000)))
write_many(folder / "all", rows, day=1, changed=range(rows))
"""
_COMPARE = """
import sys
import inventory
print(inventory.diff(*sys.argv[1:]).counts["changed"])
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measures the comparison of two runs.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="functions of each run, each with a destination")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        process.run("-c", _WRITE, Path(__file__).parents[1], folder, asked.rows)
        sys.stdout.write("| functions | changed | seconds | CPU seconds | peak memory |\n|--:|--:|--:|--:|--:|\n")
        for new in ("few", "all"):
            for command in (
                ("-c", _COMPARE),
                ("-m", "inventory", "diff", "--format", "csv", "--output", folder / "csv"),
            ):
                cost = process.run(*command, folder / "old", folder / new)
                what = f"{int(cost.output):,}" if cost.output else f"{new}, command, CSV"
                figures = f"{cost.wall:.1f} | {cost.cpu:.1f} | {cost.peak / 1e6:.0f} MB"
                sys.stdout.write(f"| {asked.rows:,} | {what} | {figures} |\n")


if __name__ == "__main__":
    main()
