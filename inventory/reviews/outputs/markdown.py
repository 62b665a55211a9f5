"""A review as Markdown that fits a pull request comment."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from inventory.display.formatting import format_count, format_share
from inventory.display.markdown import code_span, escape_markdown
from inventory.reviews.outputs.wording import describe, evidence_text, template_of
from inventory.reviews.reviewed import of_kind
from inventory.settings import SEVERITIES
from inventory.tables.arrow import to_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from inventory.reviews.reviewed import Reviewed
    from inventory.reviews.rule import Rule

MAX_CHARACTERS: Final = 65_000
"""A comment of a pull request has at most 65,536 characters."""
_RESERVED: Final = 600
"""Characters of the last lines."""
_LEAST_LINE: Final = 20
"""Characters of the shortest line of a finding."""
_MAX_NOTES: Final = 10
_MAX_NOTE: Final = 400
_LEAST_COVERED: Final = 10


def to_markdown(reviewed: Reviewed, shown: frozenset[str] = frozenset()) -> str:
    """Words a review, most severe findings first; says how many are left out.

    Args:
        reviewed: the review.
        shown: ``unknown``, ``pass`` and ``suppressed`` findings that are shown too.
    """
    body = _Body(reviewed, {"fail", *shown})
    for batch in reviewed.findings():
        body.add(batch)
    head = "\n".join([*_head(reviewed), ""])
    text, left = body.fitted(MAX_CHARACTERS - len(head) - _RESERVED)
    return "\n".join([head + text, *_tail(reviewed, left)])


class _Body:
    """Sections of rules, in the order of the findings."""

    def __init__(self, reviewed: Reviewed, kinds: set[str]) -> None:
        self._reviewed = reviewed
        self._kinds = sorted(kinds)
        self._sections: dict[tuple[str, str], list[str]] = {}
        self._characters = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds the rows of a batch that are shown, while they can fit."""
        if self._characters > MAX_CHARACTERS:
            return
        parts = [of_kind(batch, kind).slice(0, MAX_CHARACTERS // _LEAST_LINE) for kind in self._kinds]
        rows = [row for part in parts for row in to_objects(part) if row["state"] not in ("fixed", "gone")]
        rows.sort(key=lambda row: (SEVERITIES.index(row["severity"]), row["rule"]))
        for row in rows:
            section = row["severity"], row["rule"]
            if section not in self._sections:
                self._sections[section] = [self._head(row)]
                self._characters += len(self._sections[section][0])
            line = _line(row)
            self._sections[section].append(line)
            self._characters += len(line) + 1

    def _head(self, row: dict[str, Any]) -> str:
        return _heading(row, self._reviewed.rules[row["rule"]], self._reviewed.details.run)

    def fitted(self, room: int) -> tuple[str, Counter[str]]:
        """The text of the rows that fit, and the number of the other ones by severity."""
        left: Counter[str] = Counter({severity: self._total(severity) for severity in SEVERITIES})
        parts: list[str] = []
        for (severity, _), (heading, *lines) in self._sections.items():
            first, *others = lines
            opening = f"\n{heading}\n{first}\n"
            if len(opening) > room:
                break
            room -= len(opening)
            parts.append(opening)
            left[severity] -= 1
            for line in others:
                if len(line) + 1 > room:
                    return "".join(parts), left
                room -= len(line) + 1
                parts.append(f"{line}\n")
                left[severity] -= 1
        return "".join(parts), left

    def _total(self, severity: str) -> int:
        state = "new" if self._reviewed.details.new_only else None
        shown = [kind for kind in self._kinds if kind != "suppressed"]
        total = sum(self._reviewed.count(kind, severity, state=state) for kind in shown)
        if "suppressed" in self._kinds:
            verdicts = ("fail", "unknown")
            total += sum(self._reviewed.count(name, severity, suppressed=True, state=state) for name in verdicts)
        return total


def _head(reviewed: Reviewed) -> Iterator[str]:
    details, coverage = reviewed.details, reviewed.coverage
    state = "new" if details.new_only else None
    yield f"### Review of {code_span(details.run)}"
    yield ""
    share = "nothing to check" if coverage is None else f"coverage {format_share(coverage)}"
    yield (
        f"{format_count(reviewed.urns, 'URN')}, finished {reviewed.taken:%Y-%m-%d %H:%M} UTC; "
        f"{format_count(len(reviewed.rules), 'rule')}, {share}"
    )
    notes = [f"Assumed: {text}" for text in details.assumptions] + list(reviewed.warnings)
    yield from (f"- **Note:** {escape_markdown(text[:_MAX_NOTE])}" for text in notes[:_MAX_NOTES])
    yield ""
    yield f"| severity | {'new ' if details.new_only else ''}fail | not checked | suppressed |"
    yield "|---|--:|--:|--:|"
    for severity in SEVERITIES:
        hidden = sum(reviewed.count(verdict, severity, suppressed=True) for verdict in ("fail", "unknown"))
        failed, unknown = reviewed.count("fail", severity, state=state), reviewed.count("unknown", severity)
        yield f"| {severity} | {failed:,} | {unknown:,} | {hidden:,} |"
    yield from _gaps(reviewed)


def _gaps(reviewed: Reviewed) -> Iterator[str]:
    """What was not checked, so that no one takes it for a pass."""
    reasons = reviewed.unknown_reasons()
    if not reasons:
        return
    rows = [row for row in reviewed.summary.select(["rule", "unknown", "coverage"]).to_pylist() if row["unknown"]]
    rows.sort(key=lambda row: (row["coverage"], row["rule"]))
    yield ""
    yield "**Not checked:** " + ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
    yield ""
    names = ", ".join(f"{row['rule']} {format_share(row['coverage'])}" for row in rows[:_LEAST_COVERED])
    rest = f", and {len(rows) - _LEAST_COVERED} more" if len(rows) > _LEAST_COVERED else ""
    yield f"Rules with gaps, by coverage: {escape_markdown(names)}{rest}"


def _heading(row: dict[str, Any], rule: Rule, run: str) -> str:
    words = describe(row, rule, run)
    block, language = words.block
    lines = [
        f"#### {row['severity']} {escape_markdown(rule.id)}: {escape_markdown(rule.title)}",
        "",
        f"Why: {escape_markdown(rule.why)}",
        "",
        f"Do: {escape_markdown(words.fix)}",
        "",
    ]
    if rule.assumes:
        lines += [f"Assumes: {escape_markdown(rule.assumes)}", ""]
    if block != template_of(rule).text:
        lines += ["With the names of the first finding:", ""]
    return "\n".join([*lines, *([] if "```" in block else [f"```{language}", block, "```", ""])])


def _line(row: dict[str, Any]) -> str:
    parts = [f"- {code_span(row['subject'])}"]
    if row["event"]:
        parts.append(code_span(row["event"]))
    if row["target"]:
        parts.append(f"to {code_span(row['target'])}")
    if evidence := evidence_text(row):
        parts.append(code_span(evidence))
    if row["verdict"] == "pass":
        parts.append("pass")
    if row["state"]:
        parts.append(row["state"])
    if row["suppressed"]:
        reason = f"{row['suppression_reason']} ({row['suppressed_by']}, until {row['suppressed_until']})"
        parts.append(f"suppressed: {code_span(reason)}")
    return " ".join(parts)


def _tail(reviewed: Reviewed, left: Counter[str]) -> Iterator[str]:
    numbers = ", ".join(f"{left[severity]:,} {severity}" for severity in SEVERITIES if left[severity])
    if numbers:
        yield f"**Left out:** {numbers}. All findings: `inventory review ... --format csv --output findings.csv`"
    elif not reviewed.count("fail", state="new" if reviewed.details.new_only else None):
        yield "No finding that is not suppressed."
