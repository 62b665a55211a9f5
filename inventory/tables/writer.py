"""Writes tables as streams of Parquet and CSV, and reads them."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, TYPE_CHECKING, Final, NamedTuple, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from inventory.errors import OutputError
from inventory.storage.files import open_file, open_new_file, sync, temporary_name
from inventory.tables.arrow import TYPES, first_bytes, to_array
from inventory.tables.batches import Batches, arrow_schema
from inventory.tables.csv_blocks import read_csv
from inventory.tables.schema import TABLES, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from inventory.tables.flatten import Row

ROWS_PER_GROUP: Final = 24_576
"""Rows of a Parquet row group: compresses well and fits in memory."""
BYTES_PER_GROUP: Final = 32 * 1024 * 1024
"""Bytes of the cells, for large rows."""
# First characters of a spreadsheet formula and of a guarded text.
_GUARDED: Final = frozenset("=+-@\t\r\n'")
_GUARDED_BYTES: Final = np.frombuffer("".join(_GUARDED).encode(), np.uint8)
PACKED: Final = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
UNPACKED: Final = pa.ipc.IpcReadOptions(use_threads=False)
"""How batches wait, and are read again. Threads of Arrow wake up for each buffer: more CPU, and no less time."""
_PAGE_BYTES: Final = 64 * 1024
_CSV_WRITE: Final = pa_csv.WriteOptions(quoting_style="needed")


class TableFile(NamedTuple):
    """A file of a table; ``path`` is relative to the run's folder."""

    name: str
    format: str
    path: str
    rows: int
    bytes: int
    sha256: str


