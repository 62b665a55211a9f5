"""Limit of open files: how many connections the process can open."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inventory.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

if sys.platform != "win32":
    import resource

_RESERVED: Final = 10
"""Descriptors for other things than calls: name lookups, certificates, the ledger."""
_NEEDED_BY_RUN: Final = 26
"""Descriptors that a run opens: ledger, event loop, tables in both formats, one call. Measured: with one less, Arrow
finds no time zone when it writes CSV."""
FEW: Final = 8
"""Descriptors of a command that makes no call: event loop, ledger, listener."""
_ENOUGH: Final = 4096
_ASSUMED_OPEN: Final = 16
"""Open descriptors, if the system does not tell."""


def raise_limit() -> None:
    """Raises the soft limit of the process as far as a run may need it."""
    if sys.platform != "win32":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(_ENOUGH, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            with suppress(OSError, ValueError):  # then there are fewer connections
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def check_enough(needed: int = _NEEDED_BY_RUN) -> None:
    """Checks before the start that a command can open its files.

    Raises:
        OutputError: the limit is too low.
    """
    if sys.platform != "win32":
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _count_open() + needed
        if soft != resource.RLIM_INFINITY and soft < wanted:
            raise OutputError(
                f"only {soft} files may be open at a time, and {wanted} are needed: allow more (ulimit -n)"
            )


def connections(wanted: int) -> int:
    """How many connections can be open at a time, between 1 and ``wanted``.

    Without a descriptor, a call would fail as if the server were unreachable.
    """
    if sys.platform != "win32":
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY:
            return max(1, min(wanted, soft - _count_open() - _RESERVED))
    return wanted


@contextmanager
def reserve_descriptors() -> Iterator[None]:
    """Holds four descriptors during the block, so that the event loop can close cleanly after it."""
    kept = [*os.pipe(), *os.pipe()]
    try:
        yield
    finally:
        for number in kept:
            os.close(number)


def _count_open() -> int:
    try:
        return sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        return _ASSUMED_OPEN
