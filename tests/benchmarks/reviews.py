"""Measures ``inventory review``: ``python tests/benchmarks/reviews.py``; see ``--help``.

Reviews a run with all rules, and writes the findings as Parquet, in a process of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import process

if TYPE_CHECKING:
    from collections.abc import Sequence

_WRITE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.written_fleets import write_fleet
write_fleet(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measures the review of a run.")
    parser.add_argument("--functions", type=int, nargs="+", default=[10_000, 1_000_000], help="functions of each run")
    graphs = ("fleet", "ring", "pairs", "random")
    parser.add_argument(
        "--graph", choices=graphs, nargs="+", default=["fleet"], help="calls: believable, or an extreme graph"
    )
    asked = parser.parse_args(arguments)
    sys.stdout.write("| functions | graph | seconds | CPU seconds | peak memory | findings |\n")
    sys.stdout.write("|--:|---|--:|--:|--:|--:|\n")
    for functions, graph in product(asked.functions, asked.graph):
        with tempfile.TemporaryDirectory() as name:
            run, findings = Path(name) / "run", Path(name) / "findings.parquet"
            process.run("-c", _WRITE, Path(__file__).parents[1], run, functions, graph)
            command = ("-m", "inventory", "review", "--format", "parquet", "--output", findings, run)
            cost = process.run(*command)
            rows = process.run(
                "-c", "import sys, pyarrow.parquet as pq; print(pq.read_metadata(sys.argv[1]).num_rows)", findings
            )
            figures = f"{cost.wall:.1f} | {cost.cpu:.1f} | {cost.peak / 1e6:.0f} MB | {int(rows.output):,}"
            sys.stdout.write(f"| {functions:,} | {graph} | {figures} |\n")


if __name__ == "__main__":
    main()
