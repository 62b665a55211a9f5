"""Kinds of changes between two runs, and the columns of their rows.

Owns these words. Knows no file and how nothing is found.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from inventory.tables.schema import DESTINATIONS, FUNCTIONS, INTEGER, TEXT, TIME, Column, Table


class Kind(StrEnum):
    """What became of a URN between OLD and NEW. Every URN on either list is of one kind, or unchanged.

    ``added``, ``removed``, ``status_changed`` and ``changed`` are changes: of what the cloud answered. The others say
    what cannot be told, or what the lists did.
    """

    ADDED = "added"
    REMOVED = "removed"
    STATUS_CHANGED = "status_changed"
    CHANGED = "changed"
    UNKNOWN = "unknown"
    NEWLY_KNOWN = "newly_known"
    NOT_LISTED = "not_listed"
    NEWLY_LISTED = "newly_listed"


CHANGED_KINDS: Final = (Kind.ADDED, Kind.REMOVED, Kind.STATUS_CHANGED, Kind.CHANGED)
"""What ``--exit-code`` tells."""
UNTOLD_KINDS: Final = (Kind.UNKNOWN, Kind.NOT_LISTED)
"""What NEW does not tell although OLD asked; ``--strict`` takes it for a change."""
FACTS_CHANGED: Final = "facts_changed"
"""What ``--facts`` adds to the kinds. A URN may have it in addition to its kind."""

MEANINGS: Final = {
    Kind.ADDED: "answered in NEW; OLD did not list it, or did not find it",
    Kind.REMOVED: "not found in NEW, or no longer listed by the service",
    Kind.STATUS_CHANGED: "its config was set or removed",
    Kind.CHANGED: "its config has other values",
    Kind.UNKNOWN: "failed or not attempted in NEW; not known whether it changed",
    Kind.NEWLY_KNOWN: "unknown in OLD, answered in NEW: not known whether it changed",
    Kind.NOT_LISTED: "only on OLD's list: NEW made no call for it",
    Kind.NEWLY_LISTED: "only on NEW's list, and not found: nothing was added",
}
FACTS_MEANING: Final = "the lists of the service say something else of it"

_FUNCTION: Final = {column.name: column for column in FUNCTIONS.columns}
_EVENT: Final = next(column for column in DESTINATIONS.columns if column.name == "event")
_OURS: Final = "inventory diff"

CHANGES: Final = Table(
    "changes",
    "a field of a URN that differs, or a URN whose kind is not changed",
    ("function_urn", "event", "field"),
    (
        *(
            _FUNCTION[name]
            for name in (
                *("function_urn", "region", "project_id", "package", "function_name", "qualifier", "qualifier_type"),
            )
        ),
        Column("kind", TEXT, None, f"kind of the change: {', '.join(Kind)}; with --facts also {FACTS_CHANGED}", _OURS),
        Column("event", TEXT, None, "changed: the event whose destination differs; null: a field of the config", _OURS),
        Column(
            "field",
            TEXT,
            None,
            "changed: the column of functions, or with an event of destinations, that differs; facts_changed: table "
            "and column, such as function_facts.timeout; null for other kinds",
            _OURS,
        ),
        Column(
            "before",
            TEXT,
            None,
            "changed: the value in OLD, null where it was not set; other kinds: OLD's config as JSON, null without one",
            "OLD",
        ),
        Column("after", TEXT, None, "the same in NEW", "NEW"),
        Column("old_status", TEXT, None, "status in OLD; null: not on OLD's list", "OLD: status"),
        Column("new_status", TEXT, None, "status in NEW; null: not on NEW's list", "NEW: status"),
        Column("error_kind", TEXT, None, "why the URN failed in NEW; null where it did not", "NEW: error_kind"),
        Column(
            "known_at",
            TIME,
            "UTC",
            "unknown and not_listed: when OLD's answer came; null for other kinds, and where OLD has no answer",
            "OLD: finished_at",
        ),
        Column("age_seconds", INTEGER, "s", "how old that answer was when NEW was finished", _OURS),
        Column("note", TEXT, None, "the same in words, where there is more to say", _OURS),
    ),
)
