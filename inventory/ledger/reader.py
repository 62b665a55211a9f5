"""Reads a ledger, also while a run writes it."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

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
from inventory.ledger.records import AnswerCount, Reject, ScopeCount, SourceRead, StatusCount
from inventory.ledger.schema import INDEX, SCHEMAS, SORTED, VERSION, ListedTable, checksum, checksum_of_urn
from inventory.outcome import Outcome
from inventory.urn import urn_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

BODIES_DROPPED: Final = "bodies-dropped"
"""Fact: the bodies of successful URNs are deleted."""
LISTED_ITEMS: Final = "listed-items"
"""Fact: rows of each :class:`ListedTable`."""
_LINES_BLOCK: Final = 4096
AFTER_ALL: Final = "\U0010ffff"
"""Sorts after each URN."""
_BETWEEN: Final = "SELECT * FROM {} WHERE urn >= ? AND urn < ? ORDER BY urn"
NO_ANSWER: Final = 0
"""HTTP status of a call without an answer."""
_COUNT_STATUSES: Final = """
SELECT substr(urn, 1, instr(urn, ':function:')) AS scope, status, error_kind, count(*), min(urn), sum(finished_at > ?),
    min(CASE WHEN finished_at > ? THEN finished_at END)
FROM outcomes NOT INDEXED GROUP BY scope, status, error_kind
"""


class LedgerView:
    """Read access to a ledger; changes no file of the run.

    The constructor checks a ledger without a writer for damage: seconds for a million URNs.
    Every method raises OutputError if the file cannot be read.

    Args:
        check_cancelled: called periodically during the check; raise InterruptedRunError to end it.
        facts_alone: skips the check; each fact has its own checksum.
    """

    attached: Mapping[tuple[str, str], Path] = {}
    """Ledgers with the outcomes of scopes, by region and project."""

    def __init__(
        self, path: Path, check_cancelled: Callable[[], None] = lambda: None, *, facts_alone: bool = False
    ) -> None:
        self._path = path
        in_use = is_in_use(path)
        try:
            if path.is_fifo():  # opening it would block
                raise OutputError(f"{path} cannot be read: it is not a regular file")
            path.open("rb").close()
        except OSError as error:  # SQLite gives no reason
            raise OutputError.from_os_error(path, "cannot be read", error) from None
        try:
            self._db = open_read_only(path, in_use=in_use)
            self._check(check_cancelled, whole=not in_use and not facts_alone)
        except OutputError as error:
            if not in_use and is_in_use(path):  # a run started after the first check
                raise OutputError(in_use_message(path)) from error
            raise

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_sqlite_errors(self._path, is_reader=True)

    def _check(self, check_cancelled: Callable[[], None], *, whole: bool) -> None:
        try:
            with self._translate_errors():
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
            raise OutputError(f"{self._path} holds no list yet: its run has only just started, or did not start")
        if version not in SCHEMAS:
            raise LedgerUnusableError(
                f"{self._path} was written by another version of inventory (ledger {version}, not {VERSION}): "
                "use that version, or start again with --overwrite"
            )
        query = "SELECT name, sql FROM sqlite_master WHERE name <> ? ORDER BY name"
        if self._db.execute(query, (INDEX,)).fetchall() != SCHEMAS[version]:
            raise self.damage_error("its tables are not those of a ledger")

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def fact(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """Reads a fact, or None."""
        with self._translate_errors():
            row = self._db.execute("SELECT * FROM facts WHERE name = ?", (name,)).fetchone()
        try:
            return None if row is None else msgspec.json.decode(self._verified("facts", row)[1])
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise self.damage_error(f"its fact {name}: {error}") from None

    def damage_error(self, what: str) -> LedgerUnusableError:
        """The error of a damaged ledger."""
        return damage_error(self._path, what)

    def _verified(self, table: str, row: tuple[Any, ...]) -> tuple[Any, ...]:
        values = row[:-1]
        if checksum(values) != row[-1]:
            raise self.damage_error(f"a row of its {table} was changed")
        return values

    def check(self, check_cancelled: Callable[[], None] = lambda: None) -> None:
        """Checks the file and reads every row.

        Args:
            check_cancelled: called periodically; raise InterruptedRunError to end the check.

        Raises:
            LedgerUnusableError: the ledger is damaged.
        """
        with self.read_transaction(check_cancelled):
            check_integrity(self._db, self._path)
            for row in self._db.execute("SELECT * FROM facts"):
                self._verified("facts", row)
            listed = (self.listed_items(table) for table in ListedTable)
            for _ in itertools.chain(self.rows(), self.rejects(), self.sources(), self.answers(), *listed):
                pass
            query = (
                "SELECT urn FROM again WHERE NOT EXISTS"
                " (SELECT 1 FROM outcomes WHERE outcomes.urn = again.urn AND status = 'failed') LIMIT 1"
            )
            for (urn,) in self._db.execute(query):
                raise self.damage_error(f"{urn} is requeued but did not fail")

    def rows(self) -> Iterator[tuple[str, Outcome | None]]:
        """Streams all distinct URNs in order, each with its outcome or None.

        Raises:
            LedgerUnusableError: a URN or an outcome is changed, missing or additional.
        """
        urns = outcomes = 0
        for row in self.rows_between():
            urns += 1
            outcomes += row[1] is not None
            yield row
        self.check_totals(urns, outcomes)

    def rows_between(self, first: str = "", end: str = AFTER_ALL) -> Iterator[tuple[str, Outcome | None]]:
        """Streams the URNs from ``first`` to before ``end``; :meth:`check_totals` finds missing ones."""
        last = ""
        with self._translate_errors():
            outcomes = self._db.execute(_BETWEEN.format("outcomes"), (first, end))
            row = next(outcomes, None)
            for urn, kept in self._db.execute(_BETWEEN.format("urns"), (first, end)):
                if checksum_of_urn(urn) != kept or urn <= last:
                    raise self.damage_error(f"{urn} is not a URN of its list")
                outcome = None
                if row is not None and row[0] == urn:
                    outcome = Outcome._make(row[:-1])
                    if checksum(outcome) != row[-1]:
                        raise self.damage_error(f"the outcome of {urn} was changed")
                    row = next(outcomes, None)
                yield urn, outcome
                last = urn
        if row is not None:
            raise self.damage_error(f"{row[0]} has an outcome but is not in the list, or out of order")

    def check_totals(self, urns: int, outcomes: int) -> None:
        """Checks that a pass over all rows has read as many URNs and outcomes as were written.

        Raises:
            LedgerUnusableError: it has not.
        """
        total, (stored, written) = self.count_urns(), self._count_stored()
        if urns != stored or total not in (0, urns):  # 0 during a load
            raise self.damage_error(f"{urns:,} URNs found, {total or stored:,} written")
        if outcomes != written:
            raise self.damage_error(f"{outcomes:,} outcomes are sorted, {written:,} written")

    def _count_stored(self) -> tuple[int, int]:
        with self._translate_errors():
            query = "SELECT (SELECT count(*) FROM urns), (SELECT count(*) FROM outcomes NOT INDEXED)"
            urns, outcomes = self._db.execute(query).fetchone()
        return urns, outcomes

    @property
    def is_sorted(self) -> bool:
        """Whether outcomes can be found by URN without reading all of them."""
        if self._version() <= SORTED:
            return True
        return self._db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (INDEX,)).fetchone() is not None

    def urn_lines(self, region: str, project_id: str) -> Iterator[str]:
        """Streams the URNs of a scope in order, as blocks of JSON lines; their checksums are not verified."""
        last, end = urn_range(region, project_id)
        query = (
            "SELECT group_concat(json_quote(urn), char(10)), max(urn)"
            " FROM (SELECT urn FROM urns WHERE urn > ? AND urn < ? ORDER BY urn LIMIT ?)"
        )
        while True:
            with self._translate_errors():
                lines, last = self._db.execute(query, (last, end, _LINES_BLOCK)).fetchone()
            if lines is None:
                return
            yield f"{lines}\n"

    def rejects(self) -> Iterator[Reject]:
        """Streams the rejects by source and line."""
        with self._translate_errors():
            for row in self._db.execute("SELECT * FROM rejects ORDER BY source, line, text, reason"):
                yield Reject(*self._verified("rejects", row))

    def listed_items(self, table: ListedTable) -> Iterator[tuple[str, str]]:
        """Streams names and what the lists say of them, in order.

        Raises:
            LedgerUnusableError: a row is changed, missing or additional.
        """
        if self._version() < VERSION:
            return
        number = 0
        with self._translate_errors():
            for row in self._db.execute(f"SELECT * FROM {table} ORDER BY name"):  # noqa: S608 - no input
                yield self._verified(table, row)
                number += 1
        expected = (self.fact(LISTED_ITEMS) or {}).get(table, 0)
        if number != expected and self.count_urns():  # 0 during a listing
            raise self.damage_error(f"{number:,} rows of {table} found, {expected:,} written")

    @property
    def has_listed_items(self) -> bool:
        """Whether the ledger keeps what lists say; one of version 3 did not."""
        return self.fact(LISTED_ITEMS) is not None

    def count_listed_items(self, table: ListedTable) -> int:
        """The number of rows of :meth:`listed_items`."""
        return int((self.fact(LISTED_ITEMS) or {}).get(table, 0))

    def count_urns(self) -> int:
        """The number of distinct URNs."""
        return sum(scope.urns for scope in self.scopes())

    def count_settled(self) -> int:
        """The number of URNs with an outcome, without requeued ones."""
        with self._translate_errors():
            query = "SELECT (SELECT count(*) FROM outcomes) - (SELECT count(*) FROM again)"
            return int(self._db.execute(query).fetchone()[0])

    def count_failed(self) -> int:
        """The number of failed URNs."""
        with self._translate_errors():
            return int(self._db.execute("SELECT count(*) FROM outcomes WHERE status = 'failed'").fetchone()[0])

    def has_success(self, region: str, project_id: str) -> bool:
        """Whether the service answered a call of the scope, in any session."""
        first, end = urn_range(region, project_id)
        with self._translate_errors():
            if not self.is_sorted:  # the first session, in which the scope has no outcome yet
                return False
            query = "SELECT 1 FROM outcomes WHERE urn > ? AND urn < ? AND status <> 'failed' LIMIT 1"
            return self._db.execute(query, (first, end)).fetchone() is not None

    def count_rejects(self) -> int:
        """The number of rejects."""
        with self._translate_errors():
            return int(self._db.execute("SELECT count(*) FROM rejects").fetchone()[0])

    def sources(self) -> list[SourceRead]:
        """The sources by name."""
        with self._translate_errors():
            return [
                SourceRead(*self._verified("sources", row))
                for row in self._db.execute("SELECT * FROM sources ORDER BY name, sha256")
            ]

    def scopes(self) -> list[ScopeCount]:
        """The scopes, by region and project."""
        with self._translate_errors():
            query = "SELECT * FROM scopes ORDER BY region, project_id"
            return [ScopeCount(*self._verified("scopes", row)) for row in self._db.execute(query)]

    def answers(self) -> list[AnswerCount]:
        """The calls of all sessions by scope, operation and HTTP status."""
        with self._translate_errors():
            query = "SELECT * FROM answers ORDER BY region, project_id, operation, http_status"
            return [AnswerCount(*self._verified("answers", row)) for row in self._db.execute(query)]

    def outcome(self, urn: str) -> Outcome | None:
        """The outcome of one URN, or None."""
        with self._translate_errors():
            row = self._db.execute("SELECT * FROM outcomes WHERE urn = ?", (urn,)).fetchone()
        return None if row is None else Outcome(*self._verified("outcomes", row))

    def count_statuses(self, since: int) -> Iterator[StatusCount]:
        """Counts URNs by scope, status and error kind; ``since`` is in microseconds since 1970."""
        with self._translate_errors():
            rows = self._db.execute(_COUNT_STATUSES, (since, since)).fetchall()
        counts = (StatusCount(*prefix.split(":")[2:4], *values) for prefix, *values in rows)
        yield from sorted(counts, key=lambda count: tuple(text or "" for text in count[:4]))

    def last_finished(self) -> int | None:
        """The time of the last outcome in microseconds since 1970, or None."""
        with self._translate_errors():
            last: int | None = self._db.execute("SELECT max(finished_at) FROM outcomes").fetchone()[0]
        return last

    @contextmanager
    def read_transaction(self, check_cancelled: Callable[[], None] = lambda: None) -> Iterator[None]:
        """All reads in this block see one state; ``check_cancelled`` may end it."""
        with cancellable(self._db, check_cancelled), self._translate_errors():
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
