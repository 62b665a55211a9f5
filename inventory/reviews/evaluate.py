"""Evaluates rules: a verdict for each rule and subject."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import duckdb

from inventory.errors import UsageError
from inventory.reviews.database import translate_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inventory.reviews.rule import Rule

REASONS: Final = (
    "not_answered",
    "not_attempted",
    "not_stated",
    "default_unknown",
    "param_unreadable",
    "not_listed",
    "alias_unresolved",
    "existence_unknown",
    "facts_missing",
)
"""Why a verdict is unknown."""

VERDICTS: Final = ("pass", "fail", "unknown", "not_applicable")

_CREATE_FINDINGS: Final = """
CREATE TABLE IF NOT EXISTS findings (
    rule VARCHAR, severity VARCHAR, verdict VARCHAR, id BIGINT, target VARCHAR, evidence VARCHAR, why_unknown VARCHAR
)
"""
"""``id`` is that of the rule's subject; of an unknown URN in a rule on destinations it is negative.

The verdict ``part`` is that of a URN whose cycle is the finding of another URN.
"""

_MISSING: Final = {"function_facts": ("has_facts", "facts_missing"), "aliases": ("has_aliases", "alias_unresolved")}
"""Tables that a run may lack: the column of ``run``, and the reason of the verdict ``unknown``."""

_SCOPES: Final = {
    "urn": "SELECT id, subject, is_known, why_unknown, true AS is_complete, ({applies}) AS applies FROM subjects",
    "destination": "SELECT id, subject, event, true AS is_known, NULL AS why_unknown, true AS is_complete, "
    "({applies}) AS applies FROM targets UNION ALL BY NAME "
    "SELECT -id AS id, subject, NULL AS event, false AS is_known, why_unknown, true AS is_complete, NULL AS applies "
    "FROM subjects WHERE NOT is_known",
    "function": "SELECT id, subject, true AS is_known, why_unknown, is_complete, ({applies}) AS applies "
    "FROM function_list",
}
_SCOPES["cycle"] = _SCOPES["urn"]
_COUNT_SUBJECTS: Final = {
    "urn": "SELECT count(*) FROM subjects",
    "cycle": "SELECT count(*) FROM subjects",
    "destination": "SELECT (SELECT count(*) FROM targets) + (SELECT count(*) FROM subjects WHERE NOT is_known)",
    "function": "SELECT count(*) FROM function_list",
}
_OPTIONAL: Final = ("event", "severity", "component", "why_unknown")
# No text of a table becomes part of these statements; the rule's own SQL is checked to be one SELECT.
_ANSWERS: Final = """
SELECT {keys}, fails::BOOLEAN AS fails, {optional},
    CASE WHEN fails IS DISTINCT FROM false OR $keep_passes THEN {evidence} END AS evidence,
    CASE WHEN fails IS DISTINCT FROM false OR $keep_passes THEN {target} END AS target
FROM (
{query}
)
"""
_NO_ANSWERS: Final = f"""
SELECT NULL::BIGINT AS id, NULL::BOOLEAN AS fails, NULL::VARCHAR AS evidence, NULL::VARCHAR AS target,
    {", ".join(f"NULL::VARCHAR AS {name}" for name in _OPTIONAL)}
LIMIT 0
"""
_JUDGE: Final = """
CREATE OR REPLACE TEMP TABLE judged AS
SELECT
    s.id, a.evidence, a.target, a.severity,
    {component} AS is_representative,
    s.is_known AND s.applies AND a.{key} IS NULL AS is_unanswered,
    CASE
        WHEN NOT s.is_known OR s.applies IS NULL THEN 'unknown'
        WHEN NOT s.applies THEN 'not_applicable'
        WHEN a.fails IS NULL THEN 'unknown'
        WHEN a.fails THEN 'fail'
        WHEN NOT s.is_complete THEN 'unknown'
        ELSE 'pass'
    END AS verdict,
    CASE
        WHEN NOT s.is_known THEN s.why_unknown
        WHEN s.applies IS NULL THEN coalesce({reason}, 'not_stated')
        WHEN s.applies AND a.fails IS NULL THEN {reason}
        WHEN s.applies AND NOT a.fails AND NOT s.is_complete THEN s.why_unknown
    END AS reason
FROM ({scope}) AS s LEFT JOIN ({answers}) AS a ON {join}
"""
_COUNT: Final = """
SELECT verdict, reason, CASE WHEN verdict = 'fail' THEN severity END AS severity, is_unanswered, count(*), min(id)
FROM judged GROUP BY ALL
"""
_KEEP: Final = """
INSERT INTO findings
SELECT
    $rule, coalesce(CASE WHEN verdict = 'fail' THEN severity END, $severity),
    CASE WHEN verdict = 'fail' AND NOT is_representative THEN 'part' ELSE verdict END,
    id, target, CASE WHEN verdict <> 'fail' OR is_representative THEN evidence END, reason
