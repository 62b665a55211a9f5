"""Changes that follow from the statuses of two runs, column by column.

A URN is ``removed`` only if the service said so in NEW, or if NEW has the complete list of the service and the URN is
not on it. Error and request id of a failed call are not compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.comparison.join import UNANSWERED
from inventory.comparison.kinds import Kind
from inventory.errors import Status
from inventory.tables.arrow import combine_chunks, take_rows, to_array, to_flags, to_numbers

if TYPE_CHECKING:
    from inventory.comparison.join import Pairs
    from inventory.runs.listing_coverage import ListingCoverage
    from inventory.tables.arrow import Flags, Numbers

_TEXT: Final = pa.string()
_THERE: Final = (Status.CONFIGURED.value, Status.NOT_CONFIGURED.value)
KINDS: Final = (*Kind, None)
"""Kinds by number; the last one is no change."""
_STATUSES: Final = (None, *(status.value for status in Status))
_LATEST_PARTS: Final = 7


def kind_of(old: str | None, new: str | None) -> Kind | None:  # noqa: PLR0911 - a line a case
    """What two statuses say of a URN; None where the configs, if there are any, have to be looked at.

    Args:
        old: status in OLD; None: not on its list.
        new: the same of NEW.
    """
    if new is None:
        return Kind.NOT_LISTED
    if new in UNANSWERED:
        return Kind.UNKNOWN
    if old is None:
        return Kind.ADDED if new in _THERE else Kind.NEWLY_LISTED
    if old in UNANSWERED:
        return Kind.NEWLY_KNOWN
    if old == new:
        return None
    if new == Status.NOT_FOUND:
        return Kind.REMOVED
    return Kind.ADDED if old == Status.NOT_FOUND else Kind.STATUS_CHANGED


_KIND_NUMBERS: Final = np.array([[KINDS.index(kind_of(old, new)) for new in _STATUSES] for old in _STATUSES])


class StatusChanges:
    """Kinds of the functions whose statuses decide, with the reasons.

    Args:
        functions: joined rows.
        places: the pairs whose statuses decide.
        coverage: of the listings of OLD and NEW.
        finished: when OLD was finished, in microseconds since 1970.

    Attributes:
        urns: function URNs.
        old: rows of OLD, null where it does not list the URN.
        new: rows of NEW.
        kinds: number of the kind in :data:`KINDS` of each function.
    """

    def __init__(
        self, functions: Pairs, places: Numbers, coverage: tuple[ListingCoverage, ListingCoverage], finished: int
    ) -> None:
        self.urns = take_rows(combine_chunks(functions.keys["function_urn"]), places)
        self.old, self.new = (functions.side(index, places) for index in (0, 1))
        self._old, self._new = (_status_numbers(side["status"]) for side in (self.old, self.new))
        self._coverage = coverage
        self._finished = finished
        self.kinds = _KIND_NUMBERS[self._old, self._new]
        gone = self._is(Kind.NOT_LISTED)
        gone &= _covered(self.urns, gone, coverage[1])
        was_missing = self._old == _number(Status.NOT_FOUND)
        self.kinds[gone & was_missing] = KINDS.index(None)
        self.kinds[gone & ~was_missing & to_flags(self.old["function_exists"])] = KINDS.index(Kind.REMOVED)

    @property
    def is_of_old(self) -> Flags:
        """Whether the row shows an answer of OLD that NEW does not repeat."""
        was_answered = np.isin(self._old, [_number(status) for status in (None, *UNANSWERED)], invert=True)
        return was_answered & (self._is(Kind.UNKNOWN) | self._is(Kind.NOT_LISTED))

    def notes(self) -> pa.Array:
        """The reason of each kind in words; null without one."""
        was_listed = self._old > 0
        was_unknown = np.isin(self._old, [_number(status) for status in UNANSWERED])
        is_added, is_unknown, is_changed = map(self._is, (Kind.ADDED, Kind.UNKNOWN, Kind.STATUS_CHANGED))
        is_covered = _covered(self.urns, is_added & ~was_listed, self._coverage[0])
        made = to_numbers(self.new["created_time"].cast(pa.int64()), -(2**63))
        has_age = to_flags(pc.is_valid(self.new["created_time"]))
        cases: list[tuple[Flags, str]] = [
            (is_added & was_listed, "OLD asked for it, and it was not there"),
            (is_added & is_covered, "the list that the service gave OLD did not hold it"),
            (is_added & ~has_age, "newly listed: OLD did not ask for it"),
            (
                is_added & (made > self._finished),
                "newly listed: OLD did not ask for it; its config is younger than OLD",
            ),
            (is_added, "newly listed: OLD did not ask for it; its config is older than OLD"),
            (self._is(Kind.REMOVED) & (self._new == 0), "the list that the service gave NEW does not hold it"),
            (is_changed & (self._new == _number(Status.CONFIGURED)), "a config was set"),
            (is_changed & to_flags(self.new["function_exists"]), "its config was removed"),
            (is_changed, "its config is gone; the service does not say whether the function is"),
            (is_unknown & ~was_listed, "not on OLD's list either: nothing is known"),
            (is_unknown & was_unknown, "unknown in OLD too: nothing is known"),
        ]
        numbers = np.select([flags for flags, _ in cases], list(range(len(cases))), -1)
        return take_rows(to_array([note for _, note in cases], _TEXT), numbers)

    def _is(self, kind: Kind) -> Flags:
        flags: Flags = self.kinds == KINDS.index(kind)
        return flags


def _number(status: str | None) -> int:
    return _STATUSES.index(None if status is None else str(status))


def _status_numbers(column: pa.ChunkedArray) -> Numbers:
    known = to_array(_STATUSES[1:], _TEXT)
    return to_numbers(pc.index_in(column, value_set=known).cast(pa.int64()), -1) + 1


def _covered(urns: pa.Array, flags: Flags, coverage: ListingCoverage) -> Flags:
    """Which of the chosen URNs a listing covers: URNs that differ only in the function's name are looked at once."""
    covered = np.zeros(len(urns), np.bool_)
    places = np.flatnonzero(flags)
    if not coverage.projects or not len(places):
        return covered
    chosen = take_rows(urns, places)
    groups = pc.replace_substring_regex(
        chosen, r"^((?:[^:]*:){4})[^:]*:[^:]*:[^:]*", r"\1function:package:name"
    ).dictionary_encode()
    answers = np.array([coverage.covers(urn) for urn in groups.dictionary.to_pylist()], np.bool_)
    covered[places] = answers[to_numbers(groups.indices.cast(pa.int64()), 0)]
    return covered
