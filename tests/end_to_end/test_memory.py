"""Memory does not grow with the list."""

import os
import subprocess
import sys
import urllib.request

import pytest
from support.runs import TOKEN, manifest_of

FUNCTIONS = 46_000
# A short export takes about 105 MB where pages of shared libraries are mapped one by one, so a long one takes 150.
# A kernel that maps them in large folios adds 20 MB to both, which is why the difference is checked, not the peak.
MAX_GROWTH_MEGABYTES = 45
# Between fork and exec a child counts as large as its parent, and pytest is large: a small process starts the export.
LAUNCHER = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-m", "inventory", *sys.argv[1:]], stdout=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_megabytes(urns, url, run):
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, "export", urns, "--endpoint", url, "--output", run, "--max-per-second", "0"],
        env={**os.environ, "HW_AUTH_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    code, peak = map(int, done.stdout.split())
    assert code == 0
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.skipif(sys.platform == "win32", reason="the system does not tell the memory of a child")
def test_an_export_of_100_000_urns_takes_little_more_memory_than_one_of_1_000(tmp_path):
    emulate = [sys.executable, "-m", "inventory", "emulate", "--port", "0", "--functions", str(FUNCTIONS)]
    with subprocess.Popen(emulate, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        url = server.stdout.readline().strip()
        urllib.request.urlretrieve(f"{url}/emulator/urns", tmp_path / "urns.txt")
        urns = (tmp_path / "urns.txt").read_text().splitlines(keepends=True)
        (tmp_path / "few.txt").write_text("".join(urns[:1000]))
        short = peak_megabytes(tmp_path / "few.txt", url, tmp_path / "short")
        long = peak_megabytes(tmp_path / "urns.txt", url, tmp_path / "run")
        server.terminate()
    assert manifest_of(tmp_path / "run")["input"]["urns"] > 99_000
    assert long - short < MAX_GROWTH_MEGABYTES
