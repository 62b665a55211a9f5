"""Configurations of one run as JSON texts, built column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.comparison.fields import EVENTS
from inventory.comparison.join import NUMBERS, TIMES
from inventory.comparison.json_columns import distinct_texts, read_column
from inventory.errors import Status
from inventory.exact_json import json_bytes
from inventory.tables.arrow import combine_chunks, from_bytes, take_rows, to_flags, to_numbers, to_scalar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inventory.tables.arrow import Numbers

_TEXT: Final = pa.string()
_NULL: Final = to_scalar("null", _TEXT)
_NOTHING: Final = to_scalar(None, _TEXT)
_ESCAPED: Final = r'["\\\x00-\x1f]'
"""Characters that JSON escapes."""


def config_texts(functions: pa.Table, destinations: pa.Table) -> pa.Array:
    """The configuration of each function as one JSON text with sorted keys; null without one.

    Args:
        functions: rows of one run.
        destinations: rows of the same run; those of other functions are ignored.
    """
    places = np.flatnonzero(to_flags(pc.equal(functions["status"], to_scalar(Status.CONFIGURED.value, _TEXT))))
    if not len(places):
        return pa.nulls(len(functions), _TEXT)
    configured = take_rows(functions, places)
    urns = combine_chunks(configured["function_urn"])
    members = {
        "answered_urn": _quoted(configured["answered_urn"]),
        **{name: configured[name].cast(_TEXT) for name in NUMBERS},
        **{name: _quoted(configured[f"{name}_raw"]) for name in TIMES},
        "extra": read_column(combine_chunks(configured["extra"])).texts,
        **{event: _side(take_rows(destinations, _rows_of(urns, event, destinations))) for event in EVENTS},
    }
    numbers = np.full(len(functions), -1)
    numbers[places] = np.arange(len(places))
    return take_rows(_object(members), numbers)


def _rows_of(urns: pa.Array, event: str, destinations: pa.Table) -> Numbers:
    """Row number of the destination of each function; -1 without one."""
    is_event = to_flags(pc.equal(destinations["event"], to_scalar(event, _TEXT)))
    numbers = np.append(np.flatnonzero(is_event), -1)
    of_event = take_rows(combine_chunks(destinations["function_urn"]), numbers[:-1])
    if not len(of_event):
        return np.full(len(urns), -1)
    if urns.equals(of_event):
        return numbers[:-1]
    found = to_numbers(pc.index_in(urns, value_set=of_event).cast(pa.int64()), -1)
    return numbers[found]


def _side(rows: pa.Table) -> pa.Array:
    """The destination of each row as a JSON object; null for a row that does not exist."""
    if rows["function_urn"].null_count == len(rows):
        return pa.nulls(len(rows), _TEXT)
    param, extra = (read_column(combine_chunks(rows[name])) for name in ("param", "extra"))
    has_extra = pc.is_valid(rows["extra"])
    side = _object(
        {
            "destination": pc.fill_null(_quoted(rows["destination"]), _NULL),
            "extra": pc.if_else(has_extra, pc.fill_null(extra.texts, _NULL), _NOTHING),
            "param": pc.if_else(param.is_object, param.texts, pc.fill_null(_quoted(rows["param"]), _NULL)),
        }
    )
    return pc.if_else(pc.is_valid(rows["function_urn"]), side, _NOTHING)


def _object(members: Mapping[str, pa.Array]) -> pa.Array:
    """A JSON object for each row; a null is left out."""
    columns = {name: combine_chunks(members[name]) for name in sorted(members)}
    complete = next((name for name, column in columns.items() if not column.null_count), None)
    if complete is None:
        texts = [_join(to_scalar(f'"{name}":', _TEXT), column) for name, column in columns.items()]
        inner = pc.binary_join_element_wise(*texts, to_scalar(",", _TEXT), null_handling="skip")
        return _join(to_scalar("{", _TEXT), inner, to_scalar("}", _TEXT))
    # Members before the one that every row has end with a comma, members after it begin with one: one pass.
    pieces: list[str | pa.Array] = ["{"]
    before = True
    for name, column in columns.items():
        before &= name != complete
        begin, end = f'{"" if before or name == complete else ","}"{name}":', "," if before else ""
        if not column.null_count:
            pieces += [begin, column, end]
        elif column.null_count < len(column):
            pieces.append(_join(to_scalar(begin, _TEXT), column, to_scalar(end, _TEXT)))
    scalars = [to_scalar(piece, _TEXT) if isinstance(piece, str) else piece for piece in (*pieces, "}", "")]
    return pc.binary_join_element_wise(*scalars, null_handling="skip")


def _join(*pieces: pa.Array | pa.Scalar) -> pa.Array:
    return pc.binary_join_element_wise(*pieces, to_scalar("", _TEXT))


def _quoted(column: pa.ChunkedArray) -> pa.Array:
    """Texts as JSON strings."""
    texts, places = distinct_texts(combine_chunks(column))
    return _quote(texts) if places is None else take_rows(_quote(texts), places)


def _quote(texts: pa.Array) -> pa.Array:
    quote = to_scalar('"', _TEXT)
    quoted = _join(quote, texts, quote)
    is_escaped = pc.match_substring_regex(texts, _ESCAPED)
    if not is_escaped.true_count:
        return quoted
    escaped = from_bytes(
        [
            json_bytes(text) if flag else None
            for text, flag in zip(texts.to_pylist(), is_escaped.to_pylist(), strict=True)
        ]
    )
    return pc.coalesce(escaped, quoted)
