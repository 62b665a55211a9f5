"""The benchmarks run, and the documents show their figures. No test asserts a time."""

import importlib
import json
import subprocess
import sys

import pytest
from support.documents import README, ROOT, generated, table_rows, text_of

BENCHMARKS = ROOT / "tests" / "benchmarks"


def test_the_documents_show_the_figures_that_were_measured():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        report = importlib.import_module("report")
    finally:
        sys.path.remove(str(BENCHMARKS))
    figures = json.loads((BENCHMARKS / "figures.json").read_text(encoding="utf-8"))
    assert generated("performance.md", "figures") == (BENCHMARKS / "figures.md").read_text(encoding="utf-8")
    assert report.write_table(figures) == generated("performance.md", "figures")
    assert report.write_summary(figures) == generated(README, "performance")
    assert "(../../tests/benchmarks/figures.png)" in text_of("performance.md")


def test_the_sizes_on_paper_are_the_cost_of_one_times_their_number():
    rows = [[cell.replace(",", "") for cell in row] for row in table_rows(generated("performance.md", "sizes"))]
    unit = {"µs": 1e-6, "s": 1.0, "B": 1.0, "MB": 1e6}
    (one, *cost), *sizes = [[float(row[0]), *(float(n) * unit[u] for n, u in map(str.split, row[1:]))] for row in rows]
    assert (one, [size[0] for size in sizes]) == (1.0, [1e6, 1e7])
    for count, *cells in sizes:
        assert cells == pytest.approx([count * each for each in cost])
    assert cost[1] == pytest.approx(1 / 200)
    memory = json.loads((BENCHMARKS / "figures.json").read_text(encoding="utf-8"))["memory"]
    assert cost[0] == pytest.approx(1 / memory[-1]["rate"], rel=0.2)  # the page is updated by a person


def test_picture_and_table_have_the_same_date():
    figures = json.loads((BENCHMARKS / "figures.json").read_text(encoding="utf-8"))
    assert figures["date"] in (BENCHMARKS / "figures.md").read_text(encoding="utf-8")
    assert figures["rounds"] >= 5
    races = [figures["race"], figures["processes"], *figures["sizes"]]
    assert {len(entrant["rounds"]) for entrants in races for entrant in entrants} == {figures["rounds"]}


@pytest.mark.skipif(sys.platform == "win32", reason="it cannot measure a child process")
def test_the_benchmarks_run(tmp_path):
    command = [sys.executable, BENCHMARKS / "run.py", "--quick", "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "figures.md").read_text(encoding="utf-8")
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert len(figures["race"]) == 8
    assert all(figures[part] for part in ("limits", "start_up"))
    assert (tmp_path / "figures.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(sys.platform == "win32", reason="it cannot measure a child process")
def test_the_benchmark_of_differences_runs():
    command = [sys.executable, BENCHMARKS / "diffs.py", "--rows", "2000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = table_rows(done.stdout)
    assert [row[1] for row in rows] == ["1,000", "few, command, CSV", "2,000", "all, command, CSV"]


@pytest.mark.skipif(sys.platform == "win32", reason="it cannot measure a child process")
def test_the_benchmark_of_reviews_runs():
    command = [sys.executable, BENCHMARKS / "reviews.py", "--functions", "300"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ((functions, *_, findings),) = table_rows(done.stdout)
    assert functions == "300"
    assert int(findings.replace(",", "")) > 300


@pytest.mark.skipif(sys.platform == "win32", reason="it cannot measure a child process")
def test_the_benchmark_of_tables_runs():
    command = [sys.executable, BENCHMARKS / "tables.py", "--rows", "2000", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [row[:2] for row in table_rows(done.stdout)] == [["2,000", "1"], ["2,000", "2"]]
