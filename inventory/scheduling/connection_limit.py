"""How many files and connections the system lets this process have open.

Owns that limit: what is left of it, and, for a process of our own, how it is raised. Knows no call and no table.
"""

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

_KEPT: Final = 10
"""Descriptors that are left for other things than calls: name lookups, certificates, the ledger's file."""
_LEAST: Final = 26
"""Descriptors that a run uses beside what is open when it begins: ledger, loop, tables in both formats, one call.

Measured: with one less, Arrow finds no time zone when it writes CSV.
"""
FEW: Final = 8
"""Descriptors that a command uses which makes no call: a loop, a ledger, a listener."""
_ENOUGH: Final = 4096
_TAKEN_AS_OPEN: Final = 16
"""Where the system does not say how many are."""


def raise_limit() -> None:
    """Takes what the system allows, as far as a run may need it. It is a matter of the whole process."""
    if sys.platform != "win32":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(_ENOUGH, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            with suppress(OSError, ValueError):  # then there are fewer calls at a time
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def check_enough(least: int = _LEAST) -> None:
    """Makes sure that a run, or what else needs as many, can open its files, before anything is begun.

    Raises:
        OutputError: it could not: it would end somewhere in the middle, or not even be able to say so.
    """
    if sys.platform != "win32":
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _open_ones() + least
        if soft != resource.RLIM_INFINITY and soft < wanted:
            raise OutputError(
                f"only {soft} files may be open at a time, and {wanted} are needed: allow more (ulimit -n)"
            )


def connections(wanted: int) -> int:
    """How many connections can be open at a time, at most as many as are wanted and at least one.

    A call that finds no descriptor would look like a server that cannot be reached.
    """
    if sys.platform != "win32":
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY:
            return max(1, min(wanted, soft - _open_ones() - _KEPT))
    return wanted


@contextmanager
def reserve_descriptors() -> Iterator[None]:
    """Keeps four descriptors, for what comes after the block: a loop needs some to end in order."""
    kept = [*os.pipe(), *os.pipe()]
    try:
        yield
    finally:
        for number in kept:
            os.close(number)


def _open_ones() -> int:
    try:
        return sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        return _TAKEN_AS_OPEN
