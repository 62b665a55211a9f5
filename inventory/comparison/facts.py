"""Compares the facts of functions and aliases that two runs listed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.comparison.compare import identify
from inventory.comparison.fields import is_new, same_moments
from inventory.comparison.kinds import CHANGES, FACTS_CHANGED
from inventory.comparison.windows import TableReader, read_windows
from inventory.errors import UsageError
from inventory.exact_json import json_text, read_json, same
from inventory.tables import schema
from inventory.tables.arrow import (
    combine_chunks,
    compare_columns,
    concat_arrays,
    take_rows,
    to_array,
    to_numbers,
)
from inventory.tables.batches import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from inventory.runs.files import RunFiles
    from inventory.tables.arrow import Numbers

TABLES: Final = (schema.FUNCTION_FACTS, schema.ALIASES)
VOLATILE: Final = ("code_size", "digest", "fail_count", "last_modified")
"""Fields that differ with each deployment or day: compared only if they are named."""
_IDENTITY: Final = frozenset({"function_urn", "region", "project_id", "package", "function_name", "qualifier", "alias"})
_TIME: Final = "last_modified"
_TEXT: Final = pa.string()
_SCHEMA: Final = arrow_schema(CHANGES)


def check_fields(names: Iterable[str]) -> frozenset[str]:
    """Returns the names of further fields.

    Raises:
        UsageError: no table of facts has such a field.
    """
    known = dict.fromkeys(name for table in TABLES for name in _fields_of(table, VOLATILE))
    for name in names:
        if name not in known:
            raise UsageError(f"there is no field {name!r} of facts; the fields are {', '.join(known)}")
    return frozenset(names)


class FactsComparison:
    """Compares rows that both runs have. Added and removed functions are changes of ``functions``.

    Args:
        old: the earlier run.
        new: the later run.
        fields: those of :data:`VOLATILE` that are compared too.

    Attributes:
        warnings: a sentence for each table that is not compared.
        fields: differing fields, with their table before them.
        changed: number of URNs whose facts differ; complete after :meth:`changes`.
    """

    def __init__(self, old: RunFiles, new: RunFiles, fields: frozenset[str]) -> None:
        self._runs = old, new
        self._named = fields
        self.fields: dict[str, int] = {}
        self.changed = 0
        self._tables = []
        self.warnings = []
        names = [{file["name"] for file in run.manifest["tables"]} for run in self._runs]
        for table in TABLES:
            lacking = [side for side, tables in zip(("OLD", "NEW"), names, strict=True) if table.name not in tables]
            if not lacking:
                self._tables.append(table)
                continue
            sides = f"{' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'}"
            self.warnings.append(f"{table.name} is not compared: {sides} no such table")

    def changes(self) -> Iterator[pa.Table]:
        """Yields the rows of :data:`inventory.comparison.kinds.CHANGES`, sorted in each table.

        Raises:
            OutputError: a table cannot be read or is not sorted.
        """
        for table in self._tables:
            fields = _fields_of(table, self._named)
            columns = ("function_urn", *fields, *([f"{_TIME}_raw"] if _TIME in fields else []))
            with ExitStack() as stack:
                readers = [TableReader(run, table, columns) for run in self._runs]
                for reader in readers:
                    stack.callback(reader.close)
                for _, (old, new) in read_windows(readers):
                    if not old.equals(new) and (found := self._changes_of(table, fields, old, new)) is not None:
                        yield found

    def _changes_of(self, table: schema.Table, fields: Sequence[str], old: pa.Table, new: pa.Table) -> pa.Table | None:
        urns = combine_chunks(old["function_urn"])
        places = to_numbers(pc.index_in(urns, value_set=combine_chunks(new["function_urn"])).cast(pa.int64()), -1)
        common = np.flatnonzero(places >= 0)
        sides = take_rows(old, common), take_rows(new, places[common])
        found = []
        for number, name in enumerate(fields):
            rows, before, after = self._differences(name, *sides)
            if len(rows):
                self.fields[f"{table.name}.{name}"] = self.fields.get(f"{table.name}.{name}", 0) + len(rows)
                found.append((rows, np.full(len(rows), number), before, after))
        if not found:
            return None
        rows, numbers = (np.concatenate([item[index] for item in found]) for index in (0, 1))
        order = np.lexsort((numbers, rows))
        before, after = (take_rows(concat_arrays([item[index] for item in found]), order) for index in (2, 3))
        rows, numbers = rows[order], numbers[order]
        self.changed += int(np.count_nonzero(is_new(rows)))
        names = to_array([f"{table.name}.{name}" for name in fields], _TEXT)
        kind = take_rows(to_array([FACTS_CHANGED], _TEXT), np.zeros(len(rows), np.int64))
        cells = {"kind": kind, "field": take_rows(names, numbers), "before": before, "after": after}
        identity = identify(take_rows(urns, common[rows]))
        others = [cells.get(field.name, pa.nulls(len(rows), field.type)) for field in list(_SCHEMA)[len(identity) :]]
        return pa.Table.from_arrays([*identity, *others], schema=_SCHEMA)

    def _differences(self, name: str, old: pa.Table, new: pa.Table) -> tuple[Numbers, pa.Array, pa.Array]:
        column = f"{_TIME}_raw" if name == _TIME else name
        before, after = (combine_chunks(side[column]) for side in (old, new))
        rows = np.flatnonzero(compare_columns(before, after))
        texts = [take_rows(side, rows).cast(_TEXT) for side in (before, after)]
        if name == _TIME and len(rows):
            moments = (take_rows(combine_chunks(side[_TIME]), rows) for side in (old, new))
            chosen = np.flatnonzero(~same_moments(*moments, *texts))
        elif name in {"extra", "additional_version_weights"}:
            dropped = frozenset(VOLATILE) - self._named if name == "extra" else frozenset()
            pairs = [[_read(str(text) if text.is_valid else None, dropped) for text in side] for side in texts]
            differs = [not same(was, now) for was, now in zip(*pairs, strict=True)]
            chosen = np.flatnonzero(np.array(differs, np.bool_))
            texts = [to_array([None if value is None else json_text(value) for value in side], _TEXT) for side in pairs]
        else:
            return rows, texts[0], texts[1]
        return rows[chosen], take_rows(texts[0], chosen), take_rows(texts[1], chosen)


def _fields_of(table: schema.Table, named: Iterable[str]) -> list[str]:
    skipped = _IDENTITY | (frozenset(VOLATILE) - frozenset(named))
    return [column.name for column in table.columns if column.name not in skipped and not column.name.endswith("_raw")]


def _read(text: str | None, dropped: frozenset[str]) -> object:
    """The JSON value without some keys; None for nothing left, and the text itself if it is no JSON."""
    if text is None:
        return None
    try:
        value = read_json(text.encode())
    except ValueError:
        return text
    if not dropped or not isinstance(value, dict):
        return value
    return {key: part for key, part in value.items() if key not in dropped} or None
