"""The figures as Markdown: on stdout, in a file, and in the README between two marks.

Owns the words of the table. Measures nothing.
"""

from __future__ import annotations

import re
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = "<!-- figures: python tests/benchmarks/run.py -->\n"
END = "<!-- end of figures -->"


def median(entrant: dict[str, Any], name: str) -> float:
    """The median of a figure over the rounds."""
    return statistics.median(measured[name] for measured in entrant["rounds"])


def ratio(ours: dict[str, Any], entrant: dict[str, Any]) -> float:
    """How many times as quick as another we are: the median over the rounds, each held against its own neighbour."""
    pairs = zip(ours["rounds"], entrant["rounds"], strict=True)
    return statistics.median(mine["rate"] / other["rate"] for mine, other in pairs)


def write_table(figures: dict[str, Any]) -> str:
    """All tables, as the README shows them."""
    parts = [_race(figures), _start_up(figures), _limits(figures)]
    if figures["memory"]:
        parts.insert(1, _memory(figures))
    return "\n".join(parts)


def put_in_readme(readme: Path, table: str) -> None:
    """Puts the table between the README's marks."""
    text = readme.read_text(encoding="utf-8")
    found = re.compile(f"({re.escape(BEGIN)}).*?({re.escape(END)})", re.DOTALL)
    readme.write_text(found.sub(lambda marks: f"{marks[1]}{table}{marks[2]}", text), encoding="utf-8")


def _race(figures: dict[str, Any]) -> str:
    ours = figures["race"][0]
    rows = []
    for entrant in figures["race"]:
        rates = [measured["rate"] for measured in entrant["rounds"]]
        rows.append(
            f"| {entrant['title']} | {entrant['urns']:,} | {median(entrant, 'rate'):,.0f} "
            f"| {min(rates):,.0f} to {max(rates):,.0f} | {ratio(ours, entrant):.2f} \u00d7 "
            f"| {median(entrant, 'cpu_us'):,.0f} µs | {median(entrant, 'asking_rate'):,.0f} |"
        )
    head = (
        f"End to end, {figures['date']}: {figures['workers']} calls in flight against {figures['server']} on the same "
        f"machine ({figures['machine']}), medians of {_times(figures['rounds'])} in turns.\n\n"
        "| who | URNs | URNs/s | from, to | `inventory` is | CPU per URN | URNs/s, asking alone |\n"
        "|---|--:|--:|--:|--:|--:|--:|\n"
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
    head = "| server's limit | calls | used, once learnt | refused (429) |\n|---|--:|--:|--:|\n"
    return head + "\n".join(rows) + "\n"


def _start_up(figures: dict[str, Any]) -> str:
    rows = [f"| {one['command']} | {one['seconds']:.3f} s |" for one in figures["start_up"]]
    return "| start-up | median |\n|---|--:|\n" + "\n".join(rows) + "\n"
