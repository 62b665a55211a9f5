"""Memory does not grow with the list."""

import os
import subprocess
import sys
import urllib.request

import pytest
from runs import TOKEN, manifest_of

FUNCTIONS = 46_000
MAX_MEGABYTES = 150


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the system does not tell the memory of a child")
def test_an_export_of_100_000_urns_stays_under_150_mb(tmp_path):
    """The whole process of an export of 100,000 URNs, tables and all, peaks under 150 MB."""
    command = [sys.executable, "-m", "inventory"]
    emulate = [*command, "emulate", "--port", "0", "--functions", str(FUNCTIONS)]
    with subprocess.Popen(emulate, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        url = server.stdout.readline().strip()
        urllib.request.urlretrieve(f"{url}/emulator/urns", tmp_path / "urns.txt")
        export = [*command, "export", tmp_path / "urns.txt", "--endpoint", url, "--output", tmp_path / "run"]
        run = subprocess.Popen([*export, "--max-per-second", "0"], env={**os.environ, "HW_AUTH_TOKEN": TOKEN})
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        server.terminate()
    assert run.returncode == 0
    assert manifest_of(tmp_path / "run")["input"]["urns"] > 99_000
    kilobytes = usage.ru_maxrss if sys.platform != "darwin" else usage.ru_maxrss // 1024
    assert kilobytes / 1024 < MAX_MEGABYTES
