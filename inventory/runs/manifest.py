"""Makes and writes the manifest of a run: with it, the tables are complete."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inventory.cloud.pages import Operation
from inventory.errors import ErrorKind, ExitCode, Status
from inventory.ledger.reader import NO_ANSWER
from inventory.printable import error_text
from inventory.runs.manifest_reader import TOOL, text_of
from inventory.storage.files import atomic_write
from inventory.tables import schema
from inventory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from inventory.errors import RateLimit
    from inventory.ledger.records import AnswerCount, ScopeCount, SourceRead
    from inventory.outcome import Outcome
    from inventory.tables.writer import TableFile


class Counts(msgspec.Struct):
    """Counts of one pass over the outcomes.

    Attributes:
        by_scope: number and first URN by region, project, status and error kind.
        retries: calls after the first of each URN.
        told_by_lists: URNs settled by a list of configs.
        named_otherwise: URNs whose config names another qualifier or region.
        without_failure_destination: configured URNs whose failures notify nobody.
        last_finished: last ``finished_at``.
        examples: first answer by error kind.
    """

    by_scope: dict[tuple[str, str, str, str | None], list[Any]] = msgspec.field(default_factory=dict)
    retries: int = 0
    told_by_lists: int = 0
    named_otherwise: int = 0
    without_failure_destination: int = 0
    last_finished: int = 0
    examples: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def status(self) -> Counter[str]:
        """URNs by status."""
        return self._sum(2)

    @property
    def error_kind(self) -> Counter[str]:
        """Failed URNs by error kind."""
        kinds = self._sum(3)
        del kinds[None]
        return kinds

    def _sum(self, place: int) -> Counter[Any]:
        sums: Counter[Any] = Counter()
        for key, (urns, _) in self.by_scope.items():
            sums[key[place]] += urns
        return sums

    def add(self, urn: str, outcome: Outcome | None, *, is_named_otherwise: bool = False) -> None:
        """Counts one URN; None: it was not attempted."""
        _, _, region, project_id, _ = urn.split(":", 4)
        if outcome is None:
            key: tuple[str, str, str, str | None] = region, project_id, Status.NOT_ATTEMPTED, None
        else:
            key = region, project_id, outcome.status, outcome.error_kind
        entry = self.by_scope.get(key)
        if entry is None:
            entry = self.by_scope[key] = [0, urn]
        entry[0] += 1
        if outcome is None:
            return
        self.named_otherwise += is_named_otherwise
        self.last_finished = max(self.last_finished, outcome.finished_at)
        if outcome.operation == Operation.LIST_CONFIGS:
            self.told_by_lists += 1
        elif outcome.attempts > 1:
            self.retries += outcome.attempts - 1
        if outcome.error_kind is not None and outcome.error_kind not in self.examples:
            self.examples[outcome.error_kind] = error_text(outcome.http_status, outcome.error_code, outcome.error_msg)

    def add_counts(self, later: Counts) -> None:
        """Adds the counts of later URNs."""
        for key, (urns, first) in later.by_scope.items():
            self.by_scope.setdefault(key, [0, first])[0] += urns
        self.retries += later.retries
        self.told_by_lists += later.told_by_lists
        self.named_otherwise += later.named_otherwise
        self.without_failure_destination += later.without_failure_destination
        self.last_finished = max(self.last_finished, later.last_finished)
        for kind, text in later.examples.items():
            self.examples.setdefault(kind, text)


class ScopeReport(NamedTuple):
    """What the ledger does not contain about a scope.

    Attributes:
        used: used part of the limit since it was learnt; None after too little time.
        stopped: why the scope stopped, or None.
        shared_limit: the learnt limit that counts the calls of all scopes of the endpoint.
        account: its name in the settings file; None if the run has one account.
    """

    endpoint: str
    limit: RateLimit | None
    used: float | None
    stopped: str | None
    shared_limit: RateLimit | None = None
    shared_used: float | None = None
    account: str | None = None


def now() -> str:
    """Returns the current time in the manifest's format: RFC 3339, UTC, whole seconds."""
    return text_of(datetime.now(UTC))


def exit_code_of(statuses: Counter[str], stops: Iterable[ExitCode]) -> ExitCode:
    """Returns the exit code: a refused credential before a stopped scope before a failed URN.

    Args:
        statuses: URNs by status.
        stops: exit codes of the scopes that stopped.
    """
    stopped = set(stops)
    if ExitCode.CREDENTIALS in stopped:
        return ExitCode.CREDENTIALS
    if stopped or statuses[Status.NOT_ATTEMPTED]:
        return ExitCode.STOPPED
    if not statuses.total():
        return ExitCode.USAGE
    return ExitCode.SOME_FAILED if statuses[Status.FAILED] else ExitCode.ANSWERED


