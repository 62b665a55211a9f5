"""A review as text for a terminal."""

from __future__ import annotations

import shlex
import textwrap
from typing import TYPE_CHECKING, Any, Final

from inventory.display.formatting import format_count, format_share
from inventory.printable import printable
from inventory.reviews.outputs.wording import describe, explain_command
from inventory.reviews.reviewed import first_of_each_rule, most_severe, of_kind
from inventory.settings import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inventory.reviews.reviewed import Reviewed

    Paint = Callable[[str, str], str]

_SHOWN: Final = 10
_COLORS: Final = {"critical": "magenta", "high": "red", "medium": "yellow", "low": "cyan", "info": "blue"}
_KINDS: Final = {
    "fail": "finding",
    "unknown": "subject that was not checked",
    "pass": "pass",
    "suppressed": "suppressed finding",
}
_PLURALS: Final = {"unknown": "subjects that were not checked", "pass": "passes"}
_LEAST_COVERED: Final = 5


def to_text(reviewed: Reviewed, width: int, shown: frozenset[str] = frozenset(), paint: Paint | None = None) -> str:
    """Words a review: counts, coverage, the ten most severe findings, and how to see more.

    Of equally severe findings, those of different rules come first.

    Args:
        reviewed: the review.
        width: columns of the terminal; URNs and blocks are never broken.
        shown: ``unknown``, ``pass`` and ``suppressed`` findings that are shown too, ten of each.
        paint: gives a text a colour.
    """
    samples = _samples(reviewed, {"fail", *shown})
    lines = [*_head(reviewed), "", *_counts(reviewed), "", *_coverage(reviewed)]
    for kind, rows in samples.items():
        total = _total(reviewed, kind)
        name = format_count(total, _KINDS[kind], _PLURALS.get(kind, ""))
        if rows:
            lines += ["", f"The {len(rows)} most severe of {name}:" if total > len(rows) else f"{name}:"]
        for number, row in enumerate(rows, 1):
            lines += ["", *_finding(number, row, reviewed, width, paint or _plain)]
    return "\n".join([*lines, "", *_more(reviewed, samples)])


def _plain(text: str, _color: str) -> str:
    return text


def _samples(reviewed: Reviewed, kinds: set[str]) -> dict[str, list[dict[str, Any]]]:
    """The rows that are shown of each kind; reads all findings, so that they are counted."""
    samples: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _KINDS if kind in kinds}
    for batch in reviewed.findings():
        for kind, rows in samples.items():
            rows.extend(first_of_each_rule(of_kind(batch, kind), _SHOWN))
    return {kind: most_severe(rows, _SHOWN) for kind, rows in samples.items()}


def _total(reviewed: Reviewed, kind: str) -> int:
    state = "new" if reviewed.details.new_only else None
    if kind == "suppressed":
        return sum(reviewed.count(verdict, suppressed=True, state=state) for verdict in ("fail", "unknown"))
    return reviewed.count(kind, state=state)


def _head(reviewed: Reviewed) -> Iterator[str]:
    details = reviewed.details
    yield printable(
        f"Review of {details.run}, finished {reviewed.taken:%Y-%m-%d %H:%M} UTC: "
        f"{format_count(reviewed.urns, 'URN')}, {format_count(len(reviewed.rules), 'rule')}"
    )
    yield from (printable(f"Assumed: {text}") for text in details.assumptions)
    if details.new_only:
        yield "Only findings that the baseline does not have are shown."


def _counts(reviewed: Reviewed) -> list[str]:
    columns = {"fail": ("fail", False), "not checked": ("unknown", False), "suppressed": (None, True)}
    head = f"  {'severity':<10}" + "".join(f"{name:>13}" for name in columns)
    states = [state for state in ("new", "changed", "fixed", "gone") if reviewed.details.has_baseline]
    lines = [head + "".join(f"{state:>9}" for state in states)]
    for severity in SEVERITIES:
        cells = [
            reviewed.count("fail", severity),
            reviewed.count("unknown", severity),
            sum(reviewed.count(verdict, severity, suppressed=True) for verdict in ("fail", "unknown")),
        ]
        line = f"  {severity:<10}" + "".join(f"{cell:>13,}" for cell in cells)
        lines.append(line + "".join(f"{_in_state(reviewed, severity, state):>9,}" for state in states))
    return lines


