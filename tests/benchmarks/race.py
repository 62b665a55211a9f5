"""End to end: `inventory` against other ways to ask, in turns against one server.

Owns who runs and in which order: A B C A B C ..., so that whatever else the machine does hits all alike. A slow
contestant is given a shorter list, long enough that its start-up does not matter either.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import process
from answers import write_list
from exports import export

if TYPE_CHECKING:
    from server import Server

_CONTESTANTS = Path(__file__).with_name("contestants.py")


class Entrant(NamedTuple):
    """One who runs.

    Attributes:
        key: name of its loop in ``contestants.py``; "inventory" for ours.
        title: for people.
        share: part of the list that it is given, as a divisor.
    """

    key: str
    title: str
    share: int = 1


ENTRANTS = (
    Entrant("inventory", "`inventory export`: ledger, retries, tables, manifest"),
    Entrant("aiohttp-plain", "bare aiohttp loop, `json.loads`"),
    Entrant("aiohttp-tuned", "bare aiohttp loop, tuned, msgspec"),
    Entrant("httpx", "httpx.AsyncClient", 4),
    Entrant("sdk-threads", "vendor's SDK, a pool of threads", 4),
    Entrant("sdk-async", "vendor's SDK, asynchronous client", 4),
)


def race(server: Server, folder: Path, *, urns: int, rounds: int, workers: int) -> list[dict[str, Any]]:
    """Runs all entrants, round after round.

    Returns:
        for each its name, the length of its list, and of each round the rates and the CPU per URN, of the whole process
        and of the asking alone.
    """
    lists = {
        share: write_list(folder / f"race-{share}.txt", max(1, urns // share))
        for share in sorted({entrant.share for entrant in ENTRANTS})
    }
    results: list[dict[str, Any]] = [
        {"key": entrant.key, "title": entrant.title, "urns": max(1, urns // entrant.share), "rounds": []}
        for entrant in ENTRANTS
    ]
    for number in range(rounds):
        for entrant, result in zip(ENTRANTS, results, strict=True):
            measured = _run(entrant, lists[entrant.share], result["urns"], server.url, workers)
            result["rounds"].append(measured)
            sys.stderr.write(
                f"round {number + 1}/{rounds}: {entrant.key} {measured['rate']:.0f} URNs/s, "
                f"{measured['cpu_us']:.0f} us of CPU per URN\n"
            )
    return results


def _run(entrant: Entrant, path: Path, count: int, url: str, workers: int) -> dict[str, float]:
    if entrant.key == "inventory":
        ours = export(path, url, path.with_suffix(".run"), "--max-workers", workers)
        cost, answered, asking = ours.cost, ours.configured, {"wall": ours.asking}
    else:
        cost = process.run(_CONTESTANTS, entrant.key, path, url, workers)
        asking = json.loads(cost.output)
        answered = asking["answered"]
    if answered != count:
        raise RuntimeError(f"{entrant.key}: {answered} of {count} URNs answered")
    return {
        "rate": count / cost.wall,
        "cpu_us": 1e6 * cost.cpu / count,
        "asking_rate": count / asking["wall"],
        "peak_mb": cost.peak / 1e6,
    }
