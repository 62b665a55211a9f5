"""A review with its suppressions: rows that outputs show, and their counts."""

from __future__ import annotations

import json
from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.reviews import findings as declared
from inventory.settings import SEVERITIES
from inventory.tables.arrow import to_array, to_objects
from inventory.tables.batches import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date, datetime

    from inventory.reviews.result import Review
    from inventory.reviews.rule import Rule
    from inventory.reviews.suppressions import Suppressions

_KEYS: Final = ("severity", "rule", "verdict", "suppressed", "state")


class Group(NamedTuple):
    """Findings that are counted together."""

    severity: str
    rule: str
    verdict: str
    suppressed: bool
    state: str | None


class TrendPoint(NamedTuple):
    """The counts of one run.

    Attributes:
        run: folder or URL.
        finished: end of the run, UTC.
        failures: open failures by severity.
        unknown: verdicts that are unknown.
        coverage: as :attr:`Reviewed.coverage`.
    """

    run: str
    finished: datetime
    failures: dict[str, int]
    unknown: int
    coverage: float | None


class Details(NamedTuple):
    """What a review is about.

    Attributes:
        run: folder or URL of the run.
        as_of: the day that suppressions are compared with.
        new_only: outputs have new findings only.
        assumptions: sentences.
        has_baseline: findings have a state.
        baseline: what the findings are compared with; empty: nothing.
        earlier: earlier runs that were reviewed with the same rules and suppressions, oldest first.
    """

    run: str
    as_of: date
    new_only: bool = False
    assumptions: tuple[str, ...] = ()
    has_baseline: bool = False
    baseline: str = ""
    earlier: tuple[TrendPoint, ...] = ()


