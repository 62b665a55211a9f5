"""Two spans of sorted rows, side by side: which rows are on both sides, on one, and which may differ.

Owns the work that is done by Arrow and numpy, a column at a time: most rows of two runs are the same, and none of those
becomes a Python object. Knows no kind of change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.comparison.sorted_rows import keys_of
from inventory.tables.arrow import combine_chunks, to_array, to_scalar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Numbers = np.ndarray[Any, np.dtype[np.int64]]
    Flags = np.ndarray[Any, np.dtype[np.bool_]]


_NOWHERE = to_scalar(-1, pa.int64()).cast(pa.int32())
_FALSE = to_scalar(False, pa.bool_())


class Aligned(NamedTuple):
    """Row numbers: ``old`` and ``new`` belong together, the others are on one side only."""

    old: Numbers
    new: Numbers
    only_old: Numbers
    only_new: Numbers


def align(old: pa.Table, new: pa.Table) -> Aligned:
    """Finds the rows of the same key."""
    old_keys, new_keys = keys_of(old), keys_of(new)
    none = np.zeros(0, np.int64)
    if not len(old_keys) or not len(new_keys):
        return Aligned(none, none, np.arange(len(old_keys)), np.arange(len(new_keys)))
    if old_keys.equals(new_keys):
        both = np.arange(len(old_keys))
        return Aligned(both, both, none, none)
    places = pc.index_in(old_keys, value_set=new_keys).fill_null(_NOWHERE)
    found = np.frombuffer(places.buffers()[1], np.int32, len(places), places.offset * 4).astype(np.int64)
    alone = np.ones(len(new_keys), np.bool_)
    alone[found[found >= 0]] = False
    return Aligned(np.flatnonzero(found >= 0), found[found >= 0], np.flatnonzero(found < 0), np.flatnonzero(alone))


def differing(old: pa.Table, new: pa.Table, aligned: Aligned, columns: Sequence[str]) -> Flags:
    """For each pair of rows, whether one of the columns differs; null is a value like others."""
    flags = np.zeros(len(aligned.old), np.bool_)
    old, new = (
        side if len(rows) == side.num_rows else taken(side, rows)
        for side, rows in ((old, aligned.old), (new, aligned.new))
    )
    for name in columns:
        before, after = old.column(name), new.column(name)
        if before.equals(after):
            continue
        other = pc.not_equal(before, after).fill_null(_FALSE)
        other = pc.or_(other, pc.xor(pc.is_null(before), pc.is_null(after)))
        flags |= _flags(other)
    return flags


def among(column: pa.ChunkedArray, texts: Iterable[str]) -> Flags:
    """For each cell, whether it is one of the texts."""
    values = to_array(list(texts), pa.string())
    return _flags(pc.is_in(column, value_set=values))


def taken(rows: pa.Table, numbers: Numbers) -> pa.Table:
    """Some rows, by number. ``pyarrow.array`` would load pandas."""
    return rows.take(pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)]))


def _flags(cells: pa.ChunkedArray) -> Flags:
    """Booleans without a null. Arrow's own way, to_numpy, would load pandas."""
    array = combine_chunks(cells)
    if not len(array):
        return np.zeros(0, np.bool_)
    bits = np.frombuffer(array.buffers()[1], np.uint8)
    return np.unpackbits(bits, bitorder="little")[array.offset : array.offset + len(array)].astype(np.bool_)
