"""All benchmarks, with one command: ``python tests/benchmarks/run.py``; see ``--help``.

The figures go to ``figures.json``, ``figures.md``, ``figures.png``, the guide on performance and the README.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import process
import server
from answers import write_list
from exports import export
from limits import use_of
from race import race, race_of_processes, race_of_size
from report import replace_part, write_summary, write_table

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
GUIDE = HERE.parents[1] / "inventory" / "docs" / "performance.md"
_START_UPS = (
    ("`python -c pass`", ("-c", "pass")),
    ('`python -c "import inventory"`', ("-c", "import inventory")),
    ("`inventory --help`", ("-m", "inventory", "--help")),
)


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _parse(arguments)
    figures = _measure(asked)
    table = write_table(figures)
    sys.stdout.write(table)
    if asked.output is None:
        return
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (asked.output / "figures.md").write_text(table, encoding="utf-8")
    # matplotlib in a process of its own, after all is measured: see process.py.
    process.run(HERE / "plot.py", asked.output / "figures.json", asked.output / "figures.png")
    if asked.output == HERE:
        replace_part(GUIDE, "figures", table)
        replace_part(README, "performance", write_summary(figures))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures inventory against other clients on one server.")
    parser.add_argument("--urns", type=int, default=50_000, help="length of the list (slow clients: a quarter)")
    parser.add_argument("--rounds", type=int, default=5, help="of each client, in turns; the figures are medians")
    parser.add_argument("--workers", type=int, default=64, help="calls in flight, of every client")
    parser.add_argument("--million", action="store_true", help="memory of 1,000,000 URNs too: takes minutes")
    parser.add_argument("--quick", action="store_true", help="a tiny run, as a test of this program")
    parser.add_argument("--output", type=Path, help="folder of the figures; default: beside this file, none if --quick")
    asked = parser.parse_args(arguments)
    if asked.quick:
        asked.urns, asked.rounds, asked.workers = min(asked.urns, 300), 1, min(asked.workers, 16)
    elif asked.output is None:
        asked.output = HERE
    return asked


def _measure(asked: argparse.Namespace) -> dict[str, Any]:
    memory_sizes = [300] if asked.quick else [10_000, 100_000, *([1_000_000] if asked.million else [])]
    race_sizes = [10, 300] if asked.quick else [10, 1_000, 100_000]
    has_nginx = server.find_nginx() is not None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        longest = write_list(folder / "urns.txt", max(asked.urns, *race_sizes, *memory_sizes))
        with server.running(folder, longest) as running:
            entrants = race(running, folder, urns=asked.urns, rounds=asked.rounds, workers=asked.workers)
            sizes = [
                race_of_size(running, folder, urns=size, rounds=asked.rounds, workers=asked.workers)
                for size in race_sizes
            ]
            processes = []
            memory = []
            if has_nginx:  # the emulator knows one scope, and would need more memory than the export
                count = 300 if asked.quick else 200_000
                processes = race_of_processes(running, folder, urns=count, rounds=asked.rounds, workers=asked.workers)
                memory = [_memory(folder, running.url, size) for size in memory_sizes]
        limits = [("100/second", 150)] if asked.quick else [("60/second", 1200), ("200/5second", 1600)]
        return {
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "server": running.name,
            "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
            f"Python {platform.python_version()}",
            "workers": asked.workers,
            "rounds": asked.rounds,
            "race": entrants,
            "sizes": sizes,
            "processes": processes,
            "memory": memory,
            "limits": [use_of(limit, urns, folder) for limit, urns in limits],
            "start_up": _start_up(1 if asked.quick else 15),
        }


def _memory(folder: Path, url: str, size: int) -> dict[str, float]:
    sys.stderr.write(f"memory: {size} URNs\n")
    done = export(write_list(folder / f"memory-{size}.txt", size), url, folder / "memory.run")
    if done.configured != size:
        raise RuntimeError(f"{done.configured} of {size} URNs answered")
    return {"urns": size, "peak_mb": done.cost.peak / 1e6, "rate": size / done.cost.wall}


def _start_up(rounds: int) -> list[dict[str, Any]]:
    times: dict[str, list[float]] = {title: [] for title, _ in _START_UPS}
    for _ in range(rounds):
        for title, command in _START_UPS:
            times[title].append(process.run(*command).wall)
    return [{"command": title, "seconds": statistics.median(measured)} for title, measured in times.items()]


if __name__ == "__main__":
    main()
