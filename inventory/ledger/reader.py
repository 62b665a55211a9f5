"""The ledger as it is read: all that tables, manifest and status are made from.

Owns the questions that a ledger answers, also while a run writes it. Changes nothing. Knows no HTTP and no
table format.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import msgspec

from inventory.errors import InterruptedRunError, LedgerUnusableError, OutputError
from inventory.ledger.database import (
    cancellable,
    check_integrity,
    damage_error,
    in_use_message,
    is_in_use,
    open_read_only,
    translate_sqlite_errors,
)
from inventory.ledger.schema import SCHEMA, VERSION, checksum, checksum_of_urn
from inventory.outcome import Outcome
from inventory.urn import scope_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BODIES_DROPPED: Final = "bodies-dropped"
"""Fact: the bodies of URNs that did not fail are gone."""
NO_ANSWER: Final = 0
"""Stands for the HTTP status of a call that brought no answer."""


class Reject(NamedTuple):
    """An entry of the input that is not a function URN."""

    source: str
    line: int
    text: str
    reason: str


class SourceRead(NamedTuple):
    """A source that was read to its end."""

    name: str
    sha256: str
    entries: int


class ScopeCount(NamedTuple):
    """A scope and how many distinct URNs of it were asked for."""

    region: str
    project_id: str
    urns: int


class AnswerCount(NamedTuple):
    """How many calls of an operation in a scope were answered with an HTTP status."""

    region: str
    project_id: str
    operation: str
    http_status: int
    calls: int


class StatusCount(NamedTuple):
    """How many URNs of a scope ended alike.

    Units: ``first_finished`` microseconds since 1970-01-01 UTC.

    Attributes:
        region: of the scope.
        project_id: of the scope.
        status: how they ended.
        error_kind: why, where they failed.
        urns: how many.
        example: the first of them, by URN.
        recent: how many of them were settled since the moment that was asked about.
        first_finished: when the first of these was; None where there is none.
    """

    region: str
    project_id: str
    status: str
    error_kind: str | None
    urns: int
    example: str
    recent: int
    first_finished: int | None


class LedgerView:
    """A ledger that is read, and may be written by a run meanwhile; it leaves the run's files as they are.

    One that nobody writes is looked through for damage first; of one that is written, its run does that. Who wants a
    fact alone leaves it out, for it takes seconds with a million URNs: the fact itself is held against its checksum.

    Every method raises OutputError where the file cannot be read.

    Args:
        path: the file.
        check_cancelled: is asked now and then while it is looked through, and raises InterruptedRunError to end that.
        facts_alone: whether nothing but facts is asked of it, so that it need not be looked through.
    """

    def __init__(
        self, path: Path, check_cancelled: Callable[[], None] = lambda: None, *, facts_alone: bool = False
    ) -> None:
        self._path = path
        in_use = is_in_use(path)
        try:
            if path.is_fifo():  # it would be waited for
                raise OutputError(f"{path} cannot be read: it is no file")
            path.open("rb").close()
        except OSError as error:  # SQLite would not say why, and who only looks need not write
            raise OutputError.from_os_error(path, "cannot be read", error) from None
        try:
            self._db = open_read_only(path, in_use=in_use)
            self._check(check_cancelled, whole=not in_use and not facts_alone)
        except OutputError as error:
            if not in_use and is_in_use(path):  # it was begun under our eyes, which took it for one at rest
                raise OutputError(in_use_message(path)) from error
            raise

    def _check(self, check_cancelled: Callable[[], None], *, whole: bool) -> None:
        try:
            with translate_sqlite_errors(self._path):
                self._check_version(self._version())
                if whole:
                    self.check(check_cancelled)
        except (OutputError, InterruptedRunError):
            self._db.close()
            raise

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _check_version(self, version: int) -> None:
        if not version:
            raise OutputError(f"{self._path} holds no list yet: its run has only just begun, or never did")
        if version != VERSION:
            raise LedgerUnusableError(
                f"{self._path} was written by another version of inventory (ledger {version}, not {VERSION}): "
                "use that version, or start again with --overwrite"
            )
        if self._db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall() != SCHEMA:
            raise self.damage_error("its tables are not those that a ledger has")

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def fact(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """Reads a fact; None where it was never written."""
        with translate_sqlite_errors(self._path):
            found = self._db.execute("SELECT * FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else msgspec.json.decode(self._verified("facts", found)[1])

    def damage_error(self, what: str) -> LedgerUnusableError:
        """The error of a ledger in which something else stands than was written."""
        return damage_error(self._path, what)

    def _verified(self, table: str, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """A row without its checksum, if that is right."""
        found = row[:-1]
        if checksum(found) != row[-1]:
            raise self.damage_error(f"a row of its {table} is not one that was written")
        return found

    def check(self, check_cancelled: Callable[[], None] = lambda: None) -> None:
        """Looks the file through and reads every row, so that damage is told before something rests on it.

        Args:
            check_cancelled: is asked now and then, and raises InterruptedRunError to end it.

        Raises:
            LedgerUnusableError: there is some.
        """
        with self.read_transaction(check_cancelled):
            check_integrity(self._db, self._path)
            for row in self._db.execute("SELECT * FROM facts"):
                self._verified("facts", row)
            for _ in itertools.chain(self.rows(), self.rejects(), self.sources(), self.answers()):
                pass
            query = (
                "SELECT urn FROM again WHERE NOT EXISTS"
                " (SELECT 1 FROM outcomes WHERE outcomes.urn = again.urn AND status = 'failed') LIMIT 1"
            )
            for (urn,) in self._db.execute(query):
                raise self.damage_error(f"{urn} is to be asked again, and did not fail")

    # What the tables and the manifest are made from.

    def rows(self) -> Iterator[tuple[str, Outcome | None]]:
        """Every distinct URN with its outcome, or None where it was not attempted; in URN order, streamed.

        Raises:
            LedgerUnusableError: another URN or outcome stands there than was written, or one is missing or too many.
        """
        total = self.count_urns()
        outcomes = self._outcomes()
        settled = next(outcomes, None)
        number, last = 0, ""
        with translate_sqlite_errors(self._path):
            for urn, kept in self._db.execute("SELECT * FROM urns ORDER BY urn"):
                if checksum_of_urn(urn) != kept or urn <= last:
                    raise self.damage_error(f"{urn} is none of the URNs of its list")
                if settled is not None and settled.urn == urn:
                    yield urn, settled
                    settled = next(outcomes, None)
                else:
                    yield urn, None
                last = urn
                number += 1
        if settled is not None:
            raise self.damage_error(f"{settled.urn} has an outcome, and is not in the list or not in its place")
        if total not in (0, number):  # none are counted while a list goes in
            raise self.damage_error(f"{number:,} URNs are there, and {total:,} were written")

    def _outcomes(self) -> Iterator[Outcome]:
        """What was settled, in URN order. Both tables are read from end to end: no outcome is looked for."""
        with translate_sqlite_errors(self._path):
            for row in self._db.execute("SELECT * FROM outcomes ORDER BY urn"):
                outcome = Outcome._make(row[:-1])
                if checksum(outcome) != row[-1]:
                    raise self.damage_error(f"the outcome of {outcome.urn} is not the one that was written")
                yield outcome

    def rejects(self) -> Iterator[Reject]:
        """The rejects by source and line, streamed."""
        with translate_sqlite_errors(self._path):
            for row in self._db.execute("SELECT * FROM rejects ORDER BY source, line, text, reason"):
                yield Reject(*self._verified("rejects", row))

    def count_urns(self) -> int:
        """How many distinct URNs there are."""
        return sum(scope.urns for scope in self.scopes())

    def count_settled(self) -> int:
        """How many URNs have an outcome and are not asked again."""
        with translate_sqlite_errors(self._path):
            query = "SELECT (SELECT count(*) FROM outcomes) - (SELECT count(*) FROM again)"
            return int(self._db.execute(query).fetchone()[0])

    def count_failed(self) -> int:
        """How many URNs failed."""
        with translate_sqlite_errors(self._path):
            return int(self._db.execute("SELECT count(*) FROM outcomes WHERE status = 'failed'").fetchone()[0])

    def has_success(self, region: str, project_id: str) -> bool:
        """Whether a call of the scope was answered by the service, in any session."""
        first, end = urn_range(region, project_id)
        with translate_sqlite_errors(self._path):
            query = "SELECT 1 FROM outcomes WHERE urn > ? AND urn < ? AND status <> 'failed' LIMIT 1"
            return self._db.execute(query, (first, end)).fetchone() is not None

    def count_rejects(self) -> int:
        """How many entries are not function URNs."""
        with translate_sqlite_errors(self._path):
            return int(self._db.execute("SELECT count(*) FROM rejects").fetchone()[0])

    def sources(self) -> list[SourceRead]:
        """The sources that were read, by name."""
        with translate_sqlite_errors(self._path):
            return [
                SourceRead(*self._verified("sources", row))
                for row in self._db.execute("SELECT * FROM sources ORDER BY name, sha256")
            ]

    def scopes(self) -> list[ScopeCount]:
        """The scopes, by region and project."""
        with translate_sqlite_errors(self._path):
            query = "SELECT * FROM scopes ORDER BY region, project_id"
            return [ScopeCount(*self._verified("scopes", row)) for row in self._db.execute(query)]

    def answers(self) -> list[AnswerCount]:
        """The calls of all sessions of this run, by scope, operation and HTTP status."""
        with translate_sqlite_errors(self._path):
            query = "SELECT * FROM answers ORDER BY region, project_id, operation, http_status"
            return [AnswerCount(*self._verified("answers", row)) for row in self._db.execute(query)]

    def outcome(self, urn: str) -> Outcome | None:
        """The outcome of one URN; None where it has none."""
        with translate_sqlite_errors(self._path):
            found = self._db.execute("SELECT * FROM outcomes WHERE urn = ?", (urn,)).fetchone()
        return None if found is None else Outcome(*self._verified("outcomes", found))

    def count_statuses(self, since: int) -> Iterator[StatusCount]:
        """How the URNs of each scope ended, and how many of them after ``since`` (microseconds since 1970)."""
        for region, project_id, _ in self.scopes():
            with translate_sqlite_errors(self._path):
                cursor = self._db.execute(
                    "SELECT status, error_kind, count(*), min(urn), sum(finished_at > ?),"
                    " min(CASE WHEN finished_at > ? THEN finished_at END)"
                    " FROM outcomes WHERE urn > ? AND urn < ? GROUP BY status, error_kind ORDER BY status, error_kind",
                    (since, since, *urn_range(region, project_id)),
                )
                for row in cursor:
                    yield StatusCount(region, project_id, *row)

    def last_finished(self) -> int | None:
        """When the last outcome came, in microseconds since 1970; None where there is none."""
        with translate_sqlite_errors(self._path):
            found: int | None = self._db.execute("SELECT max(finished_at) FROM outcomes").fetchone()[0]
        return found

    @contextmanager
    def read_transaction(self, check_cancelled: Callable[[], None] = lambda: None) -> Iterator[None]:
        """What is read in this block is of one moment, whatever is written meanwhile."""
        with cancellable(self._db, check_cancelled), translate_sqlite_errors(self._path):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")


def urn_range(region: str, project_id: str) -> tuple[str, str]:
    """The sorted URNs of a scope lie from the first text to before the second (";" follows ":")."""
    prefix = scope_prefix(region, project_id)
    return prefix, f"{prefix[:-1]};"
