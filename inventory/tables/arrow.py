"""Converts Python values to Arrow arrays.

``pyarrow.array`` imports pandas if it is installed: 50 MB and half a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from inventory.tables import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Numbers = np.ndarray[Any, np.dtype[np.int64]]
    Bytes = np.ndarray[Any, np.dtype[np.uint8]]
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
    size, nulls = len(values), values.count(None)
    if nulls == size:
        return pa.nulls(size, arrow_type)
    validity = None
    if nulls:
        validity = _pack_bits(np.fromiter(values, object, size) != None)  # noqa: E711 - of each value
    buffers: list[pa.Buffer | None]
    if arrow_type == pa.string():
        buffers = [validity, *_text_buffers(values, has_nulls=nulls > 0)]
    elif arrow_type == pa.bool_():
        buffers = [validity, _pack_bits(np.fromiter((value is True for value in values), np.bool_, size))]
    else:
        dtype = np.float64 if arrow_type == pa.float64() else np.int64
        numbers = np.fromiter((0 if value is None else value for value in values) if nulls else values, dtype, size)
        buffers = [validity, pa.py_buffer(numbers)]
    return pa.Array.from_buffers(arrow_type, size, buffers)


def _text_buffers(values: Sequence[str | None], *, has_nulls: bool) -> tuple[pa.Buffer, pa.Buffer]:
    size, first = len(values), values[0]
    if first and first == values[-1] and values.count(first) == size:  # a third of the time
        encoded = first.encode()
        offsets = np.arange(size + 1, dtype=np.int64) * len(encoded)
        return pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(encoded * size)
    texts = [value or "" for value in values] if has_nulls else values
    joined = "".join(texts)  # type: ignore[arg-type] # no null is left
    encoded = joined.encode()
    pieces: Iterable[Any] = texts if len(encoded) == len(joined) else map(str.encode, texts)  # type: ignore[arg-type] # as above
    offsets = np.zeros(size + 1, np.int32)
    np.cumsum(np.fromiter(map(len, pieces), np.int32, size), out=offsets[1:])
    return pa.py_buffer(offsets), pa.py_buffer(encoded)


def first_bytes(texts: pa.Array) -> Bytes:
    """The first byte of each text that is not empty."""
    _, offsets, data = texts.buffers()
    if not len(texts) or data is None:
        return np.zeros(0, np.uint8)
    read = np.frombuffer(offsets, np.int32, len(texts) + 1, texts.offset * 4)
    return np.frombuffer(data, np.uint8)[read[:-1][read[:-1] < read[1:]]]


def from_bytes(texts: Sequence[bytes | None]) -> pa.Array:
    """Makes a text array of UTF-8 bytes; one large text is not copied."""
    size = len(texts)
    if texts.count(None) == size:
        return pa.nulls(size, pa.string())
    pieces = [text or b"" for text in texts]
    offsets = np.zeros(size + 1, np.int32)
    np.cumsum(np.fromiter(map(len, pieces), np.int32, size), out=offsets[1:])
    validity = _pack_bits(np.fromiter((text is not None for text in texts), np.bool_, size))
    return pa.Array.from_buffers(pa.string(), size, [validity, pa.py_buffer(offsets), pa.py_buffer(b"".join(pieces))])


class ArrowStream:
    """Rows for DuckDB, which imports ``pyarrow.dataset``, and that pandas, for Arrow's own classes.

    ``rows`` can be replaced between two queries.
    """

    def __init__(self, rows: pa.Table | pa.RecordBatchReader) -> None:
        self.rows = rows

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.rows.__arrow_c_stream__(requested_schema)


def to_scalar(value: Any, arrow_type: pa.DataType) -> pa.Scalar:  # noqa: ANN401 - as the type asks
    """Makes a scalar without pandas."""
    return to_array([value], arrow_type)[0]


def combine_chunks(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as one array, without pandas."""
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)


def concat_arrays(arrays: Sequence[pa.Array]) -> pa.Array:
    """Arrays as one; without a copy if only one of them has rows."""
    filled = [array for array in arrays if len(array)] or arrays[:1]
    return filled[0] if len(filled) == 1 else pa.concat_arrays(filled)


def take_rows(rows: pa.Array | pa.Table, numbers: Numbers) -> pa.Array | pa.Table:
    """Selects rows by number, without pandas; null for a number below 0. All rows in their order are not copied."""
    if len(numbers) == len(rows) and np.array_equal(numbers, np.arange(len(numbers))):
        return rows
    is_present = numbers >= 0
    if is_present.all():
        return rows.take(from_numbers(numbers, pa.int64()))
    if isinstance(rows, pa.Table):
        columns = [take_rows(combine_chunks(column), numbers) for column in rows.columns]
        return pa.Table.from_arrays(columns, schema=rows.schema)
    if rows.type == pa.string():
        return _spread_texts(take_rows(rows, numbers[is_present]), is_present)
    return rows.take(pa.Array.from_buffers(pa.int64(), len(numbers), [_pack_bits(is_present), pa.py_buffer(numbers)]))


def _spread_texts(texts: pa.Array, flags: Flags) -> pa.Array:
    """Texts in the rows with a flag, null in the others. Arrow's ``take`` reserves the mean length for each null."""
    if not len(texts):
        return pa.nulls(len(flags), texts.type)
    _, offsets, data = texts.buffers()
    read = np.frombuffer(offsets, np.int32, len(texts) + 1, texts.offset * 4)
    is_valid = np.zeros(len(flags), np.bool_)
    is_valid[flags] = to_flags(texts.is_valid())
    spread = np.ascontiguousarray(read[np.append(0, np.cumsum(flags))])
    return pa.Array.from_buffers(texts.type, len(flags), [_pack_bits(is_valid), pa.py_buffer(spread), data])


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


def from_numbers(numbers: np.ndarray[Any, Any], arrow_type: pa.DataType) -> pa.Array:
    """The numbers as an Arrow array of the same width, without a copy; NumPy's own way imports pandas."""
    return pa.Array.from_buffers(arrow_type, len(numbers), [None, pa.py_buffer(np.ascontiguousarray(numbers))])


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
