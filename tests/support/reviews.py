"""Builds reviews of which the findings are known, without a run: for tests of outputs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from hashlib import sha256

import pyarrow as pa

from inventory.reviews import findings as declared
from inventory.reviews.reviewed import Details, Reviewed
from inventory.reviews.rule import Rule
from inventory.reviews.suppressions import Suppressions
from inventory.settings import SEVERITIES, Suppression
from inventory.tables.batches import arrow_schema

PROJECT = "0123456789abcdef0123456789abcdef"
TAKEN = datetime(2026, 11, 20, 1, tzinfo=UTC)
TODAY = date(2026, 11, 28)


def urn(name):
    """Completes the name of a function to a canonical URN."""
    return f"urn:fss:cn-north-4:{PROJECT}:function:default:{name}:latest"


def rule(name="FGA101", severity="high", **fields):
    """Makes a rule."""
    return Rule(
        **{
            "id": name,
            "name": "a-rule",
            "title": "Failed events are lost",
            "area": "reliability",
            "severity": severity,
            "subject": "urn",
            "why": "The event is dropped.",
            "fix": "Set on_failure.",
            "source": "a page, read 2026-11-25",
            "sql": "SELECT 1",
            "origin": f"{name}.sql",
            **fields,
        }
    )


def finding(name="f", rule="FGA101", severity="high", verdict="fail", **cells):
    """Makes a row of the table ``findings``."""
    subject = name if ":" in name else urn(name)
    event = cells.get("event")
    row = dict.fromkeys(arrow_schema(declared.FINDINGS).names)
    row.update(
        finding_id=sha256("\n".join([rule, subject, event or ""]).encode()).hexdigest()[:16],
        rule=rule,
        severity=severity,
        area="reliability",
        verdict=verdict,
        subject=subject,
        region="cn-north-4",
        project_id=PROJECT,
        package="default",
        function_name=subject.split(":")[6] if subject.count(":") > 6 else name,
        qualifier="latest",
        evidence='{"retries":0}',
        why_unknown="not_answered" if verdict == "unknown" else None,
        suppressed=False,
        first_seen=TAKEN,
    )
    return {**row, **cells}


def table_of(rows):
    """Makes the table ``findings`` of rows."""
    schema = arrow_schema(declared.FINDINGS)
    return pa.Table.from_pylist(rows, schema=schema)


class FakeReview:
    """What :class:`Reviewed` uses of a review."""

    def __init__(self, rows, rules, rows_per_batch=1000, **tables):
        self.rules = {item.id: item for item in rules}
        self.taken = TAKEN
        self.cycles = pa.table({"certainty": pa.array([], pa.string())})
        self.manifest = {"counts": {"status": {"configured": len(rows)}}, "input": {"urns": len(rows)}}
        self._findings = rows if isinstance(rows, pa.Table) else table_of(rows)
        self._rows_per_batch = rows_per_batch
        self._tables = tables
        self.summary = self._summarize()

    def batches(self, table):
        if table == "findings":
            return iter(self._findings.to_batches(max_chunksize=self._rows_per_batch))
        return iter(self._tables[table].to_batches())

    def lines(self, subjects):
        return {subject: number for number, subject in enumerate(sorted(subjects), 2)}

    def _summarize(self):
        rows = []
        keys = list(zip(*(self._findings[name].to_pylist() for name in ("rule", "verdict")), strict=True))
        for item in self.rules.values():
            failed, unknown = (keys.count((item.id, verdict)) for verdict in ("fail", "unknown"))
            checked = 10 + failed
            rows.append(
                {
                    "rule": item.id,
                    "name": item.name,
                    "title": item.title,
                    "area": item.area,
                    "severity": item.severity,
                    "subjects": 12 + failed + unknown,
                    "pass": 10,
                    "fail": failed,
                    "unknown": unknown,
                    "not_applicable": 2,
                    "suppressed": 0,
                    "coverage": checked / (checked + unknown),
                    "unknown_reasons": f'{{"not_answered":{unknown}}}' if unknown else None,
                }
            )
        return pa.Table.from_pylist(rows, schema=arrow_schema(declared.REVIEW_SUMMARY))


def suppression(**fields):
    """Makes a suppression that has not expired."""
    return Suppression(**{"reason": "accepted", "until": date(2027, 1, 31), "by": "team", **fields})


def reviewed(rows, *rules, suppress=(), warnings=(), run="output/today", tables=None, **details):
    """Makes a review of rows; the rules are those of the rows, unless some are given."""
    if not rules:
        names = sorted(
            {(row["rule"], row["severity"]) for row in rows}, key=lambda key: (SEVERITIES.index(key[1]), key)
        )
        rules = [rule(name, severity) for name, severity in dict(names).items()]
    review = FakeReview(rows, rules, **(tables or {}))
    known = set(review.rules)
    return Reviewed(
        review,
        Suppressions(suppress, TODAY, known, known),
        Details(run, TODAY, **details),
        tuple(warnings),
    )
