"""Resolves ``latest`` and ``latest~1`` to a run of a folder of runs."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inventory.display.formatting import format_count
from inventory.errors import UsageError
from inventory.runs.catalog import find_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from inventory.runs.catalog import Run

LATEST: Final = "latest"
_NAME: Final = re.compile(rf"{LATEST}(?:~(?P<before>\d{{1,9}}))?", re.ASCII)
_TOLERANCE: Final = timedelta(days=1)


def newest_first(runs: Iterable[Run]) -> list[Run]:
    """The runs by their end, newest first; runs in the future, which come from a wrong clock, are last."""
    limit = datetime.now(UTC) + _TOLERANCE
    return sorted(runs, key=lambda run: (run.finished <= limit, run.finished, run.started, str(run.path)), reverse=True)


def resolve_run(name: str, history: str, environment: Mapping[str, str] = os.environ) -> str:
    """Returns the place of a run: ``latest`` is the newest finished run of a history, ``latest~1`` the one before.

    Any other name, and a name that a folder has, is returned as it is.

    Raises:
        UsageError: there is no such run, or no such history.
        OutputError: the history cannot be read.
    """
    if not name:  # probably an unset variable; an empty path would mean the current folder
        raise UsageError(
            "the name of the run is empty; name the folder of a run, which inventory export prints at its end"
        )
    match = _NAME.fullmatch(name)
    if match is None and not name.startswith(f"{LATEST}~"):
        return name
    if Path(name).is_dir():
        return name
    if match is None:
        raise UsageError(f"{name!r} is no run; give {LATEST}, {LATEST}~1 or the folder of a run")
    found = find_runs(history, environment)
    runs = newest_first(found.whole)
    before = int(match["before"] or 0)
    if before >= len(runs):
        count = format_count(len(runs), "finished run")
        raise UsageError(f"there is no {name} ({history} has {count}); see them with: inventory runs {history}")
    return str(runs[before].path)
