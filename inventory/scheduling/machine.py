"""What this machine has for further processes: cores and memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/proc/meminfo")
_LIMITS: Final = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
"""Limit and use of a container, in both versions of control groups."""


def count_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int | None:
    """The bytes that can be allocated on this machine and in its container; None if the system does not say."""
    free: list[int] = []
    with suppress(OSError, ValueError, StopIteration, IndexError):
        lines = _MEMORY.read_text(encoding="ascii").splitlines()
        free.append(int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024)
    for limit, used in _LIMITS:
        with suppress(OSError, ValueError):  # "max": no limit
            free.append(int(limit.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii")))
    return min(free, default=None)
