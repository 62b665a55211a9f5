"""Memory does not grow with the list."""

import os
import subprocess
import sys
import urllib.request

import pytest
from support.runs import TOKEN, manifest_of

FUNCTIONS = 46_000
MAX_MEGABYTES = 150
# Between fork and exec a child counts as large as its parent, and pytest is large: a small process starts the export.
LAUNCHER = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-m", "inventory", *sys.argv[1:]], stdout=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.skipif(sys.platform == "win32", reason="the system does not tell the memory of a child")
def test_an_export_of_100_000_urns_stays_under_150_mb(tmp_path):
    emulate = [sys.executable, "-m", "inventory", "emulate", "--port", "0", "--functions", str(FUNCTIONS)]
    with subprocess.Popen(emulate, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        url = server.stdout.readline().strip()
        urllib.request.urlretrieve(f"{url}/emulator/urns", tmp_path / "urns.txt")
        export = ["export", tmp_path / "urns.txt", "--endpoint", url, "--output", tmp_path / "run"]
        done = subprocess.run(
            [sys.executable, "-c", LAUNCHER, *export, "--max-per-second", "0"],
            env={**os.environ, "HW_AUTH_TOKEN": TOKEN},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        server.terminate()
    code, peak = map(int, done.stdout.split())
    assert code == 0
    assert manifest_of(tmp_path / "run")["input"]["urns"] > 99_000
    assert peak / (1024 * 1024 if sys.platform == "darwin" else 1024) < MAX_MEGABYTES