def _in_state(reviewed: Reviewed, severity: str, state: str) -> int:
    verdict = "fail" if state in ("new", "changed") else None
    return sum(
        number
        for group, number in reviewed.counts.items()
        if group.severity == severity and group.state == state and not group.suppressed
        if verdict in (None, group.verdict)
    )


def _coverage(reviewed: Reviewed) -> Iterator[str]:
    """What was checked, and why the rest was not."""
    coverage = reviewed.coverage
    table = reviewed.summary.select(["rule", "coverage", "unknown", "pass", "fail", "not_applicable"]).to_pylist()
    passed, failed, unknown, skipped = (
        sum(row[name] for row in table) for name in ("pass", "fail", "unknown", "not_applicable")
    )
    share = "Nothing to check" if coverage is None else f"Coverage {format_share(coverage)}"
    yield f"{share}: {passed:,} pass, {failed:,} fail, {unknown:,} not checked, {skipped:,} not applicable"
    if not unknown:
        return
    reasons = reviewed.unknown_reasons().most_common()
    yield "Not checked because: " + ", ".join(f"{reason} {count:,}" for reason, count in reasons)
    least = sorted((row for row in table if row["unknown"]), key=lambda row: (row["coverage"], row["rule"]))
    names = ", ".join(f"{row['rule']} {format_share(row['coverage'])}" for row in least[:_LEAST_COVERED])
    rest = f", and {len(least) - _LEAST_COVERED} more" if len(least) > _LEAST_COVERED else ""
    yield f"Rules with gaps: {names}{rest}"


def _finding(number: int, row: dict[str, Any], reviewed: Reviewed, width: int, paint: Paint) -> Iterator[str]:
    words = describe(row, reviewed.rules[row["rule"]], reviewed.details.run)
    state = f", {row['state']}" if row["state"] else ""
    label = paint(f"{row['severity']} {row['rule']}", _COLORS[row["severity"]])
    yield f"{number:>2}. {label} {words.title} ({row['finding_id']}{state}{_others(row, reviewed)})"
    yield f"    {words.place}"
    if words.evidence:
        yield from _wrap("with", words.evidence, width)
    if row["suppressed"]:
        note = f"until {row['suppressed_until']}, by {row['suppressed_by']}: {row['suppression_reason']}"
        yield from _wrap("suppressed", printable(note), width)
    yield from _wrap("why", words.why, width)
    if row["assumes"]:
        yield from _wrap("assumes", printable(row["assumes"]), width)
    yield from _wrap("do", words.fix, width)
    yield from (f"      {line}" for line in words.block.text.splitlines())


def _others(row: dict[str, Any], reviewed: Reviewed) -> str:
    """How many findings the rule has in all, if it has more than one."""
    state = "new" if reviewed.details.new_only else None
    total = reviewed.count(row["verdict"], row["severity"], suppressed=row["suppressed"], state=state, rule=row["rule"])
    return f", one of {total:,}" if total > 1 else ""


def _wrap(label: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        f"{label}: {text}",
        max(width, 40),
        initial_indent="    ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _more(reviewed: Reviewed, samples: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    run = printable(shlex.quote(reviewed.details.run))
    command = f"inventory review {run}"
    failed, unknown = _total(reviewed, "fail"), _total(reviewed, "unknown")
    yield "See more:"
    if failed > len(samples["fail"]):
        yield f"  all findings as a table:  {command} --format csv --output findings.csv"
    if unknown and "unknown" not in samples:
        yield f"  what was not checked:     {command} --show unknown"
    if _total(reviewed, "suppressed") and "suppressed" not in samples:
        yield f"  suppressed findings:      {command} --show suppressed"
    yield f"  counts of each rule:      {command} --format csv --table summary"
    first = reviewed.rules[samples["fail"][0]["rule"]] if samples["fail"] else None
    yield f"  a rule and its source:    {explain_command(first) if first else 'inventory rules'}"
