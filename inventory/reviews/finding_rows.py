"""Reads the findings of evaluated rules, most severe first, in batches."""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.reviews import findings as declared
from inventory.reviews.baseline import with_states
from inventory.reviews.database import registered, translate_errors
from inventory.reviews.evaluate import VIEWS, bind, severity_names
from inventory.reviews.verdicts import NOTHING, PART, REASONS, VERDICTS
from inventory.settings import SEVERITIES
from inventory.tables.arrow import combine_chunks, to_array, to_numbers, to_scalar
from inventory.tables.batches import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    import duckdb

    from inventory.reviews.baseline import Baseline
    from inventory.reviews.evaluate import Evaluation
    from inventory.reviews.rule import Rule
    from inventory.reviews.verdicts import Verdicts

_ROWS_PER_BATCH: Final = 50_000
_DIGEST: Final = 8
"""Bytes of the id of a finding."""
_FIELDS: Final = arrow_schema(declared.FINDINGS)
_VERDICTS: Final = to_array(VERDICTS, pa.string())
_REASONS: Final = to_array((None, *REASONS), pa.string())

NAMED: Final = {
    "subjects": "SELECT k.*, s.subject, NULL::VARCHAR AS event, "
    "s.region, s.project_id, s.package, s.function_name, s.qualifier "
    "FROM kept AS k JOIN subjects AS s ON s.id = k.id",
    "targets": "SELECT k.*, s.subject, t.event, s.region, s.project_id, s.package, s.function_name, s.qualifier "
    "FROM kept AS k LEFT JOIN targets AS t ON t.id = k.id JOIN subjects AS s ON s.id = coalesce(t.subject_id, -k.id)",
    "function_list": "SELECT k.*, s.subject, NULL::VARCHAR AS event, "
    "s.region, s.project_id, s.package, s.function_name, NULL::VARCHAR AS qualifier "
    "FROM kept AS k JOIN function_list AS s ON s.id = k.id",
}
"""The table ``kept`` with its subjects, by the view of the rule's subjects."""
_NAMED_ROWS: Final = """
SELECT
    $rule AS rule, $verdicts[verdict + 1] AS verdict, $reasons[reason] AS why_unknown,
    * EXCLUDE (verdict, reason, severity, id), evidence, target
FROM ({named}) LEFT JOIN ({details}) AS details USING (id)
"""
_IN_ORDER: Final = """
SELECT
    verdict, subject, region, project_id, package, function_name, qualifier, event, target, evidence,
    why_unknown{states}
FROM ({rows}) ORDER BY subject, event NULLS FIRST
"""

_IDS: Final = {
    "subjects": "SELECT *, id AS subject_id, NULL::VARCHAR AS event FROM kept",
    "targets": "SELECT kept.*, coalesce(subject_id, -kept.id) AS subject_id, event "
    "FROM kept LEFT JOIN targets ON targets.id = kept.id",
}
"""The table ``kept`` with the numbers of its subjects: their order is that of the subjects."""
_ROWS: Final = """
SELECT subject_id, event, verdict, reason, target, evidence
FROM ({ids}) LEFT JOIN ({details}) AS details USING (id)
ORDER BY subject_id, event NULLS FIRST
"""
_DISTINCT: Final = ("subject", "function_name")
_REPEATED: Final = ("region", "project_id", "package", "qualifier")


class Group(NamedTuple):
    """Findings of one rule and severity."""

    severity: str
    rule: Rule
    kept: Verdicts


