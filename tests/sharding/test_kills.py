import json
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).parents[1] / "benchmarks" / "kills.py"

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
    pytest.mark.slow,
    pytest.mark.timeout(600),  # each kill is a run of some seconds
]


@pytest.mark.parametrize("engine", ["processes", "dask", "cluster"])
def test_random_kills_lose_nothing_and_repeat_what_is_allowed(engine):
    words = ("--engine", engine, "--kills", "3", "--seed", "7", "--urns", "900")
    done = subprocess.run([sys.executable, KILLS, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert sum(figures["kills"].values()) >= 3
    assert (figures["faults"], figures["processes_left"]) == ([], [])
