"""Evaluates rules: runs their queries and decides a verdict for each subject."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import duckdb
import numpy as np

from inventory.errors import UsageError
from inventory.reviews.database import registered, translate_errors
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
    ids,
    judge,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

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
    {is_representative} AS is_representative
FROM (\n{query}\n) WHERE TRY_CAST(id AS INTEGER) IS NOT NULL
"""
_DETAILS: Final = """
SELECT
    id,
    CASE WHEN fails IS DISTINCT FROM false OR {keep_passes} THEN {evidence} END AS evidence,
    CASE WHEN fails IS DISTINCT FROM false OR {keep_passes} THEN {target} END AS target
FROM (\n{query}\n)
"""
_NO_DETAILS: Final = "SELECT NULL::INTEGER AS id, NULL::VARCHAR AS evidence, NULL::VARCHAR AS target LIMIT 0"


class RuleCounts(NamedTuple):
    """Counts of the subjects of a rule by verdict, and of the unknown ones by reason."""

    verdicts: Counter[str]
    reasons: Counter[str]


class Evaluation(NamedTuple):
    """A rule's result.

    Attributes:
        counts: of all subjects.
        kept: the verdicts that become findings; of an unknown URN in a rule on destinations, the id is negative.
        details: query of ``id``, ``evidence`` (JSON) and ``target``, which uses the rule's parameters.
    """

    counts: RuleCounts
    kept: Verdicts
    details: str


def severity_names(rule: Rule) -> tuple[str, ...]:
    """Severities of a rule's findings by code: 0 is its own, the others are those that its query may return."""
    return (rule.severity, *dict.fromkeys((rule.severity, *rule.severities)))


class Evaluator:
    """Evaluates rules in a database of :func:`inventory.reviews.database.open_database`.

    Args:
        connection: the database.
        timeout: seconds that a rule may take.
        keep_passes: subjects that pass become findings too.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, timeout: float, *, keep_passes: bool = False) -> None:
        self._connection = connection
        self._timeout = timeout
        self._keep_passes = keep_passes
        self._is_kept = np.isin(np.arange(PART + 1), (FAIL, UNKNOWN, PART, *((PASS,) if keep_passes else ())))
        self._subjects: dict[str, Subjects] = {}
        self._applies: dict[tuple[str, str], Codes] = {}

    def evaluate(self, rule: Rule, parameters: Mapping[str, Any]) -> Evaluation:
        """Evaluates one rule.

        Raises:
            UsageError: the rule is broken: its query fails, lasts too long, or does not return one row for each subject
                that it applies to.
        """
        with self._stopwatch(rule), translate_errors():
            subjects = self._subjects_of(rule)
            missing = self._missing_table(rule)
            if missing is None:
                types = self._column_types(rule, parameters)
                query = _with_ids(rule, types)
                rows = self._table(_answers_query(rule, types, query), parameters)
                answers = Answers(ids(rows), *(codes(rows, name) for name in rows.column_names[1:]))
                applies = self._applies_to(rule, subjects, parameters)
                details = _details_query(types, query, keep_passes=self._keep_passes)
            else:
                answers, applies = _unanswered(subjects, missing)
                details = _NO_DETAILS
            judged = judge(subjects, applies, answers)
            self._check(rule, judged, parameters)
            return Evaluation(_count(judged), judged.select(self._is_kept[judged.verdicts]), details)

    def with_details(self, rule: Rule, evaluation: Evaluation, parameters: Mapping[str, Any]) -> pa.Table:
        """The findings of a rule with ``evidence`` and ``target``.

        Raises:
            UsageError: the query fails, or lasts too long.
        """
        with self._stopwatch(rule), translate_errors(), registered(self._connection, "kept", evaluation.kept.table()):
            query = f"SELECT kept.*, evidence, target FROM kept LEFT JOIN ({evaluation.details}) USING (id)"  # noqa: S608 - checked
            return self._table(query, parameters)

    def _subjects_of(self, rule: Rule) -> Subjects:
        if rule.subject not in self._subjects:
            view = VIEWS[rule.subject]
            rows = self._table(_SELECT_SUBJECTS.format(columns=_SUBJECTS[view], view=view), {})
            unknown = self._table(
                _SELECT_UNKNOWN.format(reason=_REASON) + ("" if view == "targets" else " LIMIT 0"), {}
            )
            self._subjects[rule.subject] = Subjects(
                ids(rows),
                is_known=codes(rows, "is_known"),
                reasons=codes(rows, "reason"),
                is_complete=codes(rows, "is_complete"),
                unknown_ids=ids(unknown),
                unknown_reasons=codes(unknown, "reason"),
            )
        return self._subjects[rule.subject]

    def _missing_table(self, rule: Rule) -> str | None:
        for table in rule.needs:
            if table in _MISSING:
                column, reason = _MISSING[table]
                if self._connection.execute(f"SELECT {column} FROM run").fetchall() != [(True,)]:  # noqa: S608 - a constant
                    return reason
        return None

    def _applies_to(self, rule: Rule, subjects: Subjects, parameters: Mapping[str, Any]) -> Codes:
        key = VIEWS[rule.subject], rule.applies
        if rule.parameters or key not in self._applies:
            query = _APPLIES.format(tri_state=_TRI_STATE.format("applies"), applies=rule.applies, view=key[0])
            rows = self._table(query, parameters)
            self._applies[key] = by_id(subjects, ids(rows), codes(rows, "applies"), NULL)
        return self._applies[key]

    def _column_types(self, rule: Rule, parameters: Mapping[str, Any]) -> dict[str, str]:
        """The columns of the rule's query, checked."""
        relation = self._connection.sql(rule.sql, params=bind(rule.sql, parameters))
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
        types = self._column_types(rule, parameters)
        if column not in types:
            return None
        query = f"SELECT {column}::VARCHAR FROM (\n{_with_ids(rule, types)}\n) WHERE id = {subject}"  # noqa: S608 - constants and a number
        row = execute(self._connection, query, parameters).fetchone()
        return None if row is None else row[0]

    def _some(self, rule: Rule, subjects: Ids) -> str:
        """Names some subjects by one of them."""
        query = f"SELECT subject FROM {VIEWS[rule.subject]} WHERE id = ?"  # noqa: S608 - constants
        row = self._connection.execute(query, [int(subjects.min())]).fetchone()
        return f"{len(subjects)} subjects" + (f", such as {row[0]}" if row else "")

    def _table(self, statement: str, parameters: Mapping[str, Any]) -> pa.Table:
        return self._connection.sql(statement, params=bind(statement, parameters)).to_arrow_table()

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