class FindingRows:
    """The findings of evaluated rules.

    Args:
        connection: the database.
        rules: the rules by id.
        values: the parameters of each rule.
        evaluations: of each rule.
        taken: end of the run.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        rules: Mapping[str, Rule],
        values: Mapping[str, Mapping[str, Any]],
        evaluations: Mapping[str, Evaluation],
        taken: datetime,
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._values = values
        self._evaluations = evaluations
        self._taken = taken

    def batches(self, baseline: Baseline | None) -> Iterator[pa.RecordBatch]:
        """Yields the findings, with states if there is a baseline."""
        for group in self._groups(has_ended=baseline is not None):
            rule = group.rule
            constants = {
                "rule": rule.id,
                "severity": group.severity,
                "area": rule.area,
                "assumes": rule.assumes or None,
                "suppressed": False,
                "first_seen": int(self._taken.timestamp() * 1_000_000),
            }
            for batch in self._rows(group, baseline):
                yield self._complete(batch, constants)

    def _groups(self, *, has_ended: bool) -> list[Group]:
        """The groups of findings, most severe first."""
        ended = self._connection.execute("SELECT DISTINCT severity, rule FROM ended").fetchall() if has_ended else ()
        groups = dict.fromkeys(ended, NOTHING)
        for name, evaluation in self._evaluations.items():
            kept = evaluation.kept
            names = severity_names(self._rules[name])
            for severity in dict.fromkeys(names):
                of_severity = [code for code, other in enumerate(names) if other == severity]
                mask = np.isin(kept.severities, of_severity) & (kept.verdicts != PART)
                if mask.any():
                    groups[severity, name] = kept.select(mask)
        in_order = sorted(groups, key=lambda group: (SEVERITIES.index(group[0]), group[1]))
        return [Group(severity, self._rules[name], groups[severity, name]) for severity, name in in_order]

    def _rows(self, group: Group, baseline: Baseline | None) -> Iterator[pa.RecordBatch]:
        values: dict[str, Any] = {"rule": group.rule.id, "severity": group.severity, "taken": self._taken}
        values |= {"verdicts": list(VERDICTS), "reasons": list(REASONS), **self._values[group.rule.id]}
        view, details = VIEWS[group.rule.subject], self._evaluations[group.rule.id].details
        if baseline is not None:
            values["is_compared"] = baseline.rules is None or group.rule.id in baseline.rules
            rows = with_states(_NAMED_ROWS.format(named=NAMED[view], details=details))
            query = _IN_ORDER.format(rows=rows, states=", state, first_seen")
        elif view in _IDS:
            query = _ROWS.format(ids=_IDS[view], details=details)
        else:
            rows = _NAMED_ROWS.format(named=NAMED[view], details=details)
            query = _IN_ORDER.format(rows=rows, states="")
        with (
            closing(self._connection.cursor()) as cursor,
            registered(cursor, "kept", group.kept.table()),
            translate_errors(),
        ):
            yield from cursor.sql(query, params=bind(query, values)).to_arrow_reader(_ROWS_PER_BATCH)

    def _complete(self, batch: pa.RecordBatch, constants: Mapping[str, Any]) -> pa.RecordBatch:
        """Adds the columns that a batch lacks: names by the number of the subject, and constants."""
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        if "subject_id" in columns:
            columns |= self._subjects.of(to_numbers(columns["subject_id"].cast(pa.int64()), 0))
            columns["verdict"] = _VERDICTS.take(columns["verdict"])
            columns["why_unknown"] = _REASONS.take(columns["reason"])
        columns["finding_id"] = _finding_ids(constants["rule"], columns["subject"], columns["event"])
        arrays = [
            columns[field.name].cast(field.type)
            if field.name in columns
            else pa.repeat(to_scalar(constants.get(field.name), field.type), batch.num_rows)
            for field in _FIELDS
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=_FIELDS)

    @cached_property
    def _subjects(self) -> _Subjects:
        return _Subjects(self._connection)


def _finding_ids(rule: str, subjects: pa.Array, events: pa.Array) -> pa.Array:
    texts = pc.binary_join_element_wise(
        *(to_scalar(rule, pa.string()), subjects.cast(pa.string())),
        *(events.cast(pa.string()).fill_null(to_scalar("", pa.string())), to_scalar("\n", pa.string())),
    )
    digests = b"".join([sha256(text).digest()[:_DIGEST] for text in texts.cast(pa.binary()).to_pylist()])
    ends = np.arange(0, 2 * len(digests) + 1, 2 * _DIGEST, dtype=np.int32)
    return pa.Array.from_buffers(
        pa.string(), len(texts), [None, pa.py_buffer(ends), pa.py_buffer(digests.hex().encode())]
    )


class _Subjects:
    """The subjects and the parts of their names, by id."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        def column(name: str) -> pa.ChunkedArray:
            reader = connection.sql(f"SELECT {name} FROM subjects").to_arrow_reader(_ROWS_PER_BATCH)  # noqa: S608 - constants
            chunks = [batch.column(0) if name in _DISTINCT else batch.column(0).dictionary_encode() for batch in reader]
            return pa.chunked_array(chunks, None if chunks else pa.string()).unify_dictionaries()

        numbers = to_numbers(connection.sql("SELECT id::BIGINT AS id FROM subjects").to_arrow_table()["id"], 0)
        self._rows = np.zeros(int(np.max(numbers, initial=0)) + 1, np.int32)
        self._rows[numbers] = np.arange(len(numbers), dtype=np.int32)
        self._columns = {name: combine_chunks(column(name)) for name in (*_DISTINCT, *_REPEATED)}

    def of(self, ids: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, pa.Array]:
        """The columns of subjects."""
        rows = pa.Array.from_buffers(pa.int32(), len(ids), [None, pa.py_buffer(self._rows[ids])])
        return {name: column.take(rows).cast(pa.string()) for name, column in self._columns.items()}
