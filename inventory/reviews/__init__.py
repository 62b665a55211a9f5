"""Review rules and computed tables: lost events, costs, call chains, changes.

The functions take frames of a ``Snapshot``; they read no file and make no call. Unknown values are counted as unknown,
never as good or bad. ``notebook`` has charts and tables; it needs the extra ``notebooks`` and is loaded only when used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from inventory.display.formatting import duration, format_count, format_exact, format_number, format_share
from inventory.reviews.labels import cut, labels, short

if TYPE_CHECKING:
    from inventory.reviews.chains import Chains, trace_chains
    from inventory.reviews.costs import bill, obs_retention, stored_gigabytes, volumes
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

_MODULES: Final = {
    "inventory.reviews.chains": (
        "Chains",
        "trace_chains",
    ),
    "inventory.reviews.costs": (
        "bill",
        "obs_retention",
        "stored_gigabytes",
        "volumes",
    ),
    "inventory.reviews.outages": ("outage_losses",),
    "inventory.reviews.risks": (
        "ANSWERS",
        "QUESTIONS",
        "RISK_CHANGES",
        "RISKS",
        "VENDOR_DEFAULTS",
        "Risk",
        "answer_counts",
        "assess_risks",
        "blast_radius",
        "compare_risks",
    ),
    "inventory.reviews.targets": (
        "DANGLING",
        "GONE",
        "resolve_targets",
    ),
}
_OLD_NAMES: Final = {
    "SHIFTS": "RISK_CHANGES",
    "follow": "trace_chains",
    "judge": "assess_risks",
    "resolve": "resolve_targets",
    "shifts": "compare_risks",
}
_OLD_MODULES: Final = {"charts": "charts", "sheets": "tables"}
_MODULE_OF: Final = {name: module for module, names in _MODULES.items() for name in names}

if TYPE_CHECKING:
    from inventory.reviews.chains import trace_chains as follow
    from inventory.reviews.risks import RISK_CHANGES as SHIFTS
    from inventory.reviews.risks import assess_risks as judge
    from inventory.reviews.risks import compare_risks as shifts
    from inventory.reviews.targets import resolve_targets as resolve
else:  # pandas is loaded when a name needs it

    def __getattr__(name: str) -> object:
        current = _OLD_NAMES.get(name, name)
        if current in _MODULE_OF:
            value = getattr(import_module(_MODULE_OF[current]), current)
            globals()[name] = value
            return value
        if name in _OLD_MODULES:
            return import_module(f"{__name__}.notebook.{_OLD_MODULES[name]}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return [*globals(), *__all__]
