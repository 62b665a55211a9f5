"""Reads the tables of two runs side by side, in windows of URNs.

Memory is bounded by one window, independent of the size of the tables. A table that is not sorted is refused.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from inventory.errors import OutputError
from inventory.storage.files import open_file
from inventory.tables.arrow import TYPES, to_numbers, to_scalar
from inventory.tables.csv_blocks import iterate_csv
from inventory.tables.writer import csv_convert_options, remove_guards

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from inventory.comparison.join import Window
    from inventory.runs.files import RunFiles
    from inventory.tables.schema import Table

T = TypeVar("T")

ROWS_PER_BATCH: Final = 3_072
ROWS_PER_WINDOW: Final = 6_144
BYTES_PER_WINDOW: Final = 4 * 1024 * 1024
_TICK_SECONDS: Final = 0.05
_PAGE_BUFFER: Final = 64 * 1024


class TableReader:
    """Reads a table once, from the first row to the last.

    Args:
        run: the run that the table belongs to.
        table: the table.
        columns: the columns to read; the first is ``function_urn``.
    """

    def __init__(self, run: RunFiles, table: Table, columns: tuple[str, ...]) -> None:
        self._run = run
        self._table = table
        self.schema = pa.schema(
            [(column.name, TYPES[column.type]) for name in columns for column in table.columns if column.name == name]
        )
        self._batches = read_ahead(self._read(), is_large=_is_large)
        self._held: deque[pa.RecordBatch] = deque()
        self._pending: pa.RecordBatch | None = None
        self._last_key: tuple[str, ...] = ()
        self.is_exhausted = False

    def close(self) -> None:
        """Closes the open file."""
        self._batches.close()

    def fill(self) -> None:
        """Reads until one window of rows is in memory, or the table ends. A row that is too large is a window."""
        rows = size = 0
        for batch in self._held:
            rows, size = rows + batch.num_rows, size + batch.nbytes
        while rows < ROWS_PER_WINDOW and (batch := self._next_batch()) is not None:
            if self._held and size + batch.nbytes > BYTES_PER_WINDOW:
                self._pending = batch
                return
            self._held.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes

    def last(self) -> str | None:
        """Returns the last URN in memory, or None if no row is left."""
        return str(self._held[-1].column(0)[-1]) if self._held else None

    def through(self, urn: str) -> Iterator[pa.RecordBatch]:
        """Yields the rows up to and including a URN."""
        while (batch := self._held.popleft() if self._held else self._next_batch()) is not None:
            if str(batch.column(0)[-1]) > urn:
                rows = pc.sum(pc.less_equal(batch.column(0), to_scalar(urn, pa.string()))).as_py()
                self._held.appendleft(batch.slice(rows))
                if rows:
                    yield batch.slice(0, rows)
                return
            yield batch

    def _next_batch(self) -> pa.RecordBatch | None:
        batch, self._pending = self._pending, None
        batch = batch or next(self._batches, None)
        self.is_exhausted = batch is None
        return batch

    def _read(self) -> Generator[pa.RecordBatch]:
        for file in self._run.of_table(self._table.name):
            place = f"{self._run.name}/{file['path']}"
            with self._run.on_disk(file) as path:
                try:
                    for batch in self._from_parquet(path, place) if path.suffix == ".parquet" else self._from_csv(path):
                        if batch.num_rows:
                            self._check_order(batch, place)
                            yield from _split(batch)
                except (pa.ArrowException, OSError) as error:
                    raise OutputError(f"{place} cannot be read as a table: {str(error).splitlines()[0]}") from None

    def _from_parquet(self, path: Path, place: str) -> Iterator[pa.RecordBatch]:
        with open_file(path) as source:  # Arrow takes no name that is not UTF-8
            # A column of a row group is read page by page: groups of other writers may hold a million rows.
            file = pq.ParquetFile(source, buffer_size=_PAGE_BUFFER, pre_buffer=False)
            for name in self.schema.names:
                if name not in file.schema_arrow.names:
                    raise OutputError(
                        f"{place} has no column {name}: it is no table {self._table.name} of this version"
                    )
            for group in range(file.num_row_groups):
                rows = _rows_per_batch(file.metadata.row_group(group))
                for batch in file.iter_batches(rows, [group], columns=self.schema.names, use_threads=False):
                    columns = [batch.column(field.name).cast(field.type) for field in self.schema]
                    yield pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _from_csv(self, path: Path) -> Iterator[pa.RecordBatch]:
        for batch in iterate_csv(path, csv_convert_options(self._table, self.schema.names)):
            rows = remove_guards(pa.Table.from_batches([batch]).cast(self.schema))
            yield from rows.to_batches(ROWS_PER_BATCH)

    def _check_order(self, batch: pa.RecordBatch, place: str) -> None:
        keys = [batch.column(name) for name in self._table.sorted_by]
        first = tuple(str(key[0]) for key in keys)
        if any(key.null_count for key in keys) or not self._last_key < first or not is_ascending(keys):
            raise OutputError(
                f"{place} is not sorted by {', '.join(self._table.sorted_by)}, or has a row twice, so it is not as it "
                "was written: inventory tables writes it again from the ledger"
            )
        self._last_key = tuple(str(key[-1]) for key in keys)


def _rows_per_batch(group: pq.RowGroupMetaData) -> int:
    """Rows of a row group that fill a quarter of a window, if their sizes are equal."""
    row_bytes: int = max(1, group.total_byte_size // max(1, group.num_rows))
    return max(1, min(ROWS_PER_BATCH, BYTES_PER_WINDOW // 4 // row_bytes))


def _split(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cuts a batch into pieces of a quarter of a window, or of one row."""
    if batch.nbytes <= BYTES_PER_WINDOW // 4:
        yield batch
        return
    texts = [column for column in batch.columns if column.type == pa.string()]
    sizes = np.cumsum(sum(to_numbers(pc.binary_length(column).cast(pa.int64()), 0) for column in texts))
    begin = 0
    while begin < batch.num_rows:
        before = sizes[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(sizes, before + BYTES_PER_WINDOW // 4, "right")))
        yield batch.slice(begin, end - begin)
        begin = end


def _is_large(batch: pa.RecordBatch) -> bool:
    return bool(batch.nbytes > BYTES_PER_WINDOW // 4)


def is_large_window(item: tuple[Window, *tuple[Any, ...]]) -> bool:
    """Whether the next window has to wait until this one is done."""
    window = item[0]
    return bool(sum(rows.nbytes for rows in (*window.functions, *window.destinations)) > 2 * BYTES_PER_WINDOW)


def is_ascending(keys: Sequence[pa.Array]) -> bool:
    """Whether each row is greater than the row before."""
    if len(keys[0]) < 2:  # noqa: PLR2004 - a single row is sorted
        return True
    ascending = pc.less(keys[0][:-1], keys[0][1:])
    for number, key in enumerate(keys[1:], 1):
        if ascending.true_count == len(ascending):
            break
        same = pc.equal(keys[number - 1][:-1], keys[number - 1][1:])
        ascending = pc.or_(ascending, pc.and_(same, pc.less(key[:-1], key[1:])))
    return bool(ascending.true_count == len(ascending))


def read_windows(
    readers: Sequence[TableReader], is_cancelled: Callable[[], bool] = lambda: False
) -> Iterator[tuple[str, list[pa.Table]]]:
    """Yields the last URN of each window, and the rows of each table up to it; ends early if it is cancelled."""
    while not is_cancelled():
        for reader in readers:
            reader.fill()
        ends = [(reader.is_exhausted, reader.last()) for reader in readers]
        urns = [urn for is_exhausted, urn in ends if urn is not None and not is_exhausted]
        end = min(urns) if urns else max((urn for _, urn in ends if urn is not None), default=None)
        if end is None:
            return
        yield end, [pa.Table.from_batches(reader.through(end), reader.schema) for reader in readers]


def read_ahead(
    items: Generator[T],
    interrupt: Callable[[], None] | None = None,
    is_large: Callable[[T], bool] = lambda _item: False,
) -> Generator[T]:
    """Computes the next item in a thread while the caller works on the current one.

    Args:
        items: is closed at the end.
        interrupt: cancels the computation of an item, if the caller stops.
        is_large: whether an item needs so much memory that the next one has to wait until the caller is done.
    """
    with closing(items), ThreadPoolExecutor(1, "inventory-read-ahead") as thread:
        future: Future[T | None] = thread.submit(next, items, None)
        is_waiting = False
        try:
            while (item := future.result()) is not None:
                is_waiting = is_large(item)
                # A future holds its result.
                future = Future() if is_waiting else thread.submit(next, items, None)
                yield item
                del item
                if is_waiting:
                    future = thread.submit(next, items, None)
        except BaseException:
            while interrupt is not None and not (is_waiting or future.done()):
                interrupt()  # again, as it has no effect on a query that has not started
                wait([future], _TICK_SECONDS)
            raise
