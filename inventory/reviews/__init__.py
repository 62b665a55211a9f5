"""Review rules and computed tables: lost events, costs, call chains, changes.

The functions take frames of a ``Snapshot``; they read no file and make no call. Unknown values are counted as unknown,
never as good or bad. ``notebook`` has charts and tables; it needs the extra ``notebooks`` and is loaded only when used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from inventory.display.formatting import duration, format_count, format_exact, format_number, format_share
from inventory.reviews.chains import Chains, trace_chains
from inventory.reviews.costs import bill, obs_retention, stored_gigabytes, volumes
from inventory.reviews.labels import cut, labels, short
from inventory.reviews.outages import outage_losses
from inventory.reviews.risks import (
    ANSWERS,
    QUESTIONS,
    RISK_CHANGES,
    RISKS,
    VENDOR_DEFAULTS,
    Risk,
    answer_counts,
    assess_risks,
    blast_radius,
    compare_risks,
)
from inventory.reviews.targets import DANGLING, GONE, resolve_targets

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "ANSWERS",
    "DANGLING",
    "GONE",
    "QUESTIONS",
    "RISKS",
    "RISK_CHANGES",
    "SHIFTS",
    "VENDOR_DEFAULTS",
    "Chains",
    "Risk",
    "answer_counts",
    "assess_risks",
    "bill",
    "blast_radius",
    "compare_risks",
    "cut",
    "duration",
    "follow",
    "format_count",
    "format_exact",
    "format_number",
    "format_share",
    "judge",
    "labels",
    "obs_retention",
    "outage_losses",
    "resolve",
    "resolve_targets",
    "shifts",
    "short",
    "stored_gigabytes",
    "trace_chains",
    "volumes",
]

# Old names.
SHIFTS = RISK_CHANGES
follow = trace_chains
judge = assess_risks
resolve = resolve_targets
shifts = compare_risks
_OLD_MODULES: Final = {"charts": "charts", "sheets": "tables"}


if not TYPE_CHECKING:  # a type checker would accept every name

    def __getattr__(name: str) -> ModuleType:
        if name in _OLD_MODULES:
            return import_module(f"{__name__}.notebook.{_OLD_MODULES[name]}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
