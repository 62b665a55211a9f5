"""Runs in shards: cost of a plan, CPU time per URN and speed with 1, 2 and 4 processes.

``python tests/benchmarks/shards.py [--urns N] [--plan N] [--engine NAME ...]``; prints JSON. The exports take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import exports
import process
import server

_URN = "urn:fss:cn-north-4:{:032x}:function:default:function-{:05d}:v{}\n"
_SCOPE = 10_000
"""URNs of a scope."""
_STEP = 2**31 - 1  # a prime, so that steps of this size visit each number once


def write_scopes(path: Path, count: int, *, shuffled: bool = False) -> Path:
    """Writes a list of distinct URNs in scopes of equal size, in order or in an order without a pattern."""
    with path.open("w", encoding="ascii") as file:
        numbers = ((place * _STEP) % count for place in range(count)) if shuffled else iter(range(count))
        for number in numbers:
            file.write(_URN.format(number // _SCOPE, number // 30, number % 30))
    return path


def plan_cost(count: int, folder: Path, *, shuffled: bool) -> dict[str, Any]:
    """What ``export --plan-only`` costs."""
    path = write_scopes(folder / "plan.txt", count, shuffled=shuffled)
    cost = process.run("-m", "inventory", "export", path, "--plan-only", "--output", folder / "plan", "--quiet")
    shards = len(json.loads((folder / "plan" / "plan.json").read_text())["shards"])
    process.run("-c", "import shutil, sys; shutil.rmtree(sys.argv[1])", folder / "plan")
    path.unlink()
    figures = {"entries": count, "shuffled": shuffled, "shards": shards, "seconds": round(cost.wall, 1)}
    return {**figures, "cpu_seconds": round(cost.cpu, 1), "peak_mb": round(cost.peak / 1e6)}


def compare(urns: int, rounds: int, engines: list[str], folder: Path) -> list[dict[str, Any]]:
    """CPU time per URN and URNs per second of each way, medians of rounds in turns."""
    path = write_scopes(folder / "urns.txt", urns)
    ways: dict[str, tuple[object, ...]] = {"one process": ()}
    for engine in engines:
        for count in (1, 2, 4):
            ways[f"{engine} {count}"] = ("--engine", engine, "--processes", count)
    costs: dict[str, list[process.Cost]] = {way: [] for way in ways}
    with server.running(folder, path) as served:
        for _ in range(rounds):
            for way, options in ways.items():
                costs[way].append(exports.export(path, served.url, folder / "run", *options).cost)
    one = statistics.median(cost.cpu for cost in costs["one process"])
    return [
        {
            "way": way,
            "cpu_us_per_urn": round(statistics.median(cost.cpu for cost in own) / urns * 1e6),
            "cpu_of_one_process": round(statistics.median(cost.cpu for cost in own) / one, 3),
            "urns_per_second": round(urns / statistics.median(cost.wall for cost in own)),
        }
        for way, own in costs.items()
    ]


def main() -> None:
    """Measures what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--urns", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plan", type=int, default=0, help="entries of a plan that is measured too")
    parser.add_argument("--shuffled", action="store_true", help="the plan's list has its scopes in turns")
    parser.add_argument("--engine", action="append", default=[])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures: dict[str, Any] = {}
        if asked.plan:
            figures["plan"] = plan_cost(asked.plan, folder, shuffled=asked.shuffled)
        if asked.urns:
            figures["exports"] = compare(asked.urns, asked.rounds, asked.engine or ["processes"], folder)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
