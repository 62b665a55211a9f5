"""Runs a review: loads a run, evaluates the rules, gives the tables."""

from __future__ import annotations

import datetime as dt
import json
import math
from contextlib import ExitStack, closing
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import pyarrow as pa

from inventory.errors import UsageError
from inventory.reviews import findings as declared
from inventory.reviews.database import FEW_ROWS, open_database, registered, translate_errors
from inventory.reviews.evaluate import Evaluation, Evaluator, RuleCounts
from inventory.reviews.finding_rows import FindingRows
from inventory.reviews.graph.graph_tables import compute_graph_tables
from inventory.reviews.rule_process import evaluate_in_child
from inventory.reviews.rule_threads import evaluate_in_threads
from inventory.reviews.states import Comparison
from inventory.settings import AssumedDefaults
from inventory.tables.arrow import to_array
from inventory.tables.batches import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inventory.reviews.baseline import Baseline
    from inventory.reviews.database import RunTables
    from inventory.reviews.rule import Rule

_ROWS_PER_BATCH: Final = 50_000

_LINES: Final = """
SELECT subject, min(row_number) + 1 FROM (
    SELECT subject, row_number FROM subjects UNION ALL SELECT function_of(subject), row_number FROM subjects)
WHERE subject IN (SELECT subject FROM wanted)
GROUP BY subject
"""
"""Line 1 of the file has the names of the columns."""


class ReviewOptions(NamedTuple):
    """What to review with.

    Attributes:
        rules: the rules that run, by id.
        parameters: changed parameters of rules, by rule id.
        defaults: values assumed for ``not_configured`` URNs.
        rule_timeout: seconds that a rule may take.
        keep_passes: findings have the verdict ``pass`` too.
        user_rules: the ids of ``rules`` that a user wrote: they run in a process of their own.
    """

    rules: Mapping[str, Rule]
    parameters: Mapping[str, Mapping[str, Any]] = {}
    defaults: AssumedDefaults = AssumedDefaults()
    rule_timeout: float = 60.0
    keep_passes: bool = False
    user_rules: frozenset[str] = frozenset()


