"""Where a run stands: what is done, what is left, how fast it goes, and what to do next; also while it runs.

Owns these figures and words. Reads the ledger and the manifest of a run, writes nothing, and asks nobody.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.cli.summary import not_sent, resume_command, shortened, tables_command
from inventory.display.formatting import duration
from inventory.errors import ErrorKind, Status
from inventory.ledger.database import is_in_use
from inventory.ledger.reader import LedgerView
from inventory.pipeline import load
from inventory.printable import printable_lines
from inventory.runs import finish
from inventory.runs.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from inventory.ledger.reader import StatusCount
    from inventory.outcome import Outcome
    from inventory.runs.output import Output

WINDOW_SECONDS: Final = 60
"""The last moments from which the rate is told."""
_LEAST_SECONDS: Final = 1.0


class ScopeStanding(NamedTuple):
    """Where one scope stands: its URNs by status, and the calls that it took."""

    region: str
    project_id: str
    urns: int
    status: dict[str, int]
    calls: int


class Failures(NamedTuple):
    """The URNs that failed alike, and what was told of the first of them."""

    kind: str
    urns: int
    example_urn: str
    example: str


class Standing(NamedTuple):
    """Where a run stands.

    Units: ``per_second`` URNs a second over the last minute, ``seconds_left`` seconds; None where there is too little
    to tell, or no process at work.

    Attributes:
        folder: of the run.
        state: ``reading the list``, ``asking``, ``writing tables``, ``stopped``, ``finished`` or ``complete``.
        at_work: whether a process is at work on it.
        started: when the run began; None where its list is not in.
        finished: when its last session ended; None where it did not end in good order.
        exit_code: with which exit code; None likewise.
        urns: distinct URNs.
        left: of them, those that a run has still to ask.
        calls: made in all sessions of the run.
        per_second: how fast it goes.
        seconds_left: how long it takes still at this rate.
        bodies_dropped: whether the ledger has forgotten what tables are made from.
        scopes: by region and project.
        failures: by kind.
        next: what to do.
    """

    folder: str
    state: str
    at_work: bool
    started: str | None
    finished: str | None
    exit_code: int | None
    urns: int
    left: int
    calls: int
    per_second: float | None
    seconds_left: int | None
    bodies_dropped: bool
    scopes: list[ScopeStanding]
    failures: list[Failures]
    next: str

    def as_object(self) -> dict[str, Any]:
        """The same as plain values."""
        scopes, failures = ([one._asdict() for one in rows] for rows in (self.scopes, self.failures))
        return {**self._asdict(), "scopes": scopes, "failures": failures}


def standing_of(
    path: Path, now: float | None = None, *, check_cancelled: Callable[[], None] = lambda: None
) -> Standing:
    """Looks where the run in a folder stands.

    Args:
        path: the folder.
        now: the time, in seconds since 1970.
        check_cancelled: is asked now and then, and raises InterruptedRunError to end it.

    Raises:
        UsageError: the folder holds no run.
        OutputError: its ledger cannot be read.
    """
    folder = RunFolder(path)
    folder.check_run()
    now = time.time() if now is None else now
    at_work = is_in_use(folder.ledger)
    with LedgerView(folder.ledger, check_cancelled) as ledger, ledger.read_transaction(check_cancelled):
        output = finish.output_of(ledger, path)
        tallies = list(ledger.count_statuses(round((now - WINDOW_SECONDS) * 1e6)))
        urns, left = ledger.count_urns(), ledger.count_urns() - ledger.count_settled()
        end = None if at_work else finish.last_end(ledger, folder)
        speed = _speed(tallies, now) if at_work else None
        state = _state(ledger, folder, at_work=at_work, left=left, end=end)
        standing = Standing(
            folder=str(path),
            state=state,
            at_work=at_work,
            started=ledger.fact(load.STARTED),
            finished=None if end is None else end.finished,
            exit_code=None if end is None else end.exit_code,
            urns=urns,
            left=left,
            calls=sum(answer.calls for answer in ledger.answers()),
            per_second=None if speed is None else round(speed, 1),
            seconds_left=round(left / speed) if speed and left else None,
            bodies_dropped=finish.are_dropped(ledger),
            scopes=_scopes(ledger, tallies),
            failures=_failures(ledger, tallies),
            next="",
        )
    return standing._replace(next=_next(standing, output))


def _speed(tallies: Sequence[StatusCount], now: float) -> float | None:
    """URNs a second since the first of the last minute was settled: a run may be younger than that."""
    firsts = [tally.first_finished for tally in tallies if tally.first_finished is not None]
    if not firsts:
        return None
    seconds = now - min(firsts) / 1e6
    return sum(tally.recent for tally in tallies) / seconds if seconds >= _LEAST_SECONDS else None


def _state(ledger: LedgerView, folder: RunFolder, *, at_work: bool, left: int, end: finish.End | None) -> str:
    loaded = ledger.fact(load.LOADED) is not None
    if at_work:
        if not loaded:
            return "reading the list"
        return "asking" if left else "writing tables"
    if not loaded or end is None or not folder.manifest.exists():
        return "stopped"
    if left or end.exit_code not in (0, 1):
        return "stopped"
    return "finished" if end.exit_code else "complete"


def _scopes(ledger: LedgerView, tallies: Sequence[StatusCount]) -> list[ScopeStanding]:
    statuses: dict[tuple[str, str], Counter[str]] = {}
    calls: Counter[tuple[str, str]] = Counter()
    for tally in tallies:
        statuses.setdefault((tally.region, tally.project_id), Counter())[tally.status] += tally.urns
    for answer in ledger.answers():
        calls[answer.region, answer.project_id] += answer.calls
    found = []
    for region, project_id, urns in ledger.scopes():
        counted = statuses.get((region, project_id), Counter())
        counted[Status.NOT_ATTEMPTED] = urns - counted.total()
        by_status = {status.value: counted[status] for status in Status}
        found.append(ScopeStanding(region, project_id, urns, by_status, calls[region, project_id]))
    return found


def _failures(ledger: LedgerView, tallies: Sequence[StatusCount]) -> list[Failures]:
    found = []
    for kind in ErrorKind:
        alike = [tally for tally in tallies if tally.error_kind == kind]
        if alike:
            example = min(tally.example for tally in alike)
            found.append(Failures(kind, sum(tally.urns for tally in alike), example, _told(ledger.outcome(example))))
    return found


def _told(outcome: Outcome | None) -> str:
    told = () if outcome is None else (outcome.http_status, outcome.error_code, outcome.error_msg)
    return " ".join(str(part) for part in told if part is not None)


def _next(standing: Standing, output: Output) -> str:
    if standing.at_work:
        return "wait: a process is at work on it"
    if standing.started is None:
        return "its list was never read to its end: export it again, with --resume"
    if not standing.urns:
        return "its list holds no URN: mend it, and export it again with --overwrite"
    return _next_of_urns(standing, output)


def _next_of_urns(standing: Standing, output: Output) -> str:
    failed = sum(one.urns for one in standing.failures)
    unsent = not_sent(output) if standing.state in {"complete", "finished"} else ""
    if standing.bodies_dropped:
        words = f"export a list of the {failed:,} failed URNs to another folder" if failed else unsent or "nothing"
        return f"{words}; its bodies are dropped, so its tables are the last that it has"
    if standing.left or failed:
        what = "go on" if standing.left else "ask those that failed again"
        return f"{what} with: {resume_command(output)}"
    if standing.state == "stopped":
        command = resume_command(output) if output.url else tables_command(output.folder)
        return f"write its tables, without a call, with: {command}"
    return unsent or "nothing: every URN is answered and the tables are whole"


def as_text(standing: Standing) -> str:
    """Where a run stands, for people."""
    counted: Counter[str] = Counter()
    for scope in standing.scopes:
        counted.update(scope.status)
    lines = [
        f"{standing.folder}: {standing.state}{_ended(standing)}",
        f"begun {standing.started or 'but its list is not in yet'}; {standing.calls:,} calls so far",
        f"{standing.urns:,} URNs: {_statuses(counted)}",
    ]
    if standing.at_work and standing.per_second is not None:
        left = "" if standing.seconds_left is None else f", {duration(standing.seconds_left)} left"
        lines.append(f"{standing.left:,} URNs to go at {standing.per_second:,.1f} a second{left}")
    lines += [
        f"  {scope.region}/{scope.project_id}: {scope.urns:,} URNs, {scope.calls:,} calls: {_statuses(scope.status)}"
        for scope in standing.scopes
    ]
    lines += [
        f"failed with {one.kind}: {one.urns:,}, such as {one.example_urn}: {shortened(one.example)}"
        for one in standing.failures
    ]
    return printable_lines([*lines, f"next: {standing.next}"])


def _ended(standing: Standing) -> str:
    if standing.at_work or standing.exit_code is None:
        return ""
    return f", exit code {standing.exit_code} at {standing.finished}"


def _statuses(counted: dict[str, int]) -> str:
    return ", ".join(f"{counted[status]:,} {status}" for status in Status if counted.get(status)) or "none"
