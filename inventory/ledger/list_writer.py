"""Writes the list of a run: URNs, rejects, sources, scopes, listed items."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from inventory.ledger.database import translate_sqlite_errors
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
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from inventory.ledger.records import AnswerCount, Reject, SourceRead


class ListWriter(LedgerView):
    """The part of a ledger that is written before the first call."""

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
            yield
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
        """Adds URNs; ignores duplicates."""
        with translate_sqlite_errors(self._path):
            ordered = sorted(urns)
            rows = zip(ordered, map(checksum_of_urn, ordered), strict=True)
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
