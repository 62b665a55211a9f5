"""Writes and reads a table as a folder of parts, which is one dataset."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.parquet as pq

from inventory.errors import OutputError
from inventory.storage.files import open_file
from inventory.tables import paths as layout
from inventory.tables.batches import Batches, arrow_schema
from inventory.tables.csv_blocks import iterate_csv
from inventory.tables.schema import TABLES
from inventory.tables.writer import TableFile, TableWriter, csv_convert_options, read_table, remove_guards

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from inventory.tables.flatten import Row
    from inventory.tables.schema import Table

_ROWS_PER_BATCH = 16_384


class PartsWriter:
    """Writes one table with ``rows_per_file`` rows a file; a table of one part is one file.

    The same rows make the same files.

    Args:
        rows_per_file: of each part but the last.
        max_rows: upper bound of rows; decides the length of the parts' names.
    """

    def __init__(
        self, table: Table, folder: Path, formats: tuple[str, ...], *, rows_per_file: int, max_rows: int
    ) -> None:
        self._table = table
        self._folder = folder
        self._formats = formats
        self._rows_per_file = rows_per_file
        self._max_parts = max_rows // rows_per_file
        self._staging = layout.staging_folder(folder, table.name)
        self._stack = ExitStack()
        self._part = ExitStack()
        self._rows = 0
        self._batches = Batches(arrow_schema(table), self.write)
        self._staged: list[TableFile] = []
        self._finished = False

    def __enter__(self) -> Self:
        with ExitStack() as stack, _named(self._table.name):
            layout.remove_table_file(self._staging)  # of a killed run
            self._staging.mkdir()
            stack.callback(layout.remove_table_file, self._staging)
            self._writer = self._begin()
            stack.callback(self._end_part)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        with _named(self._table.name):
            self._stack.close()

    def _begin(self) -> TableWriter:
        return self._part.enter_context(TableWriter(self._table, self._staging, self._formats))

    def _end_part(self) -> None:
        self._part.close()

    def add(self, row: Row, size: int) -> None:
        """Adds a row of about ``size`` bytes, in the table's order."""
        self._batches.add(row, size)

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds a batch of rows in the table's order."""
        while batch.num_rows:
            if self._rows == self._rows_per_file:
                self._stage()
                self._writer = self._begin()
            head = batch.slice(0, self._rows_per_file - self._rows)
            self._writer.write(head)
            self._rows += head.num_rows
            batch = batch.slice(head.num_rows)

    def finish(self) -> None:
        """Writes all parts under temporary names."""
        if self._finished:
            return
        self._batches.flush()
        self._stage()
        for form in self._formats:
            place = self._folder / layout.folder_name(self._table.name, form)
            with _named(self._table.name):
                if self._is_split() and not layout.is_replaceable(place):
                    raise OutputError(
                        f"{place} is in the way of the parts of a table: move it away and run the command again"
                    )
        self._finished = True

    def _is_split(self) -> bool:
        return len(self._staged) > len(self._formats)

    def publish(self) -> list[TableFile]:
        """Renames the complete files."""
        self.finish()
        with _named(self._table.name):
            return [file for form in self._formats for file in self._publish(form)]

    def _stage(self) -> None:
        number = len(self._staged) // len(self._formats)
        for file in self._writer.publish():
            name = layout.part_name(number, file.format, self._max_parts)
            with _named(self._table.name):
                (self._staging / file.format).mkdir(exist_ok=True)
                (self._staging / file.path).replace(self._staging / file.format / name)
            self._staged.append(file._replace(path=name))
        self._part.close()
        self._rows = 0

    def _publish(self, form: str) -> Iterator[TableFile]:
        staged = [file for file in self._staged if file.format == form]
        whole = self._staging / form
        if not self._is_split():
            name = layout.file_name(self._table.name, form)
            (whole / staged[0].path).replace(self._folder / name)
            yield staged[0]._replace(path=name)
            return
        name = layout.folder_name(self._table.name, form)
        for old in layout.list_parts(self._folder / name):
            layout.remove_table_file(old)
        whole.replace(self._folder / name)
        for file in staged:
            yield file._replace(path=f"{name}/{file.path}")


def read_parts(table: str, paths: Sequence[Path], columns: Sequence[str] | None = None) -> pa.Table:
    """Reads a table in one file or in parts.

    Raises:
        OutputError: a file cannot be read as this table.
    """
    if columns is not None and not columns:  # of Arrow's readers, one returns no rows and one all columns
        return read_parts(table, paths, [TABLES[table].columns[0].name]).select([])
    return pa.concat_tables([read_table(path, table, columns) for path in paths])


def iterate_parts(table: str, paths: Sequence[Path], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a table in batches of bounded size; columns of a newer schema are null.

    Raises:
        OutputError: a file cannot be read as this table.
    """
    declared = arrow_schema(TABLES[table])
    fields = pa.schema([declared.field(name) for name in columns])
    for path in paths:
        try:
            if path.suffix == ".parquet":
                yield from _iterate_parquet(path, fields)
            else:
                for batch in iterate_csv(path, csv_convert_options(TABLES[table], columns)):
                    yield from remove_guards(pa.Table.from_batches([batch]).cast(fields)).to_batches()
        except (pa.ArrowException, OSError) as error:
            raise OutputError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from None


def _iterate_parquet(path: Path, fields: pa.Schema) -> Iterator[pa.RecordBatch]:
    with open_file(path) as source:  # Arrow accepts only UTF-8 names
        file = pq.ParquetFile(source, pre_buffer=False)
        present = [name for name in fields.names if name in file.schema_arrow.names]
        for batch in file.iter_batches(_ROWS_PER_BATCH, columns=present, use_threads=False):
            arrays = [
                batch.column(field.name).cast(field.type) if field.name in present else pa.nulls(len(batch), field.type)
                for field in fields
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=fields)


@contextmanager
def _named(table: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError.from_os_error(
            f"table {table}", "cannot be written", error, "{remedy}, then rerun with --resume, or run inventory tables"
        ) from None
