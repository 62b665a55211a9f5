"""The benchmarks run, and the README shows what they wrote. No figure is held to a time: a test machine is no judge."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "tests" / "benchmarks"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_the_figures_that_were_measured():
    """The table of the README is word for word figures.md, and the picture beside it is there."""
    written = re.search(r"<!-- figures[^\n]*\n(.*?)<!-- end of figures -->", README, re.DOTALL)
    assert written[1] == (BENCHMARKS / "figures.md").read_text(encoding="utf-8")
    assert "(tests/benchmarks/figures.png)" in README


def test_the_sizes_on_paper_are_the_cost_of_one_times_their_number():
    """Each cell of the README's table of a million and ten million URNs is what stands for one URN, so many times."""
    table = re.search(r"<!-- sizes -->\n(.*?)<!-- end of sizes -->", README, re.DOTALL)[1]
    rows = [[cell.strip().replace(",", "") for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]
    unit = {"µs": 1e-6, "s": 1.0, "B": 1.0, "MB": 1e6}
    (one, *cost), *sizes = [[float(row[0]), *(float(n) * unit[u] for n, u in map(str.split, row[1:]))] for row in rows]
    assert (one, [size[0] for size in sizes]) == (1.0, [1e6, 1e7])
    for count, *cells in sizes:
        assert cells == pytest.approx([count * each for each in cost])
    assert cost[1] == pytest.approx(1 / 200)
    memory = json.loads((BENCHMARKS / "figures.json").read_text(encoding="utf-8"))["memory"]
    assert cost[0] == pytest.approx(1 / memory[-1]["rate"], rel=0.2)  # until it is written down anew


def test_the_picture_and_the_table_tell_of_the_same_day():
    """figures.md and figures.json, which the picture is drawn from, come from one run."""
    figures = json.loads((BENCHMARKS / "figures.json").read_text(encoding="utf-8"))
    assert figures["date"] in (BENCHMARKS / "figures.md").read_text(encoding="utf-8")
    assert figures["rounds"] >= 5
    assert {len(entrant["rounds"]) for entrant in figures["race"]} == {figures["rounds"]}


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not tell what a child used")
def test_the_benchmarks_run(tmp_path):
    """One small round of everything ends well, and leaves table, figures and picture in the folder it was given."""
    command = [sys.executable, BENCHMARKS / "run.py", "--quick", "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "figures.md").read_text(encoding="utf-8")
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert len(figures["race"]) == 6
    assert all(figures[part] for part in ("limits", "start_up"))
    assert (tmp_path / "figures.png").read_bytes().startswith(b"\x89PNG")
