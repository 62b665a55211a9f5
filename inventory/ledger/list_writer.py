"""Writes the list of a run: URNs, rejects, sources, scopes, listed items."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from inventory.ledger.database import cancellable, translate_sqlite_errors
from inventory.ledger.reader import LISTED_ITEMS, LedgerView
from inventory.ledger.schema import (
    INDEX,
    LIST_TABLES,
    LISTED_URNS,
    WRITE_CALLS,
    ListedTable,
    checksum_of_urn,
    with_checksum,
)
from inventory.urn import urn_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from inventory.ledger.records import AnswerCount, Reject, SourceRead


_CACHED_URNS: Final = 20_000
"""URNs whose pages fit into SQLite's cache; in a larger tree, each URN out of order reads and writes a page."""


class ListWriter(LedgerView):
    """The part of a ledger that is written before the first call."""

    _last_urn: str | None = None
    """The last URN of the list while it is loaded."""
    _in_place = 0
    """URNs that were put in their places."""

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_sqlite_errors(self._path)

    @property
    def is_shared(self) -> bool:
        """Whether other processes can read the ledger now."""
        return bool(self._db.execute("PRAGMA locking_mode").fetchone()[0] == "normal")

    def set_fact(self, name: str, value: object) -> None:
        """Stores a fact for resumed runs."""
        with translate_sqlite_errors(self._path):
            row = with_checksum((name, msgspec.json.encode(value).decode()))
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", row)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """One transaction that replaces the whole list, except listed items."""
        with translate_sqlite_errors(self._path), self._transaction():
            self._db.execute(f"DROP INDEX IF EXISTS {INDEX}")
            for table in LIST_TABLES:
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - no input
            self._db.execute("CREATE TEMP TABLE unsorted (urn TEXT NOT NULL, checksum INTEGER NOT NULL)")
            self._last_urn, self._in_place = "", 0
            try:
                yield
            finally:
                self._last_urn = None
            self.sort_urns()
            self._db.execute("DROP TABLE unsorted")
            for table in LISTED_URNS:  # a list may name what is no URN
                self._db.execute(f"DELETE FROM {table} WHERE name NOT IN (SELECT urn FROM urns)")  # noqa: S608 - no input
            counts = {
                table: self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - no input
                for table in ListedTable
            }
            self.set_fact(LISTED_ITEMS, counts)

    def block_starts(self, urns: int) -> list[str]:
        """Every ``urns``-th URN in order, from the first: the starts of blocks of that many."""
        starts: list[str] = []
        with self._translate_errors():
            row = self._db.execute("SELECT urn FROM urns ORDER BY urn LIMIT 1").fetchone()
            while row is not None:
                starts.append(row[0])
                query = "SELECT urn FROM urns WHERE urn >= ? ORDER BY urn LIMIT 1 OFFSET ?"
                row = self._db.execute(query, (row[0], urns)).fetchone()
        return starts

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
        """Adds URNs; ignores duplicates. In the load of a long list, those out of order wait for :meth:`sort_urns`."""
        ordered, table = sorted(urns), "urns"
        if self._last_urn is not None and ordered:
            if ordered[0] < self._last_urn and self._in_place > _CACHED_URNS:
                table = "unsorted"
            else:
                self._in_place += len(ordered)
            self._last_urn = max(self._last_urn, ordered[-1])
        with translate_sqlite_errors(self._path):
            rows = zip(ordered, map(checksum_of_urn, ordered), strict=True)
            self._db.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?, ?)", rows)  # noqa: S608 - no input

    def sort_urns(self, check_cancelled: Callable[[], None] = lambda: None) -> None:
        """Moves URNs that came out of order to their places, in order.

        Args:
            check_cancelled: called periodically; raise InterruptedRunError to end it.
        """
        with translate_sqlite_errors(self._path), cancellable(self._db, check_cancelled):
            self._db.execute("INSERT OR IGNORE INTO urns SELECT * FROM unsorted ORDER BY urn")
            self._db.execute("DELETE FROM unsorted")

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
