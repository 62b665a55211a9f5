"""Evaluates rules: runs their queries and decides a verdict for each subject."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from copy import copy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from inventory.errors import UsageError
from inventory.reviews.database import translate_errors
from inventory.reviews.verdicts import (
    FAIL,
    INVALID,
    NO_ROW,
    NULL,
    PART,
    PASS,
    REASONS,
    UNKNOWN,
    VERDICTS,
    Answers,
    Subjects,
    Verdicts,
    by_id,
    codes,
    find_rows,
    ids,
    judge,
)
from inventory.tables.arrow import take_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inventory.reviews.rule import Rule
    from inventory.reviews.verdicts import Codes, Ids

_MISSING: Final = {"function_facts": ("has_facts", "facts_missing"), "aliases": ("has_aliases", "alias_unresolved")}
"""Tables that a run may lack: the column of ``run``, and the reason of the verdict ``unknown``."""

VIEWS: Final = {"urn": "subjects", "cycle": "subjects", "destination": "targets", "function": "function_list"}
"""The view of the subjects of a rule."""

_REASON: Final = (
    "CASE WHEN why_unknown IS NULL THEN 0 "
    f"ELSE coalesce(list_position({list(REASONS)}, why_unknown::VARCHAR), {INVALID}) END::UTINYINT"
)
_TRI_STATE: Final = f"coalesce({{0}}::UTINYINT, {NULL})"
_SUBJECTS: Final = {
    "subjects": f"is_known::UTINYINT AS is_known, {_REASON} AS reason, 1::UTINYINT AS is_complete",
    "targets": "1::UTINYINT AS is_known, 0::UTINYINT AS reason, 1::UTINYINT AS is_complete",
    "function_list": f"1::UTINYINT AS is_known, {_REASON} AS reason, is_complete::UTINYINT AS is_complete",
}
# No text of a table becomes part of these statements; the rule's own SQL is checked to be one SELECT.
_SELECT_SUBJECTS: Final = "SELECT id::INTEGER AS id, {columns} FROM {view}"
_SELECT_UNKNOWN: Final = (
    "SELECT -id::INTEGER AS id, {reason} AS reason FROM subjects WHERE NOT is_known ORDER BY 1 DESC"
)
_APPLIES: Final = """
SELECT id::INTEGER AS id, {tri_state} AS applies FROM (SELECT id, (\n{applies}\n)::BOOLEAN AS applies FROM {view})
"""
_WITH_IDS: Final = """
SELECT s.id, answers.* FROM (\n{query}\n) AS answers JOIN {view} AS s ON {join}
"""
_ANSWERS: Final = """
SELECT
    TRY_CAST(id AS INTEGER) AS id, {fails} AS fails, {reason} AS reason, {severity} AS severity,
    {is_representative} AS is_representative{details}
FROM (\n{query}\n) WHERE TRY_CAST(id AS INTEGER) IS NOT NULL
"""
_CODES: Final = ("fails", "reason", "severity", "is_representative")
# The evidence of a cycle is that of one of its URNs.
_IS_FINDING: Final = "CASE WHEN fails THEN {is_representative} ELSE fails IS NULL OR {keep_passes} END"
_DETAIL_COLUMNS: Final = """,
    CASE WHEN {is_finding} THEN {evidence} END AS evidence, CASE WHEN {is_finding} THEN {target} END AS target
"""
_DETAILS: Final = ("evidence", "target")


class RuleCounts(NamedTuple):
    """Counts of the subjects of a rule by verdict, and of the unknown ones by reason."""

    verdicts: Counter[str]
    reasons: Counter[str]


class Evaluation(NamedTuple):
    """A rule's result.

    Attributes:
        counts: of all subjects.
        kept: the verdicts that become findings; of an unknown URN in a rule on destinations, the id is negative.
        details: ``evidence`` (JSON) and ``target`` of each of ``kept``; None: ``query`` has them.
        query: query of ``id``, ``evidence`` and ``target``, which uses the rule's parameters.
    """

    counts: RuleCounts
    kept: Verdicts
    details: pa.Table | None
    query: str = ""


def severity_names(rule: Rule) -> tuple[str, ...]:
    """Severities of a rule's findings by code: 0 is its own, the others are those that its query may return."""
    return (rule.severity, *dict.fromkeys((rule.severity, *rule.severities)))


