"""Status of a run, finished or at work: state, counts, rate, next step."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.display.formatting import format_count
from inventory.errors import ErrorKind, Status
from inventory.ledger.database import is_in_use
from inventory.printable import error_text
from inventory.runs import finish
from inventory.runs.facts import RunFacts
from inventory.runs.folder import RunFolder
from inventory.runs.output import resume_command, tables_command
from inventory.runs.shard_status import ShardCounts, count_shards, open_view, read_states
from inventory.runs.upload import upload_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from inventory.ledger.reader import LedgerView
    from inventory.ledger.records import StatusCount
    from inventory.outcome import Outcome
    from inventory.runs.facts import RunEnd
    from inventory.runs.output import Output

WINDOW_SECONDS: Final = 60
"""Window of the measured rate."""
_MIN_SECONDS: Final = 1.0


class ScopeStatus(NamedTuple):
    """URNs of one scope by status, and its calls."""

    region: str
    project_id: str
    urns: int
    status: dict[str, int]
    calls: int


class FailureCount(NamedTuple):
    """URNs that failed with one error kind, and the first answer."""

    kind: str
    urns: int
    example_urn: str
    example: str


class RunStatus(NamedTuple):
    """Status of a run. The names are the keys of ``inventory status --format json``.

    Units: ``per_second`` URNs per second in the last minute; ``seconds_left`` seconds. None: unknown, or no process
    works.

    Attributes:
        state: ``reading the list``, ``asking``, ``writing tables``, ``stopped``, ``finished`` or ``complete``.
        started: None until the list is loaded.
        finished: end of the last session; None if it was killed.
        left: pending URNs.
        calls: of all sessions.
        next: what to do.
        shards: of a run in several processes.
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
    scopes: list[ScopeStatus]
    failures: list[FailureCount]
    next: str
    shards: ShardCounts | None = None

    def as_object(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        scopes, failures = ([row._asdict() for row in rows] for rows in (self.scopes, self.failures))
        shards = None if self.shards is None else self.shards._asdict()
        return {**self._asdict(), "scopes": scopes, "failures": failures, "shards": shards}


def read_status(
    path: Path, now: float | None = None, *, check_cancelled: Callable[[], None] = lambda: None
) -> RunStatus:
    """Reads the status of the run in a folder.

    Args:
        path: the folder.
        now: seconds since 1970.
        check_cancelled: raises InterruptedRunError to abort.

    Raises:
        UsageError: the folder contains no run.
        OutputError: the ledger cannot be read.
    """
    folder = RunFolder(path)
    folder.check_run()
    now = time.time() if now is None else now
    states = read_states(path, now) if folder.is_in_shards else []
    at_work = is_in_use(folder.ledger) or any(state.state == "running" for state in states)
    with open_view(folder) as ledger, ledger.read_transaction(check_cancelled):
        facts = RunFacts(ledger)
        output = facts.output(path)
        recorded = None if at_work else facts.statuses
        counts = recorded or list(ledger.count_statuses(round((now - WINDOW_SECONDS) * 1e6)))
        urns = ledger.count_urns()
        left = urns - ledger.count_settled() - sum(state.done for state in states)
        end = None if at_work else finish.last_end(ledger, folder)
        speed = _speed(counts, now) if at_work else None
        status = RunStatus(
            folder=str(path),
            state=_state(facts, folder, at_work=at_work, left=left, end=end),
            at_work=at_work,
            started=facts.started,
            finished=None if end is None else end.finished,
            exit_code=None if end is None else end.exit_code,
            urns=urns,
            left=left,
            calls=sum(answer.calls for answer in ledger.answers()),
            per_second=None if speed is None else round(speed, 1),
            seconds_left=round(left / speed) if speed and left else None,
            bodies_dropped=facts.bodies_dropped,
            scopes=_scopes(ledger, counts),
            failures=_failures(ledger, counts),
            next="",
            shards=count_shards(states) if states else None,
        )
        is_listing = facts.listed is not None
    return status._replace(next=_next_step(status, output, is_listing=is_listing))


def _speed(counts: Sequence[StatusCount], now: float) -> float | None:
    """Since the first outcome of the window: the run may be younger than the window."""
    first_times = [count.first_finished for count in counts if count.first_finished is not None]
    if not first_times:
        return None
    seconds = now - min(first_times) / 1e6
    return sum(count.recent for count in counts) / seconds if seconds >= _MIN_SECONDS else None


def _state(facts: RunFacts, folder: RunFolder, *, at_work: bool, left: int, end: RunEnd | None) -> str:
    if at_work:
        if not facts.is_loaded:
            return "reading the list"
        return "asking" if left else "writing tables"
    if not facts.is_loaded or end is None or not folder.manifest.exists():
        return "stopped"
    if left or end.exit_code not in (0, 1):
        return "stopped"
    return "finished" if end.exit_code else "complete"


def _scopes(ledger: LedgerView, counts: Sequence[StatusCount]) -> list[ScopeStatus]:
    statuses: dict[tuple[str, str], Counter[str]] = {}
    calls: Counter[tuple[str, str]] = Counter()
    for count in counts:
        statuses.setdefault((count.region, count.project_id), Counter())[count.status] += count.urns
    for answer in ledger.answers():
        calls[answer.region, answer.project_id] += answer.calls
    scopes = []
    for region, project_id, urns in ledger.scopes():
        counted = statuses.get((region, project_id), Counter())
        counted[Status.NOT_ATTEMPTED] = urns - counted.total()
        by_status = {status.value: counted[status] for status in Status}
        scopes.append(ScopeStatus(region, project_id, urns, by_status, calls[region, project_id]))
    return scopes


def _failures(ledger: LedgerView, counts: Sequence[StatusCount]) -> list[FailureCount]:
    failures = []
    for kind in ErrorKind:
        same_kind = [count for count in counts if count.error_kind == kind]
        if same_kind:
            urn = min(count.example for count in same_kind)
            urns = sum(count.urns for count in same_kind)
            failures.append(FailureCount(kind, urns, urn, _answer_text(ledger.outcome(urn))))
    return failures


def _answer_text(outcome: Outcome | None) -> str:
    return "" if outcome is None else error_text(outcome.http_status, outcome.error_code, outcome.error_msg)


def _next_step(status: RunStatus, output: Output, *, is_listing: bool) -> str:
    if status.at_work:
        return "wait: a process is working on it"
    if status.started is None:
        return "its list was not read to its end: export it again with --resume"
    if not status.urns:
        if is_listing:
            return "nothing: the project has no functions; if this is wrong, check --region and --project-id"
        return "its list contains no URN: fix the list, then export it again with --overwrite"
    return _next_step_for_urns(status, output)


def _next_step_for_urns(status: RunStatus, output: Output) -> str:
    failed = sum(failure.urns for failure in status.failures)
    upload = upload_hint(output) if status.state in {"complete", "finished"} else ""
    if status.bodies_dropped:
        step = (
            f"export a list of the {format_count(failed, 'failed URN')} to another folder"
            if failed
            else upload or "nothing"
        )
        return f"{step}; its bodies are dropped, so its tables cannot be built again"
    if status.left or failed:
        step = "continue" if status.left else "retry the failed URNs"
        return f"{step} with: {resume_command(output)}"
    if status.state == "stopped":
        command = resume_command(output) if output.url else tables_command(output.folder)
        return f"write its tables, without a call, with: {command}"
    return upload or "nothing: every URN is answered and the tables are complete"
