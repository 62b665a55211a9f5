"""The figures as Markdown: tables for the guide on performance, and a summary for the README."""

from __future__ import annotations

import re
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_COMMAND = "python tests/benchmarks/run.py"


def median(entrant: dict[str, Any], name: str) -> float:
    return statistics.median(measured[name] for measured in entrant["rounds"])


def ratio(ours: dict[str, Any], entrant: dict[str, Any]) -> float:
    """Rate of one divided by that of another: the median over the rounds, each compared with its neighbour."""
    pairs = zip(ours["rounds"], entrant["rounds"], strict=True)
    return statistics.median(mine["rate"] / other["rate"] for mine, other in pairs)


def write_table(figures: dict[str, Any]) -> str:
    with_nginx = [_processes(figures), _memory(figures)] if figures["memory"] else []
    return "\n".join([_race(figures), _sizes(figures), *with_nginx, _start_up(figures), _limits(figures)])


def write_summary(figures: dict[str, Any]) -> str:
    """The most important figures, for the README."""
    entrants = {entrant["key"]: entrant for entrant in figures["race"]}
    ours, loop, sdk = (entrants[key] for key in ("inventory", "aiohttp-plain", "sdk-threads"))
    rate, largest = median(ours, "rate"), figures["memory"][-1]
    used = min(limit["used"] for limit in figures["limits"])
    return (
        f"- {rate:,.0f} URNs/s from start to exit code ({figures['machine']}; {figures['date']}).\n"
        f"- {ratio(ours, sdk):.1f} \u00d7 the speed of the vendor's SDK in threads, "
        f"{ratio(ours, loop):.2f} \u00d7 that of a bare aiohttp loop that saves nothing.\n"
        f"- Peak memory with {largest['urns']:,} URNs: {largest['peak_mb']:,.0f} MB. Behind a rate limit, at least "
        f"{100 * used:.1f} % of it is used once it is learned.\n"
    )


def replace_part(document: Path, name: str, text: str) -> None:
    """Replaces the text between the marks of a document that have a name."""
    begin, end = f"<!-- {name}: {_COMMAND} -->\n", f"<!-- end of {name} -->"
    marks = re.compile(f"({re.escape(begin)}).*?({re.escape(end)})", re.DOTALL)
    before = document.read_text(encoding="utf-8")
    document.write_text(marks.sub(lambda found: f"{found[1]}{text}{found[2]}", before), encoding="utf-8")


def _race(figures: dict[str, Any]) -> str:
    ours = figures["race"][0]
    rows = []
    for entrant in figures["race"]:
        rates = [measured["rate"] for measured in entrant["rounds"]]
        rows.append(
            f"| {entrant['title']} | {entrant['urns']:,} | {median(entrant, 'rate'):,.0f} "
            f"| {min(rates):,.0f} to {max(rates):,.0f} | {ratio(ours, entrant):.2f} \u00d7 "
            f"| {median(entrant, 'cpu_us'):,.0f} µs | {median(entrant, 'calls_rate'):,.0f} |"
        )
    head = (
        f"End to end, {figures['date']}: {figures['workers']} calls in flight against {figures['server']} on the same "
        f"machine ({figures['machine']}), medians of {_times(figures['rounds'])}, in turns; "
        f"the server takes {median(ours, 'server_cpu_us'):,.0f} µs of CPU per URN.\n\n"
        "| client | URNs | URNs/s | range | `inventory` is faster by | CPU per URN | URNs/s, calls only |\n"
        "|---|--:|--:|--:|--:|--:|--:|\n"
    )
    return head + "\n".join(rows) + "\n"


def _sizes(figures: dict[str, Any]) -> str:
    rows = [
        f"| {ours['urns']:,} | {median(ours, 'seconds'):,.2f} s | {median(loop, 'seconds'):,.2f} s "
        f"| {ratio(ours, loop):.2f} \u00d7 |"
        for ours, loop in figures["sizes"]
    ]
    return (
        "| URNs | `inventory export` | bare aiohttp loop | `inventory` is faster by |\n|--:|--:|--:|--:|\n"
        + "\n".join(rows)
        + "\n"
    )


def _processes(figures: dict[str, Any]) -> str:
    one = figures["processes"][0]
    rows = [
        f"| {way['title']} | {way['urns']:,} | {median(way, 'rate'):,.0f} | {ratio(way, one):.2f} \u00d7 "
        f"| {median(way, 'cpu_us'):,.0f} µs | {median(way, 'server_cpu_us'):,.0f} µs |"
        for way in figures["processes"]
    ]
    head = (
        "| `inventory export`, several scopes | URNs | URNs/s | speed | CPU per URN | server's CPU per URN |\n"
        "|---|--:|--:|--:|--:|--:|\n"
    )
    return head + "\n".join(rows) + "\n"


def _times(rounds: int) -> str:
    return "1 round" if rounds == 1 else f"{rounds} rounds"


def _memory(figures: dict[str, Any]) -> str:
    rows = [f"| {one['urns']:,} | {one['peak_mb']:,.0f} MB | {one['rate']:,.0f} |" for one in figures["memory"]]
    return "| URNs in one export | peak memory | URNs/s |\n|--:|--:|--:|\n" + "\n".join(rows) + "\n"


def _limits(figures: dict[str, Any]) -> str:
    rows = [
        f"| {one['limit']} | {one['calls']:,} | {100 * one['used']:.1f} % | {100 * one['refused']:.2f} % |"
        for one in figures["limits"]
    ]
    head = "| server's limit | calls | used, once learned | refused (429) |\n|---|--:|--:|--:|\n"
    return head + "\n".join(rows) + "\n"


def _start_up(figures: dict[str, Any]) -> str:
    rows = [f"| {one['command']} | {one['seconds']:.3f} s |" for one in figures["start_up"]]
    return "| start-up | median |\n|---|--:|\n" + "\n".join(rows) + "\n"
