"""Chooses the findings of a page: the most severe, and some of each rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.reviews.reviewed import schema_of
from inventory.settings import SEVERITIES
from inventory.tables.arrow import take_rows, to_flags

if TYPE_CHECKING:
    from inventory.reviews.reviewed import Reviewed

MAX_FINDINGS: Final = 20_000
_OTHERS: Final = 4
"""Findings that are no open failures get at least one part of this number."""
_KEYS: Final = ("severity", "rule", "verdict")

Key: TypeAlias = tuple[str, ...]


class FindingSample:
    """At most ``maximum`` open failures, and as many other findings; memory is bounded by that.

    Attributes:
        total: number of findings that were read.
        open_failures: failures of them that no suppression hides.
    """

    def __init__(self, reviewed: Reviewed, maximum: int = MAX_FINDINGS) -> None:
        self._failures, self._others = _Pool(maximum), _Pool(maximum)
        self.total = self.open_failures = 0
        self._maximum = maximum
        for batch in reviewed.findings():
            self.total += batch.num_rows
            is_failure = pc.equal(batch.column("verdict"), "fail")
            is_open = to_flags(pc.and_(is_failure, pc.invert(batch.column("suppressed"))))
            self.open_failures += int(is_open.sum())
            self._failures.add(batch, is_open)
            self._others.add(batch, ~is_open)

    def take(self, maximum: int) -> tuple[pa.Table, pa.Table]:
        """Returns open failures and others; each most severe first.

        Of equally severe findings, each rule has its first ones, and no rule more than its part.
        """
        maximum = min(maximum, self._maximum)
        failures = self._failures.take(maximum - min(self._others.size, maximum // _OTHERS))
        return failures, self._others.take(maximum - failures.num_rows)


class _Pool:
    """Rows by severity, rule and verdict."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._groups: dict[Key, list[pa.RecordBatch]] = {}

    @property
    def size(self) -> int:
        """Rows that can be taken."""
        return min(self._maximum, sum(map(_count, self._groups.values())))

    def add(self, batch: pa.RecordBatch, flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        if not flags.any():
            return
        columns = [batch.column(name).dictionary_encode() for name in _KEYS]
        codes = np.stack([np.from_dlpack(column.indices) for column in columns], axis=1)
        for values in np.unique(codes[flags], axis=0):
            key = tuple(column.dictionary[int(value)].as_py() for column, value in zip(columns, values, strict=True))
            rows = np.flatnonzero(flags & (codes == values).all(axis=1))[: self._maximum]
            self._groups.setdefault(key, []).append(take_rows(batch, rows))
        if sum(map(_count, self._groups.values())) > 2 * self._maximum:
            shares = self._shares(self._maximum)
            self._groups = {key: _first(self._groups[key], share) for key, share in shares.items() if share}

    def take(self, maximum: int) -> pa.Table:
        shares = self._shares(min(maximum, self._maximum))
        batches = [batch for key, share in shares.items() for batch in _first(self._groups[key], share)]
        return pa.Table.from_batches(batches, schema_of("findings"))

    def _shares(self, maximum: int) -> dict[Key, int]:
        """Number of rows of each group, most severe group first."""
        shares: dict[Key, int] = {}
        for severity in SEVERITIES:
            sizes = {key: _count(batches) for key, batches in sorted(self._groups.items()) if key[0] == severity}
            left = maximum - sum(shares.values())
            for number, key in enumerate(sorted(sizes, key=sizes.__getitem__)):
                sizes[key] = min(sizes[key], left // (len(sizes) - number))
                left -= sizes[key]
            shares |= sizes
        return shares


def _count(batches: list[pa.RecordBatch]) -> int:
    return sum(batch.num_rows for batch in batches)


def _first(batches: list[pa.RecordBatch], maximum: int) -> list[pa.RecordBatch]:
    """The first rows, copied, so that the others can be freed."""
    kept = []
    for batch in batches:
        rows = min(batch.num_rows, maximum)
        if rows:
            kept.append(take_rows(batch, np.arange(rows)))
        maximum -= rows
    return kept
