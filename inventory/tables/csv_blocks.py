"""Reads CSV in blocks that grow with the longest row."""

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
    """Yields a file in batches of about ``block`` bytes, in one thread.

    Raises:
        pyarrow.ArrowInvalid: as :func:`read_csv`.
        OSError: it cannot be read.
    """
    rows = 0
    while True:
        skipped = rows
        options = pa_csv.ReadOptions(use_threads=False, block_size=block)
        with open_file(path) as file:  # a new one each time: a reader reads ahead, also after an error
            try:
                with pa_csv.open_csv(file, options, _PARSE, convert) as reader:
                    for batch in reader:
                        new = batch.slice(min(skipped, batch.num_rows))
                        skipped -= batch.num_rows - new.num_rows
                        rows += new.num_rows
                        yield new
            except pa.ArrowInvalid as error:
                block = _larger_block(block, file, error)
            else:
                return


def _larger_block(block: int, file: IO[bytes], error: pa.ArrowInvalid) -> int:
    if _ROW_EXCEEDS_BLOCK not in str(error) or block >= min(os.fstat(file.fileno()).st_size, _MAX_BLOCK_BYTES):
        raise error
    return min(block * _GROWTH, _MAX_BLOCK_BYTES)
