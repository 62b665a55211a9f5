"""Which runs of a history a policy keeps, and why.

Owns the policy alone: it is given times and exit codes, and tells reasons. Knows no folder and removes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_DAY: Final = "%Y-%m-%d"
_MONTH: Final = "%Y-%m"


class Policy(NamedTuple):
    """What is to be kept; as with restic, a run stays that any of the rules keeps.

    Attributes:
        last: so many of the newest runs.
        daily: one run of each of the last so many days (UTC) that have one.
        monthly: likewise of months.
    """

    last: int = 0
    daily: int = 0
    monthly: int = 0


class Dated(NamedTuple):
    """A whole run: when it ended, in UTC, and with which exit code."""

    time: datetime
    exit_code: int


def reasons(runs: Sequence[Dated], policy: Policy) -> list[tuple[str, ...]]:
    """Why each run is kept; no reason: the policy does not keep it.

    Of a day or month, the newest run that answered every URN is kept; where there is none, the newest that went through
    its whole list; else the newest. Two runs are kept under any policy: the newest, and the newest that answered best.
    So a week of broken nights does not push out the last good run.

    Args:
        runs: the whole runs of a history, in any order.
        policy: what is to be kept.

    Returns:
        The reasons, in the order of ``runs``.
    """
    found: list[list[str]] = [[] for _ in runs]
    newest_first = sorted(range(len(runs)), key=lambda index: (runs[index].time, index), reverse=True)
    for index in newest_first[: policy.last]:
        found[index].append("last")
    for name, form, periods in (("day", _DAY, policy.daily), ("month", _MONTH, policy.monthly)):
        for period, index in list(_of_each(runs, newest_first, form).items())[:periods]:
            found[index].append(f"{name} {period}")
    for index in newest_first[:1]:
        found[index].append("newest")
        best = min(newest_first, key=lambda index: _lack(runs[index]))
        found[best].append("newest that answered best")
    return [tuple(words) for words in found]


def _of_each(runs: Sequence[Dated], newest_first: list[int], form: str) -> dict[str, int]:
    """The run that stands for each day or month, newest first."""
    chosen: dict[str, int] = {}
    for index in newest_first:
        period = runs[index].time.strftime(form)
        if period not in chosen or _lack(runs[index]) < _lack(runs[chosen[period]]):
            chosen[period] = index
    return chosen


def _lack(run: Dated) -> int:
    """How much a run left open: nothing (exit code 0), single URNs (1), or it did not get through its list."""
    return min(run.exit_code, 2)
