"""Writes the ledger: outcomes in small commits, after the list."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

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
from inventory.ledger.list_writer import ListWriter
from inventory.ledger.reader import BODIES_DROPPED, NO_ANSWER
from inventory.ledger.records import AnswerCount
from inventory.ledger.schema import (
    CREATE,
    CREATE_INDEX,
    CREATE_LISTED,
    DROP_BODIES,
    EARLIER,
    SORTED,
    VERSION,
    WRITE_OUTCOME,
    checksum,
    with_checksum,
)
from inventory.storage.file_lock import Lock
from inventory.urn import urn_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from inventory.outcome import Outcome

_PENDING_BLOCK: Final = 128
_OF_SCOPE: Final = "FROM urns WHERE urn > ? AND urn < ?"
_NOT_SETTLED: Final = (
    "AND (NOT EXISTS (SELECT 1 FROM outcomes WHERE outcomes.urn = urns.urn)"
    " OR EXISTS (SELECT 1 FROM again WHERE again.urn = urns.urn))"
)
_PENDING: Final = f"{_OF_SCOPE} {_NOT_SETTLED}"
_CALLS_OF_OUTCOMES: Final = (
    "SELECT http_status, count(*), sum(attempts), sum(throttled) FROM outcomes"
    " WHERE urn >= ? AND urn < ? AND operation = ? GROUP BY http_status"
)
_SPARSE: Final = "sparse"
_COMPACT: Final = "compact"
"""Values of BODIES_DROPPED, before and after compaction."""


class Ledger(ListWriter):
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
        self._pending_of_urns: Counter[tuple[str, str, str, int]] = Counter()
        self._pending_listed: list[str] = []
        self._settled: Counter[tuple[str, ...]] = Counter()  # of each scope, up to a row of the outcomes
        self._settled_row = 0
        self._has_requeued = False
        self._lock = Lock(lock_path(path))
        self._lock.take(in_use_message(path), way_out(path))
        try:
            self._open_or_replace(check_cancelled, replace=replace)
        except (OutputError, InterruptedRunError):
            self._lock.release()
            raise

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
                self._db.executescript(f"BEGIN;{CREATE_LISTED}PRAGMA user_version = {SORTED};COMMIT")
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

    @contextmanager
    def log_moved_meanwhile(self) -> Iterator[None]:
        """Moves the log into the file in a thread, while this block only reads; closing has less to do then."""
        thread = threading.Thread(target=self._move_log) if self.is_shared else None
        if thread is not None:
            with suppress(RuntimeError):  # a limit of threads
                thread.start()
        try:
            yield
        finally:
            if thread is not None and thread.ident is not None:
                thread.join()

    def _move_log(self) -> None:
        with suppress(sqlite3.Error):  # the rest stays in the log
            address = f"{self._path.absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(address, uri=True, timeout=0)) as database:
                database.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def requeue_failures(self) -> None:
        """Makes failed URNs pending; each keeps its outcome until the next."""
        self.sort_outcomes()
        with translate_sqlite_errors(self._path):
            self._db.execute("DELETE FROM again")
            self._db.execute("INSERT INTO again SELECT urn FROM outcomes WHERE status = 'failed'")
            self._has_requeued = True

    def sort_outcomes(self, check_cancelled: Callable[[], None] = lambda: None) -> None:
        """Makes outcomes findable by URN; later sessions replace those of failed URNs.

        Args:
            check_cancelled: called periodically; raise InterruptedRunError to end it.
        """
        with translate_sqlite_errors(self._path):
            if self.is_sorted:
                return
            try:
                with cancellable(self._db, check_cancelled):
                    self._db.execute(CREATE_INDEX)
            except sqlite3.IntegrityError as error:
                raise self.damage_error(f"a URN has two outcomes: {error}") from None

    def check(self, check_cancelled: Callable[[], None] = lambda: None) -> None:
        """See :meth:`LedgerView.check`; sorts the outcomes first."""
        self.sort_outcomes(check_cancelled)
        super().check(check_cancelled)

    def has_pending(self, region: str, project_id: str) -> bool:
        """Whether a URN of a scope is pending."""
        return self._count_pending(region, project_id) > 0

    def _count_pending(self, region: str, project_id: str) -> int:
        with translate_sqlite_errors(self._path):
            if self.is_sorted:
                query = f"SELECT count(*) {_PENDING}"
                return int(self._db.execute(query, urn_range(region, project_id)).fetchone()[0])
            query = "SELECT rowid, urn FROM outcomes WHERE rowid > ?"
            for row, urn in self._db.execute(query, (self._settled_row,)):
                self._settled[tuple(urn.split(":", 4)[2:4])] += 1
                self._settled_row = row
        urns = {(scope.region, scope.project_id): scope.urns for scope in self.scopes()}
        return urns[region, project_id] - self._settled[region, project_id]

    def pending(self, region: str, project_id: str) -> Iterator[str]:
        """The pending URNs of a scope in order, read in blocks; in a first session, each of them once."""
        last, end = urn_range(region, project_id)
        with translate_sqlite_errors(self._path):
            query = f"SELECT urn {_PENDING if self.is_sorted else _OF_SCOPE} ORDER BY urn LIMIT ?"
        while True:
            with translate_sqlite_errors(self._path):
                block = self._db.execute(query, (last, end, _PENDING_BLOCK)).fetchall()
            if not block:
                return
            for (urn,) in block:
                yield urn
            last = block[-1][0]

    def pending_samples(self, region: str, project_id: str) -> Iterator[str]:
        """Pending URNs from the end and the middle of a scope."""
        bounds = urn_range(region, project_id)
        for is_middle in (False, True):
            skipped = self._count_pending(region, project_id) // 2 if is_middle else 0
            with translate_sqlite_errors(self._path):
                if self.is_sorted:
                    query = f"SELECT urn {_PENDING} ORDER BY urn DESC LIMIT 1 OFFSET ?"
                else:  # one pass over the outcomes
                    last = f"SELECT urn {_OF_SCOPE} ORDER BY urn DESC LIMIT 1 OFFSET ?"
                    is_settled = "SELECT 1 FROM outcomes WHERE outcomes.urn = sample.urn"
                    query = f"SELECT urn FROM ({last}) AS sample WHERE NOT EXISTS ({is_settled})"  # noqa: S608 - no input
                found = self._db.execute(query, (*bounds, skipped)).fetchone()
            if found is not None:
                yield found[0]

    def record(self, outcome: Outcome) -> None:
        """Queues an outcome for :meth:`commit`."""
        self._pending_outcomes.append(outcome)

    def count_call(
        self, region: str, project_id: str, operation: str, http_status: int, *, of_urn: bool = False
    ) -> None:
        """Counts a call; ``http_status`` may be NO_ANSWER. ``of_urn``: the outcome of a URN counts it too."""
        counts = self._pending_of_urns if of_urn else self._pending_answers
        counts[region, project_id, operation, http_status] += 1

    def record_listed(self, function: str) -> None:
        """Queues for the next commit that the configs of a function were listed."""
        self._pending_listed.append(function)

    def is_listed(self, function: str) -> bool:
        """Whether the configs of a function were listed in this run."""
        with translate_sqlite_errors(self._path):
            query = "SELECT 1 FROM listed WHERE function = ?"
            return self._db.execute(query, (function,)).fetchone() is not None

    def commit(self, *, all_counts: bool = True) -> None:
        """Writes queued outcomes and counts in one transaction.

        Without ``all_counts``, the counts of calls that outcomes have too are left for a later commit: in each commit
        they would be a page of their own. :meth:`restore_counts` makes up for those that a killed process had left.
        """
        if all_counts:
            self._pending_answers.update(self._pending_of_urns)
            self._pending_of_urns.clear()
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

    def restore_counts(self, operation: str) -> None:
        """Adds the calls of an operation that the outcomes have and the counts lack, after a process was killed.

        A retry whose status is lost is counted as a call without an answer.
        """
        kept = {answer[:4]: answer.calls for answer in self.answers()}
        with translate_sqlite_errors(self._path), self._transaction():
            for region, project_id, _ in self.scopes():
                key = region, project_id, operation
                calls, known = 0, Counter[int]()
                for status, urns, attempts, throttled in self._db.execute(
                    _CALLS_OF_OUTCOMES, (*urn_range(region, project_id), operation)
                ):
                    calls += attempts
                    known[NO_ANSWER if status is None else status] += urns
                    known[HTTPStatus.TOO_MANY_REQUESTS] += throttled - urns * (status == HTTPStatus.TOO_MANY_REQUESTS)
                lost = Counter({status: max(0, n - kept.get((*key, status), 0)) for status, n in known.items()})
                counted = sum(number for name, number in kept.items() if name[:3] == key)
                lost[NO_ANSWER] += max(0, calls - counted - lost.total())
                self.add_calls(AnswerCount(*key, status, n) for status, n in sorted(lost.items()) if n)

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
