"""Reads columns of JSON texts fast, writes them canonically, compares meanings.

A text that the fast reader could change (escapes, ``-0``, a repeated key) is read by
:func:`inventory.exact_json.read_json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.exact_json import json_bytes, read_json, read_quickly, same
from inventory.tables.arrow import compare_columns, from_bytes, take_rows, to_flags, to_numbers, to_scalar

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory.tables.arrow import Flags, Numbers

_STARTS: Final = r'^[ \t\r\n]*([{\["0-9-]|true|false|null)'
"""How every JSON text begins, without a byte order mark."""
_FRAGILE: Final = r"\\|^\x{feff}|(^|[:\[,\s])-0([,\]}\s]|$)"
"""Escapes, a byte order mark, or a negative zero."""
_FEW_TEXTS: Final = 16
_LONG_TEXT: Final = 4_096
_NOT_JSON: Final = object()


class JsonColumn(NamedTuple):
    """Texts of a column as JSON.

    Attributes:
        values: value of each text; a mark for a text that is not JSON.
        texts: canonical form of each value; null for a text that is not JSON.
    """

    values: list[Any]
    texts: pa.Array

    @property
    def is_object(self) -> pa.Array:
        """Whether each text is a JSON object."""
        return pc.fill_null(pc.starts_with(self.texts, "{"), to_scalar(False, pa.bool_()))


def read_column(texts: pa.Array) -> JsonColumn:
    """Reads each text exactly; equal texts are read once."""
    distinct, places = distinct_texts(texts)
    if places is None:
        return _read(texts)
    read = _read(distinct)
    values = [*read.values, _NOT_JSON]
    return JsonColumn([values[place] for place in places.tolist()], take_rows(read.texts, places))


def distinct_texts(texts: pa.Array) -> tuple[pa.Array, Numbers | None]:
    """Distinct texts and the place of each text among them, -1 for null; None if too few are equal."""
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if len(texts) < _FEW_TEXTS or longest > _LONG_TEXT:
        return texts, None
    encoded = texts.dictionary_encode()
    if 2 * len(encoded.dictionary) > len(texts):
        return texts, None
    return encoded.dictionary, to_numbers(encoded.indices.cast(pa.int64()), -1)


def _read(texts: pa.Array) -> JsonColumn:
    is_fragile = to_flags(pc.match_substring_regex(texts, _FRAGILE))
    may_be_json = to_flags(pc.match_substring_regex(texts, _STARTS)) | is_fragile
    values: list[Any] = [
        _NOT_JSON if not may_be else _value(read_json if fragile else read_quickly, text)
        for text, may_be, fragile in zip(texts.to_pylist(), may_be_json.tolist(), is_fragile.tolist(), strict=True)
    ]
    written = _write(values)
    # Without escapes, only a key that the fast reader dropped makes a colon disappear.
    is_short = to_flags(pc.not_equal(pc.count_substring(texts, ":"), pc.count_substring(written, ":"))) & ~is_fragile
    for place in np.flatnonzero(is_short).tolist():
        values[place] = _value(read_json, texts[place].as_py())
    return JsonColumn(values, _write(values) if is_short.any() else written)


def canonical_column(texts: pa.Array) -> pa.Array:
    """JSON objects with sorted keys; other texts stay as they are."""
    column = read_column(texts)
    return pc.if_else(column.is_object, column.texts, texts)


def differ_in_meaning(before: pa.Array, after: pa.Array) -> tuple[Flags, pa.Array, pa.Array]:
    """Compares pairs of texts that differ.

    Returns:
        Whether each pair differs in meaning, and the canonical texts of both sides as :func:`canonical_column`.
    """
    old, new = read_column(before), read_column(after)
    differs = compare_columns(old.texts, new.texts)
    is_json = to_flags(pc.and_(pc.is_valid(old.texts), pc.is_valid(new.texts)))
    for place in np.flatnonzero(differs & is_json).tolist():
        was, now = old.values[place], new.values[place]
        differs[place] = was != now or not same(was, now)
    sides = (pc.if_else(side.is_object, side.texts, texts) for side, texts in ((old, before), (new, after)))
    return (differs | ~is_json, *sides)


def _value(read: Callable[[str], Any], text: str) -> Any:  # noqa: ANN401 - JSON is any value
    try:
        return read(text)
    except ValueError:
        return _NOT_JSON


def _write(values: list[Any]) -> pa.Array:
    return from_bytes([None if value is _NOT_JSON else json_bytes(value) for value in values])
