"""Finds the fields of configurations that differ, column by column.

Two times are equal if their texts or their moments are, to the last digit. ``param`` and ``extra`` are compared by
meaning, only where their texts differ.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.comparison.join import NUMBERS, SIDE_FIELDS, TIMES
from inventory.comparison.json_columns import differ_in_meaning
from inventory.tables.arrow import (
    combine_chunks,
    compare_columns,
    concat_arrays,
    take_rows,
    to_flags,
    to_numbers,
    to_scalar,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inventory.comparison.join import Pairs
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
        return is_new(self.rows)

    def is_alone(self, number: int) -> Flags:
        """Whether each change concerns this field and is the only one of its function."""
        is_last = is_new(self.rows[::-1])[::-1]
        flags: Flags = (self.numbers == number) & self.is_first & is_last
        return flags


def find_field_changes(functions: Pairs, destinations: Pairs, is_compared: Flags) -> FieldChanges:
    """Finds the fields that differ.

    Args:
        functions: joined rows.
        destinations: joined rows.
        is_compared: functions whose fields are compared.
    """
    found = [change for change in _all_changes(functions, destinations, is_compared) if len(change.rows)]
    if not found:
        none = np.zeros(0, np.int64)
        return FieldChanges(none, none, pa.nulls(0, _TEXT), pa.nulls(0, _TEXT))
    if len(found) == 1:
        return found[0]
    rows, numbers = (
        np.concatenate(columns) for columns in zip(*((one.rows, one.numbers) for one in found), strict=True)
    )
    order = np.argsort(rows * len(FIELDS) + numbers)
    before, after = (
        take_rows(concat_arrays(columns), order)
        for columns in zip(*((one.before, one.after) for one in found), strict=True)
    )
    return FieldChanges(rows[order], numbers[order], before, after)


def _all_changes(functions: Pairs, destinations: Pairs, is_compared: Flags) -> Iterator[FieldChanges]:
    urns = combine_chunks(functions.keys["function_urn"])
    rows = to_numbers(pc.index_in(destinations.keys["function_urn"], value_set=urns).cast(pa.int64()), -1)
    of_config = (rows >= 0) & is_compared[rows] if len(is_compared) else rows >= 0
    of_event = {
        event: of_config & to_flags(pc.equal(destinations.keys["event"], to_scalar(event, _TEXT))) for event in EVENTS
    }
    for number, (event, name) in enumerate(FIELDS):
        pairs, flags = (functions, is_compared) if event is None else (destinations, of_event[event])
        places, before, after = _differences(pairs, f"{name}_raw" if name in TIMES else name, flags)
        if name in TIMES and len(places):
            differs = ~same_moments(*pairs.column(name, places), before, after)
            places, before, after = _select(differs, places, before, after)
        elif name in _JSON and len(places):
            differs, *canonical = differ_in_meaning(before, after)
            places, before, after = _select(differs, places, *(canonical if event else (before, after)))
        yield FieldChanges(places if event is None else rows[places], np.full(len(places), number), before, after)


def _differences(pairs: Pairs, column: str, flags: Flags) -> tuple[Numbers, pa.Array, pa.Array]:
    """Places where a column differs, with the texts of both sides."""
    places = np.flatnonzero(flags)
    before, after = pairs.column(column, places)
    places, before, after = _select(compare_columns(before, after), places, before, after)
    return places, before.cast(_TEXT), after.cast(_TEXT)


def _select(flags: Flags, places: Numbers, *columns: pa.Array) -> tuple[Numbers, pa.Array, pa.Array]:
    chosen = np.flatnonzero(flags)
    before, after = (take_rows(column, chosen) for column in columns)
    return places[chosen], before, after


def same_moments(old: pa.Array, new: pa.Array, before: pa.Array, after: pa.Array) -> Flags:
    """Whether times are equal to the microsecond, and their texts have equal digits after the sixth."""
    is_same = to_flags(pc.equal(old, new))
    for place in np.flatnonzero(is_same).tolist():
        digits = [_FINE_DIGITS.search(str(column[place])) for column in (before, after)]
        is_same[place] = len({"" if found is None else found[1].rstrip("0") for found in digits}) == 1
    return is_same


def is_new(rows: Numbers) -> Flags:
    """Whether each number differs from the one before."""
    flags = np.ones(len(rows), np.bool_)
    flags[1:] = rows[1:] != rows[:-1]
    return flags
