"""Rows of the ledger: rejects, sources, counts."""

from __future__ import annotations

from typing import NamedTuple


class Reject(NamedTuple):
    """An input entry that is not a function URN."""

    source: str
    line: int
    text: str
    reason: str


class SourceRead(NamedTuple):
    """A source, read to its end."""

    name: str
    sha256: str
    entries: int


class ScopeCount(NamedTuple):
    """Distinct URNs of a scope."""

    region: str
    project_id: str
    urns: int


class AnswerCount(NamedTuple):
    """Calls of an operation in a scope with one HTTP status."""

    region: str
    project_id: str
    operation: str
    http_status: int
    calls: int


class StatusCount(NamedTuple):
    """URNs of a scope with one status and error kind.

    Units: ``first_finished`` microseconds since 1970-01-01 UTC.

    Attributes:
        error_kind: None unless they failed.
        example: the first URN.
        recent: how many finished after ``since``.
        first_finished: the earliest finish after ``since``, or None.
    """

    region: str
    project_id: str
    status: str
    error_kind: str | None
    urns: int
    example: str
    recent: int
    first_finished: int | None
