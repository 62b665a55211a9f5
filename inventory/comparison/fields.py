"""Finds the fields of configurations that differ, column by column.

Two times are equal if their texts or their moments are, to the last digit. ``param`` and ``extra`` are compared by
meaning (:mod:`inventory.exact_json`), in Python, and only where their texts differ.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.comparison.join import NUMBERS, SIDE_FIELDS, TIMES
from inventory.errors import Status
from inventory.exact_json import canonical, same_text
from inventory.tables.arrow import combine_chunks, compare_columns, take_rows, to_array, to_flags, to_numbers, to_scalar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inventory.tables.arrow import Flags, Numbers

EVENTS: Final = ("on_failure", "on_success")
FIELDS: Final = (
    *((None, name) for name in sorted(("answered_urn", *NUMBERS, *TIMES, "extra"))),
    *((event, name) for event in EVENTS for name in SIDE_FIELDS),
)
"""Event and name of each compared field, in the order of the rows. Fields without an event are columns of functions."""
_JSON: Final = frozenset({"param", "extra"})
_TEXT: Final = pa.string()
_FINE_DIGITS: Final = re.compile(r"[.,]\d{6}(\d+)")
"""Digits of a time that its column does not hold."""


class FieldChanges(NamedTuple):
    """Fields that differ, sorted by function and field.

    Attributes:
        rows: row number of the function in the join.
        numbers: index of the field in :data:`FIELDS`.
        before: values in OLD as text.
        after: values in NEW as text.
    """

    rows: Numbers
    numbers: Numbers
    before: pa.Array
    after: pa.Array

    @property
    def is_first(self) -> Flags:
        """Whether each change is the first one of its function."""
        return _is_new(self.rows)

    def is_alone(self, number: int) -> Flags:
        """Whether each change concerns this field and is the only one of its function."""
        is_last = _is_new(self.rows[::-1])[::-1]
        flags: Flags = (self.numbers == number) & self.is_first & is_last
        return flags


def find_field_changes(functions: pa.Table, destinations: pa.Table, by_status: Flags) -> FieldChanges:
    """Finds the fields that differ in the rows of :meth:`inventory.comparison.join.JoinedTables.join`.

    Args:
        functions: joined rows, sorted.
        destinations: joined rows.
        by_status: functions whose fields are not compared.
    """
    is_config = ~by_status & to_flags(pc.equal(functions["old_status"], to_scalar(Status.CONFIGURED.value, _TEXT)))
    found = [change for change in _all_changes(functions, destinations, is_config) if len(change.rows)]
    if not found:
        none = np.zeros(0, np.int64)
        return FieldChanges(none, none, pa.nulls(0, _TEXT), pa.nulls(0, _TEXT))
    rows, numbers = (
        np.concatenate(columns) for columns in zip(*((one.rows, one.numbers) for one in found), strict=True)
    )
    order = np.argsort(rows * len(FIELDS) + numbers)
    texts = (pa.concat_arrays(columns) for columns in zip(*((one.before, one.after) for one in found), strict=True))
    before, after = (take_rows(column, order) for column in texts)
    return FieldChanges(rows[order], numbers[order], before, after)


def _all_changes(functions: pa.Table, destinations: pa.Table, is_config: Flags) -> Iterator[FieldChanges]:
    urns = combine_chunks(functions["function_urn"])
    rows = to_numbers(pc.index_in(destinations["function_urn"], value_set=urns).cast(pa.int64()), -1)
    of_config = (rows >= 0) & is_config[rows] if len(is_config) else rows >= 0
    of_event = {
        event: of_config & to_flags(pc.equal(destinations["event"], to_scalar(event, _TEXT))) for event in EVENTS
    }
    for number, (event, name) in enumerate(FIELDS):
        if event is None:
            column = f"{name}_raw" if name in TIMES else name
            before, after = functions[f"old_{column}"], functions[f"new_{column}"]
            flags = is_config & compare_columns(before, after)
            if name in TIMES:
                is_same = to_flags(pc.equal(functions[f"old_{name}"], functions[f"new_{name}"]))
                flags &= ~(is_same & ~_differ_below_microseconds(before, after, flags & is_same))
        else:
            before, after = destinations[f"old_{name}"], destinations[f"new_{name}"]
            flags = of_event[event] & compare_columns(before, after)
        places = np.flatnonzero(flags)
        before, after = (take_rows(combine_chunks(column), places).cast(_TEXT) for column in (before, after))
        if name in _JSON and len(places):
            places, before, after = _remove_same_meaning(places, before, after, write_sorted=event is not None)
        yield FieldChanges(places if event is None else rows[places], np.full(len(places), number), before, after)


def _differ_below_microseconds(before: pa.ChunkedArray, after: pa.ChunkedArray, flags: Flags) -> Flags:
    """Whether the texts of times have different digits after the sixth; only looked at where ``flags`` are set."""
    differ = np.zeros(len(flags), np.bool_)
    for place in np.flatnonzero(flags).tolist():
        digits = [_FINE_DIGITS.search(str(column[place])) for column in (before, after)]
        differ[place] = len({"" if found is None else found[1].rstrip("0") for found in digits}) > 1
    return differ


def _remove_same_meaning(
    places: Numbers, before: pa.Array, after: pa.Array, *, write_sorted: bool
) -> tuple[Numbers, pa.Array, pa.Array]:
    texts = zip(places.tolist(), before.to_pylist(), after.to_pylist(), strict=True)
    kept = [row for row in texts if not same_text(*row[1:])]
    if write_sorted:
        kept = [(place, canonical(was), canonical(now)) for place, was, now in kept]
    columns: list[list[Any]] = [list(column) for column in zip(*kept, strict=True)] or [[], [], []]
    return np.asarray(columns[0], np.int64), to_array(columns[1], _TEXT), to_array(columns[2], _TEXT)


def _is_new(rows: Numbers) -> Flags:
    flags = np.ones(len(rows), np.bool_)
    flags[1:] = rows[1:] != rows[:-1]
    return flags
