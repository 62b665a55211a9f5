"""Reviews of the tables of a run: who loses events, what costs money, what changed.

Owns the questions and how an answer counts. Reads frames that a ``Snapshot`` gives; never a file, never the network.
What is not known stays so: it is counted beside, never as good or as bad. ``charts`` and ``sheets`` show the answers in
a notebook; they need its extra, and nothing here loads them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from inventory.reviews.chains import Chains, follow
from inventory.reviews.costs import bill, obs_retention, stored_gigabytes, volumes
from inventory.reviews.defaults import VENDOR_DEFAULTS
from inventory.reviews.labels import cut, labels, short
from inventory.reviews.outages import outage_losses
from inventory.reviews.risks import ANSWERS, QUESTIONS, answer_counts, blast_radius, judge
from inventory.reviews.shifts import SHIFTS, shifts
from inventory.reviews.targets import DANGLING, resolve

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "ANSWERS",
    "DANGLING",
    "QUESTIONS",
    "SHIFTS",
    "VENDOR_DEFAULTS",
    "Chains",
    "answer_counts",
    "bill",
    "blast_radius",
    "cut",
    "follow",
    "judge",
    "labels",
    "obs_retention",
    "outage_losses",
    "resolve",
    "shifts",
    "short",
    "stored_gigabytes",
    "volumes",
]

_NOTEBOOK_MODULES: Final = {"charts": "charts", "sheets": "tables"}
"""Old names of the modules of ``notebook``, which load matplotlib and IPython."""


if not TYPE_CHECKING:  # a type checker would accept every name

    def __getattr__(name: str) -> ModuleType:
        if name in _NOTEBOOK_MODULES:
            return import_module(f"{__name__}.notebook.{_NOTEBOOK_MODULES[name]}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
