"""Declares the tables of a review."""

from __future__ import annotations

from typing import Final

from inventory.tables.column import BOOLEAN, FLOAT, INTEGER, TEXT, TIME, Column, Table

_URN, _REVIEW, _RULE = "function_urn", "review", "rule"

_SUBJECT = Column("subject", TEXT, None, "URN or function that the finding is about; of a cycle its smallest URN", _URN)

FINDINGS: Final = Table(
    "findings",
    "one subject that fails a rule, or of which the rule cannot be answered",
    ("severity", "rule", "subject", "event"),
    (
        Column("finding_id", TEXT, None, "first 16 hex digits of sha256 of rule, subject, event", _REVIEW),
        Column("rule", TEXT, None, "id of the rule", _RULE),
        Column("severity", TEXT, None, "critical, high, medium, low or info", _RULE),
        Column("area", TEXT, None, "reliability, cost, security or hygiene", _RULE),
        Column("verdict", TEXT, None, "fail or unknown; pass if asked for, or if it was a finding before", _REVIEW),
        _SUBJECT,
        Column("region", TEXT, None, "region of the subject", _URN),
        Column("project_id", TEXT, None, "project of the subject", _URN),
        Column("package", TEXT, None, "package of the subject", _URN),
        Column("function_name", TEXT, None, "function of the subject", _URN),
        Column("qualifier", TEXT, None, "version or alias name; null: the subject is a function", _URN),
        Column("event", TEXT, None, "on_success or on_failure; null: the rule is not about a destination", _REVIEW),
        Column("target", TEXT, None, "where the destination leads; null: the rule is not about one", _REVIEW),
        Column("evidence", TEXT, "JSON", "values that decided the verdict", _RULE),
        Column("why_unknown", TEXT, None, "why the verdict is unknown; null otherwise", _REVIEW),
        Column("assumes", TEXT, None, "what must be true for the finding to be right", _RULE),
        Column("suppressed", BOOLEAN, None, "whether a suppression applies", "settings"),
        Column("suppressed_by", TEXT, None, "who suppressed it", "settings"),
        Column("suppression_reason", TEXT, None, "why it is suppressed", "settings"),
        Column("suppressed_until", TEXT, None, "last day of the suppression", "settings"),
        Column("state", TEXT, None, "new, unchanged, changed, fixed, gone or unknown; null: no baseline", _REVIEW),
        Column("first_seen", TIME, "UTC", "end of the first run that had the finding", _REVIEW),
    ),
)

REVIEW_SUMMARY: Final = Table(
    "review_summary",
    "one rule",
    ("rule",),
    (
        Column("rule", TEXT, None, "id of the rule", _RULE),
        Column("name", TEXT, None, "name of the rule", _RULE),
        Column("title", TEXT, None, "what a finding means", _RULE),
        Column("area", TEXT, None, "reliability, cost, security or hygiene", _RULE),
        Column("severity", TEXT, None, "critical, high, medium, low or info", _RULE),
        Column("subjects", INTEGER, None, "subjects: the sum of the four verdicts", _REVIEW),
        Column("pass", INTEGER, "subjects", "the rule was checked and does not fail", _REVIEW),
        Column("fail", INTEGER, "subjects", "the rule was checked and fails", _REVIEW),
        Column("unknown", INTEGER, "subjects", "the rule could not be checked", _REVIEW),
        Column("not_applicable", INTEGER, "subjects", "the rule does not apply", _REVIEW),
        Column("suppressed", INTEGER, "findings", "findings that a suppression hides", "settings"),
        Column("coverage", FLOAT, None, "(pass + fail) / (pass + fail + unknown); null: nothing applies", _REVIEW),
        Column("unknown_reasons", TEXT, "JSON", "number of unknown subjects by reason", _REVIEW),
    ),
)

EXPOSURE: Final = Table(
    "exposure",
    "one URN: what happens to its events when it fails",
    ("subject",),
    (
        _SUBJECT,
        Column("most_attempts", INTEGER, "attempts", "attempts of an event that always fails", _REVIEW),
        Column(
            "dropped_after_outage_s", INTEGER, "s", "length of an outage after which the first event is lost", _REVIEW
        ),
        Column("failure_goes_to", TEXT, None, "destination of a failed event; null: none", _REVIEW),
        Column("is_visible", BOOLEAN, None, "a destination, a status log or a log group shows the failure", _REVIEW),
        Column("fail_count", INTEGER, "executions", "failed executions of the last day", "listing"),
        Column("is_lower_bound", BOOLEAN, None, "a value is unknown: the true number may be higher", _REVIEW),
    ),
)

ENVELOPE: Final = Table(
    "envelope",
    "one URN: the invocations that one event can cause",
    ("subject",),
    (
        _SUBJECT,
        Column("fewest_invocations", FLOAT, "invocations", "along the shortest path of calls", _REVIEW),
        Column("most_invocations", FLOAT, "invocations", "with all retries, along the most expensive path", _REVIEW),
        Column("is_infinite", BOOLEAN, None, "a path leads into a cycle", _REVIEW),
        Column("is_lower_bound", BOOLEAN, None, "a URN on a path is unknown: the true number may be higher", _REVIEW),
        Column("gb_s_per_failing_event", FLOAT, "GB-s", "(1 + retries) x timeout x memory; null: not known", _REVIEW),
    ),
)

TABLES: Final = {table.name: table for table in (FINDINGS, REVIEW_SUMMARY, EXPOSURE, ENVELOPE)}