def describe_input(
    sources: Iterable[SourceRead], urns: int, rejects: int, listed: object = None, cleaned: int = 0
) -> dict[str, Any]:
    """Makes the input block; ``cleaned`` entries had invisible characters at their ends."""
    files = [{"path": source.name, "sha256": source.sha256, "entries": source.entries} for source in sources]
    entries = sum(int(str(file["entries"])) for file in files)
    return {
        "files": files,
        "entries": entries,
        "urns": urns,
        "duplicates": entries - urns - rejects,
        "rejects": rejects,
        "cleaned": cleaned,
        "listed": listed if isinstance(listed, dict) else None,
    }


def describe_requests(answers: Iterable[AnswerCount], counts: Counts) -> dict[str, Any]:
    """Makes the requests block: the calls of all sessions.

    ``saved_by_lists``: URNs settled by lists of configs minus the calls for these lists.
    """
    by_status: Counter[str] = Counter()
    by_operation: Counter[str] = Counter()
    for answer in answers:
        by_status["none" if answer.http_status == NO_ANSWER else str(answer.http_status)] += answer.calls
        by_operation[answer.operation] += answer.calls
    return {
        "total": by_status.total(),
        "retries": counts.retries,
        "throttled": by_status.get("429", 0),
        "saved_by_lists": max(0, counts.told_by_lists - by_operation[Operation.LIST_CONFIGS]),
        "by_operation": {name: calls for name, calls in sorted(by_operation.items()) if calls},
        "by_http_status": dict(sorted(by_status.items())),
    }


def describe_scopes(
    scopes: Iterable[ScopeCount], answers: Iterable[AnswerCount], reports: dict[tuple[str, str], ScopeReport]
) -> list[dict[str, Any]]:
    """Makes the scopes block, by region and project."""
    calls: Counter[tuple[str, str]] = Counter()
    refused: Counter[tuple[str, str]] = Counter()
    for answer in answers:
        calls[answer.region, answer.project_id] += answer.calls
        if answer.http_status == HTTPStatus.TOO_MANY_REQUESTS:
            refused[answer.region, answer.project_id] += answer.calls
    described = []
    for scope in scopes:
        report = reports[scope.region, scope.project_id]
        limit = report.limit
        described.append(
            {
                "region": scope.region,
                "project_id": scope.project_id,
                "endpoint": report.endpoint,
                "urns": scope.urns,
                "requests": calls[scope.region, scope.project_id],
                "refused": refused[scope.region, scope.project_id],
                "limit_learnt": None if limit is None else limit._asdict(),
                "limit_used": None if report.used is None else round(report.used, 3),
                "shared_limit": None if report.shared_limit is None else report.shared_limit._asdict(),
                "shared_limit_used": None if report.shared_used is None else round(report.shared_used, 3),
                "stopped": report.stopped,
                "account": report.account,
            }
        )
    return described


def describe(  # noqa: PLR0913 - the blocks of the manifest
    *,
    started: str | None,
    finished: str,
    input_read: dict[str, Any],
    counts: Counts,
    requests: dict[str, Any],
    scopes: list[dict[str, Any]],
    tables: list[TableFile],
    settings: dict[str, Any],
    exit_code: ExitCode,
    shards: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Makes the manifest; ``shards``: of a run in several processes, else None."""
    return {
        "tool": TOOL,
        "tool_version": __version__,
        "schema_version": schema.VERSION,
        "started": started,
        "finished": finished,
        "complete": exit_code in (ExitCode.ANSWERED, ExitCode.SOME_FAILED),
        "exit_code": int(exit_code),
        "input": input_read,
        "counts": {
            "status": {status.value: counts.status[status] for status in Status},
            "error_kind": {kind.value: counts.error_kind[kind] for kind in ErrorKind},
            "named_otherwise": counts.named_otherwise,
        },
        "requests": requests,
        "scopes": scopes,
        "tables": [table._asdict() for table in tables],
        "settings": settings,
        "shards": shards,
    }


def write(path: Path, manifest: dict[str, Any]) -> None:
    """Writes the manifest atomically.

    Raises:
        OutputError: it cannot be written.
    """
    with atomic_write(path, ", then run export --resume or tables", ours=True) as sink:
        sink.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