class _Writer(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...
    def abandon(self) -> None: ...


class TableWriter:
    """Writes one table in several formats at once.

    :meth:`publish` names the files; an earlier exit removes them.
    """

    def __init__(self, table: Table, folder: Path, formats: tuple[str, ...]) -> None:
        self._table = table
        self._schema = arrow_schema(table)
        self._paths = {name: folder / f"{table.name}.{name}" for name in formats}
        self._stack = ExitStack()
        self._writers: list[_Writer] = []
        self._batches = Batches(self._schema, self.write)
        self._written = 0
        self._finished = False

    def __enter__(self) -> Self:
        with _named(self._table.name), ExitStack() as stack:
            for name, path in self._paths.items():
                temporary = temporary_name(path)
                stack.callback(temporary.unlink, missing_ok=True)
                sink = stack.enter_context(open_new_file(temporary))
                writer = (_CsvWriter if name == "csv" else _ParquetWriter)(sink, self._schema, self._table)
                stack.callback(writer.abandon)
                self._writers.append(writer)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        with _named(self._table.name):
            self._stack.close()

    def add(self, row: Row, size: int) -> None:
        """Adds a row in the table's order; ``size`` in bytes bounds the memory."""
        self._batches.add(row, size)

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds a batch of rows in the table's order."""
        with _named(self._table.name):
            for writer in self._writers:
                writer.write(batch)
        self._written += batch.num_rows

    def finish(self) -> None:
        """Completes the files under temporary names."""
        if self._finished:
            return
        self._batches.flush()
        with _named(self._table.name):
            for writer in self._writers:
                writer.close()
        self._finished = True

    def publish(self) -> list[TableFile]:
        """Renames the complete files."""
        self.finish()
        files = []
        with _named(self._table.name):
            for name, path in self._paths.items():
                temporary = temporary_name(path)
                with temporary.open("rb") as written:
                    sync(written.fileno())
                    digest = hashlib.file_digest(written, "sha256").hexdigest()
                size = temporary.stat().st_size
                temporary.replace(path)
                files.append(TableFile(self._table.name, name, path.name, self._written, size, digest))
        return files


class _ParquetWriter:
    """Parquet by row groups; batches wait compressed for a full group."""

    def __init__(self, sink: IO[bytes], schema: pa.Schema, table: Table) -> None:
        names = [column.name for column in table.columns]
        self._sink = sink
        self._schema = schema
        self._writer = pq.ParquetWriter(
            sink,
            schema,
            compression="zstd",
            sorting_columns=[pq.SortingColumn(names.index(name)) for name in table.sorted_by],
            data_page_size=_PAGE_BYTES,
            dictionary_pagesize_limit=_PAGE_BYTES,
        )
        self._begin_group()

    def _begin_group(self) -> None:
        self._group = pa.BufferOutputStream()
        self._waiting = pa.ipc.new_stream(self._group, self._schema, options=PACKED)
        self._rows = self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.write_batch(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= ROWS_PER_GROUP or self._bytes >= BYTES_PER_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        self._waiting.close()
        group = pa.ipc.open_stream(self._group.getvalue(), options=UNPACKED).read_all()
        self._begin_group()
        if group.num_rows:
            self._writer.write_table(group, row_group_size=group.num_rows)

    def close(self) -> None:
        self._write_group()
        self._waiting.close()
        self._writer.close()
        self._sink.close()

    def abandon(self) -> None:
        with suppress(OSError, ValueError):  # the file is removed anyway
            self._writer.close()


class _CsvWriter:
    def __init__(self, sink: IO[bytes], schema: pa.Schema, _table: Table) -> None:
        self._sink = sink
        self._writer = pa_csv.CSVWriter(sink, schema, write_options=_CSV_WRITE)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(guard_batch(batch))

    def close(self) -> None:
        self._writer.close()
        self._sink.close()

    def abandon(self) -> None:
        with suppress(OSError, ValueError):
            self._writer.close()


def guard(text: str | None) -> str | None:
    """Puts a quote before a spreadsheet formula and before a leading quote."""
    return f"'{text}" if text and text[0] in _GUARDED else text


def guard_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Guards all texts of a batch, as :func:`guard`."""
    return pa.RecordBatch.from_arrays(list(map(_guard_column, batch.columns)), schema=batch.schema)


def _guard_column(column: pa.Array) -> pa.Array:
    if column.type != pa.string() or not np.isin(first_bytes(column), _GUARDED_BYTES).any():
        return column
    return to_array(list(map(guard, column.to_pylist())), column.type)


def remove_guards(table: pa.Table) -> pa.Table:
    """Removes the quotes of :func:`guard`."""
    import pyarrow.compute as pc  # noqa: PLC0415 - 10 MB; writing does not need it

    for index, field in enumerate(table.schema):
        if field.type == pa.string():
            text = table.column(index)
            quoted = pc.starts_with(text, "'")
            if not pc.any(quoted).as_py():
                continue
            table = table.set_column(index, field, pc.if_else(quoted, pc.utf8_slice_codeunits(text, 1), text))
    return table


def read_table(path: Path, name: str | None = None, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads a Parquet or CSV file of a table: the same cells from both.

    Args:
        path: the file.
        name: of the table; default: the file's.
        columns: those of a newer schema are null. Default: all.

    Raises:
        OutputError: the file cannot be read as this table.
    """
    table = TABLES[name or path.stem]
    try:
        if path.suffix != ".parquet":
            return _read_csv(path, table, columns)
        with open_file(path) as file:  # Arrow accepts only UTF-8 names
            if columns is not None:
                return _read_columns(file, table, columns)
            # Threads of Arrow before 25 abort the process if Python exits soon after.
            return pq.ParquetFile(file).read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise OutputError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from None


def _read_columns(file: IO[bytes], table: Table, columns: Sequence[str]) -> pa.Table:
    parquet = pq.ParquetFile(file)
    present = [name for name in columns if name in parquet.schema_arrow.names]
    read = parquet.read(columns=present, use_threads=False)
    fields = [arrow_schema(table).field(name) for name in columns]
    rows = parquet.metadata.num_rows
    arrays = [
        read[field.name].cast(field.type) if field.name in present else pa.nulls(rows, field.type) for field in fields
    ]
    return pa.table(arrays, schema=pa.schema(fields))


def csv_convert_options(table: Table, columns: Sequence[str] | None = None) -> pa_csv.ConvertOptions:
    """How CSV cells are read; ``columns`` None: all."""
    return pa_csv.ConvertOptions(
        column_types={column.name: TYPES[column.type] for column in table.columns},
        include_columns=[column.name for column in table.columns] if columns is None else list(columns),
        include_missing_columns=columns is not None,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )


def _read_csv(path: Path, table: Table, columns: Sequence[str] | None) -> pa.Table:
    read = read_csv(path, csv_convert_options(table, columns))
    schema = arrow_schema(table)
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])
    return remove_guards(read.cast(schema))


@contextmanager
def _named(table: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError.from_os_error(
            f"table {table}", "cannot be written", error, "{remedy}, then rerun with --resume, or run inventory tables"
        ) from None
