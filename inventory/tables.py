"""The tables on disk: Parquet and CSV, streamed, each under its final name only when it is whole.

Owns how columns become files and how CSV is made safe for spreadsheets. Knows no ledger and no cloud: rows come in, in
order, and the same rows always make the same bytes.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from inventory.errors import OutputError
from inventory.schema import TABLES, VERSION, Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inventory.flatten import Row

ROWS_PER_BATCH: Final = 8_192
"""Rows that are held as Python values at a time."""
ROWS_PER_GROUP: Final = 65_536
"""Rows of a Parquet row group: large enough to compress and skip well, small enough to hold while writing."""
_TYPES: Final = {
    "string": pa.string(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "double": pa.float64(),
    "timestamp[us, tz=UTC]": pa.timestamp("us", tz="UTC"),
}
# A spreadsheet runs a cell that begins so as a formula. The guard is a quote, which is guarded itself: so it can be
# taken off again.
_NEEDS_GUARD: Final = r"^[=+\-@\t\r\n']"
_GUARD: Final = "'"
_CSV_WRITE: Final = pa_csv.WriteOptions(quoting_style="needed")


class TableFile(NamedTuple):
    """A table that was written. ``path`` is its name in the run's folder."""

    name: str
    format: str
    path: str
    rows: int
    bytes: int
    sha256: str


class _Writer(Protocol):
    def write_table(self, table: pa.Table) -> None: ...
    def close(self) -> None: ...


def arrow_schema(table: Table) -> pa.Schema:
    """The Arrow schema of a table, its meanings and units in the fields' metadata."""
    fields = []
    for column in table.columns:
        metadata = {"description": column.meaning, "source": column.source}
        if column.unit is not None:
            metadata["unit"] = column.unit
        fields.append(pa.field(column.name, _TYPES[column.type], metadata=metadata))
    about = {"table": table.name, "row": table.row, "inventory.schema_version": str(VERSION)}
    return pa.schema(fields, metadata=about)


def temporary_name(path: Path) -> Path:
    """The name that a file has until it is whole."""
    return path.with_name(f".{path.name}.part")


class TableWriter:
    """Writes one table in several formats at once.

    The files appear under their names when :meth:`publish` is called, and not before; leaving the context without it
    removes what was written.
    """

    def __init__(self, table: Table, folder: Path, formats: tuple[str, ...]) -> None:
        self._table = table
        self._schema = arrow_schema(table)
        self._paths = {name: folder / f"{table.name}.{name}" for name in formats}
        self._stack = ExitStack()
        self._writers: list[_Writer] = []
        self._rows: list[Row] = []
        self._batches: list[pa.RecordBatch] = []
        self._batched = 0
        self._written = 0

    def __enter__(self) -> Self:
        with _named(self._table.name), ExitStack() as stack:
            for name, path in self._paths.items():
                temporary = temporary_name(path)
                stack.callback(temporary.unlink, missing_ok=True)
                self._writers.append(self._open(name, temporary, stack))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        with _named(self._table.name):
            self._stack.close()

    def _open(self, name: str, path: Path, stack: ExitStack) -> _Writer:
        sink = stack.enter_context(path.open("wb"))
        if name == "csv":
            return _CsvWriter(sink, self._schema)
        columns = [column.name for column in self._table.columns]
        order = [pq.SortingColumn(columns.index(column)) for column in self._table.sorted_by]
        writer = pq.ParquetWriter(sink, self._schema, compression="zstd", sorting_columns=order, write_page_index=True)
        return _ParquetWriter(writer, sink)

    def add(self, row: Row) -> None:
        """Adds a row; rows come in the table's order."""
        self._rows.append(row)
        if len(self._rows) == ROWS_PER_BATCH:
            self._batch()

    def publish(self) -> list[TableFile]:
        """Writes what is left, and gives the whole files their names."""
        with _named(self._table.name):
            self._batch()
            self._write_group()
            files = []
            for writer, (name, path) in zip(self._writers, self._paths.items(), strict=True):
                writer.close()
                temporary = temporary_name(path)
                with temporary.open("rb") as written:
                    os.fsync(written.fileno())
                    digest = hashlib.file_digest(written, "sha256").hexdigest()
                size = temporary.stat().st_size
                temporary.replace(path)
                files.append(TableFile(self._table.name, name, path.name, self._written, size, digest))
            return files

    def _batch(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
            self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
            self._batched += len(self._rows)
            self._rows = []
        if self._batched >= ROWS_PER_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        if self._batches:
            group = pa.Table.from_batches(self._batches, self._schema)
            with _named(self._table.name):
                for writer in self._writers:
                    writer.write_table(group)
            self._written += self._batched
            self._batches, self._batched = [], 0


class _ParquetWriter:
    def __init__(self, writer: pq.ParquetWriter, sink: Any) -> None:  # noqa: ANN401 - a binary file
        self._writer = writer
        self._sink = sink

    def write_table(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=ROWS_PER_GROUP)

    def close(self) -> None:
        self._writer.close()
        self._sink.close()


class _CsvWriter:
    def __init__(self, sink: Any, schema: pa.Schema) -> None:  # noqa: ANN401 - a binary file
        self._writer = pa_csv.CSVWriter(sink, schema, write_options=_CSV_WRITE)
        self._sink = sink

    def write_table(self, table: pa.Table) -> None:
        self._writer.write_table(guarded(table))

    def close(self) -> None:
        self._writer.close()
        self._sink.close()


def guarded(table: pa.Table) -> pa.Table:
    """Puts a quote before each text that a spreadsheet would run as a formula (and before a quote)."""
    for index, field in enumerate(table.schema):
        if field.type == pa.string():
            text = table.column(index)
            needs = pc.match_substring_regex(text, _NEEDS_GUARD)
            if pc.any(needs).as_py():
                quoted = pc.binary_join_element_wise(_GUARD, text, "")
                table = table.set_column(index, field, pc.if_else(needs, quoted, text))
    return table


def unguarded(table: pa.Table) -> pa.Table:
    """Takes the quotes of :func:`guarded` off again."""
    for index, field in enumerate(table.schema):
        if field.type == pa.string():
            text = table.column(index)
            quoted = pc.starts_with(text, _GUARD)
            table = table.set_column(index, field, pc.if_else(quoted, pc.utf8_slice_codeunits(text, 1), text))
    return table


def read_table(path: Path) -> pa.Table:
    """Reads a table that was written here, from Parquet or CSV: the same cells from both.

    Raises:
        OutputError: the file cannot be read as the table that its name says.
    """
    table = TABLES[path.stem]
    schema = arrow_schema(table)
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        read = pa_csv.read_csv(
            path,
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types={column.name: _TYPES[column.type] for column in table.columns},
                include_columns=[column.name for column in table.columns],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        )
        return unguarded(read.cast(schema))
    except (pa.ArrowException, OSError) as error:
        raise OutputError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from None


@contextmanager
def _named(table: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise OutputError(f"table {table} cannot be written: {reason}; make room, then --resume goes on") from None