FROM judged
WHERE verdict IN {kept}
"""


class RuleCounts(NamedTuple):
    """Counts of the subjects of a rule by verdict, and of the unknown ones by reason."""

    verdicts: Counter[str]
    reasons: Counter[str]


class Evaluator:
    """Evaluates rules in a database of :func:`inventory.reviews.database.open_database`.

    The verdicts ``fail`` and ``unknown`` go to the table ``findings``.

    Args:
        connection: the database.
        timeout: seconds that a rule may take.
        keep_passes: the verdict ``pass`` goes to ``findings`` too.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, timeout: float, *, keep_passes: bool = False) -> None:
        self._connection = connection
        self._timeout = timeout
        self._keep_passes = keep_passes
        connection.execute(_CREATE_FINDINGS)

    def evaluate(self, rule: Rule, parameters: Mapping[str, Any]) -> RuleCounts:
        """Evaluates one rule.

        Raises:
            UsageError: the rule is broken: its query fails, lasts too long, or does not return one row for each subject
                that it applies to.
        """
        with self._stopwatch(rule), translate_errors():
            missing = self._missing_table(rule)
            values = {**parameters, "keep_passes": self._keep_passes, "rule": rule.id, "severity": rule.severity}
            if missing is None:
                key, answers = self._answers(rule, values)
            else:
                key, answers = "id", _NO_ANSWERS
            self._execute(_judge(rule, key, answers, missing), values)
            counts = self._count(rule)
            kept = ("fail", "unknown", "pass") if self._keep_passes else ("fail", "unknown")
            self._execute(_KEEP.format(kept=kept), values)
            return counts

    def _missing_table(self, rule: Rule) -> str | None:
        for table in rule.needs:
            if table in _MISSING:
                column, reason = _MISSING[table]
                if not self._number(f"SELECT {column}::INTEGER FROM run"):  # noqa: S608 - a constant
                    return reason
        return None

    def _answers(self, rule: Rule, values: Mapping[str, Any]) -> tuple[str, str]:
        """Returns the key of the rows, ``id`` or ``subject``, and the rule's query with its columns checked.

        Evidence is built only for the rows that become findings.
        """
        described = self._execute(f"DESCRIBE SELECT * FROM (\n{rule.sql}\n)", values).fetchall()  # noqa: S608 - one SELECT
        types = {str(row[0]): str(row[1]) for row in described}
        keys = ("id",) if "id" in types else rule.key
        for name in (*keys, "fails", *(("component",) if rule.subject == "cycle" else ())):
            if name not in types:
                raise UsageError(f"{rule.origin}: the query returns no column {name}")
        if types["fails"] not in ("BOOLEAN", '"NULL"'):
            raise UsageError(f"{rule.origin}: the column fails is {types['fails']}, not BOOLEAN")
        optional = ", ".join(f"{name if name in types else 'NULL'}::VARCHAR AS {name}" for name in _OPTIONAL)
        evidence = "to_json(evidence)::VARCHAR" if "evidence" in types else "NULL::VARCHAR"
        key = "id::BIGINT AS id" if "id" in types else "subject::VARCHAR AS subject"
        return keys[0], _ANSWERS.format(
            keys=key,
            evidence=evidence,
            target="target::VARCHAR" if "target" in types else "NULL",
            optional=optional,
            query=rule.sql,
        )

    def _count(self, rule: Rule) -> RuleCounts:
        """Counts the verdicts, and refuses a rule whose rows are not one valid row for each subject."""
        verdicts: Counter[str] = Counter(dict.fromkeys(VERDICTS, 0))
        reasons: Counter[str] = Counter()
        severities = {None, rule.severity, *rule.severities}
        for verdict, reason, severity, is_unanswered, count, example in self._connection.execute(_COUNT).fetchall():
            if is_unanswered:
                raise UsageError(f"{rule.origin}: the query returns no row for {self._some(rule, count, example)}")
            if verdict == "unknown" and reason not in REASONS:
                raise UsageError(
                    f"{rule.origin}: fails is NULL for {self._some(rule, count, example)}, but why_unknown is "
                    f"{reason!r}; it must be one of {', '.join(REASONS)}"
                )
            if severity not in severities:
                raise UsageError(f"{rule.origin}: the query returns the severity {severity!r}, which the header lacks")
            verdicts[verdict] += count
            if verdict == "unknown":
                reasons[reason] += count
        repeated = sum(verdicts.values()) - self._number(_COUNT_SUBJECTS[rule.subject])
        if repeated:
            raise UsageError(f"{rule.origin}: the query returns {repeated} rows more than one for each subject")
        return RuleCounts(verdicts, reasons)

    def _some(self, rule: Rule, count: int, example: int) -> str:
        """Names some subjects by the id of one."""
        table = {"destination": "targets", "function": "function_list"}.get(rule.subject, "subjects")
        row = self._connection.execute(f"SELECT subject FROM {table} WHERE id = ?", [example]).fetchone()  # noqa: S608 - constants
        return f"{count} subjects" + (f", such as {row[0]}" if row else "")

    def _number(self, query: str) -> int:
        row = self._connection.execute(query).fetchone()
        assert row is not None  # noqa: S101 - an aggregate returns one row
        return int(row[0])

    def _execute(self, statement: str, parameters: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
        return execute(self._connection, statement, parameters)

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


def execute(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: Mapping[str, Any]
) -> duckdb.DuckDBPyConnection:
    """Runs a statement with those parameters that it uses."""
    names = duckdb.extract_statements(statement)[0].named_parameters
    return connection.execute(statement, {name: parameters[name] for name in sorted(names)} or None)


def _judge(rule: Rule, key: str, answers: str, missing: str | None) -> str:
    """Returns the statement that decides the verdicts; ``missing`` is the reason if a table is missing."""
    keys = rule.key if key == "subject" else (key,)
    return _JUDGE.format(
        scope=_SCOPES[rule.subject].format(applies=f"\n{rule.applies}\n" if missing is None else "NULL::BOOLEAN"),
        answers=answers,
        key=key,
        component="s.subject = a.component" if rule.subject == "cycle" else "true",
        reason="a.why_unknown" if missing is None else f"'{missing}'",
        join=" AND ".join(f"s.{name} = a.{name}" for name in keys),
    )
