"""Collects rows of a table into Arrow batches of bounded size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from inventory.tables.arrow import TYPES, to_array
from inventory.tables.schema import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory.tables.flatten import Row
    from inventory.tables.schema import Table

ROWS_PER_BATCH: Final = 1_024
"""Rows as Python values."""
BYTES_PER_BATCH: Final = 4 * 1024 * 1024


def arrow_schema(table: Table) -> pa.Schema:
    """The Arrow schema of a table, with meanings and units as metadata."""
    fields = []
    for column in table.columns:
        metadata = {"description": column.meaning, "source": column.source}
        if column.unit is not None:
            metadata["unit"] = column.unit
        fields.append(pa.field(column.name, TYPES[column.type], metadata=metadata))
    about = {"table": table.name, "row": table.row, "inventory.schema_version": str(VERSION)}
    return pa.schema(fields, metadata=about)


class Batches:
    """Passes the rows of one table on in batches.

    Args:
        schema: of :func:`arrow_schema`.
        write: receives each batch.
    """

    def __init__(self, schema: pa.Schema, write: Callable[[pa.RecordBatch], None]) -> None:
        self._schema = schema
        self._types = [field.type for field in schema]
        self._write = write
        self._rows: list[Row] = []
        self._bytes = 0

    def add(self, row: Row, size: int) -> None:
        """Adds a row; ``size`` in bytes bounds the memory."""
        self._rows.append(row)
        self._bytes += size
        if len(self._rows) == ROWS_PER_BATCH or self._bytes >= BYTES_PER_BATCH:
            self.flush()

    def flush(self) -> None:
        """Passes the last rows on."""
        if not self._rows:
            return
        columns = zip(*self._rows, strict=True)
        arrays = list(map(to_array, columns, self._types))
        self._rows, self._bytes = [], 0
        self._write(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