class Reviewed:
    """What outputs show.

    Args:
        review: the evaluated rules.
        suppressions: of the settings file.
        details: what the review is about.
        warnings: sentences that are known before the findings are read.
    """

    def __init__(
        self, review: Review, suppressions: Suppressions, details: Details, warnings: tuple[str, ...] = ()
    ) -> None:
        self._review = review
        self._suppressions = suppressions
        self._warnings = warnings
        self._counts: Counter[Group] | None = None
        self.details = details
        self.manifest: Mapping[str, Any] = review.manifest
        self.rules: Mapping[str, Rule] = review.rules
        self.taken: datetime = review.taken
        self.cycles: pa.Table = review.cycles
        self.urns = sum(int(count) for count in review.manifest["counts"]["status"].values()) or int(
            review.manifest["input"]["urns"]
        )

    def findings(self) -> Iterator[pa.RecordBatch]:
        """Yields the findings, most severe first, with their suppressions."""
        counts: Counter[Group] = Counter()
        for batch in self._review.batches("findings"):
            marked = self._suppressions.mark(batch) if self._suppressions else batch
            _count(marked, counts)
            shown = marked.filter(_is_new(marked)) if self.details.new_only else marked
            if shown.num_rows:
                yield shown
        self._counts = counts

    def rows(self, table: str) -> Iterator[pa.RecordBatch]:
        """Yields the rows of ``findings``, ``summary``, ``exposure`` or ``envelope``."""
        if table == "findings":
            return self.findings()
        return iter(self.summary.to_batches()) if table == "summary" else self._review.batches(table)

    @property
    def counts(self) -> Counter[Group]:
        """Number of findings by group; reads the findings if no one has read them."""
        if self._counts is None:
            for _ in self.findings():
                pass
        assert self._counts is not None  # noqa: S101 - set at the end of the loop
        return self._counts

    def count(
        self,
        verdict: str,
        severity: str | None = None,
        *,
        suppressed: bool | None = False,
        state: str | None = None,
        rule: str | None = None,
    ) -> int:
        """Number of findings; None: whatever the value."""
        return sum(
            number
            for group, number in self.counts.items()
            if group.verdict == verdict
            and severity in (None, group.severity)
            and suppressed in (None, group.suppressed)
            and state in (None, group.state)
            and rule in (None, group.rule)
        )

    def failures(self, fail_on: str) -> int:
        """Number of failures at or above a severity that no suppression hides; with ``new_only``, of new ones."""
        state = "new" if self.details.new_only else None
        severities = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
        return sum(self.count("fail", severity, state=state) for severity in severities)

    @property
    def summary(self) -> pa.Table:
        """Table ``review_summary``, with the suppressed findings."""
        table = self._review.summary
        suppressed: Counter[str] = Counter()
        for group, number in self.counts.items():
            suppressed[group.rule] += number if group.suppressed else 0
        numbers = [suppressed[rule] for rule in table["rule"].to_pylist()]
        column = table.schema.get_field_index("suppressed")
        return table.set_column(column, table.schema.field(column), to_array(numbers, pa.int64()))

    @property
    def coverage(self) -> float | None:
        """(pass + fail) / (pass + fail + unknown) of all rules; None: no rule applies to anything."""
        table = self._review.summary
        passed, failed, unknown = (sum(table[name].to_pylist()) for name in ("pass", "fail", "unknown"))
        whole = passed + failed + unknown
        return (passed + failed) / whole if whole else None

    def unknown_reasons(self) -> Counter[str]:
        """Number of unknown verdicts by reason."""
        reasons: Counter[str] = Counter()
        for text in self._review.summary["unknown_reasons"].to_pylist():
            reasons.update(json.loads(text) if text else {})
        return reasons

    def point(self) -> TrendPoint:
        """The counts of this run; reads the findings, as :attr:`counts`."""
        return TrendPoint(
            self.details.run,
            self.taken,
            {severity: self.count("fail", severity) for severity in SEVERITIES},
            self.unknown_reasons().total(),
            self.coverage,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about this review; reads the findings, as :attr:`counts`."""
        _ = self.counts
        return (*self._warnings, *self._suppressions.warnings(), *self.unmatched_suppressions)

    @property
    def unmatched_suppressions(self) -> tuple[str, ...]:
        """A sentence for each suppression that matches nothing."""
        _ = self.counts
        return tuple(self._suppressions.unmatched())

    def query(self, statement: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Runs a query on the tables that rules read."""
        return self._review.query(statement, values)

    def lines(self, subjects: list[str]) -> dict[str, int]:
        """Line of each subject in ``functions.csv``; a subject that has none is left out."""
        return self._review.lines(subjects)


def schema_of(table: str) -> pa.Schema:
    """The Arrow schema of ``findings``, ``summary``, ``exposure`` or ``envelope``."""
    return arrow_schema(declared.TABLES["review_summary" if table == "summary" else table])


def of_kind(batch: pa.RecordBatch, kind: str) -> pa.RecordBatch:
    """The rows of a verdict that no suppression hides, or with ``suppressed`` those that one hides."""
    suppressed = batch.column("suppressed")
    if kind == "suppressed":
        return batch.filter(suppressed)
    return batch.filter(pc.and_(pc.equal(batch.column("verdict"), kind), pc.invert(suppressed)))


def first_of_each_rule(batch: pa.RecordBatch, maximum: int) -> list[dict[str, Any]]:
    """The first rows of each rule in a batch."""
    rows: list[dict[str, Any]] = []
    for rule in pc.unique(batch.column("rule")).to_pylist():
        rows += to_objects(batch.filter(pc.equal(batch.column("rule"), rule)).slice(0, maximum))
    return rows


def most_severe(rows: Iterable[dict[str, Any]], maximum: int) -> list[dict[str, Any]]:
    """The most severe rows; of equally severe ones the first of each rule, then the second of each rule."""
    numbers: Counter[tuple[str, str]] = Counter()
    ranked = []
    for row in rows:
        group = row["severity"], row["rule"]
        numbers[group] += 1
        if row["state"] not in ("fixed", "gone"):
            ranked.append(((SEVERITIES.index(row["severity"]), numbers[group], row["rule"]), row))
    chosen = sorted(ranked, key=itemgetter(0))[:maximum]
    return [row for _, row in sorted(chosen, key=lambda item: (item[0][0], item[0][2], item[0][1]))]


def _is_new(batch: pa.RecordBatch) -> pa.Array:
    return pc.fill_null(pc.equal(batch.column("state"), "new"), fill_value=False)


def _count(batch: pa.RecordBatch, counts: Counter[Group]) -> None:
    """Adds the rows of each group; ``group_by`` and ``to_numpy`` would import pandas."""
    columns = [batch.column(name).dictionary_encode(null_encoding="encode") for name in _KEYS]
    sizes = [max(1, len(column.dictionary)) for column in columns]
    indices: Any = [np.from_dlpack(column.indices) for column in columns]
    codes = np.ravel_multi_index(indices, sizes)
    for code, number in zip(*np.unique(codes, return_counts=True), strict=True):
        cells = zip(columns, np.unravel_index(code, sizes), strict=True)
        counts[Group(*(column.dictionary[int(index)].as_py() for column, index in cells))] += int(number)
