"""The first screen of a page: run, verdicts, first steps, unknowns, trend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.display.formatting import format_count, format_number, format_share
from inventory.reviews.labels import cut
from inventory.reviews.outputs.wording import ASKS, Wording, describe
from inventory.reviews.reviewed import most_severe
from inventory.settings import SEVERITIES
from inventory.tables.arrow import to_objects

if TYPE_CHECKING:
    import pyarrow as pa

    from inventory.reviews.reviewed import Reviewed

FIRST: Final = 10
_URGENT: Final = SEVERITIES[:2]
_RUNS: Final = 12
"""Rows of the trend: the first run and the latest."""
_STATES: Final = ("new", "changed", "unchanged", "fixed", "gone", "unknown")
_ID_CHARACTERS: Final = 13
_NAME_CHARACTERS: Final = 60
_NAMED: Final = 3
"""Regions, projects or accounts that are named; of more, the number."""
MEANINGS: Final = {
    "not_answered": "The export got no answer for the URN",
    "not_attempted": "The export stopped before the URN",
    "not_stated": "The answer lacks the value",
    "default_unknown": "No configuration is set, and the vendor's pages name different defaults",
    "param_unreadable": "The destination's param is no JSON object, or lacks the key",
    "not_listed": "The target is not in this run",
    "alias_unresolved": "It is not known which version an alias points to",
    "existence_unknown": "It is not certain that the target exists",
    "facts_missing": "The run has no facts of the function",
}
"""What the reasons of unknown verdicts mean."""


class Step(NamedTuple):
    """A rule, how many open failures of this severity it has, and the most severe ones."""

    severity: str
    rule: str
    total: int
    words: Wording
    findings: list[dict[str, Any]]


def headline(reviewed: Reviewed) -> str:
    """The result in one sentence."""
    counts = {severity: number for severity in SEVERITIES if (number := _open(reviewed, severity))}
    named = [f"{format_number(number)} {severity}" for severity, number in counts.items()]
    new = "new " if reviewed.details.new_only else ""
    urgent = [number for severity, number in counts.items() if severity in _URGENT]
    if urgent:
        return f"{' and '.join(named[: len(urgent)])} {new}{'finding' if sum(urgent) == 1 else 'findings'} to fix first"
    if named:
        return f"No critical or high {new}finding; {' and '.join(named[:2])}"
    unchecked = _open(reviewed, None, "unknown")
    return f"No {new}finding" + (f"; {format_count(unchecked, 'check')} could not be made" if unchecked else "")


def lede(steps: list[Step]) -> str:
    """What to do first, in one sentence."""
    if not steps:
        return ""
    step = steps[0]
    count = format_count(step.total, f"{step.severity} finding")
    return f"Start here: {step.words.title} ({count}). {step.words.fix}"


def facts(reviewed: Reviewed) -> list[tuple[str, str]]:
    """Names and values of what was reviewed."""
    manifest, details = reviewed.manifest, reviewed.details
    scopes = manifest.get("scopes", [])
    accounts = sorted({scope["account"] for scope in scopes if scope.get("account")})
    statuses = [(name, int(number)) for name, number in manifest["counts"]["status"].items() if number]
    shown = [
        ("Run", details.run),
        ("Finished", f"{reviewed.taken:%Y-%m-%d %H:%M} UTC"),
        ("Accounts", _names(accounts)),
        ("Regions", _names(sorted({scope["region"] for scope in scopes}))),
        ("Projects", _names(sorted({scope["project_id"] for scope in scopes}))),
        ("URNs", f"{format_number(reviewed.urns)}: " + ", ".join(f"{format_number(n)} {name}" for name, n in statuses)),
        ("Rules", format_number(len(reviewed.rules))),
        ("Compared with", details.baseline),
        ("As of", f"{details.as_of}"),
    ]
    return [(name, text) for name, text in shown if text]


def _names(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= _NAMED else format_number(len(names))


def tiles(reviewed: Reviewed) -> list[tuple[str, int]]:
    """Open failures by severity."""
    return [(severity, _open(reviewed, severity)) for severity in SEVERITIES]


def first_steps(reviewed: Reviewed, rows: pa.Table) -> list[Step]:
    """The ten most severe failures by rule.

    Args:
        reviewed: the review.
        rows: findings, most severe first.
    """
    samples: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for batch in rows.to_batches():
        for row in most_severe_rows(batch):
            samples.setdefault((row["severity"], row["rule"]), []).append(row)
    chosen = most_severe([row for group in samples.values() for row in group], FIRST)
    steps: dict[tuple[str, str], Step] = {}
    for row in chosen:
        key = severity, rule = row["severity"], row["rule"]
        words = describe(row, reviewed.rules[rule], reviewed.details.run)
        step = steps.setdefault(key, Step(severity, rule, _open(reviewed, severity, rule=rule), words, []))
        step.findings.append({"id": row["finding_id"], "name": _name(row), "owner": _owner(row)})
    return list(steps.values())


def _name(row: dict[str, Any]) -> str:
    qualifier = row["qualifier"] if row["qualifier"] != "latest" else None
    return cut(":".join(filter(None, (row["function_name"] or row["subject"], qualifier))), _NAME_CHARACTERS)


def _owner(row: dict[str, Any]) -> str:
    parts = (row["package"], cut(row["project_id"], _ID_CHARACTERS) if row["project_id"] else "", row["region"])
    return " · ".join(filter(None, parts))


def most_severe_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The first open failures of a batch with one severity and rule."""
    return [row for row in to_objects(batch.slice(0, FIRST)) if row["verdict"] == "fail" and not row["suppressed"]]


def unknown(reviewed: Reviewed) -> list[dict[str, Any]]:
    """Reasons of unknown verdicts: number, meaning, what makes them known."""
    return [
        {
            "reason": reason,
            "number": number,
            "meaning": MEANINGS.get(reason, reason),
            "fix": ASKS[reason].fix if reason in ASKS else "",
        }
        for reason, number in reviewed.unknown_reasons().most_common()
    ]


def coverage(reviewed: Reviewed) -> dict[str, Any]:
    """Verdicts of all rules; ``share`` is a text, ``None`` if nothing applies."""
    table = reviewed.summary
    numbers = {name: sum(table[name].to_pylist()) for name in ("pass", "fail", "unknown", "not_applicable")}
    share = reviewed.coverage
    return {**numbers, "share": None if share is None else format_share(share), "value": share}


def states(reviewed: Reviewed) -> dict[str, int]:
    """Findings by state; empty without a baseline."""
    if not reviewed.details.has_baseline:
        return {}
    numbers = dict.fromkeys(_STATES, 0)
    for group, number in reviewed.counts.items():
        if group.state and not group.suppressed and (group.verdict != "unknown" or group.state == "unknown"):
            numbers[group.state] += number
    return numbers


def trend(reviewed: Reviewed) -> list[dict[str, Any]]:
    """Open failures by severity of each run, oldest first: the first run and the latest ones; empty for one run."""
    points = [*reviewed.details.earlier, reviewed.point()] if reviewed.details.earlier else []
    shown = points if len(points) <= _RUNS else [points[0], *points[1 - _RUNS :]]
    largest = max([1, *(sum(point.failures.values()) for point in shown)])
    return [{"point": point, "total": sum(point.failures.values()), "largest": largest} for point in shown]


def _open(reviewed: Reviewed, severity: str | None, verdict: str = "fail", *, rule: str | None = None) -> int:
    state = "new" if reviewed.details.new_only else None
    return reviewed.count(verdict, severity, state=state, rule=rule)