def bind(statement: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """Those parameters that a statement uses."""
    names = duckdb.extract_statements(statement)[0].named_parameters
    return {name: parameters[name] for name in sorted(names)} or None


def execute(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: Mapping[str, Any]
) -> duckdb.DuckDBPyConnection:
    """Runs a statement with those parameters that it uses."""
    return connection.execute(statement, bind(statement, parameters))


def _with_ids(rule: Rule, types: Mapping[str, str]) -> str:
    """The rule's query with the id of each subject."""
    if "id" in types:
        return rule.sql
    join = " AND ".join(f"s.{name} = answers.{name}" for name in rule.key)
    return _WITH_IDS.format(query=rule.sql, view=VIEWS[rule.subject], join=join)


def _answers_query(rule: Rule, types: Mapping[str, str], query: str) -> str:
    severity = f"coalesce(list_position({list(severity_names(rule)[1:])}, severity::VARCHAR), {INVALID})"
    return _ANSWERS.format(
        fails=_TRI_STATE.format("fails::BOOLEAN"),
        reason=_REASON if "why_unknown" in types else "0::UTINYINT",
        severity=f"CASE WHEN severity IS NULL THEN 0 ELSE {severity} END::UTINYINT"
        if "severity" in types
        else "0::UTINYINT",
        is_representative="coalesce(subject = component, true)::UTINYINT" if rule.subject == "cycle" else "1::UTINYINT",
        query=query,
    )


def _details_query(types: Mapping[str, str], query: str, *, keep_passes: bool) -> str:
    return _DETAILS.format(
        keep_passes=str(keep_passes).lower(),
        evidence="to_json(evidence)::VARCHAR" if "evidence" in types else "NULL::VARCHAR",
        target="target::VARCHAR" if "target" in types else "NULL::VARCHAR",
        query=query,
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
