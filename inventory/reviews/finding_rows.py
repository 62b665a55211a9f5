"""Reads the findings of evaluated rules, most severe first, in batches."""

from __future__ import annotations

from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.reviews import findings as declared
from inventory.reviews.database import registered, translate_errors
from inventory.reviews.evaluate import VIEWS, severity_names
from inventory.reviews.read_ahead import read_ahead
from inventory.reviews.states import cut
from inventory.reviews.subject_names import SubjectNames
from inventory.reviews.verdicts import PART, REASONS, VERDICTS
from inventory.settings import SEVERITIES
from inventory.tables.arrow import combine_chunks, from_numbers, take_rows, to_array, to_scalar
from inventory.tables.batches import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    import duckdb

    from inventory.reviews.evaluate import Evaluation
    from inventory.reviews.rule import Rule
    from inventory.reviews.states import Comparison
    from inventory.reviews.subject_names import Numbers

_ROWS_PER_BATCH: Final = 50_000
_DIGEST: Final = 8
"""Bytes of the id of a finding."""
_FIELDS: Final = arrow_schema(declared.FINDINGS)
_VERDICTS: Final = to_array(VERDICTS, pa.string())
_REASONS: Final = to_array((None, *REASONS), pa.string())
_DETAILS: Final = """
SELECT evidence, target FROM kept LEFT JOIN ({query}) AS details USING (id) ORDER BY position
"""


class Group(NamedTuple):
    """Findings of one rule and severity; ``rows`` are those of the kept verdicts, in the order of the findings."""

    severity: str
    rule: Rule
    rows: Numbers


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
        self._taken = int(taken.timestamp() * 1_000_000)
        self._names = SubjectNames(connection)

    def batches(self, comparison: Comparison | None) -> Iterator[pa.RecordBatch]:
        """Yields the findings, with states if there is a baseline."""
        for group in self._groups(comparison):
            rows = self._rows(group, comparison)
            if comparison is not None:
                rows = cut(comparison.with_ended(group.rule.id, group.severity, rows), _ROWS_PER_BATCH)
            constants = {
                "rule": group.rule.id,
                "severity": group.severity,
                "area": group.rule.area,
                "assumes": group.rule.assumes or None,
                "suppressed": False,
                "first_seen": self._taken,
            }
            for batch in rows:
                yield _complete(batch, constants)

    def _groups(self, comparison: Comparison | None) -> list[Group]:
        """The groups of findings, most severe first."""
        groups = dict.fromkeys(comparison.ended_groups() if comparison else (), np.zeros(0, np.int64))
        for name, evaluation in self._evaluations.items():
            kept = evaluation.kept
            names = severity_names(self._rules[name])
            for severity in dict.fromkeys(names):
                of_severity = [code for code, other in enumerate(names) if other == severity]
                rows = np.flatnonzero(np.isin(kept.severities, of_severity) & (kept.verdicts != PART))
                if len(rows):
                    groups[severity, name] = rows
        in_order = sorted(groups, key=lambda group: (SEVERITIES.index(group[0]), group[1]))
        return [Group(severity, self._rules[name], groups[severity, name]) for severity, name in in_order]

    def _rows(self, group: Group, comparison: Comparison | None) -> Iterator[pa.Table]:
        """The findings of a group without constant columns."""
        view, kept = VIEWS[group.rule.subject], self._evaluations[group.rule.id].kept
        rows = group.rows[self._names.order(view, kept.ids[group.rows].astype(np.int64))]
        first = 0
        for details in self._details(group.rule, rows):
            chosen = rows[first : first + len(details)]
            first += len(details)
            numbers = kept.ids[chosen].astype(np.int64)
            columns = self._names.of(view, numbers)
            columns |= {name: details[name] for name in details.column_names}
            columns["verdict"] = take_rows(_VERDICTS, kept.verdicts[chosen].astype(np.int64))
            columns["why_unknown"] = take_rows(_REASONS, kept.reasons[chosen].astype(np.int64))
            if comparison is not None:
                columns |= comparison.states(group.rule.id, numbers, kept.verdicts[chosen], details["evidence"])
            yield pa.table(columns)

    def _details(self, rule: Rule, rows: Numbers) -> Iterator[pa.Table]:
        """Evidence and targets of kept verdicts, in batches."""
        evaluation = self._evaluations[rule.id]
        if evaluation.details is not None:
            for first in range(0, len(rows), _ROWS_PER_BATCH):
                yield take_rows(evaluation.details, rows[first : first + _ROWS_PER_BATCH])
            return
        used = {name: self._values[rule.id][name] for name in rule.used}
        kept = evaluation.kept.select(rows).table()
        kept = kept.append_column("position", from_numbers(np.arange(len(rows), dtype=np.int32), pa.int32()))
        with (
            closing(self._connection.cursor()) as cursor,
            registered(cursor, "kept", kept),
            translate_errors(),
        ):
            query = cursor.sql(_DETAILS.format(query=evaluation.query), params=used or None)
            for batch in read_ahead(iter(query.to_arrow_reader(_ROWS_PER_BATCH))):
                yield pa.Table.from_batches([batch])


def _complete(batch: pa.Table, constants: Mapping[str, Any]) -> pa.RecordBatch:
    """Adds the columns that are the same in all rows, and the ids."""
    columns = {name: combine_chunks(batch[name]) for name in batch.column_names}
    columns["finding_id"] = _finding_ids(constants["rule"], columns["subject"], columns["event"])
    arrays = [
        columns[field.name].cast(field.type)
        if field.name in columns
        else pa.repeat(to_scalar(constants.get(field.name), field.type), len(batch))
        for field in _FIELDS
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=_FIELDS)


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
