"""Decides the verdicts of a rule with arrays: one value for each subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from inventory.tables.arrow import combine_chunks, from_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.uint8]
    Ids = NDArray[np.int32]

REASONS: Final = (
    "not_answered",
    "not_attempted",
    "not_stated",
    "default_unknown",
    "param_unreadable",
    "not_listed",
    "alias_unresolved",
    "existence_unknown",
    "facts_missing",
)
"""Why a verdict is unknown; the code of a reason is its index + 1, 0 is none."""
INVALID: Final = 255
"""Code of a reason or a severity that is not one of the list."""

VERDICTS: Final = ("pass", "fail", "unknown", "not_applicable")
PASS, FAIL, UNKNOWN, NOT_APPLICABLE, PART = range(5)
"""Codes of verdicts; ``PART``: fails, but the finding is that of another URN of the same cycle."""

FALSE, TRUE, NULL, NO_ROW = range(4)
"""Codes of ``fails`` and ``applies``."""

SCHEMA: Final = pa.schema(
    [("id", pa.int32()), ("verdict", pa.uint8()), ("reason", pa.uint8()), ("severity", pa.uint8())]
)
"""Columns of findings as codes."""


class Subjects(NamedTuple):
    """The subjects that a kind of rule is about, and the URNs without an answer.

    Attributes:
        ids: of the subjects.
        is_known: 1 if the subject's configuration is known.
        reasons: codes of why it is not known, or not complete.
        is_complete: 0 if a subject cannot pass.
        unknown_ids: URNs that count as one unknown subject each, beside ``ids``.
        unknown_reasons: their reasons.
    """

    ids: Ids
    is_known: Codes
    reasons: Codes
    is_complete: Codes
    unknown_ids: Ids
    unknown_reasons: Codes

    @property
    def size(self) -> int:
        """One more than the largest id."""
        return int(np.max(self.ids, initial=0)) + 1


class Answers(NamedTuple):
    """The rows that a rule's query returns; codes as above."""

    ids: Ids
    fails: Codes
    reasons: Codes
    severities: Codes
    is_representative: Codes


class Verdicts(NamedTuple):
    """The verdict for each subject of a rule; ``repeated`` is the number of rows beyond one for each."""

    ids: Ids
    verdicts: Codes
    reasons: Codes
    severities: Codes
    is_unanswered: Codes
    repeated: int

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Verdicts:
        """The subjects of a mask, or of row numbers."""
        return Verdicts(
            self.ids[chosen],
            self.verdicts[chosen],
            self.reasons[chosen],
            self.severities[chosen],
            self.is_unanswered[chosen],
            self.repeated,
        )

    def table(self) -> pa.Table:
        """The codes as columns ``id``, ``verdict``, ``reason``, ``severity``."""
        columns: tuple[NDArray[Any], ...] = (self.ids, self.verdicts, self.reasons, self.severities)
        arrays = [from_numbers(column, field.type) for field, column in zip(SCHEMA, columns, strict=True)]
        return pa.Table.from_arrays(arrays, schema=SCHEMA)


_NONE: Final = np.zeros(0, np.uint8)
NOTHING: Final = Verdicts(np.zeros(0, np.int32), _NONE, _NONE, _NONE, _NONE, 0)


def _decide(known: Any, applies: Any, fails: Any, representative: Any, complete: Any) -> tuple[Codes, Codes]:  # noqa: ANN401 - arrays of one shape
    """Decides verdicts; the first line that matches counts. The second array says whose reason is the reason."""
    lines = (
        (known == 0, UNKNOWN, _OF_SUBJECT),
        (applies == NULL, UNKNOWN, _OF_ROW),
        (applies == FALSE, NOT_APPLICABLE, 0),
        ((fails == NULL) | (fails == NO_ROW), UNKNOWN, _OF_ROW),
        ((fails == TRUE) & (representative == 1), FAIL, 0),
        (fails == TRUE, PART, 0),
        (complete == 0, UNKNOWN, _OF_SUBJECT),
    )
    verdicts, sources = np.full(known.shape, PASS, np.uint8), np.zeros(known.shape, np.uint8)
    for condition, verdict, source in reversed(lines):
        verdicts[condition], sources[condition] = verdict, source
    return verdicts, sources


