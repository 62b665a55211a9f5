"""Suggestions of earlier findings about a URN."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from inventory.reviews.baseline import read_baseline
from inventory.reviews.outputs.wording import block_of
from inventory.urn import split_urn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from inventory.reviews.rule import Rule


_COLUMNS: Final = ["rule", "verdict", "subject", "event", "target", "evidence", "why_unknown"]


class Fixes:
    """Suggestions of the findings that fail and are not suppressed.

    Args:
        path: CSV, Parquet or JSON.
        rules: by id; a finding of another rule suggests to look it up.

    Raises:
        UsageError: it is no file of findings.
        OutputError: it cannot be read.
    """

    def __init__(self, path: Path, rules: Mapping[str, Rule]) -> None:
        table = read_baseline(path).findings
        is_open = pc.and_not(pc.equal(table["verdict"], "fail"), pc.fill_null(table["suppressed"], False))
        is_open = pc.and_(is_open, pc.is_valid(table["subject"]))
        table = table.select(_COLUMNS).filter(is_open)
        table = table.sort_by([(name, "ascending") for name in ("subject", "rule", "event")]).combine_chunks()
        self._rows = next(iter(table.to_batches()), None)
        self._spans: dict[str, tuple[int, int]] = {}
        if self._rows is not None:
            runs = pc.run_end_encode(self._rows["subject"], pa.int64())
            ends = runs.run_ends.to_pylist()
            self._spans = dict(zip(runs.values.to_pylist(), pairwise([0, *ends]), strict=True))
        self._rules = rules

    def of(self, subject: str) -> list[tuple[str, str]]:
        """Returns the suggestions about a URN or function: rule with its title, and what to copy."""
        if self._rows is None or subject not in self._spans:
            return []
        start, end = self._spans[subject]
        return [self._suggest(row) for row in self._rows.slice(start, end - start).to_pylist()]

    def _suggest(self, finding: dict[str, Any]) -> tuple[str, str]:
        rule = self._rules.get(finding["rule"])
        if rule is None:
            return finding["rule"], f"inventory rules {finding['rule']} --rules DIR"
        row = {**finding, **split_urn(finding["subject"])._asdict()}
        try:
            block = block_of(row, rule)
        except ValueError:  # a spreadsheet changed the JSON
            block = block_of({**row, "evidence": None}, rule)
        return f"{rule.id}: {rule.title}", block.text