class Review:
    """A finished review; close it to free its memory and temporary files.

    Attributes:
        manifest: of the reviewed run.
        rules: the rules that ran, by id.
        summary: table ``review_summary``, one row per rule.
        cycles: one row per cycle: certainty, kind, size, urns.
        taken: end of the run.
        is_limited: whether a user's rules ran with a limit of their memory; True without such rules.
    """

    is_limited = True

    def __init__(self, tables: RunTables, options: ReviewOptions) -> None:
        self.manifest = tables.manifest
        self.taken = dt.datetime.fromisoformat(tables.manifest["finished"]).astimezone(dt.UTC)
        self.rules = dict(sorted(options.rules.items()))
        with ExitStack() as stack:
            self._connection = stack.enter_context(open_database(tables, options.defaults))
            with translate_errors():
                self.cycles: pa.Table = compute_graph_tables(self._connection)
            self._values = {
                name: bind_parameters(rule, options.parameters.get(name, {})) for name, rule in self.rules.items()
            }
            self._comparison: Comparison | None = None
            self._evaluations = self._evaluate(tables, options)
            self.counts = {name: evaluation.counts for name, evaluation in self._evaluations.items()}
            self._rows = FindingRows(self._connection, self.rules, self._values, self._evaluations, self.taken)
            self._stack = stack.pop_all()

    def _evaluate(self, tables: RunTables, options: ReviewOptions) -> dict[str, Evaluation]:
        evaluator = Evaluator(self._connection, options.rule_timeout, keep_passes=options.keep_passes, few=FEW_ROWS)
        own = {name: rule for name, rule in self.rules.items() if name in options.user_rules}
        rules = {name: rule for name, rule in self.rules.items() if name not in own}
        evaluations = evaluate_in_threads(evaluator, self._connection, rules, self._values)
        if own:
            values = {name: self._values[name] for name in own}
            of_own = evaluate_in_child(
                tables.name, own, values, options.defaults, options.rule_timeout, keep_passes=options.keep_passes
            )
            evaluations |= of_own.evaluations  # the same tables have the same ids
            self.is_limited = of_own.is_limited
        return evaluations

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the database; tables that were read before stay."""
        self._stack.close()

    @cached_property
    def summary(self) -> pa.Table:
        """One row per rule, sorted by id."""
        return summarize(self.rules, self.counts)

    @cached_property
    def findings(self) -> pa.Table:
        """All findings, most severe first; see :meth:`batches` for many."""
        return pa.Table.from_batches(self.batches("findings"), arrow_schema(declared.FINDINGS))

    @cached_property
    def exposure(self) -> pa.Table:
        """One row per URN, sorted."""
        return pa.Table.from_batches(self.batches("exposure"), arrow_schema(declared.EXPOSURE))

    @cached_property
    def envelope(self) -> pa.Table:
        """One row per URN, sorted."""
        return pa.Table.from_batches(self.batches("envelope"), arrow_schema(declared.ENVELOPE))

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """Yields the rows of ``findings``, ``exposure`` or ``envelope`` in order, in batches of bounded size."""
        if table == "findings":
            yield from self._rows.batches(self._comparison)
            return
        fields = arrow_schema(declared.TABLES[table])
        query = f"SELECT {', '.join(fields.names)} FROM {table} ORDER BY id"  # noqa: S608 - constants
        with closing(self._connection.cursor()) as cursor, translate_errors():
            for batch in cursor.sql(query).to_arrow_reader(_ROWS_PER_BATCH):
                yield batch.cast(fields)

    def compare(self, baseline: Baseline) -> None:
        """Gives each finding a state, and adds those of the baseline that ended; rules that did not run have none."""
        kept = {name: evaluation.kept for name, evaluation in self._evaluations.items()}
        taken = int(self.taken.timestamp() * 1_000_000)
        self._comparison = Comparison(self._connection, baseline, self.rules, self._values, kept, taken)

    def query(self, statement: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Runs a query on the tables that rules read."""
        with closing(self._connection.cursor()) as cursor, translate_errors():
            rows: list[tuple[Any, ...]] = cursor.execute(statement, values).fetchall()
            return rows

    def lines(self, subjects: Sequence[str]) -> dict[str, int]:
        """Line of each subject in ``functions.csv``; of a function, of its first URN."""
        wanted = pa.table({"subject": to_array(list(subjects), pa.string())})
        with registered(self._connection, "wanted", wanted):
            return dict(self._connection.execute(_LINES).fetchall())


def bind_parameters(rule: Rule, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of a rule's parameters.

    Raises:
        UsageError: a changed parameter does not exist, or has a value of another type.
    """
    for name, value in changed.items():
        if name not in rule.parameters:
            known = ", ".join(rule.parameters) or "none"
            raise UsageError(f"rule {rule.id} has no parameter {name!r}; its parameters: {known}")
        if isinstance(rule.parameters[name].default, list):
            is_valid, kind = isinstance(value, list) and all(isinstance(item, str) for item in value), "a list of texts"
        else:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            is_valid, kind = is_number and math.isfinite(value), "a number"
        if not is_valid:
            raise UsageError(f"rule {rule.id}: {name} is {value!r}; it must be {kind}")
    return {name: changed.get(name, parameter.default) for name, parameter in rule.parameters.items()}


def summarize(rules: Mapping[str, Rule], counts: Mapping[str, RuleCounts]) -> pa.Table:
    """Makes the table ``review_summary``; ``suppressed`` is 0."""
    rows = []
    for rule in rules.values():
        verdicts, reasons = counts[rule.id]
        checked = verdicts["pass"] + verdicts["fail"]
        coverage = checked / (checked + verdicts["unknown"]) if checked + verdicts["unknown"] else None
        rows.append(
            (
                *(rule.id, rule.name, rule.title, rule.area, rule.severity, sum(verdicts.values())),
                *(verdicts["pass"], verdicts["fail"], verdicts["unknown"], verdicts["not_applicable"]),
                *(0, coverage, json.dumps(dict(sorted(reasons.items())), separators=(",", ":")) if reasons else None),
            )
        )
    fields = arrow_schema(declared.REVIEW_SUMMARY)
    columns = zip(*rows, strict=True) if rows else [()] * len(fields)
    arrays = [to_array(list(values), field.type) for values, field in zip(columns, fields, strict=True)]
    return pa.Table.from_arrays(arrays, schema=fields)
