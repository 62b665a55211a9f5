"""Marks the findings that a settings file accepts."""

from __future__ import annotations

import re
from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.display.formatting import format_count
from inventory.tables.arrow import combine_chunks, from_flags, take_rows, to_array, to_flags

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date

    from inventory.settings import Suppression

    Flags = np.ndarray[Any, np.dtype[np.bool_]]

_SPECIAL: Final = re.compile(r"\*|\?|\[(?P<not>!?)(?P<set>(?!!)\][^\]]*|(?!!)[^\]]+|(?<=!)![^\]]*)\]", re.DOTALL)
_PATTERNS_PER_REGEX: Final = 50
"""RE2 bounds the size of one expression."""


class Suppressions:
    """The suppressions of a settings file; they mark findings batch by batch, and count what they mark.

    Args:
        items: the suppressions; the first that matches a finding marks it.
        as_of: the day of the review.
        rules: ids of the rules that run.
        known: ids of all rules.
    """

    def __init__(
        self, items: Sequence[Suppression], as_of: date, rules: Collection[str], known: Collection[str]
    ) -> None:
        self._items = items
        self._expired = [item.until < as_of for item in items]
        self._rules = [{rule for rule in rules if _matches_rule(item, rule)} for item in items]
        other = set(known) - set(rules)
        self._skipped = [
            bool(other) if item.rule is None else any(_matches_rule(item, rule) for rule in other) for item in items
        ]
        self._matchers = [_SubjectMatcher(item.subjects) for item in items]
        self._matched: Counter[int] = Counter()

    def __bool__(self) -> bool:
        return bool(self._items)

    def mark(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Returns a batch of findings with ``suppressed`` and the columns beside it."""
        chosen = np.full(batch.num_rows, -1)
        open_findings = to_flags(pc.is_in(batch.column("verdict"), to_array(["fail", "unknown"], pa.string())))
        present = set(pc.unique(batch.column("rule")).to_pylist())
        for number, item in enumerate(self._items):
            matches = open_findings & self._match(batch, number, item, present)
            count = int(matches.sum())
            self._matched[number] += count
            if count and not self._expired[number]:
                chosen[matches & (chosen < 0)] = number
        return batch if (chosen < 0).all() else self._with_marks(batch, chosen)

    def _match(self, batch: pa.RecordBatch, number: int, item: Suppression, present: Collection[str]) -> Flags:
        if item.finding is not None:
            return to_flags(pc.equal(batch.column("finding_id"), item.finding))
        rules = self._rules[number].intersection(present)
        if not rules:
            return np.zeros(batch.num_rows, np.bool_)
        matches = self._matchers[number].match(batch.column("subject"))
        if len(rules) < len(present):
            matches &= to_flags(pc.is_in(batch.column("rule"), to_array(sorted(rules), pa.string())))
        return matches

    def _with_marks(self, batch: pa.RecordBatch, chosen: np.ndarray[Any, np.dtype[np.int64]]) -> pa.RecordBatch:
        texts = {
            "suppressed_by": [item.by for item in self._items],
            "suppression_reason": [item.reason for item in self._items],
            "suppressed_until": [item.until.isoformat() for item in self._items],
        }
        rows = np.where(chosen < 0, len(self._items), chosen)
        marks = {name: take_rows(to_array([*values, None], pa.string()), rows) for name, values in texts.items()}
        marks["suppressed"] = from_flags(chosen >= 0)
        columns = [marks.get(field.name, batch.column(field.name)) for field in batch.schema]
        return pa.RecordBatch.from_arrays(list(map(combine_chunks, columns)), schema=batch.schema)

    def warnings(self) -> list[str]:
        """One sentence for each expired suppression, after all batches."""
        return [
            f"{self._name(number)} expired on {item.until.isoformat()}; it no longer hides "
            f"{format_count(self._matched[number], 'finding')}"
            for number, item in enumerate(self._items)
            if self._expired[number]
        ]

    def unmatched(self) -> list[str]:
        """One sentence for each suppression that matched no finding, though its rules ran."""
        return [
            f"{self._name(number)} matches no finding: remove it, or correct it"
            for number, expired in enumerate(self._expired)
            if not expired and not self._matched[number] and not self._skipped[number]
        ]

    def _name(self, number: int) -> str:
        item = self._items[number]
        subject = f"finding {item.finding}" if item.rule is None else f"{item.rule} on {', '.join(item.subjects)}"
        return f"suppression {number + 1} ({subject}, by {item.by})"


def _matches_rule(item: Suppression, rule: str) -> bool:
    return item.rule is not None and fnmatchcase(rule, item.rule)


class _SubjectMatcher:
    """Texts and patterns that a column of subjects is compared with."""

    def __init__(self, patterns: Sequence[str]) -> None:
        special = [pattern for pattern in patterns if _SPECIAL.search(pattern)]
        self._texts = to_array([pattern for pattern in patterns if pattern not in special], pa.string())
        self._regexes = [
            rf"\A(?s:{'|'.join(map(_to_regex, special[first : first + _PATTERNS_PER_REGEX]))})\z"
            for first in range(0, len(special), _PATTERNS_PER_REGEX)
        ]

    def match(self, subjects: pa.Array) -> Flags:
        matches = to_flags(pc.is_in(subjects, self._texts))
        for regex in self._regexes:
            matches = matches | to_flags(pc.match_substring_regex(subjects, regex))
        return matches


def _to_regex(pattern: str) -> str:
    """Translates a shell pattern to RE2."""
    parts, end = [], 0
    for match in _SPECIAL.finditer(pattern):
        parts.append(re.escape(pattern[end : match.start()]))
        parts.append({"*": ".*", "?": "."}.get(match[0]) or _to_set(match["set"], is_negated=bool(match["not"])))
        end = match.end()
    return "".join([*parts, re.escape(pattern[end:])])


def _to_set(content: str, *, is_negated: bool) -> str:
    """Translates the characters and ranges of a set; a range that runs backwards is three characters."""
    members = []
    for first, last, single in re.findall(r"(.)-(.)|(.)", content, re.DOTALL):
        is_range = bool(last) and first <= last
        characters = (first, last) if is_range else (single or f"{first}-{last}")
        members.append(("-" if is_range else "").join(map(_escape, characters)))
    return f"[{'^' if is_negated else ''}{''.join(members)}]"


def _escape(character: str) -> str:
    return f"\\{character}" if character in "\\[]^-" else character
