"""A table of a run as batches, in the order of its URNs, read as far as it is asked for.

Owns the reading in bounded memory, and the word that a table is sorted. Knows nothing of what rows mean.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from inventory.errors import OutputError
from inventory.tables.arrow import TYPES, combine_chunks, to_scalar
from inventory.tables.writer import csv_convert_options, remove_guards

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from inventory.runs.files import RunFiles
    from inventory.tables.schema import Table

ROWS_PER_BATCH: Final = 8_192
_BETWEEN: Final = to_scalar("\0", pa.string())
_PAGE_BUFFER: Final = 64 * 1024
_CSV_BLOCK: Final = 8 * 1024 * 1024
"""Bytes that are parsed at a time; a row, which is a body of one megabyte at most, fits in."""


def keys_of(rows: pa.RecordBatch | pa.Table) -> pa.Array:
    """What rows are sorted by: the URN, and the event where there is one, as one text that sorts as they do."""
    urns = rows.column("function_urn")
    keys = pc.binary_join_element_wise(urns, rows.column("event"), _BETWEEN) if "event" in rows.schema.names else urns
    return combine_chunks(keys)


class SortedRows:
    """The rows of a table, which are taken from its begin to its end, a span of URNs at a time.

    Args:
        run: whose table.
        table: which.
        columns: of it; ``function_urn`` is the first.
    """

    def __init__(self, run: RunFiles, table: Table, columns: tuple[str, ...]) -> None:
        self._run = run
        self._table = table
        types = {column.name: TYPES[column.type] for column in table.columns}
        self.schema = pa.schema([(name, types[name]) for name in columns])
        self._batches = self._read()
        self._held: pa.RecordBatch | None = None
        self._last_key = ""

    def close(self) -> None:
        """Closes its file."""
        self._batches.close()

    def last(self) -> str | None:
        """The last URN of what is at hand; None where all rows are taken."""
        held = self._ahead()
        return None if held is None else str(held.column(0)[-1])

    def through(self, urn: str) -> pa.Table:
        """Takes all rows up to a URN, with it."""
        taken = []
        while (held := self._ahead()) is not None:
            self._held = None
            if str(held.column(0)[-1]) > urn:
                rows = pc.sum(pc.less_equal(held.column(0), to_scalar(urn, pa.string()))).as_py() or 0
                taken.append(held.slice(0, rows))
                self._held = held.slice(rows)
                break
            taken.append(held)
        return pa.Table.from_batches(taken, self.schema)

    def _ahead(self) -> pa.RecordBatch | None:
        if self._held is None:
            self._held = next(self._batches, None)
        return self._held

    def _read(self) -> Generator[pa.RecordBatch]:
        for file in self._run.of_table(self._table.name):
            place = f"{self._run.name}/{file['path']}"
            with self._run.on_disk(file) as path:
                try:
                    with path.open("rb") as source:  # Arrow takes no name that is not UTF-8
                        parquet = path.suffix == ".parquet"
                        for batch in self._from_parquet(source, place) if parquet else self._from_csv(source):
                            if batch.num_rows:
                                self._check_order(batch, place)
                                yield batch
                except (pa.ArrowException, OSError) as error:
                    raise OutputError(f"{place} cannot be read as a table: {str(error).splitlines()[0]}") from None

    def _from_parquet(self, source: IO[bytes], place: str) -> Iterator[pa.RecordBatch]:
        # A column of a row group is read page by page: groups of other writers may hold a million rows.
        file = pq.ParquetFile(source, buffer_size=_PAGE_BUFFER, pre_buffer=False)
        for name in self.schema.names:
            if name not in file.schema_arrow.names:
                raise OutputError(f"{place} has no column {name}: it is no table {self._table.name} of this version")
        for batch in file.iter_batches(ROWS_PER_BATCH, columns=self.schema.names, use_threads=False):
            columns = [batch.column(field.name).cast(field.type) for field in self.schema]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _from_csv(self, source: IO[bytes]) -> Iterator[pa.RecordBatch]:
        with pa_csv.open_csv(
            source,
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=csv_convert_options(self._table, self.schema.names),
        ) as reader:
            for batch in reader:
                rows = remove_guards(pa.Table.from_batches([batch]).cast(self.schema))
                yield from rows.to_batches(ROWS_PER_BATCH)

    def _check_order(self, batch: pa.RecordBatch, place: str) -> None:
        keys = keys_of(batch)
        ascending = not keys.null_count and self._last_key < str(keys[0])
        if not ascending or (not pc.all(pc.less(keys[:-1], keys[1:])).as_py() and batch.num_rows > 1):
            raise OutputError(
                f"{place} is not sorted by {', '.join(self._table.sorted_by)}, or has a row twice, so it is not as it "
                "was written: inventory tables writes it again from the ledger"
            )
        self._last_key = str(keys[-1])
