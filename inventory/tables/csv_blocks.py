"""Reads CSV in blocks of whole rows."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.csv as pa_csv

from inventory.storage.files import open_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST_BLOCK_BYTES: Final = 1024 * 1024
_GROWTH: Final = 8
_MAX_BLOCK_BYTES: Final = 2**31 - 1
"""Arrow counts in 32 bits."""
_ROW_EXCEEDS_BLOCK: Final = "straddling object"
"""Arrow has no error class of its own for a row that is longer than a block."""
_PARSE: Final = pa_csv.ParseOptions(newlines_in_values=True)


def read_csv(path: Path, convert: pa_csv.ConvertOptions) -> pa.Table:
    """Reads a whole file.

    Raises:
        pyarrow.ArrowInvalid: it is not CSV, or its cells have other types.
        OSError: it cannot be read.
    """
    block = FIRST_BLOCK_BYTES
    while True:
        with open_file(path) as file:  # Arrow accepts only UTF-8 names
            try:
                return pa_csv.read_csv(file, pa_csv.ReadOptions(block_size=block), _PARSE, convert)
            except pa.ArrowInvalid as error:
                block = _larger_block(block, file, error)


def iterate_csv(path: Path, convert: pa_csv.ConvertOptions, block: int = FIRST_BLOCK_BYTES) -> Iterator[pa.RecordBatch]:
    """Yields a file in batches of about ``block`` bytes, or of one row, in one thread.

    Raises:
        pyarrow.ArrowInvalid: as :func:`read_csv`.
        OSError: it cannot be read.
    """
    names: list[str] | None = None
    with open_file(path) as file:  # Arrow accepts only UTF-8 names
        for begin, end in _records(file, block):
            if end - begin > _MAX_BLOCK_BYTES:
                raise pa.ArrowInvalid("a row has more than 2 GiB")
            file.seek(begin)
            options = pa_csv.ReadOptions(use_threads=False, block_size=end - begin, column_names=names)
            rows = pa_csv.read_csv(pa.BufferReader(file.read(end - begin)), options, _PARSE, convert)
            if names is None:
                file.seek(begin)
                names = pa_csv.read_csv(pa.BufferReader(file.readline())).column_names
            yield from rows.to_batches()


def _records(file: IO[bytes], block: int) -> Iterator[tuple[int, int]]:
    """Yields begin and end of blocks of whole records: a line break between quotes does not end a record."""
    begin = place = 0
    is_quoted = False
    while piece := file.read(block):
        if size := _last_record_end(piece, is_quoted):
            yield begin, place + size
            begin = place + size
        is_quoted ^= piece.count(b'"') % 2 == 1
        place += len(piece)
        file.seek(place)
    if begin < place:
        yield begin, place


def _last_record_end(piece: bytes, is_quoted: bool) -> int:  # noqa: FBT001 - the state at the begin of the piece
    is_inside = is_quoted ^ (piece.count(b'"') % 2 == 1)
    end = len(piece)
    while (line_break := piece.rfind(b"\n", 0, end)) >= 0:
        is_inside ^= piece.count(b'"', line_break, end) % 2 == 1
        if not is_inside:
            return line_break + 1
        end = line_break
    return 0


def _larger_block(block: int, file: IO[bytes], error: pa.ArrowInvalid) -> int:
    if _ROW_EXCEEDS_BLOCK not in str(error) or block >= min(os.fstat(file.fileno()).st_size, _MAX_BLOCK_BYTES):
        raise error
    return min(block * _GROWTH, _MAX_BLOCK_BYTES)