_OF_SUBJECT, _OF_ROW = 1, 2
_SHAPE: Final = (2, 3, 4, 2, 2)
"""Number of values of ``known``, ``applies``, ``fails``, ``representative`` and ``complete``."""
_DECISIONS, _SOURCES = _decide(*np.indices(_SHAPE).reshape(len(_SHAPE), -1))


def judge(subjects: Subjects, applies: Codes, answers: Answers) -> Verdicts:
    """Decides the verdict of each subject.

    Args:
        subjects: of the rule.
        applies: for each of ``subjects.ids``.
        answers: of the rule's query.
    """
    rows, repeated = _by_id(subjects, answers)
    state = np.zeros(len(subjects.ids), np.uint8)
    parts = (subjects.is_known, applies, rows.fails, rows.is_representative, subjects.is_complete)
    for size, part in zip(_SHAPE, parts, strict=True):
        state *= size
        state += part
    verdicts, sources = _DECISIONS[state], _SOURCES[state]
    reasons = np.where(sources == _OF_ROW, rows.reasons, np.uint8(0))
    reasons[(sources == _OF_ROW) & (applies == NULL) & (reasons == 0)] = REASONS.index("not_stated") + 1
    of_subject = np.flatnonzero(sources == _OF_SUBJECT)
    reasons[of_subject] = subjects.reasons[of_subject]
    is_unanswered = (subjects.is_known == 1) & (applies == TRUE) & (rows.fails == NO_ROW)
    severities = rows.severities * ((verdicts == FAIL) | (verdicts == PART))
    judged = Verdicts(subjects.ids, verdicts, reasons, severities, is_unanswered.view(np.uint8), repeated)
    return _with_unknown_urns(judged, subjects)


def ids(table: pa.Table) -> Ids:
    """The column ``id`` as a numpy array."""
    return np.asarray(np.from_dlpack(combine_chunks(table["id"])), np.int32)


def codes(table: pa.Table, name: str) -> Codes:
    """A column of small integers without null as a numpy array."""
    return np.asarray(np.from_dlpack(combine_chunks(table[name])), np.uint8)


def by_id(subjects: Subjects, ids: Ids, values: Codes, empty: int) -> Codes:
    """The values of ids in the order of ``subjects.ids``; ``empty`` where an id has none."""
    if len(ids) == len(subjects.ids) and np.array_equal(ids, subjects.ids):
        return values
    column = np.full(subjects.size, empty, np.uint8)
    is_valid = (ids >= 0) & (ids < subjects.size)
    column[ids[is_valid]] = values[is_valid]
    return column[subjects.ids]


def find_rows(subjects: Subjects, ids: Ids, wanted: Ids) -> NDArray[np.int64]:
    """The row of each wanted id in ``ids``; -1: it has none."""
    if len(ids) == len(wanted) and np.array_equal(ids, wanted):
        return np.arange(len(ids))
    rows = np.full(subjects.size, -1)
    is_valid = (ids >= 0) & (ids < subjects.size)
    rows[ids[is_valid]] = np.flatnonzero(is_valid)
    return np.where(wanted >= 0, rows[np.maximum(wanted, 0)], -1)


def _by_id(subjects: Subjects, answers: Answers) -> tuple[Answers, int]:
    """The answers in the order of ``subjects.ids``, and the number of rows beyond one for each."""
    ids, *columns = answers
    of_subjects = (by_id(subjects, ids, *item) for item in zip(columns, (NO_ROW, 0, 0, 1), strict=True))
    return Answers(subjects.ids, *of_subjects), _repeated(subjects, ids)


def _repeated(subjects: Subjects, ids: Ids) -> int:
    if len(ids) == len(subjects.ids) and np.array_equal(ids, subjects.ids):
        return 0
    rows = np.bincount(ids[(ids >= 0) & (ids < subjects.size)], minlength=subjects.size)[subjects.ids]
    return int(rows.sum() - np.count_nonzero(rows))


def _with_unknown_urns(judged: Verdicts, subjects: Subjects) -> Verdicts:
    number = len(subjects.unknown_ids)
    if not number:
        return judged
    none = np.zeros(number, np.uint8)
    return Verdicts(
        np.concatenate((judged.ids, subjects.unknown_ids)),
        np.concatenate((judged.verdicts, np.full(number, UNKNOWN, np.uint8))),
        np.concatenate((judged.reasons, subjects.unknown_reasons)),
        np.concatenate((judged.severities, none)),
        np.concatenate((judged.is_unanswered, none)),
        judged.repeated,
    )
