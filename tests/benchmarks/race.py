"""`inventory` and other clients fetch lists of URNs from one server, in turns: A B C A B C ...

Turns spread the load of the machine over all clients. A slow client gets a shorter list.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import process
from answers import write_list
from exports import export
from shards import write_scopes

if TYPE_CHECKING:
    from server import Server

_CONTESTANTS = Path(__file__).with_name("contestants.py")


class Entrant(NamedTuple):
    """One client.

    Attributes:
        key: name of its loop in ``contestants.py``; begins with "inventory" for an export.
        title: for people.
        share: divisor of the length of the list.
        options: of the export.
    """

    key: str
    title: str
    share: int = 1
    options: tuple[object, ...] = ()


INVENTORY = Entrant("inventory", "`inventory export`: ledger, retries, tables, manifest")
PLAIN = Entrant("aiohttp-plain", "bare aiohttp loop, `json.loads`")
ENTRANTS = (
    INVENTORY,
    PLAIN,
    Entrant("aiohttp-tuned", "bare aiohttp loop, tuned, msgspec"),
    Entrant("pycurl", "pycurl, multi interface"),
    Entrant("pyreqwest", "pyreqwest (Rust)"),
    Entrant("httpx", "httpx.AsyncClient", 4),
    Entrant("sdk-threads", "vendor's SDK, a pool of threads", 4),
    Entrant("sdk-async", "vendor's SDK, asynchronous client", 4),
)
PROCESSES = (
    Entrant("inventory", "one process"),
    Entrant("inventory-2", "`--engine processes --processes 2`", options=("--engine", "processes", "--processes", 2)),
)


def race(server: Server, folder: Path, *, urns: int, rounds: int, workers: int) -> list[dict[str, Any]]:
    """All clients, with one list.

    Returns:
        for each its name, the length of its list, and of each round the rates and the CPU per URN.
    """
    lists = {
        share: write_list(folder / f"race-{share}.txt", max(1, urns // share))
        for share in sorted({entrant.share for entrant in ENTRANTS})
    }
    runs = [(entrant, lists[entrant.share], max(1, urns // entrant.share)) for entrant in ENTRANTS]
    return _in_turns(runs, server, rounds, workers)


def race_of_size(server: Server, folder: Path, *, urns: int, rounds: int, workers: int) -> list[dict[str, Any]]:
    """`inventory` and the bare loop with a list of another length; as `race`."""
    path = write_list(folder / f"size-{urns}.txt", urns)
    return _in_turns([(INVENTORY, path, urns), (PLAIN, path, urns)], server, rounds, workers)


def race_of_processes(server: Server, folder: Path, *, urns: int, rounds: int, workers: int) -> list[dict[str, Any]]:
    """One process and two, with a list of several scopes; as `race`."""
    path = write_scopes(folder / "scopes.txt", urns)
    return _in_turns([(entrant, path, urns) for entrant in PROCESSES], server, rounds, workers)


def _in_turns(runs: list[tuple[Entrant, Path, int]], server: Server, rounds: int, workers: int) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = [
        {"key": entrant.key, "title": entrant.title, "urns": count, "rounds": []} for entrant, _, count in runs
    ]
    for number in range(rounds):
        for (entrant, path, count), result in zip(runs, results, strict=True):
            measured = _run(entrant, path, count, server, workers)
            result["rounds"].append(measured)
            sys.stderr.write(
                f"round {number + 1}/{rounds}: {entrant.key} {measured['rate']:.0f} URNs/s, "
                f"{measured['cpu_us']:.0f} us of CPU per URN\n"
            )
    return results


def _run(entrant: Entrant, path: Path, count: int, server: Server, workers: int) -> dict[str, float]:
    before = server.cpu()
    if entrant.key.startswith("inventory"):
        ours = export(path, server.url, path.with_suffix(".run"), "--max-workers", workers, *entrant.options)
        cost, answered, calling = ours.cost, ours.configured, ours.calling
    else:
        cost = process.run(_CONTESTANTS, entrant.key, path, server.url, workers)
        printed = json.loads(cost.output)
        answered, calling = printed["answered"], printed["wall"]
    if answered != count:
        raise RuntimeError(f"{entrant.key}: {answered} of {count} URNs answered")
    return {
        "seconds": cost.wall,
        "rate": count / cost.wall,
        "cpu_us": 1e6 * cost.cpu / count,
        "server_cpu_us": 1e6 * (server.cpu() - before) / count,
        "calls_rate": count / calling,
        "peak_mb": cost.peak / 1e6,
    }
