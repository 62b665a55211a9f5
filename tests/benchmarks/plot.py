"""The figures as a picture: ``python plot.py figures.json figures.png``.

URNs per second and CPU per URN, side by side, both axes from 0.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from report import median

mpl.use("Agg")  # there may be no screen
from matplotlib import pyplot as plt

_LABELS = {
    "inventory": "inventory export\n(everything on)",
    "aiohttp-plain": "bare aiohttp loop,\njson.loads",
    "aiohttp-tuned": "bare aiohttp loop,\ntuned, msgspec",
    "pycurl": "pycurl, multi",
    "pyreqwest": "pyreqwest",
    "httpx": "httpx.AsyncClient",
    "sdk-threads": "vendor's SDK,\nthreads",
    "sdk-async": "vendor's SDK,\nasynchronous client",
}
_OURS, _OTHERS = "#0b6e4f", "#a3adb8"


def plot(figures: dict[str, Any], path: Path) -> None:
    """Draws medians as bars, and from the worst round to the best as a whisker."""
    entrants = figures["race"]
    drawn, (left, right) = plt.subplots(1, 2, figsize=(11, 5.6), sharey=True, layout="constrained")
    _bars(left, entrants, "rate", "URNs per second, end to end (more is better)")
    _bars(right, entrants, "cpu_us", "CPU per URN in µs, whole process (less is better)")
    left.set_yticks(range(len(entrants)), [_LABELS[entrant["key"]] for entrant in entrants])
    left.invert_yaxis()
    drawn.suptitle("The same list of URNs from the same server, in turns", fontsize=13, fontweight="bold")
    drawn.supxlabel(
        f"{figures['date']} · {figures['server']}, loopback · {figures['workers']} calls in flight · "
        f"{figures['machine']}\nbars: median of {figures['rounds']} rounds; whiskers: slowest and fastest round",
        fontsize=8.5,
        color="#555555",
    )
    drawn.savefig(path, dpi=130, metadata={"Software": None})


def _bars(axes: Any, entrants: list[dict[str, Any]], name: str, title: str) -> None:
    middles = [median(entrant, name) for entrant in entrants]
    measured = [[one[name] for one in entrant["rounds"]] for entrant in entrants]
    whiskers = [
        [middle - min(values) for middle, values in zip(middles, measured, strict=True)],
        [max(values) - middle for middle, values in zip(middles, measured, strict=True)],
    ]
    colours = [_OURS if entrant["key"] == "inventory" else _OTHERS for entrant in entrants]
    axes.barh(range(len(entrants)), middles, xerr=whiskers, color=colours, height=0.65, ecolor="#444444", capsize=2.5)
    for row, (middle, values) in enumerate(zip(middles, measured, strict=True)):
        axes.annotate(
            f"{middle:,.0f}", (max(values), row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9.5
        )
    axes.set_title(title, fontsize=10.5, loc="left")
    axes.set_xlim(0, 1.16 * max(max(values) for values in measured))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(axis="x", color="#e3e6ea")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


if __name__ == "__main__":
    plot(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
