"""Decides the verdicts of a rule with arrays: one value for each subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from inventory.tables.arrow import combine_chunks

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
    """The subjects that a kind of rule is about, sorted by id, and the URNs without an answer.

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
        return int(self.ids[-1]) + 1 if len(self.ids) else 1


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

    def select(self, mask: NDArray[np.bool_]) -> Verdicts:
        """The subjects of a mask."""
        return Verdicts(
            self.ids[mask],
            self.verdicts[mask],
            self.reasons[mask],
            self.severities[mask],
            self.is_unanswered[mask],
            self.repeated,
        )

    def table(self) -> pa.Table:
        """The codes as columns ``id``, ``verdict``, ``reason``, ``severity``."""
        columns: tuple[NDArray[Any], ...] = (self.ids, self.verdicts, self.reasons, self.severities)
        arrays = [
            pa.Array.from_buffers(field.type, len(column), [None, pa.py_buffer(np.ascontiguousarray(column))])
            for field, column in zip(SCHEMA, columns, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=SCHEMA)


_NONE: Final = np.zeros(0, np.uint8)
NOTHING: Final = Verdicts(np.zeros(0, np.int32), _NONE, _NONE, _NONE, _NONE, 0)


def judge(subjects: Subjects, applies: Codes, answers: Answers) -> Verdicts:
    """Decides the verdict of each subject; the first line that matches counts.

    Args:
        subjects: of the rule.
        applies: for each of ``subjects.ids``.
        answers: of the rule's query.
    """
    rows = _by_id(subjects, answers)
    fails, known = rows.fails, subjects.is_known == 1
    reasons = rows.reasons.copy()
    reasons[(applies == NULL) & (reasons == 0)] = REASONS.index("not_stated") + 1
    conditions = (
        (~known, UNKNOWN, subjects.reasons),
        (applies == NULL, UNKNOWN, reasons),
        (applies == FALSE, NOT_APPLICABLE, 0),
        ((fails == NULL) | (fails == NO_ROW), UNKNOWN, reasons),
        ((fails == TRUE) & (rows.is_representative == 1), FAIL, 0),
        (fails == TRUE, PART, 0),
        (subjects.is_complete == 0, UNKNOWN, subjects.reasons),
    )
    verdicts = np.full(len(subjects.ids), PASS, np.uint8)
    why = np.zeros(len(subjects.ids), np.uint8)
    for condition, verdict, reason in reversed(conditions):
        verdicts[condition] = verdict
        why[condition] = reason if isinstance(reason, int) else reason[condition]
    is_unanswered = known & (applies == TRUE) & (fails == NO_ROW)
    severities = np.where((verdicts == FAIL) | (verdicts == PART), rows.severities, np.uint8(0))
    judged = Verdicts(
        subjects.ids, verdicts, why, severities, is_unanswered.view(np.uint8), _repeated(subjects, answers)
    )
    return _with_unknown_urns(judged, subjects)


def ids(table: pa.Table) -> Ids:
    """The column ``id`` as a numpy array."""
    return np.asarray(np.from_dlpack(combine_chunks(table["id"])), np.int32)


def codes(table: pa.Table, name: str) -> Codes:
    """A column of small integers without null as a numpy array."""
    return np.asarray(np.from_dlpack(combine_chunks(table[name])), np.uint8)


def _by_id(subjects: Subjects, answers: Answers) -> Answers:
    """The answers in the order of ``subjects.ids``."""
    if len(answers.ids) == len(subjects.ids) and np.array_equal(answers.ids, subjects.ids):
        return answers
    is_valid = (answers.ids >= 0) & (answers.ids < subjects.size)
    places = answers.ids[is_valid]

    def placed(values: Codes, empty: int) -> Codes:
        column = np.full(subjects.size, empty, np.uint8)
        column[places] = values[is_valid]
        return column[subjects.ids]

    return Answers(
        subjects.ids,
        placed(answers.fails, NO_ROW),
        placed(answers.reasons, 0),
        placed(answers.severities, 0),
        placed(answers.is_representative, 1),
    )


def _repeated(subjects: Subjects, answers: Answers) -> int:
    """Number of rows beyond one for each subject."""
    is_subject = np.zeros(subjects.size, np.bool_)
    is_subject[subjects.ids] = True
    ids = answers.ids[(answers.ids >= 0) & (answers.ids < subjects.size)]
    ids = ids[is_subject[ids]]
    has_row = np.zeros(subjects.size, np.bool_)
    has_row[ids] = True
    return len(ids) - int(np.count_nonzero(has_row))


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