class Evaluator:
    """Evaluates rules in a database of :func:`inventory.reviews.database.open_database`.

    Args:
        connection: the database.
        timeout: seconds that a rule may take.
        keep_passes: subjects that pass become findings too.
        few: rules with at most this number of subjects are queried once, for verdicts and details; others twice,
            because details of all findings may not fit the memory.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        timeout: float,
        *,
        keep_passes: bool = False,
        few: float,
    ) -> None:
        self._connection = connection
        self._timeout = timeout
        self._keep_passes = keep_passes
        self._few = few
        self._is_kept = np.isin(np.arange(PART + 1), (FAIL, UNKNOWN, PART, *((PASS,) if keep_passes else ())))
        columns = ", ".join(column for column, _ in _MISSING.values())
        (row,) = connection.execute(f"SELECT {columns} FROM run").fetchall()  # noqa: S608 - constants
        self._has_table: dict[str, bool] = dict(zip(_MISSING, row, strict=True))
        self._subjects: dict[str, Subjects] = {}
        self._applies: dict[tuple[str, str], Codes] = {}

    def evaluate(self, rule: Rule, parameters: Mapping[str, Any]) -> Evaluation:
        """Evaluates one rule.

        Raises:
            UsageError: the rule is broken: its query fails, lasts too long, or does not return one row for each subject
                that it applies to.
        """
        with self._stopwatch(rule), translate_errors():
            subjects = self._subjects_of(VIEWS[rule.subject])
            missing = self._missing_table(rule)
            if missing is not None:
                answers, applies = _unanswered(subjects, missing)
                details = pa.table({name: pa.nulls(len(answers.ids), pa.string()) for name in _DETAILS})
                query = ""
            else:
                used = {name: parameters[name] for name in rule.used}
                types = self._column_types(rule, used)
                columns = _detail_columns(rule, types, keep_passes=self._keep_passes)
                query = f"SELECT id{columns} FROM (\n{_with_ids(rule, types)}\n)"  # noqa: S608 - checked
                is_few = len(subjects.ids) <= self._few
                rows = self._table(_answers_query(rule, types, columns if is_few else ""), used)
                answers = Answers(ids(rows), *(codes(rows, name) for name in _CODES))
                applies = self._applies_to(rule, subjects, parameters)
                details = rows.select(_DETAILS) if is_few else None
            judged = judge(subjects, applies, answers)
            self._check(rule, judged, parameters)
            kept = judged.select(self._is_kept[judged.verdicts])
            if details is not None:
                details = take_rows(details, find_rows(subjects, answers.ids, kept.ids))
            return Evaluation(_count(judged), kept, details, query)

    def on(self, connection: duckdb.DuckDBPyConnection) -> Evaluator:
        """The same on another connection to the database."""
        evaluator = copy(self)
        evaluator._connection = connection  # noqa: SLF001 - of this class
        return evaluator

    def _subjects_of(self, view: str) -> Subjects:
        if view not in self._subjects:
            rows = self._table(_SELECT_SUBJECTS.format(columns=_SUBJECTS[view], view=view))
            unknown = self._table(_SELECT_UNKNOWN.format(reason=_REASON)) if view == "targets" else rows.slice(0, 0)
            self._subjects[view] = Subjects(
                ids(rows),
                is_known=codes(rows, "is_known"),
                reasons=codes(rows, "reason"),
                is_complete=codes(rows, "is_complete"),
                unknown_ids=ids(unknown),
                unknown_reasons=codes(unknown, "reason"),
            )
        return self._subjects[view]

    def _missing_table(self, rule: Rule) -> str | None:
        """The reason of the first table that the run lacks."""
        return next((_MISSING[table][1] for table in rule.needs if not self._has_table.get(table, True)), None)

    def _applies_to(self, rule: Rule, subjects: Subjects, parameters: Mapping[str, Any]) -> Codes:
        key = VIEWS[rule.subject], rule.applies
        if rule.used_by_applies or key not in self._applies:
            query = _APPLIES.format(tri_state=_TRI_STATE.format("applies"), applies=rule.applies, view=key[0])
            rows = self._table(query, {name: parameters[name] for name in rule.used_by_applies})
            self._applies[key] = by_id(subjects, ids(rows), codes(rows, "applies"), NULL)
        return self._applies[key]

    def _column_types(self, rule: Rule, used: Mapping[str, Any]) -> dict[str, str]:
        """The columns of the rule's query, checked."""
        relation = self._connection.sql(f"FROM (\n{rule.sql}\n)", params=dict(used) or None)
        types = {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}
        keys = ("id",) if "id" in types else rule.key
        for name in (*keys, "fails", *(("subject", "component") if rule.subject == "cycle" else ())):
            if name not in types:
                raise UsageError(f"{rule.origin}: the query returns no column {name}")
        if types["fails"] not in ("BOOLEAN", '"NULL"'):
            raise UsageError(f"{rule.origin}: the column fails is {types['fails']}, not BOOLEAN")
        return types

    def _check(self, rule: Rule, judged: Verdicts, parameters: Mapping[str, Any]) -> None:
        """Refuses a rule whose rows are not one valid row for each subject."""
        unanswered = judged.ids[judged.is_unanswered == 1]
        if len(unanswered):
            raise UsageError(
                f"{rule.origin}: the query returns no row for {self._some(rule, unanswered)}; it must return each "
                "subject to which the rule applies, with fails true, false or NULL"
            )
        if judged.repeated:
            raise UsageError(f"{rule.origin}: the query returns {judged.repeated} rows more than one for each subject")
        without = judged.ids[(judged.verdicts == UNKNOWN) & np.isin(judged.reasons, (0, INVALID))]
        if len(without):
            reason = self._value(rule, parameters, "why_unknown", int(without[0]))
            raise UsageError(
                f"{rule.origin}: fails is NULL for {self._some(rule, without)}, but why_unknown is "
                f"{reason!r}; it must be one of {', '.join(REASONS)}"
            )
        strange = judged.ids[judged.severities == INVALID]
        if len(strange):
            severity = self._value(rule, parameters, "severity", int(strange[0]))
            raise UsageError(f"{rule.origin}: the query returns the severity {severity!r}, which the header lacks")

    def _value(self, rule: Rule, parameters: Mapping[str, Any], column: str, subject: int) -> str | None:
        """The value of a column that the query returns for a subject."""
        used = {name: parameters[name] for name in rule.used}
        types = self._column_types(rule, used)
        if column not in types:
            return None
        query = f"SELECT {column}::VARCHAR FROM (\n{_with_ids(rule, types)}\n) WHERE id = {subject}"  # noqa: S608 - constants and a number
        row = self._connection.execute(query, used or None).fetchone()
        return None if row is None else row[0]

    def _some(self, rule: Rule, subjects: Ids) -> str:
        """Names some subjects by one of them."""
        query = f"SELECT subject FROM {VIEWS[rule.subject]} WHERE id = ?"  # noqa: S608 - constants
        row = self._connection.execute(query, [int(subjects.min())]).fetchone()
        return f"{len(subjects)} subjects" + (f", such as {row[0]}" if row else "")

    def _table(self, statement: str, used: Mapping[str, Any] = MappingProxyType({})) -> pa.Table:
        return self._connection.sql(statement, params=dict(used) or None).to_arrow_table()

    @contextmanager
    def _stopwatch(self, rule: Rule) -> Iterator[None]:
        timer = threading.Timer(self._timeout, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        except duckdb.InterruptException:
            raise UsageError(f"{rule.origin}: the rule took longer than --rule-timeout ({self._timeout:g} s)") from None
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            raise UsageError(f"{rule.origin}: the query fails: {str(error).strip().splitlines()[0]}") from None
        finally:
            timer.cancel()
            timer.join()


def _with_ids(rule: Rule, types: Mapping[str, str]) -> str:
    """The rule's query with the id of each subject."""
    if "id" in types:
        return rule.sql
    join = " AND ".join(f"s.{name} = answers.{name}" for name in rule.key)
    return _WITH_IDS.format(query=rule.sql, view=VIEWS[rule.subject], join=join)


def _answers_query(rule: Rule, types: Mapping[str, str], details: str) -> str:
    severity = f"coalesce(list_position({list(severity_names(rule)[1:])}, severity::VARCHAR), {INVALID})"
    return _ANSWERS.format(
        fails=_TRI_STATE.format("fails::BOOLEAN"),
        reason=_REASON if "why_unknown" in types else "0::UTINYINT",
        severity=f"CASE WHEN severity IS NULL THEN 0 ELSE {severity} END::UTINYINT"
        if "severity" in types
        else "0::UTINYINT",
        is_representative=f"{_is_representative(rule)}::UTINYINT",
        details=details,
        query=_with_ids(rule, types),
    )


def _is_representative(rule: Rule) -> str:
    return "coalesce(subject = component, true)" if rule.subject == "cycle" else "true"


def _detail_columns(rule: Rule, types: Mapping[str, str], *, keep_passes: bool) -> str:
    keep = str(keep_passes).lower()
    return _DETAIL_COLUMNS.format(
        is_finding=_IS_FINDING.format(is_representative=_is_representative(rule), keep_passes=keep),
        evidence="to_json(evidence)::VARCHAR" if "evidence" in types else "NULL::VARCHAR",
        target="target::VARCHAR" if "target" in types else "NULL::VARCHAR",
    )


def _unanswered(subjects: Subjects, reason: str) -> tuple[Answers, Codes]:
    """The answers of a rule whose table is missing, and whether it applies: that is not known."""
    size = len(subjects.ids)
    reasons = np.full(size, REASONS.index(reason) + 1, np.uint8)
    none, one = np.zeros(size, np.uint8), np.ones(size, np.uint8)
    return Answers(subjects.ids, np.full(size, NO_ROW, np.uint8), reasons, none, one), np.full(size, NULL, np.uint8)


def _count(judged: Verdicts) -> RuleCounts:
    numbers = np.bincount(judged.verdicts, minlength=PART + 1)
    numbers[FAIL] += numbers[PART]
    why = np.bincount(judged.reasons[judged.verdicts == UNKNOWN], minlength=len(REASONS) + 1)
    return RuleCounts(
        Counter({name: int(numbers[code]) for code, name in enumerate(VERDICTS)}),
        Counter({name: int(why[code]) for code, name in enumerate(REASONS, 1) if why[code]}),
    )
