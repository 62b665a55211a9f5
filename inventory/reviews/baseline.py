"""Compares a review with an earlier one: the state of each finding."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from inventory.errors import OutputError, UsageError
from inventory.reviews import findings as declared
from inventory.reviews.database import registered
from inventory.reviews.evaluate import execute
from inventory.settings import SEVERITIES
from inventory.storage.files import open_file, read_file
from inventory.tables.arrow import to_array
from inventory.tables.batches import arrow_schema
from inventory.tables.csv_blocks import read_csv
from inventory.tables.writer import csv_convert_options, remove_guards

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from inventory.reviews.rule import Rule

STATES: Final = ("new", "unchanged", "changed", "fixed", "gone", "unknown")
_COLUMNS: Final = (
    "rule",
    "severity",
    "verdict",
    "subject",
    "event",
    "target",
    "evidence",
    "why_unknown",
    "state",
    "first_seen",
    "suppressed",
)
_SUFFIXES: Final = (".csv", ".parquet", ".json")

_LOAD: Final = """
CREATE TABLE baseline AS
SELECT
    rule, subject, event, any_value(severity) AS severity, any_value(target) AS target,
    any_value(CASE WHEN verdict = 'fail' THEN evidence END) AS evidence, min(first_seen) AS first_seen,
    bool_or(verdict = 'fail' OR coalesce(state = 'unknown', false)) AS was_fail,
    bool_or(verdict = 'fail') AS has_evidence
FROM incoming
WHERE verdict IN ('fail', 'unknown') AND rule IN (SELECT unnest($rules))
GROUP BY rule, subject, event
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
_VIEWS: Final = {
    "urn": "SELECT subject, NULL::VARCHAR AS event, ({applies}) AS applies FROM subjects",
    "cycle": "SELECT subject, NULL::VARCHAR AS event, ({applies}) AS applies FROM subjects",
    "destination": "SELECT subject, event, ({applies}) AS applies FROM targets",
    "function": "SELECT subject, NULL::VARCHAR AS event, ({applies}) AS applies FROM function_list",
}
# A failure of the baseline without a row today: the rule passes or does not apply, or its subject is missing.
_END: Final = """
INSERT INTO ended
WITH missing AS (
    SELECT b.* FROM baseline AS b
    WHERE b.rule = $rule AND b.was_fail AND NOT EXISTS (
        SELECT 1 FROM ({today}) AS t
        WHERE t.subject = b.subject AND t.event IS NOT DISTINCT FROM b.event)
), judged AS (
    SELECT m.*, v.subject IS NOT NULL AS is_there, v.applies,
        s.is_known AS is_urn_known, s.why_unknown AS why
    FROM missing AS m
    LEFT JOIN subjects AS s ON s.subject = m.subject
    LEFT JOIN ({view}) AS v ON v.subject = m.subject AND v.event IS NOT DISTINCT FROM m.event
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
NAMES: Final = """
    split_part({subject}, ':', 3) AS region, split_part({subject}, ':', 4) AS project_id,
    split_part({subject}, ':', 6) AS package, split_part({subject}, ':', 7) AS function_name,
    ltrim(nullif(split_part({subject}, ':', 8), ''), '!') AS qualifier
"""
"""The fields of a URN."""
_WITH_STATES: Final = """
SELECT
    f.*,
    CASE
        WHEN NOT $is_compared OR (f.verdict = 'pass' AND b.was_fail IS DISTINCT FROM true) THEN NULL
        WHEN f.verdict = 'pass' THEN 'fixed'
        WHEN b.rule IS NULL OR (f.verdict = 'fail' AND NOT b.was_fail) THEN 'new'
        WHEN f.verdict = 'unknown' THEN CASE WHEN b.was_fail THEN 'unknown' ELSE 'unchanged' END
        WHEN b.has_evidence AND f.evidence IS DISTINCT FROM b.evidence THEN 'changed'
        ELSE 'unchanged'
    END AS state,
    CASE WHEN f.verdict = 'fail' AND NOT b.was_fail THEN $taken ELSE coalesce(b.first_seen, $taken) END
        AS first_seen
FROM ({findings}) AS f
LEFT JOIN baseline AS b ON b.rule = f.rule AND b.subject = f.subject AND b.event IS NOT DISTINCT FROM f.event
UNION ALL BY NAME
SELECT *, {names} FROM ended WHERE rule = $rule AND severity = $severity
"""
"""Findings of one rule with their states; ``ended`` has the findings of the baseline that have no row today."""


class Baseline(NamedTuple):
    """The findings of an earlier review.

    Attributes:
        name: file or run.
        findings: columns of the table ``findings``.
        rules: ids of the rules that ran; None: not known, as of a CSV file.
    """

    name: str
    findings: pa.Table
    rules: frozenset[str] | None


def baseline_of(name: str, batches: Iterable[pa.RecordBatch], rules: Iterable[str]) -> Baseline:
    """Makes a baseline of a review's findings."""
    fields = arrow_schema(declared.FINDINGS)
    schema = pa.schema([fields.field(column) for column in _COLUMNS])
    kept = [batch.select(list(_COLUMNS)) for batch in batches]
    return Baseline(name, pa.Table.from_batches(kept, schema), frozenset(rules))


