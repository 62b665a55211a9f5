"""A child process and its cost: wall time, CPU and peak memory, as the system counts them.

This process stays small: a child starts as a copy of its parent, and a large parent would count as the child's peak.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

_BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024


class Cost(NamedTuple):
    """Cost of a process, from its start to its end.

    Attributes:
        wall: seconds.
        cpu: seconds, of user and system.
        peak: bytes of memory at the peak.
        output: what it wrote on stdout.
    """

    wall: float
    cpu: float
    peak: int
    output: str


def run(*arguments: object, token: str = "a-token") -> Cost:
    """Runs a Python program to its end.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=output, env={**os.environ, "HW_AUTH_TOKEN": token}) as process:
            # Popen.wait does not return the child's usage.
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        if process.returncode:
            raise RuntimeError(f"exit code {process.returncode} of {' '.join(command)}")
        return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * _BYTES_OF_MAXRSS, output.read())
