"""Rules that find configurations which lose events, and their answers per URN."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import pandas as pd

from inventory.reviews.frames import database_of, rule_query, select

if TYPE_CHECKING:
    from collections.abc import Sequence

_DESTINATION: Final = "on_failure_destination"
_AGE: Final = "max_async_event_age_in_seconds"
_RETRIES: Final = "max_async_retry_attempts"
_STATUS_LOG: Final = "enable_async_status_log"


class Risk(NamedTuple):
    """A yes/no question about each configured URN.

    Attributes:
        name: its column in the result of :func:`assess_risks`.
        question: the condition for ``yes``.
        rule: id of the rule that answers it; empty: ``query`` does.
        query: returns ``id`` and ``fails`` of each subject.
    """

    name: str
    question: str
    rule: str = ""
    query: str = ""


RISKS: Final = (
    Risk("no_failure_destination", f"{_DESTINATION} is null: failed events are not reported", "FGA101"),
    Risk("short_age", f"{_AGE} is below the threshold", "FGA106"),
    Risk("no_retries", f"{_RETRIES} is 0", "FGA104"),
    Risk("no_status_log", f"{_STATUS_LOG} is false", query="SELECT id, NOT status_log AS fails FROM subjects"),
)
"""Counts, groups and comparisons follow from this tuple."""

QUESTIONS: Final = {risk.name: risk.question for risk in RISKS}

ANSWERS: Final = ("yes", "no", "not_configured", "unknown")
"""``unknown``: the URN is ``failed`` or ``not_attempted``, or its configuration lacks the value."""

RISK_CHANGES: Final = ("worse", "better", "still_yes", "still_no", "not_comparable")
"""``worse``: no in the old run, yes in the new one. ``not_comparable``: one of the runs has neither yes nor no."""

_IDENTITY: Final = ("function_urn", "region", "project_id", "package", "function_name", "qualifier", "status")


_ROWS: Final = "SELECT row_number FROM subjects ORDER BY row_number"
_ANSWERS: Final = """
SELECT CASE
    WHEN status = 'not_configured' THEN 'not_configured'
    WHEN NOT is_known OR fails IS NULL THEN 'unknown'
    WHEN fails THEN 'yes'
    ELSE 'no'
END AS answer
FROM subjects JOIN ({query}) AS answers USING (id) ORDER BY row_number
"""


class VendorDefault(NamedTuple):
    """A default as one page of the vendor documents it."""

    column: str
    vendor_says: str
    page: str


VENDOR_DEFAULTS: Final = (
    VendorDefault(_RETRIES, "no retry after an error of the code", "user guide, asynchronous notification"),
    VendorDefault(_RETRIES, "1 (range 0 to 3)", "user guide, table of the console's fields"),
    VendorDefault(_RETRIES, "3 (range 0 to 8)", "API reference of the GET"),
    VendorDefault(_AGE, "3600 (range 1 to 86400)", "API reference of the PUT"),
    VendorDefault(_STATUS_LOG, "no default documented", "API reference"),
    VendorDefault(
        _DESTINATION, "none: failures are not reported unless one is set", "user guide, asynchronous notification"
    ),
)
"""Contradictory, so ``not_configured`` is an answer of its own. Not tested on the live service.

Source: api-facts.md section 2; user guide functiongraph_01_0390_03, read 2026-11-25.
"""


def assess_risks(functions: pd.DataFrame, short_age_s: float) -> pd.DataFrame:
    """Answers every risk for each URN.

    Args:
        functions: the table ``functions``.
        short_age_s: threshold of the event age.

    Returns:
        Identity columns, one column for each of ``RISKS``, and ``gaps``, the number of ``yes``.

    Shape:
        One row per URN in the table's order, without ``not_found`` ones; of ``f`` and ``f:latest``, the answered one.

    Units:
        ``short_age_s``: seconds.
    """
    with database_of(functions) as connection:
        rows = select(connection, _ROWS)
        assessment = functions.iloc[rows["row_number"].to_numpy() - 1][list(_IDENTITY)].reset_index(drop=True)
        assessment = assessment.astype(object).where(assessment.notna(), None)
        answers = pd.CategoricalDtype(list(ANSWERS), ordered=True)
        for risk in RISKS:
            query = _ANSWERS.format(query=rule_query(risk.rule) if risk.rule else risk.query)
            threshold = -math.inf if math.isnan(short_age_s) else float(short_age_s)
            values = {"short_age_s": threshold} if "$short_age_s" in query else None
            assessment[risk.name] = select(connection, query, values)["answer"].astype(answers)
    assessment["gaps"] = sum((assessment[risk.name] == "yes").astype(int) for risk in RISKS)
    return assessment


def answer_counts(assessment: pd.DataFrame) -> pd.DataFrame:
    """Counts the answers in the result of :func:`assess_risks`.

    Shape:
        One row per risk, one column per answer.

    Units:
        URNs.
    """
    counts = {risk.name: assessment[risk.name].value_counts().reindex(ANSWERS, fill_value=0) for risk in RISKS}
    return pd.DataFrame(counts, index=list(ANSWERS)).T.astype(int)


def blast_radius(assessment: pd.DataFrame, question: str, by: Sequence[str]) -> pd.DataFrame:
    """Counts the answers to one risk in each group.

    Args:
        assessment: result of :func:`assess_risks`.
        question: name of the risk.
        by: columns of ``assessment`` that define a group.

    Returns:
        Counts of the answers; ``urns``, their sum; ``functions``, the distinct functions; ``at_least`` and ``at_most``,
        bounds of the true share of ``yes``.

    Shape:
        One row per group, sorted by ``yes`` (descending), then by name.

    Units:
        URNs; shares from 0 to 1.
    """
    groups = list(by)
    answers = pd.DataFrame({answer: (assessment[question] == answer).astype(int) for answer in ANSWERS})
    counts = answers.groupby([assessment[name] for name in groups]).sum()
    counts["urns"] = counts.sum(axis=1)
    names = list(dict.fromkeys([*groups, "region", "project_id", "package", "function_name"]))
    counts["functions"] = assessment[names].drop_duplicates().groupby(groups, observed=True).size()
    counts["at_least"] = counts["yes"] / counts["urns"]
    counts["at_most"] = 1 - counts["no"] / counts["urns"]
    return counts.sort_index().sort_values("yes", ascending=False, kind="stable")


def compare_risks(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Counts how the results of :func:`assess_risks` for two runs differ.

    Shape:
        One row per risk, one column for each of ``RISK_CHANGES``; a row adds up to the URNs of both runs.

    Units:
        URNs.
    """
    names = [risk.name for risk in RISKS]
    both = old[["function_urn", *names]].merge(
        new[["function_urn", *names]], on="function_urn", how="outer", suffixes=("_old", "_new")
    )
    rows = {}
    for name in names:
        before, after = both[f"{name}_old"], both[f"{name}_new"]
        counts = [
            int(((before == old_answer) & (after == new_answer)).sum())
            for old_answer, new_answer in (("no", "yes"), ("yes", "no"), ("yes", "yes"), ("no", "no"))
        ]
        rows[name] = [*counts, len(both) - sum(counts)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(RISK_CHANGES))