def is_findings_file(place: str) -> bool:
    """Whether a name is that of a file of findings; otherwise it is a run."""
    return "://" not in place and place.lower().endswith(_SUFFIXES) and not Path(place).is_dir()


def read_baseline(path: Path) -> Baseline:
    """Reads findings that ``inventory review`` wrote as CSV, Parquet or JSON.

    Raises:
        UsageError: it is no file of findings.
        OutputError: it cannot be read.
    """
    try:
        read = {".csv": _from_csv, ".parquet": _from_parquet, ".json": _from_json}[path.suffix.lower()]
        return _with_known_severities(read(path))
    except OSError as error:
        raise OutputError.from_os_error(path, "cannot be read as findings", error) from None
    except (pa.ArrowException, msgspec.DecodeError, KeyError, ValueError) as error:
        raise UsageError(
            f"{path} is no file of findings: {str(error).splitlines()[0]}; inventory review writes one with "
            "--format csv, parquet or json"
        ) from None


def _with_known_severities(baseline: Baseline) -> Baseline:
    for severity in set(baseline.findings["severity"].unique().to_pylist()).difference(SEVERITIES):
        raise ValueError(f"it has the severity {severity!r}")
    return baseline


def _schema() -> pa.Schema:
    fields = arrow_schema(declared.FINDINGS)
    return pa.schema([fields.field(column) for column in _COLUMNS])


def _from_csv(path: Path) -> Baseline:
    table = read_csv(path, csv_convert_options(declared.FINDINGS, None))
    return Baseline(str(path), remove_guards(table.select(list(_COLUMNS)).cast(_schema())), None)


def _from_parquet(path: Path) -> Baseline:
    with open_file(path) as file:
        table = pq.ParquetFile(file).read(columns=list(_COLUMNS), use_threads=False)
    about = table.schema.metadata or {}
    rules = about.get(b"inventory.rules")
    return Baseline(
        str(path),
        table.select(list(_COLUMNS)).cast(_schema()),
        None if rules is None else frozenset(rules.decode().split()),
    )


class _Row(msgspec.Struct):
    rule: str
    severity: str
    verdict: str
    subject: str
    event: str | None
    target: str | None
    evidence: msgspec.Raw
    why_unknown: str | None
    state: str | None
    first_seen: str
    suppressed: bool | None = None


class _Document(msgspec.Struct):
    rules: list[str]
    findings: list[_Row]


def _from_json(path: Path) -> Baseline:
    document = msgspec.json.decode(read_file(path), type=_Document)
    schema = _schema()
    arrays = []
    for field in schema:
        values: list[Any] = [getattr(row, field.name) for row in document.findings]
        if field.name == "evidence":
            values = [None if bytes(value) == b"null" else bytes(value).decode() for value in values]
        is_time = pa.types.is_timestamp(field.type)
        array = to_array(values, pa.string() if is_time else field.type)
        arrays.append(array.cast(field.type) if is_time else array)
    return Baseline(str(path), pa.Table.from_arrays(arrays, schema=schema), frozenset(document.rules))


def with_states(findings: str) -> str:
    """Returns the query that adds states to the findings of one rule."""
    return _WITH_STATES.format(findings=findings, names=NAMES.format(subject="subject"))


def load_baseline(connection: duckdb.DuckDBPyConnection, baseline: Baseline, rules: Sequence[str]) -> None:
    """Creates the table ``baseline`` of the rules that run now, and the empty table ``ended``."""
    with registered(connection, "incoming", baseline.findings):
        connection.execute(_LOAD, {"rules": list(rules)})
    connection.execute(_CREATE_ENDED)


def end_findings(connection: duckdb.DuckDBPyConnection, rule: Rule, parameters: dict[str, Any], today: str) -> None:
    """Adds to ``ended`` the failures of the baseline that have no row in ``today``, a query of a rule's findings.

    Never ``fixed`` unless the rule applies and was checked: a subject without a row in ``today`` neither fails nor is
    unknown.
    """
    view = _VIEWS[rule.subject].format(applies=f"\n{rule.applies}\n")
    statement = _END.format(today=today, view=view, is_gone=_IS_GONE[rule.subject])
    execute(connection, statement, {**parameters, "rule": rule.id})
