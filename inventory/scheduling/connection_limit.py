"""Limit of open files and so of connections."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inventory.errors import OutputError

try:
    import resource
except ImportError:  # not on this platform
    _LIMITS: ModuleType | None = None
else:
    _LIMITS = resource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_RESERVED: Final = 10
"""Descriptors for name lookups, certificates and the ledger."""
_NEEDED_BY_RUN: Final = 26
"""Descriptors of a run, measured: with one less, Arrow finds no time zone for CSV."""
FEW: Final = 8
"""Descriptors of a command without calls."""
_ENOUGH: Final = 4096
_ASSUMED_OPEN: Final = 16
"""Open descriptors, if unknown."""


def raise_limit() -> None:
    """Raises the soft limit as far as a run needs."""
    if _LIMITS is not None:
        soft, hard = _LIMITS.getrlimit(_LIMITS.RLIMIT_NOFILE)
        wanted = _ENOUGH if hard == _LIMITS.RLIM_INFINITY else min(_ENOUGH, hard)
        if soft != _LIMITS.RLIM_INFINITY and soft < wanted:
            with suppress(OSError, ValueError):  # fewer connections then
                _LIMITS.setrlimit(_LIMITS.RLIMIT_NOFILE, (wanted, hard))


def check_enough(needed: int = _NEEDED_BY_RUN) -> None:
    """Checks that a command can open its files.

    Raises:
        OutputError: the limit is too low.
    """
    soft, wanted = _soft_limit(), _count_open() + needed
    if soft is not None and soft < wanted:
        raise OutputError(f"only {soft} files may be open at a time, and {wanted} are needed: allow more (ulimit -n)")


def connections(wanted: int) -> int:
    """How many connections can be open, from 1 to ``wanted``.

    A call without descriptor looks like an unreachable server.
    """
    soft = _soft_limit()
    return wanted if soft is None else max(1, min(wanted, soft - _count_open() - _RESERVED))


@contextmanager
def reserve_descriptors() -> Iterator[None]:
    """Reserves four descriptors so that the event loop can close after the block."""
    kept = [*os.pipe(), *os.pipe()]
    try:
        yield
    finally:
        for number in kept:
            os.close(number)


def _soft_limit() -> int | None:
    """Maximum number of open files; None: no limit."""
    if _LIMITS is None:
        return None
    soft, _ = _LIMITS.getrlimit(_LIMITS.RLIMIT_NOFILE)
    return None if soft == _LIMITS.RLIM_INFINITY else int(soft)


def _count_open() -> int:
    try:
        return sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        return _ASSUMED_OPEN
