"""Metrics of an export, from its manifest."""

from __future__ import annotations

from typing import Any, Final

from inventory.errors import Status
from inventory.telemetry.metric import Metric, gauge

_ANSWERED: Final = (Status.CONFIGURED, Status.NOT_CONFIGURED, Status.NOT_FOUND)


def metrics_of_run(manifest: dict[str, Any]) -> list[Metric]:
    """Returns the metrics of a finished run, over all its sessions; without URNs there is no coverage."""
    statuses, requests = manifest["counts"]["status"], manifest["requests"]
    urns = sum(statuses.values())
    metrics = [
        Metric(
            "inventory_export_urns",
            "Distinct URNs by status.",
            tuple(({"status": status.value}, statuses[status]) for status in Status),
        ),
        gauge("inventory_export_rejects", "Entries of the lists that are no URN.", manifest["input"]["rejects"]),
        gauge("inventory_export_calls", "Calls of the cloud.", requests["total"]),
        gauge("inventory_export_refused_calls", "Calls that were answered 429.", requests["throttled"]),
        gauge("inventory_export_retries", "Calls that repeated another.", requests["retries"]),
    ]
    if urns:
        coverage = sum(statuses[status] for status in _ANSWERED) / urns
        metrics.append(gauge("inventory_export_coverage_ratio", "Share of the URNs that were answered.", coverage))
    return metrics
