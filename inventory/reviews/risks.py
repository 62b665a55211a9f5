"""Who loses events: four questions to each URN, and how the answers add up by package and project.

Owns the questions, and what counts as yes, as no, and as neither. Knows no traffic: a URN is a URN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from inventory.reviews import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

QUESTIONS: Final = {
    "no_failure_destination": "on_failure_destination is null: nobody is told of a failure",
    "short_age": "max_async_event_age_in_seconds is below the bar",
    "no_retries": "max_async_retry_attempts is 0",
    "no_status_log": "enable_async_status_log is false",
}
"""Each question, and the cell that says yes."""

ANSWERS: Final = ("yes", "no", "not_configured", "unknown")
"""``yes`` and ``no`` are the cloud's own words about a configured URN. ``not_configured``: the service's defaults hold.
``unknown``: the URN is ``failed`` or ``not_attempted``, or its configuration does not say."""

_IDENTITY: Final = ("function_urn", "region", "project_id", "package", "function_name", "qualifier", "status")


def judge(functions: pd.DataFrame, short_age_s: float) -> pd.DataFrame:
    """Puts the four questions to each URN.

    Args:
        functions: the table ``functions``.
        short_age_s: an event that may wait less than this is short-lived. The reader's bar; the vendor has none.

    Returns:
        What names the URN, a column of ``ANSWERS`` for each of ``QUESTIONS``, and ``gaps``, how many are ``yes``.

    Shape:
        A row a URN, in the table's order, without those that are ``not_found``: what is not there loses nothing.

    Units:
        ``short_age_s``: seconds.

    Source:
        ``functions`` of a run; no cell is guessed where the answer said nothing.
    """
    there = functions[~columns.one_of(functions, "status", ["not_found"])]
    judged = columns.plain(there, _IDENTITY)
    configured = columns.one_of(there, "status", ["configured"])
    unset = columns.one_of(there, "status", ["not_configured"])
    age, retries = (
        columns.numbers(there, name) for name in ("max_async_event_age_in_seconds", "max_async_retry_attempts")
    )
    logged, unsaid = (
        columns.is_true(there, "enable_async_status_log"),
        columns.is_null(there, "enable_async_status_log"),
    )
    said_yes = {
        "no_failure_destination": (columns.is_null(there, "on_failure_destination"), np.ones(len(there), dtype=bool)),
        "short_age": (age < short_age_s, ~np.isnan(age)),
        "no_retries": (retries == 0, ~np.isnan(retries)),
        "no_status_log": (~logged, ~unsaid),
    }
    answers = pd.CategoricalDtype(list(ANSWERS), ordered=True)
    for question, (is_yes, is_said) in said_yes.items():
        known = configured & is_said
        codes = np.select([known & is_yes, known, unset], [0, 1, 2], default=3)
        judged[question] = pd.Categorical.from_codes(codes.tolist(), dtype=answers)
    judged["gaps"] = sum((judged[question] == "yes").astype(int) for question in QUESTIONS)
    return judged


def answer_counts(judged: pd.DataFrame) -> pd.DataFrame:
    """How many URNs gave which answer.

    Args:
        judged: of :func:`judge`.

    Shape:
        A row a question, a column an answer, in the order of ``QUESTIONS`` and ``ANSWERS``.

    Units:
        URNs.
    """
    counts = {question: judged[question].value_counts().reindex(ANSWERS, fill_value=0) for question in QUESTIONS}
    return pd.DataFrame(counts, index=list(ANSWERS)).T.astype(int)


def blast_radius(judged: pd.DataFrame, question: str, by: Sequence[str]) -> pd.DataFrame:
    """One question, by package, project or whatever names a group.

    Args:
        judged: of :func:`judge`.
        question: one of ``QUESTIONS``.
        by: columns of ``judged``.

    Returns:
        Counts of the answers, ``urns`` (their sum), ``functions`` (how many distinct ones these are versions and
        aliases of), and two shares: ``at_least``, the ``yes``, as if whatever we do not know were fine; and
        ``at_most``, all but the ``no``, as if none of it were.

    Shape:
        A row a group, the most ``yes`` first, then by name.

    Units:
        URNs; shares from 0 to 1.
    """
    groups = list(by)
    answers = pd.DataFrame({answer: (judged[question] == answer).astype(int) for answer in ANSWERS})
    counts = answers.groupby([judged[name] for name in groups]).sum()
    counts["urns"] = counts.sum(axis=1)
    names = list(dict.fromkeys([*groups, "region", "project_id", "package", "function_name"]))
    counts["functions"] = judged[names].drop_duplicates().groupby(groups, observed=True).size()
    counts["at_least"] = counts["yes"] / counts["urns"]
    counts["at_most"] = 1 - counts["no"] / counts["urns"]
    return counts.sort_index().sort_values("yes", ascending=False, kind="stable")
