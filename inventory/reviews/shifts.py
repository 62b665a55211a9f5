"""Whether what loses events became more or fewer between two runs: the same questions, put to both.

Owns what is better and what is worse. What differs field by field is told by ``inventory.diff``.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from inventory.reviews.risks import QUESTIONS

SHIFTS: Final = ("worse", "better", "still_yes", "still_no", "not_comparable")
"""``worse``: no in OLD, yes in NEW. ``better``: the other way. ``not_comparable``: one of the runs has neither."""


def shifts(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Compares the answers of the URNs that either run has.

    Args:
        old: of :func:`inventory.reviews.risks.judge`, for OLD.
        new: the same for NEW, by the same bar.

    Returns:
        How many URNs moved which way.

    Shape:
        A row a question, a column for each of ``SHIFTS``; each row adds up to the URNs of both runs together.

    Units:
        URNs.
    """
    both = old[["function_urn", *QUESTIONS]].merge(
        new[["function_urn", *QUESTIONS]], on="function_urn", how="outer", suffixes=("_old", "_new")
    )
    rows = {}
    for question in QUESTIONS:
        before, after = both[f"{question}_old"], both[f"{question}_new"]
        counts = [
            int(((before == one) & (after == other)).sum())
            for one, other in (("no", "yes"), ("yes", "no"), ("yes", "yes"), ("no", "no"))
        ]
        rows[question] = [*counts, len(both) - sum(counts)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(SHIFTS))
