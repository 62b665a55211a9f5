"""Reviews of the tables of a run: who loses events, what costs money, what changed.

Owns the questions and how an answer counts. Reads frames that a ``Snapshot`` gives; never a file, never the network.
What is not known stays so: it is counted beside, never as good or as bad. ``charts`` and ``sheets`` show the answers in
a notebook; they need its extra, and nothing here loads them.
"""

from __future__ import annotations

from inventory.reviews.chains import Chains, follow
from inventory.reviews.costs import bill, obs_retention, stored_gigabytes, volumes
from inventory.reviews.defaults import VENDOR_DEFAULTS
from inventory.reviews.labels import cut, labels, short
from inventory.reviews.losses import ANSWERS, QUESTIONS, answer_counts, blast_radius, judge
from inventory.reviews.outages import outage_losses
from inventory.reviews.shifts import SHIFTS, shifts
from inventory.reviews.targets import DANGLING, resolve

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
