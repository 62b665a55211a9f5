"""Compares findings with those of an earlier review: the state of each."""

from __future__ import annotations

from bisect import bisect
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.reviews.database import registered
from inventory.reviews.evaluate import VIEWS
from inventory.reviews.verdicts import FAIL, PASS, UNKNOWN
from inventory.tables.arrow import (
    combine_chunks,
    compare_columns,
    from_numbers,
    take_rows,
    to_array,
    to_flags,
    to_numbers,
    to_scalar,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import duckdb

    from inventory.reviews.baseline import Baseline
    from inventory.reviews.rule import Rule
    from inventory.reviews.subject_names import Numbers
    from inventory.reviews.verdicts import Codes, Verdicts
    from inventory.tables.arrow import Flags

_STATES: Final = ("new", "unchanged", "changed", "fixed", "gone", "unknown")

# A failure that is unknown in between stays one. The id is that of the finding's subject today.
_LOAD: Final = """
CREATE TABLE baseline AS
WITH earlier AS (
    SELECT
        rule, subject, event, any_value(severity) AS severity, any_value(target) AS target,
        any_value(CASE WHEN verdict = 'fail' THEN evidence END) AS evidence, min(first_seen) AS first_seen,
        bool_or(verdict = 'fail' OR coalesce(state = 'unknown', false)) AS was_fail,
        bool_or(verdict = 'fail') AS has_evidence, any_value($views[list_position($rules, rule)]) AS view
    FROM incoming
    WHERE verdict IN ('fail', 'unknown') AND list_contains($rules, rule)
    GROUP BY rule, subject, event
)
SELECT
    e.* EXCLUDE (view), s.id AS subject_id,
    CASE view
        WHEN 'targets' THEN CASE WHEN e.event IS NULL THEN -s.id ELSE t.id END
        WHEN 'function_list' THEN f.id
        ELSE s.id
    END AS id
FROM earlier AS e
LEFT JOIN subjects AS s ON s.subject = e.subject
LEFT JOIN targets AS t ON view = 'targets' AND t.subject_id = s.id AND t.event = e.event
LEFT JOIN function_list AS f ON view = 'function_list' AND f.subject = e.subject
"""
_CREATE_ENDED: Final = """
CREATE TABLE ended (
    rule VARCHAR, severity VARCHAR, verdict VARCHAR, subject VARCHAR, event VARCHAR, target VARCHAR, evidence VARCHAR,
    why_unknown VARCHAR, state VARCHAR, first_seen TIMESTAMPTZ
)
"""
_URN_IS_GONE: Final = """
    subject IN (SELECT subject FROM not_found)
    OR project_of(subject) IN (SELECT project FROM listed_projects) AND CASE
        WHEN is_alias(subject) THEN (SELECT lists_aliases FROM run)
        WHEN subject LIKE '%:latest' THEN true
        ELSE (SELECT lists_versions FROM run) END
"""
_IS_GONE: Final = {
    "urn": _URN_IS_GONE,
    "cycle": _URN_IS_GONE,
    "destination": f"coalesce(is_urn_known, {_URN_IS_GONE})",
    "function": "project_of(subject) IN (SELECT project FROM listed_projects) "
    "OR subject || ':latest' IN (SELECT subject FROM not_found)",
}
"""Whether a subject that the review does not have is certainly gone."""
# A failure of the baseline without a row today: the rule passes or does not apply, or its subject is missing.
_END: Final = """
INSERT INTO ended
WITH missing AS (
    SELECT * FROM baseline WHERE rule = $rule AND was_fail AND (id IS NULL OR id NOT IN (SELECT id FROM kept))
), judged AS (
    SELECT m.*, v.id IS NOT NULL AS is_there, v.applies, s.is_known AS is_urn_known, s.why_unknown AS why
    FROM missing AS m
    LEFT JOIN subjects AS s ON s.id = m.subject_id
    LEFT JOIN (SELECT id, (\n{applies}\n) AS applies FROM {view}) AS v ON v.id = m.id
), stated AS (
    SELECT *, CASE
        WHEN is_there AND applies THEN 'fixed'
        WHEN is_there OR ({is_gone}) THEN 'gone'
        ELSE 'unknown' END AS new_state
    FROM judged
)
SELECT
    rule, severity, CASE new_state WHEN 'fixed' THEN 'pass' WHEN 'gone' THEN 'not_applicable' ELSE 'unknown' END,
    subject, event, target, NULL, CASE new_state WHEN 'unknown' THEN coalesce(why, 'not_listed') END,
    new_state, first_seen
FROM stated
"""
_ENDED: Final = """
SELECT
    * EXCLUDE (rule, severity) REPLACE (epoch_us(first_seen) AS first_seen),
    split_part(subject, ':', 3) AS region, split_part(subject, ':', 4) AS project_id,
    split_part(subject, ':', 6) AS package, split_part(subject, ':', 7) AS function_name,
    ltrim(nullif(split_part(subject, ':', 8), ''), '!') AS qualifier
FROM ended WHERE rule = $rule AND severity = $severity ORDER BY subject, event NULLS FIRST
"""
_EARLIER: Final = """
SELECT id::BIGINT AS id, was_fail, has_evidence, evidence, epoch_us(first_seen) AS first_seen
FROM baseline WHERE rule = $rule AND id IS NOT NULL ORDER BY id
"""


class _Earlier(NamedTuple):
    """The findings of one rule in the baseline whose subjects exist today, by id."""

    ids: Numbers
    was_fail: Flags
    has_evidence: Flags
    evidence: pa.Array
    first_seen: Numbers


class Comparison:
    """The states of findings.

    Args:
        connection: the database.
        baseline: the earlier findings.
        rules: the rules that run now, by id.
        values: the parameters of each rule.
        kept: the findings of each rule.
        taken: end of the run, in microseconds.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        baseline: Baseline,
        rules: Mapping[str, Rule],
        values: Mapping[str, Mapping[str, Any]],
        kept: Mapping[str, Verdicts],
        taken: int,
    ) -> None:
        self._connection = connection
        self._rules = baseline.rules
        self._taken = taken
        views = {"rules": list(rules), "views": [VIEWS[rule.subject] for rule in rules.values()]}
        with registered(connection, "incoming", baseline.findings):
            connection.execute(_LOAD, views)
        connection.execute(_CREATE_ENDED)
        for rule in rules.values():
            with registered(connection, "kept", kept[rule.id].table()):
                self._end(rule, values[rule.id])
        self._cached: tuple[str, _Earlier] | None = None

    def _end(self, rule: Rule, values: Mapping[str, Any]) -> None:
        """Adds to ``ended`` the failures of the baseline that are no finding today.

        Never ``fixed`` unless the rule applies and was checked: what is no finding neither fails nor is unknown.
        """
        statement = _END.format(applies=rule.applies, view=VIEWS[rule.subject], is_gone=_IS_GONE[rule.subject])
        used = {name: values[name] for name in rule.used_by_applies}
        self._connection.execute(statement, {**used, "rule": rule.id})

    def ended_groups(self) -> list[tuple[str, str]]:
        """Severities and rules of the failures that ended."""
        return self._connection.execute("SELECT DISTINCT severity, rule FROM ended").fetchall()

    def states(self, rule: str, numbers: Numbers, verdicts: Codes, evidence: pa.ChunkedArray) -> dict[str, pa.Array]:
        """The columns ``state`` and ``first_seen`` of findings with these ids."""
        earlier = self._earlier(rule)
        rows = _find(earlier.ids, numbers)
        is_old, fails = rows >= 0, verdicts == FAIL
        was_fail = _at(earlier.was_fail, rows) & is_old
        is_comparable = np.flatnonzero(fails & is_old & _at(earlier.has_evidence, rows))
        before, now = (
            take_rows(earlier.evidence, rows[is_comparable]),
            take_rows(combine_chunks(evidence), is_comparable),
        )
        state = np.full(len(rows), _STATES.index("unchanged"))
        state[is_comparable[compare_columns(before, now)]] = _STATES.index("changed")
        state[(verdicts == UNKNOWN) & was_fail] = _STATES.index("unknown")
        is_new = fails & is_old & ~was_fail
        state[~is_old | is_new] = _STATES.index("new")
        state[verdicts == PASS] = np.where(was_fail, _STATES.index("fixed"), -1)[verdicts == PASS]
        if self._rules is not None and rule not in self._rules:
            state[:] = -1
        first_seen = np.where(is_old & ~is_new, _at(earlier.first_seen, rows), self._taken)
        return {
            "state": take_rows(to_array(_STATES, pa.string()), state),
            "first_seen": from_numbers(first_seen, pa.int64()),
        }

    def _earlier(self, rule: str) -> _Earlier:
        if self._cached is None or self._cached[0] != rule:
            rows = self._connection.sql(_EARLIER, params={"rule": rule}).to_arrow_table()
            earlier = _Earlier(
                to_numbers(rows["id"], 0),
                to_flags(rows["was_fail"]),
                to_flags(rows["has_evidence"]),
                combine_chunks(rows["evidence"]),
                to_numbers(rows["first_seen"], self._taken),
            )
            self._cached = rule, earlier
        return self._cached[1]

    def with_ended(self, rule: str, severity: str, batches: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Adds the failures that ended to the other findings of a group, in order."""
        values = {"rule": rule, "severity": severity}
        ended = self._connection.sql(_ENDED, params=values).to_arrow_table()
        for batch in batches:
            last = _key(batch, len(batch) - 1)
            number = bisect(range(len(ended)), last, key=lambda row: _key(ended, row))
            yield _merge(batch, ended.slice(0, number)) if number else batch
            ended = ended.slice(number)
        if len(ended):
            yield ended


def _key(rows: pa.Table, row: int) -> tuple[str, str]:
    return rows["subject"][row].as_py(), rows["event"][row].as_py() or ""


def _merge(first: pa.Table, second: pa.Table) -> pa.Table:
    rows = pa.concat_tables([first, second.select(first.column_names)])
    names = pa.table({"subject": rows["subject"], "event": rows["event"].fill_null(to_scalar("", pa.string()))})
    return rows.take(pc.sort_indices(names, [(name, "ascending") for name in names.column_names]))


def cut(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yields the rows of tables in tables of that many rows, the last one of fewer."""
    rest = next(tables, None)
    if rest is None:
        return
    for table in tables:
        while len(rest) >= rows:
            yield rest.slice(0, rows)
            rest = rest.slice(rows)
        rest = pa.concat_tables([rest, table.select(rest.column_names)])
    yield from (rest.slice(start, rows) for start in range(0, len(rest), rows))


def _find(ids: Numbers, wanted: Numbers) -> Numbers:
    """The row of each wanted id in sorted ids; -1: none."""
    if not len(ids):
        return np.full(len(wanted), -1)
    rows = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[rows] == wanted, rows, -1)


def _at(column: np.ndarray[Any, Any], rows: Numbers) -> np.ndarray[Any, Any]:
    """The values of rows; zero for a row below 0."""
    if not len(column):
        return np.zeros(len(rows), column.dtype)
    return np.where(rows >= 0, column[rows], 0).astype(column.dtype)
