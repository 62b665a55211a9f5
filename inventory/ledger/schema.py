"""The tables of the ledger: names, keys and row checksums.

SQLite does not notice a changed byte in a value; a checksum does.
"""

from __future__ import annotations

import re
import zlib
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from inventory.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION: Final = 5
SORTED: Final = 4
"""Ledgers of this version and earlier ones store outcomes sorted by URN, not in the order of their arrival."""
EARLIER: Final = 3
"""A ledger of this version lacks the tables of :class:`ListedTable`; it is read as it is and completed when written."""

CREATE: Final = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE sources (
    name TEXT NOT NULL, sha256 TEXT NOT NULL, entries INTEGER NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE urns (urn TEXT PRIMARY KEY, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE scopes (
    region TEXT, project_id TEXT, urns INTEGER NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (region, project_id)
) WITHOUT ROWID;
CREATE TABLE rejects (
    source TEXT NOT NULL, line INTEGER NOT NULL, text TEXT NOT NULL, reason TEXT NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE outcomes (
    urn TEXT NOT NULL, status TEXT NOT NULL, error_kind TEXT, http_status INTEGER, error_code TEXT, error_msg TEXT,
    body BLOB NOT NULL, operation TEXT NOT NULL, attempts INTEGER NOT NULL, throttled INTEGER NOT NULL,
    request_id TEXT, duration_ms NOT NULL, finished_at INTEGER NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE again (urn TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE listed (function TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE answers (
    region TEXT, project_id TEXT, operation TEXT, http_status INTEGER, calls INTEGER NOT NULL,
    checksum INTEGER NOT NULL, PRIMARY KEY (region, project_id, operation, http_status)
) WITHOUT ROWID;
"""
"""Outcomes are appended: a row writes one page, not those of its neighbours in a tree; :data:`CREATE_INDEX` sorts them.

No checksum: ``again`` comes from outcomes; an error in ``listed`` costs calls. ``duration_ms`` is not converted."""

INDEX: Final = "outcomes_by_urn"
CREATE_INDEX: Final = f"CREATE UNIQUE INDEX {INDEX} ON outcomes (urn)"
_CREATE_SORTED: Final = CREATE.replace("urn TEXT NOT NULL, status", "urn TEXT PRIMARY KEY, status").replace(
    "finished_at INTEGER NOT NULL, checksum INTEGER NOT NULL\n)",
    "finished_at INTEGER NOT NULL, checksum INTEGER NOT NULL\n) WITHOUT ROWID",
)


class ListedTable(StrEnum):
    """A table of what the service lists; the values are the names of the exported tables too."""

    FUNCTION_FACTS = "function_facts"
    ALIASES = "aliases"
    FAILING_FUNCTIONS = "failing_functions"
    RESERVED_INSTANCES = "reserved_instances"
    QUOTAS = "quotas"


LISTED_URNS: Final = (ListedTable.FUNCTION_FACTS, ListedTable.ALIASES)
"""The tables whose rows are URNs of the list."""
CREATE_LISTED: Final = "".join(
    f"CREATE TABLE {table} (name TEXT PRIMARY KEY, kept TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;\n"
    for table in ListedTable
)
"""JSON of the fields that :mod:`inventory.cloud.listed_fields` keeps.

``name`` is a URN; in a report about a project: region, project and URN or type, with tabs between them.
"""


def _schema(create: str) -> list[tuple[str, str]]:
    statements = (statement.strip() for statement in create.split(";"))
    return sorted((re.findall(r"CREATE TABLE (\w+)", text)[0], text) for text in statements if text)


SCHEMAS: Final = {
    EARLIER: _schema(_CREATE_SORTED),
    SORTED: _schema(_CREATE_SORTED + CREATE_LISTED),
    VERSION: _schema(CREATE + CREATE_LISTED),
}
"""Names and statements of the tables, by version."""
LIST_TABLES: Final = tuple(name for name, _ in SCHEMAS[EARLIER])
"""The tables that a load replaces."""


_encode: Final = msgspec.msgpack.Encoder().encode


def checksum(row: Sequence[object]) -> int:
    """CRC-32 of a row's values and types."""
    return zlib.crc32(_encode(row))


def checksum_of_urn(urn: str) -> int:
    """The same, faster, for a row of ``urns``."""
    return zlib.crc32(urn.encode())


def with_checksum(row: tuple[object, ...]) -> tuple[object, ...]:
    """Appends the checksum to a row."""
    return row + (zlib.crc32(_encode(row)),)  # noqa: RUF005 - a third of the time


WRITE_CALLS: Final = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)"
WRITE_OUTCOME: Final = f"INSERT OR REPLACE INTO outcomes VALUES ({', '.join('?' * (len(Outcome._fields) + 1))})"  # noqa: S608 - no input
_BODILESS: Final = ", ".join("x''" if name == "body" else name for name in Outcome._fields)
DROP_BODIES: Final = f"UPDATE outcomes SET body = x'', checksum = checksum({_BODILESS}) WHERE status <> 'failed'"  # noqa: S608 - no input
"""Needs the SQL function ``checksum``, which is :func:`checksum`."""
