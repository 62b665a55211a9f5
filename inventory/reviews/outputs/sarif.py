"""A review as SARIF 2.1.0, within the limits of GitHub code scanning."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from inventory.display.formatting import format_count
from inventory.printable import printable, printable_json
from inventory.reviews.outputs.wording import evidence_text, template_of
from inventory.settings import SEVERITIES
from inventory.tables.arrow import to_array, to_objects
from inventory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inventory.reviews.reviewed import Reviewed
    from inventory.reviews.rule import Rule

MAX_RESULTS: Final = 25_000
"""GitHub refuses a file with more. Source: GitHub docs, SARIF support for code scanning, read 2026-11-28."""
_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
_STATES: Final = {"new": "new", "unchanged": "unchanged", "changed": "updated", "unknown": "unchanged"}
_RANKS: Final = {"critical": 95.0, "high": 80.0, "medium": 50.0, "low": 25.0, "info": 5.0}
_MAX_NOTE: Final = 1000


def write_sarif(reviewed: Reviewed, sink: IO[bytes], shown: frozenset[str] = frozenset()) -> None:
    """Writes the failures, most severe first, as one SARIF log.

    Args:
        reviewed: the review.
        sink: where to.
        shown: with ``unknown``, findings that were not checked are results of kind ``open``; suppressed ones always are
            results, with their suppression.
    """
    kinds = {"fail", *shown} & {"fail", "unknown"}
    kept: list[dict[str, Any]] = []
    for batch in reviewed.findings():
        if len(kept) < MAX_RESULTS:
            rows = batch.filter(pc.is_in(batch.column("verdict"), to_array(sorted(kinds), pa.string())))
            kept += to_objects(rows.slice(0, MAX_RESULTS - len(kept)))
    total = sum(
        reviewed.count(kind, suppressed=None, state="new" if reviewed.details.new_only else None) for kind in kinds
    )
    lines = reviewed.lines(list({row["subject"] for row in kept}))
    numbers = {name: index for index, name in enumerate(reviewed.rules)}
    document = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(reviewed)},
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": list(_notes(reviewed, total - len(kept))),
                    }
                ],
                "columnKind": "unicodeCodePoints",
                "results": [_result(row, reviewed.rules[row["rule"]], numbers, lines) for row in kept],
                "properties": {
                    "finished": reviewed.taken.isoformat().replace("+00:00", "Z"),
                    "coverage": reviewed.coverage,
                    "leftOut": total - len(kept),
                },
            }
        ],
    }
    sink.write(printable_json(json.dumps(document, ensure_ascii=False)).encode())
    sink.write(b"\n")


def _driver(reviewed: Reviewed) -> dict[str, Any]:
    return {
        "name": "functiongraph-inventory",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_descriptor(rule) for rule in reviewed.rules.values()],
    }


def _descriptor(rule: Rule) -> dict[str, Any]:
    why, fix = _plain(rule.why), _plain(rule.fix)
    block, language = template_of(rule)
    fenced = [] if "```" in block else [f"```{language}\n{block}\n```"]
    return {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.name.split("-")),
        "shortDescription": {"text": _plain(rule.title)},
        "fullDescription": {"text": _plain(rule.why)},
        "help": {"text": f"{fix}\n\n{block}", "markdown": "\n\n".join([why, fix, *fenced])},
        "defaultConfiguration": {"level": _LEVELS[rule.severity], "rank": _RANKS[rule.severity]},
        "properties": {
            "tags": [rule.area],
            "severity": rule.severity,
            "assumes": rule.assumes,
            "source": rule.source,
        },
    }


def _notes(reviewed: Reviewed, left_out: int) -> Iterator[dict[str, Any]]:
    """Notifications: what is left out or was not checked, assumptions and warnings."""
    if left_out:
        yield _note(f"{format_count(left_out, 'less severe result')} left out: a file has at most {MAX_RESULTS:,}")
    reasons = reviewed.unknown_reasons()
    if reasons:
        counts = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        yield _note(f"{sum(reasons.values()):,} verdicts are unknown, not passed: {counts}")
    yield from (_note(f"assumed: {text}") for text in reviewed.details.assumptions)
    yield from (_note(text) for text in reviewed.warnings)


def _note(text: str) -> dict[str, Any]:
    return {"level": "warning", "message": {"text": _plain(printable(text, _MAX_NOTE))}}


def _result(row: dict[str, Any], rule: Rule, numbers: dict[str, int], lines: dict[str, int]) -> dict[str, Any]:
    """One result; its fingerprint does not depend on the line, which changes when functions are added."""
    subject = printable(row["subject"])
    failed = row["verdict"] == "fail"
    about = f"{printable(rule.title)}: {subject}"
    evidence = evidence_text(row)
    result: dict[str, Any] = {
        "ruleId": rule.id,
        "ruleIndex": numbers[rule.id],
        "kind": "fail" if failed else "open",
        "level": _LEVELS[row["severity"]] if failed else "none",
        "rank": _RANKS[row["severity"]],
        "message": {"text": _plain(f"{about} ({evidence})" if evidence else about)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "functions.csv"},
                    "region": {"startLine": lines.get(row["subject"], 1)},
                },
                "logicalLocations": [
                    {
                        "name": printable(row["function_name"] or row["subject"]),
                        "fullyQualifiedName": subject,
                        "kind": "function",
                    }
                ],
            }
        ],
        "partialFingerprints": {
            "findingId/v1": row["finding_id"],
            "primaryLocationLineHash": f"{row['finding_id']}:1",
        },
        "suppressions": _suppressions(row),
        "properties": _properties(row),
    }
    if row["state"] in _STATES:
        result["baselineState"] = _STATES[row["state"]]
    return result


def _suppressions(row: dict[str, Any]) -> list[dict[str, Any]]:
    if not row["suppressed"]:
        return []
    by, until = row["suppressed_by"], row["suppressed_until"]
    return [
        {
            "kind": "external",
            "status": "accepted",
            "justification": printable(row["suppression_reason"]),
            "properties": {"by": printable(by), "until": until},
        }
    ]


def _properties(row: dict[str, Any]) -> dict[str, Any]:
    names = ("severity", "area", "event", "target", "why_unknown", "assumes", "state")
    properties = {name: printable(row[name]) for name in names if row[name]}
    if row["evidence"]:
        properties["evidence"] = json.loads(row["evidence"])
    return properties


def _plain(text: str) -> str:
    """Text for a SARIF message, in which braces are placeholders and brackets are links."""
    for mark, escaped in (("\\", "\\\\"), ("[", "\\["), ("]", "\\]"), ("{", "{{"), ("}", "}}")):
        text = text.replace(mark, escaped)
    return text


assert set(_LEVELS) == set(_RANKS) == set(SEVERITIES)  # noqa: S101 - each severity has a level
