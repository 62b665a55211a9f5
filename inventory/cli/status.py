"""Text of ``inventory status``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from inventory.display.formatting import duration, format_count, format_number, shorten
from inventory.errors import Status
from inventory.printable import printable_lines

if TYPE_CHECKING:
    from inventory.runs.status import RunStatus


def as_text(run: RunStatus) -> str:
    """Formats the status of a run."""
    counts: Counter[str] = Counter()
    for scope in run.scopes:
        counts.update(scope.status)
    lines = [
        f"{run.folder}: {run.state}{_end(run)}",
        f"started {run.started or '(its list is not loaded yet)'}; {format_count(run.calls, 'call')} so far",
        f"{format_count(run.urns, 'URN')}: {_statuses(counts)}",
    ]
    if run.shards is not None:
        shards = ", ".join(f"{format_number(number)} {state}" for state, number in run.shards._asdict().items())
        lines.append(f"shards: {shards}")
    if run.at_work and run.per_second is not None:
        left = "" if run.seconds_left is None else f", {duration(run.seconds_left)} left"
        lines.append(f"{format_count(run.left, 'URN')} left at {format_number(run.per_second)} per second{left}")
    lines += [
        f"  {scope.region}/{scope.project_id}: {format_count(scope.urns, 'URN')}, {format_count(scope.calls, 'call')}: "
        f"{_statuses(scope.status)}"
        for scope in run.scopes
    ]
    lines += [
        f"failed with {failure.kind}: {format_number(failure.urns)}, "
        f"such as {failure.example_urn}: {shorten(failure.example)}"
        for failure in run.failures
    ]
    return printable_lines([*lines, f"next: {run.next}"])


def _end(run: RunStatus) -> str:
    if run.at_work or run.exit_code is None:
        return ""
    return f", exit code {run.exit_code} at {run.finished}"


def _statuses(counts: dict[str, int]) -> str:
    return ", ".join(f"{format_number(counts[status])} {status}" for status in Status if counts.get(status)) or "none"
