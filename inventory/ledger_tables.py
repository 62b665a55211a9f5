"""The tables of the ledger: names, keys, and how an outcome is written.

Owns their version. Knows no file.
"""

from __future__ import annotations

import re
from typing import Final

from inventory.outcome import Outcome

VERSION: Final = 2

CREATE: Final = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sources (name TEXT NOT NULL, sha256 TEXT NOT NULL, entries INTEGER NOT NULL);
CREATE TABLE urns (urn TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE scopes (
    region TEXT, project_id TEXT, urns INTEGER NOT NULL, PRIMARY KEY (region, project_id)
) WITHOUT ROWID;
CREATE TABLE rejects (source TEXT NOT NULL, line INTEGER NOT NULL, text TEXT NOT NULL, reason TEXT NOT NULL);
CREATE TABLE outcomes (
    urn TEXT PRIMARY KEY, status TEXT NOT NULL, error_kind TEXT, http_status INTEGER, error_code TEXT, error_msg TEXT,
    body BLOB NOT NULL, operation TEXT NOT NULL, attempts INTEGER NOT NULL, throttled INTEGER NOT NULL,
    request_id TEXT, duration_ms REAL NOT NULL, finished_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE again (urn TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE listed (function TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE answers (
    region TEXT, project_id TEXT, operation TEXT, http_status INTEGER, calls INTEGER NOT NULL,
    PRIMARY KEY (region, project_id, operation, http_status)
) WITHOUT ROWID;
"""
NAMES: Final = tuple(re.findall(r"CREATE TABLE (\w+)", CREATE))

ADD_CALLS: Final = "INSERT INTO answers VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET calls = calls + excluded.calls"

_ADD_UP: Final = ("attempts", "throttled")
WRITE_OUTCOME: Final = (
    f"INSERT INTO outcomes VALUES ({', '.join('?' * len(Outcome._fields))}) ON CONFLICT DO UPDATE SET "  # noqa: S608 - no input in it
    + ", ".join(
        f"{name} = {name} + excluded.{name}" if name in _ADD_UP else f"{name} = excluded.{name}"
        for name in Outcome._fields[1:]
    )
)
"""A URN that is asked again in a later session has one outcome still: the last, with the calls of both."""
