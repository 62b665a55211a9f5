"""Metrics of a review: findings by severity, coverage by rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inventory.settings import SEVERITIES
from inventory.telemetry.metric import Metric, gauge

if TYPE_CHECKING:
    from inventory.reviews.reviewed import Reviewed


def metrics_of_review(reviewed: Reviewed) -> list[Metric]:
    """Returns the metrics of a review; a rule that applies to nothing has no coverage."""
    summary = reviewed.summary.select(["rule", "coverage"]).to_pylist()
    metrics = [
        Metric(
            "inventory_review_findings",
            "Findings that fail, by severity.",
            tuple(
                ({"severity": severity, "suppressed": str(is_suppressed).lower()}, count)
                for severity in SEVERITIES
                for is_suppressed in (False, True)
                for count in [reviewed.count("fail", severity, suppressed=is_suppressed)]
            ),
        ),
        Metric(
            "inventory_review_unknown",
            "Verdicts that could not be given, by severity.",
            tuple(
                ({"severity": severity}, reviewed.count("unknown", severity, suppressed=None))
                for severity in SEVERITIES
            ),
        ),
        Metric(
            "inventory_review_rule_coverage_ratio",
            "Share of the verdicts that are known, by rule.",
            tuple(({"rule": row["rule"]}, row["coverage"]) for row in summary if row["coverage"] is not None),
        ),
        gauge("inventory_review_snapshot_timestamp_seconds", "End of the reviewed run.", reviewed.taken.timestamp()),
    ]
    if reviewed.coverage is not None:
        text = "Share of the verdicts that are known, of all rules."
        metrics.append(gauge("inventory_review_coverage_ratio", text, reviewed.coverage))
    return metrics
