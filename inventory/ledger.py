"""The ledger: one SQLite file per run, the truth of which the tables are a pure function.

Owns what was asked for, what came back, and what a resumed run needs to know. The primary key removes duplicates, in
bounded memory; "what has no outcome yet" is what is left to ask. Knows no HTTP and no table format.

Each outcome is committed a moment after it arrives: between two commits there are never more than the caller allows, so
that a kill repeats no more calls than that.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import msgspec

from inventory.errors import LedgerUnusableError
from inventory.ledger_file import damaged, files_of, named, opened
from inventory.ledger_tables import ADD_CALLS, NAMES, WRITE_OUTCOME
from inventory.outcome import Outcome
from inventory.urn import scope_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_PENDING_BLOCK: Final = 512
LISTED: Final = "listed"
"""The fact that the service itself listed the functions, in this run."""
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


class Ledger:
    """An open ledger. Every method raises OutputError where the file cannot be read or written.

    Args:
        path: the file; it is made where there is none.
        checked: whether it is looked through for damage first.
        replace: whether a file that is damaged or of another version is deleted and begun anew; a whole one stays as it
            is until another list is loaded into it.
    """

    def __init__(self, path: Path, *, checked: bool = False, replace: bool = False) -> None:
        self._path = path
        self._pending_outcomes: list[Outcome] = []
        self._pending_answers: Counter[tuple[str, str, str, int]] = Counter()
        self._pending_listed: list[str] = []
        self._asks_again = False
        try:
            self._db = opened(path, checked=checked or replace)
        except LedgerUnusableError:
            if not replace:
                raise
            with named(path):
                for file in files_of(path):
                    file.unlink(missing_ok=True)
            self._db = opened(path)

    def close(self) -> None:
        """Commits what is left and closes the file."""
        try:
            self.commit()
        finally:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # Facts: what a resumed run must know of the run it goes on with.

    def fact(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """Reads a fact; None where it was never written."""
        with named(self._path):
            found = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        try:
            return None if found is None else msgspec.json.decode(found[0])
        except msgspec.DecodeError as error:
            raise self.damaged(str(error)) from None

    def damaged(self, what: str) -> LedgerUnusableError:
        """The error of a ledger in which something else stands than was written."""
        return damaged(self._path, what)

    def set_fact(self, name: str, value: object) -> None:
        """Writes a fact."""
        with named(self._path):
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, msgspec.json.encode(value).decode()))

    # The list going in.

    @contextmanager
    def loading(self) -> Iterator[None]:
        """One transaction around the loading of a list: it takes the place of all that was there, or leaves it."""
        with named(self._path), self._transaction():
            for table in NAMES:
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            yield

    def add_urns(self, urns: Iterable[str]) -> None:
        """Adds URNs to ask for; a URN that is there already is not added again."""
        with named(self._path):
            self._db.executemany("INSERT OR IGNORE INTO urns VALUES (?)", ((urn,) for urn in sorted(urns)))

    def add_rejects(self, rejects: Iterable[Reject]) -> None:
        """Adds entries that are not function URNs."""
        with named(self._path):
            self._db.executemany("INSERT INTO rejects VALUES (?, ?, ?, ?)", rejects)

    def add_source(self, source: SourceRead) -> None:
        """Notes a source that was read to its end."""
        with named(self._path):
            self._db.execute("INSERT INTO sources VALUES (?, ?, ?)", source)

    def count_scopes(self, scopes: Iterable[tuple[str, str]]) -> None:
        """Counts the URNs of each scope, once the list is in."""
        with named(self._path):
            for region, project_id in scopes:
                first, end = _range_of(region, project_id)
                query = "SELECT count(*) FROM urns WHERE urn >= ? AND urn < ?"
                counted = self._db.execute(query, (first, end)).fetchone()
                self._db.execute("INSERT INTO scopes VALUES (?, ?, ?)", (region, project_id, *counted))

    def add_calls(self, calls: Iterable[AnswerCount]) -> None:
        """Adds the calls that the finding of the list took."""
        with named(self._path):
            self._db.executemany(ADD_CALLS, calls)

    # The outcomes coming back.

    def ask_failures_again(self) -> None:
        """Makes the URNs that failed pending again. Until one is asked, it stays failed as it was."""
        with named(self._path):
            self._db.execute("INSERT OR IGNORE INTO again SELECT urn FROM outcomes WHERE status = 'failed'")
            self._asks_again = True

    def pending(self, region: str, project_id: str) -> Iterator[str]:
        """The URNs of a scope to ask for, in URN order, read a block at a time."""
        last, end = _range_of(region, project_id)
        while True:
            with named(self._path):
                block = self._db.execute(
                    "SELECT urn FROM urns WHERE urn > ? AND urn < ?"
                    " AND (NOT EXISTS (SELECT 1 FROM outcomes WHERE outcomes.urn = urns.urn)"
                    " OR EXISTS (SELECT 1 FROM again WHERE again.urn = urns.urn)) ORDER BY urn LIMIT ?",
                    (last, end, _PENDING_BLOCK),
                ).fetchall()
            if not block:
                return
            for (urn,) in block:
                yield urn
            last = block[-1][0]

    def record(self, outcome: Outcome) -> None:
        """Takes an outcome, which waits for :meth:`commit`."""
        self._pending_outcomes.append(outcome)

    def count_call(self, region: str, project_id: str, operation: str, http_status: int) -> None:
        """Counts a call that was made; ``http_status`` is NO_ANSWER where none came."""
        self._pending_answers[region, project_id, operation, http_status] += 1

    def note_listed(self, function: str) -> None:
        """Notes, with the next commit, that the configs of a function were listed; a run asks for that once."""
        self._pending_listed.append(function)

    def was_listed(self, function: str) -> bool:
        """Whether the configs of a function were listed in this run."""
        with named(self._path):
            query = "SELECT 1 FROM listed WHERE function = ?"
            return self._db.execute(query, (function,)).fetchone() is not None

    def commit(self) -> None:
        """Writes what was taken, in one transaction."""
        if not self._pending_outcomes and not self._pending_answers and not self._pending_listed:
            return
        with named(self._path), self._transaction():
            self._db.executemany(WRITE_OUTCOME, self._pending_outcomes)
            if self._asks_again:
                self._db.executemany(
                    "DELETE FROM again WHERE urn = ?", [(outcome.urn,) for outcome in self._pending_outcomes]
                )
            self._db.executemany(ADD_CALLS, [(*key, calls) for key, calls in self._pending_answers.items()])
            self._db.executemany("INSERT OR IGNORE INTO listed VALUES (?)", [(one,) for one in self._pending_listed])
        self._pending_outcomes.clear()
        self._pending_listed.clear()
        self._pending_answers.clear()

    # What the tables and the manifest are made from.

    def rows(self) -> Iterator[tuple[str, Outcome | None]]:
        """Every distinct URN with its outcome, or None where it was not attempted; in URN order, streamed."""
        with named(self._path):
            cursor = self._db.execute(
                "SELECT urns.urn, outcomes.* FROM urns LEFT JOIN outcomes ON outcomes.urn = urns.urn ORDER BY urns.urn"
            )
            for urn, settled, *rest in cursor:
                yield urn, None if settled is None else Outcome(settled, *rest)

    def rejects(self) -> Iterator[Reject]:
        """The rejects by source and line, streamed."""
        with named(self._path):
            for row in self._db.execute("SELECT * FROM rejects ORDER BY source, line, text, reason"):
                yield Reject(*row)

    def count_urns(self) -> int:
        """How many distinct URNs there are."""
        return sum(scope.urns for scope in self.scopes())

    def count_settled(self) -> int:
        """How many URNs have an outcome and are not asked again."""
        with named(self._path):
            query = "SELECT (SELECT count(*) FROM outcomes) - (SELECT count(*) FROM again)"
            return int(self._db.execute(query).fetchone()[0])

    def was_welcome(self, region: str, project_id: str) -> bool:
        """Whether a call of the scope was answered by the service, in any session."""
        first, end = _range_of(region, project_id)
        with named(self._path):
            query = "SELECT 1 FROM outcomes WHERE urn > ? AND urn < ? AND status <> 'failed' LIMIT 1"
            return self._db.execute(query, (first, end)).fetchone() is not None

    def count_rejects(self) -> int:
        """How many entries are not function URNs."""
        with named(self._path):
            return int(self._db.execute("SELECT count(*) FROM rejects").fetchone()[0])

    def sources(self) -> list[SourceRead]:
        """The sources that were read, by name."""
        with named(self._path):
            return [SourceRead(*row) for row in self._db.execute("SELECT * FROM sources ORDER BY name, sha256")]

    def scopes(self) -> list[ScopeCount]:
        """The scopes, by region and project."""
        with named(self._path):
            return [ScopeCount(*row) for row in self._db.execute("SELECT * FROM scopes ORDER BY region, project_id")]

    def answers(self) -> list[AnswerCount]:
        """The calls of all sessions of this run, by scope, operation and HTTP status."""
        with named(self._path):
            query = "SELECT * FROM answers ORDER BY region, project_id, operation, http_status"
            return [AnswerCount(*row) for row in self._db.execute(query)]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it, or nothing; SQLite itself has ended a transaction that a full disk broke."""
        self._db.execute("BEGIN")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _range_of(region: str, project_id: str) -> tuple[str, str]:
    """The sorted URNs of a scope lie from the first text to before the second (";" follows ":")."""
    prefix = scope_prefix(region, project_id)
    return prefix, f"{prefix[:-1]};"
