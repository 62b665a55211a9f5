"""Converts Python values to Arrow arrays.

``pyarrow.array`` imports pandas if it is installed: 50 MB and half a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from inventory.tables import schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    Numbers = np.ndarray[Any, np.dtype[np.int64]]
    Flags = np.ndarray[Any, np.dtype[np.bool_]]

TYPES: Final = {
    schema.TEXT: pa.string(),
    schema.INTEGER: pa.int64(),
    schema.BOOLEAN: pa.bool_(),
    schema.FLOAT: pa.float64(),
    schema.TIME: pa.timestamp("us", tz="UTC"),
}
"""Arrow type of each type name of the schema."""


def to_array(values: Sequence[Any], arrow_type: pa.DataType) -> pa.Array:
    """Makes an array of one of :data:`TYPES`; a time is an integer in the type's unit since 1970-01-01 UTC."""
    size = len(values)
    validity = None
    if values.count(None) == size:
        return pa.nulls(size, arrow_type)
    if None in values:
        validity = _pack_bits(np.fromiter((value is not None for value in values), np.bool_, size))
    buffers: list[pa.Buffer | None]
    if arrow_type == pa.string():
        texts = values if validity is None else ["" if value is None else value for value in values]
        joined = "".join(texts)
        encoded = joined.encode()
        pieces = texts if joined.isascii() else map(str.encode, texts)  # ASCII: one byte a character
        offsets = np.zeros(size + 1, np.int32)
        np.cumsum(np.fromiter(map(len, pieces), np.int32, size), out=offsets[1:])
        buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(encoded)]
    elif arrow_type == pa.bool_():
        buffers = [validity, _pack_bits(np.fromiter((value is True for value in values), np.bool_, size))]
    else:
        dtype = np.float64 if arrow_type == pa.float64() else np.int64
        numbers = np.fromiter((0 if value is None else value for value in values), dtype, size)
        buffers = [validity, pa.py_buffer(numbers)]
    return pa.Array.from_buffers(arrow_type, size, buffers)


def to_scalar(value: Any, arrow_type: pa.DataType) -> pa.Scalar:  # noqa: ANN401 - as the type asks
    """Makes a scalar without pandas."""
    return to_array([value], arrow_type)[0]


def combine_chunks(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as one array, without pandas."""
    if isinstance(column, pa.Array):
        return column
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)


def take_rows(rows: pa.Array | pa.Table, numbers: Numbers) -> pa.Array | pa.Table:
    """Selects rows by number, without pandas."""
    return rows.take(pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)]))


def to_flags(column: pa.Array | pa.ChunkedArray) -> Flags:
    """Booleans as a numpy array, null as False, without pandas."""
    array = combine_chunks(column).fill_null(to_scalar(False, pa.bool_()))
    if not len(array):
        return np.zeros(0, np.bool_)
    bits = np.frombuffer(array.buffers()[1], np.uint8)
    return np.unpackbits(bits, bitorder="little")[array.offset : array.offset + len(array)].astype(np.bool_)


def to_numbers(column: pa.Array | pa.ChunkedArray, null: int) -> Numbers:
    """64-bit integers as a numpy array, with a number in place of null."""
    array = combine_chunks(column).fill_null(to_scalar(null, pa.int64()))
    if not len(array):
        return np.zeros(0, np.int64)
    return np.frombuffer(array.buffers()[1], np.int64, len(array), array.offset * 8)


def from_flags(flags: Flags) -> pa.Array:
    """A numpy array of booleans as an Arrow array."""
    return pa.Array.from_buffers(pa.bool_(), len(flags), [None, _pack_bits(flags)])


def compare_columns(before: pa.ChunkedArray, after: pa.ChunkedArray) -> Flags:
    """Whether two columns differ, for each row; two nulls are equal."""
    if before.equals(after):
        return np.zeros(len(before), np.bool_)
    import pyarrow.compute as pc  # noqa: PLC0415 - 10 MB; writing does not need it

    differs = pc.fill_null(pc.not_equal(before, after), to_scalar(False, pa.bool_()))
    return to_flags(pc.or_(differs, pc.xor(pc.is_null(before), pc.is_null(after))))


def to_objects(rows: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows as Python values without pandas; a time is an integer as in :func:`to_array`."""
    for index, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            rows = rows.set_column(index, field.name, rows.column(index).cast(pa.int64()))
    objects: list[dict[str, Any]] = rows.to_pylist()
    return objects


def _pack_bits(flags: Flags) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))
