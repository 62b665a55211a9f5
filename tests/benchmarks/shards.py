"""Runs in shards: cost of a plan, CPU time per URN, speed and use of limits with 1, 2 and 4 processes.

``python tests/benchmarks/shards.py [--urns N] [--plan N] [--limits SCOPESxRATE ...] [--engine NAME ...]``; prints JSON.
The exports take turns.
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


def use_of_limits(text: str, seconds: int, engines: list[str], folder: Path) -> list[dict[str, Any]]:
    """How much of the limit of each scope is used, as the server counts, with all scopes at the same time.

    Args:
        text: scopes and their limit, such as 100x20: 100 scopes of 20 calls per second.
        seconds: how long the limits allow the calls of each scope to take.
        engines: that run as many processes as there are shards.
        folder: for files.
    """
    scopes, rate = map(int, text.split("x"))
    path, log, size = folder / "limited.txt", folder / "calls.log", rate * seconds
    with path.open("w", encoding="ascii") as file:
        file.writelines(_URN.format(number // size, number // 30, number % 30) for number in range(scopes * size))
    figures = []
    for engine, count in [("", 1), *((engine, count) for engine in engines for count in (1, 4))]:
        sharding = ("--engine", engine, "--processes", count, "--urns-per-shard", -(-scopes // count) * size)
        with server.running(folder, path, log) as served:
            cost = exports.export(
                path, served.url, folder / "run", *(sharding if engine else ()), "--max-per-second", rate
            ).cost
            cpu = served.cpu()
        calls: dict[str, list[float]] = {}
        for line in log.read_text().splitlines():
            at, project = line.split()
            calls.setdefault(project, []).append(float(at))
        log.unlink()
        used = sorted(_rate(times) / rate for times in calls.values())
        figures.append(
            {
                "limits": text,
                "way": f"{engine or 'one process'} {count if engine else ''}".strip(),
                "scopes": len(used),
                "least_used": round(used[0], 3),
                "median_used": round(statistics.median(used), 3),
                "most_used_of_a_second": max(_busiest(times, 1) / rate for times in calls.values()),
                "most_used_of_10_seconds": max(_busiest(times, 10) / 10 / rate for times in calls.values()),
                "seconds": round(cost.wall, 1),
                "cpu_seconds": round(cost.cpu, 1),
                "server_cpu_seconds": round(cpu, 1),
            }
        )
    return figures


def _rate(times: list[float]) -> float:
    return (len(times) - 1) / (max(times) - min(times))


def _busiest(times: list[float], seconds: int) -> int:
    """The most calls in so many seconds, wherever they begin."""
    times, first, most = sorted(times), 0, 0
    for number, time in enumerate(times):
        while times[first] <= time - seconds:
            first += 1
        most = max(most, number - first + 1)
    return most


def main() -> None:
    """Measures what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--urns", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plan", type=int, default=0, help="entries of a plan that is measured too")
    parser.add_argument("--shuffled", action="store_true", help="the plan's list has no order")
    parser.add_argument("--limits", action="append", default=[], help="scopes and calls per second, as in 100x20")
    parser.add_argument("--seconds", type=int, default=30, help="that each limit allows the calls of a scope to take")
    parser.add_argument("--engine", action="append", default=[])
    asked = parser.parse_args()
    engines = asked.engine or ["processes"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures: dict[str, Any] = {}
        if asked.plan:
            figures["plan"] = plan_cost(asked.plan, folder, shuffled=asked.shuffled)
        if asked.urns:
            figures["exports"] = compare(asked.urns, asked.rounds, engines, folder)
        if asked.limits:
            used = (use_of_limits(text, asked.seconds, engines, folder) for text in asked.limits)
            figures["limits"] = [figure for figures_of_one in used for figure in figures_of_one]
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
