"""The table of scopes: one row per account, region and project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.errors import Status
from inventory.tables.column import FLOAT, INTEGER, TEXT, Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inventory.tables.flatten import Row

_OURS = "inventory"
_SETTINGS = "settings"
_LIMIT = "answer: X-RateLimit headers, or refused calls"

SCOPES: Final = Table(
    "scopes",
    "a project of a region: what its account was asked and answered, over all sessions of the run",
    ("region", "project_id"),
    (
        Column("region", TEXT, None, "region", "function_urn"),
        Column("project_id", TEXT, None, "project", "function_urn"),
        Column("account", TEXT, None, "account of the settings file; null: the run has one account only", _SETTINGS),
        Column("project_name", TEXT, None, "name of the project; null: no list names it", "function_facts"),
        Column("endpoint", TEXT, None, "base URL of FunctionGraph", _SETTINGS),
        Column("urns", INTEGER, "URNs", "distinct URNs of the scope", "input"),
        *(
            Column(status.value, INTEGER, "URNs", f"URNs of the status {status.value}", "functions: status")
            for status in Status
        ),
        Column("calls", INTEGER, "calls", "calls of all operations, with listing", _OURS),
        Column("refused", INTEGER, "calls", "calls that were answered 429", _OURS),
        Column("limit_calls", INTEGER, "calls", "learned limit of the scope; null: none was learned", _LIMIT),
        Column("limit_seconds", FLOAT, "s", "window of limit_calls", _LIMIT),
        Column("limit_used", FLOAT, None, "share of the limit that the last session used; null: not known", _OURS),
        Column("shared_limit_calls", INTEGER, "calls", "learned limit for all scopes of the endpoint together", _LIMIT),
        Column("shared_limit_seconds", FLOAT, "s", "window of shared_limit_calls", _LIMIT),
        Column("shared_limit_used", FLOAT, None, "share of the shared limit that the last session used", _OURS),
        Column("stopped", TEXT, None, "why the last session gave the scope up; null: it did not", _OURS),
    ),
)


class ScopeCounts(NamedTuple):
    """Counts of one scope over all sessions."""

    status: Mapping[str, int]
    calls: int
    refused: int


def scope_row(key: tuple[str, str], cells: Mapping[str, Any], end: Mapping[str, Any], counts: ScopeCounts) -> Row:
    """Makes a row of ``scopes``.

    Args:
        key: region and project.
        cells: ``account``, ``project_name`` and ``endpoint``.
        end: the scope in the manifest; what is missing is null.
        counts: of all sessions.
    """
    limit, shared = end.get("limit_learnt") or {}, end.get("shared_limit") or {}
    values = {
        **cells,
        "region": key[0],
        "project_id": key[1],
        "urns": sum(counts.status.values()),
        **{status.value: counts.status.get(status, 0) for status in Status},
        "calls": counts.calls,
        "refused": counts.refused,
        "limit_calls": limit.get("calls"),
        "limit_seconds": limit.get("seconds"),
        "limit_used": end.get("limit_used"),
        "shared_limit_calls": shared.get("calls"),
        "shared_limit_seconds": shared.get("seconds"),
        "shared_limit_used": end.get("shared_limit_used"),
        "stopped": end.get("stopped"),
    }
    return tuple(values[column.name] for column in SCOPES.columns)
