"""Writes the ledger: the list, then outcomes in small commits."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import msgspec

from inventory.errors import InterruptedRunError, LedgerUnusableError, OutputError
from inventory.ledger.database import (
    cancellable,
    check_integrity,
    in_use_message,
    ledger_files,
    lock_path,
    open_writable,
    translate_sqlite_errors,
    way_out,
)
from inventory.ledger.reader import BODIES_DROPPED, LISTED_ITEMS, LedgerView, urn_range
from inventory.ledger.records import AnswerCount, Reject, SourceRead
from inventory.ledger.schema import (
    CREATE,
    CREATE_LISTED,
    DROP_BODIES,
    EARLIER,
    LIST_TABLES,
    LISTED_URNS,
    VERSION,
    WRITE_CALLS,
    WRITE_OUTCOME,
    ListedTable,
    checksum,
    checksum_of_urn,
    with_checksum,
)
from inventory.storage.file_lock import Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from inventory.outcome import Outcome

_PENDING_BLOCK: Final = 512
_PENDING: Final = (
    "FROM urns WHERE urn > ? AND urn < ?"
    " AND (NOT EXISTS (SELECT 1 FROM outcomes WHERE outcomes.urn = urns.urn)"
    " OR EXISTS (SELECT 1 FROM again WHERE again.urn = urns.urn))"
)
_SPARSE: Final = "sparse"
_COMPACT: Final = "compact"
"""Values of BODIES_DROPPED, before and after compaction."""


class Ledger(LedgerView):
    """A ledger with one writer and many readers.

    Every method raises OutputError if the file cannot be read or written.

    Args:
        path: the file; created if missing.
        check_cancelled: called periodically during the check; raise InterruptedRunError to end it.
        replace: replaces a file that is damaged or of another version.
    """

    def __init__(  # opens the file for writing
        self, path: Path, check_cancelled: Callable[[], None] = lambda: None, *, replace: bool = False
    ) -> None:
        self._path = path
        self._pending_outcomes: list[Outcome] = []
        self._pending_answers: Counter[tuple[str, str, str, int]] = Counter()
        self._pending_listed: list[str] = []
        self._has_requeued = False
        self._lock = Lock(lock_path(path))
        self._lock.take(in_use_message(path), way_out(path))
        try:
            self._open_or_replace(check_cancelled, replace=replace)
        except (OutputError, InterruptedRunError):
            self._lock.release()
            raise

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_sqlite_errors(self._path)

    def _open_or_replace(self, check_cancelled: Callable[[], None], *, replace: bool) -> None:
        try:
            self._open(check_cancelled if replace else None)
        except LedgerUnusableError:
            if not replace:
                raise
            with translate_sqlite_errors(self._path):
                for file in ledger_files(self._path):
                    file.unlink(missing_ok=True)
            self._open()

    def _open(self, check_cancelled: Callable[[], None] | None = None) -> None:
        self._db = open_writable(self._path, locked=self._lock.held)
        try:
            with translate_sqlite_errors(self._path):
                self._prepare()
                if check_cancelled is not None:
                    with cancellable(self._db, check_cancelled):
                        check_integrity(self._db, self._path)
        except (OutputError, InterruptedRunError):
            self._db.close()
            raise

    def _prepare(self) -> None:
        version = self._version()
        if version:
            self._check_version(version)
            if version == EARLIER:
                self._db.executescript(f"BEGIN;{CREATE_LISTED}PRAGMA user_version = {VERSION};COMMIT")
        elif self._db.execute("SELECT 1 FROM sqlite_master").fetchone() is not None:
            raise LedgerUnusableError(f"{self._path} is another program's file; give another --output")
        else:
            self._db.executescript(f"BEGIN;{CREATE}{CREATE_LISTED}PRAGMA user_version = {VERSION};COMMIT")

    def close(self) -> None:
        """Commits, and moves the log into the file."""
        try:
            self.commit()
            with suppress(sqlite3.Error):  # the rest stays in the log
                self._db.execute("PRAGMA busy_timeout = 500")
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._db.close()
            self._lock.release()

    def set_fact(self, name: str, value: object) -> None:
        """Stores a fact for resumed runs."""
        with translate_sqlite_errors(self._path):
            row = with_checksum((name, msgspec.json.encode(value).decode()))
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", row)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """One transaction that replaces the whole list, except listed items."""
        with translate_sqlite_errors(self._path), self._transaction():
            for table in LIST_TABLES:
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - no input
            yield
            for table in LISTED_URNS:  # a list may name what is no URN
                self._db.execute(f"DELETE FROM {table} WHERE name NOT IN (SELECT urn FROM urns)")  # noqa: S608 - no input
            counts = {
                table: self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - no input
                for table in ListedTable
            }
            self.set_fact(LISTED_ITEMS, counts)

    def clear_listed_items(self) -> None:
        """Removes what earlier lists said, before a list is read."""
        with translate_sqlite_errors(self._path), self._transaction():
            for table in ListedTable:
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - no input

    def add_listed_items(self, table: ListedTable, items: Iterable[tuple[str, str]]) -> None:
        """Adds names and what a list says of them; the last item of a name is kept."""
        with translate_sqlite_errors(self._path), self._transaction():
            statement = f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)"  # noqa: S608 - no input
            self._db.executemany(statement, (with_checksum((name, kept)) for name, kept in items))

    def add_urns(self, urns: Iterable[str]) -> None:
        """Adds URNs; ignores duplicates."""
        with translate_sqlite_errors(self._path):
            rows = ((urn, checksum_of_urn(urn)) for urn in sorted(urns))
            self._db.executemany("INSERT OR IGNORE INTO urns VALUES (?, ?)", rows)

    def add_rejects(self, rejects: Iterable[Reject]) -> None:
        """Adds input entries that are not function URNs."""
        with translate_sqlite_errors(self._path):
            self._db.executemany("INSERT INTO rejects VALUES (?, ?, ?, ?, ?)", map(with_checksum, rejects))

    def add_source(self, source: SourceRead) -> None:
        """Adds a source that was read to its end."""
        with translate_sqlite_errors(self._path):
            self._db.execute("INSERT INTO sources VALUES (?, ?, ?, ?)", with_checksum(source))

    def count_scopes(self, scopes: Iterable[tuple[str, str]]) -> None:
        """Stores the number of URNs of each scope, after the load."""
        with translate_sqlite_errors(self._path):
            for region, project_id in scopes:
                first, end = urn_range(region, project_id)
                query = "SELECT count(*) FROM urns WHERE urn >= ? AND urn < ?"
                counted = self._db.execute(query, (first, end)).fetchone()
                self._db.execute(
                    "INSERT INTO scopes VALUES (?, ?, ?, ?)", with_checksum((region, project_id, *counted))
                )

    def add_calls(self, calls: Iterable[AnswerCount]) -> None:
        """Adds the calls of discovery."""
        with translate_sqlite_errors(self._path):
            for *key, made in calls:
                query = (
                    "SELECT * FROM answers WHERE region = ? AND project_id = ? AND operation = ? AND http_status = ?"
                )
                found = self._db.execute(query, key).fetchone()
                before = 0 if found is None else self._verified("answers", found)[-1]
                self._db.execute(WRITE_CALLS, with_checksum((*key, before + made)))

    def requeue_failures(self) -> None:
        """Makes failed URNs pending; each keeps its outcome until the next."""
        with translate_sqlite_errors(self._path):
            self._db.execute("DELETE FROM again")
            self._db.execute("INSERT INTO again SELECT urn FROM outcomes WHERE status = 'failed'")
            self._has_requeued = True

    def pending(self, region: str, project_id: str) -> Iterator[str]:
        """The pending URNs of a scope in order, read in blocks."""
        last, end = urn_range(region, project_id)
        while True:
            with translate_sqlite_errors(self._path):
                query = f"SELECT urn {_PENDING} ORDER BY urn LIMIT ?"
                block = self._db.execute(query, (last, end, _PENDING_BLOCK)).fetchall()
            if not block:
                return
            for (urn,) in block:
                yield urn
            last = block[-1][0]

    def pending_samples(self, region: str, project_id: str) -> Iterator[str]:
        """Pending URNs from the end and the middle of a scope."""
        bounds = urn_range(region, project_id)
        for count in (False, True):
            with translate_sqlite_errors(self._path):
                skipped = self._db.execute(f"SELECT count(*) {_PENDING}", bounds).fetchone()[0] // 2 if count else 0
                query = f"SELECT urn {_PENDING} ORDER BY urn DESC LIMIT 1 OFFSET ?"
                found = self._db.execute(query, (*bounds, skipped)).fetchone()
            if found is not None:
                yield found[0]

    def record(self, outcome: Outcome) -> None:
        """Queues an outcome for :meth:`commit`."""
        self._pending_outcomes.append(outcome)

    def count_call(self, region: str, project_id: str, operation: str, http_status: int) -> None:
        """Counts a call; ``http_status`` may be NO_ANSWER."""
        self._pending_answers[region, project_id, operation, http_status] += 1

    def record_listed(self, function: str) -> None:
        """Queues for the next commit that the configs of a function were listed."""
        self._pending_listed.append(function)

    def is_listed(self, function: str) -> bool:
        """Whether the configs of a function were listed in this run."""
        with translate_sqlite_errors(self._path):
            query = "SELECT 1 FROM listed WHERE function = ?"
            return self._db.execute(query, (function,)).fetchone() is not None

    def commit(self) -> None:
        """Writes queued outcomes and counts in one transaction."""
        if not self._pending_outcomes and not self._pending_answers and not self._pending_listed:
            return
        with translate_sqlite_errors(self._path), self._transaction():
            outcomes = self._with_earlier_calls() if self._has_requeued else self._pending_outcomes
            self._db.executemany(WRITE_OUTCOME, map(with_checksum, outcomes))
            self.add_calls(AnswerCount(*key, calls) for key, calls in self._pending_answers.items())
            self._db.executemany(
                "INSERT OR IGNORE INTO listed VALUES (?)", [(function,) for function in self._pending_listed]
            )
        self._pending_outcomes.clear()
        self._pending_listed.clear()
        self._pending_answers.clear()

    def _with_earlier_calls(self) -> Iterator[Outcome]:
        for outcome in self._pending_outcomes:
            earlier = self.outcome(outcome.urn)
            if earlier is None:
                yield outcome
            else:
                self._db.execute("DELETE FROM again WHERE urn = ?", (outcome.urn,))
                attempts, throttled = outcome.attempts + earlier.attempts, outcome.throttled + earlier.throttled
                yield outcome._replace(attempts=attempts, throttled=throttled)

    def drop_bodies(self, check_cancelled: Callable[[], None] = lambda: None) -> None:
        """Deletes the bodies of URNs that did not fail, and compacts the file.

        After an interruption the ledger has all bodies or none; the next call compacts it.

        Args:
            check_cancelled: called periodically; raise InterruptedRunError to end it.
        """
        with translate_sqlite_errors(self._path), cancellable(self._db, check_cancelled):
            if not self.fact(BODIES_DROPPED):
                with self._transaction():
                    self._db.create_function("checksum", -1, lambda *row: checksum(row), deterministic=True)
                    self._db.execute(DROP_BODIES)
                    self.set_fact(BODIES_DROPPED, _SPARSE)
            if self.fact(BODIES_DROPPED) == _SPARSE:
                self._db.execute("VACUUM")
                self.set_fact(BODIES_DROPPED, _COMPACT)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
