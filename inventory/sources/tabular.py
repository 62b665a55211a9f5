"""Readers of text, CSV and Parquet lists in bounded memory."""

from __future__ import annotations

import csv
import io
import re
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from inventory.errors import SourceError
from inventory.urn import trim

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

COLUMNS: Final = ("function_urn", "func_urn", "urn")
"""Names of the URN column, in order of preference."""
MAX_LINE: Final = 256 * 1024
"""Bytes; a longer line is rejected."""
BLOCK: Final = 64 * 1024
"""Bytes per read."""
BOM: Final = "\ufeff"
_SURROGATE: Final = re.compile("[\udc80-\udcff]")
_DELIMITERS: Final = (",", ";", "\t", "|")
_SEP_LINE: Final = re.compile(r'"?sep=([^\w"\s]|\t)"?[,;|\t]*', re.IGNORECASE)
"""Excel's line for the delimiter."""


class Entry(NamedTuple):
    """One entry of a list.

    Attributes:
        line: or row in a Parquet file, from 1.
        reason: why it cannot be a URN's text, or None.
        cleaned: whether invisible characters or white space beyond ASCII were removed at its ends.
    """

    line: int
    text: str
    reason: str | None = None
    cleaned: bool = False


class ReadOptions(NamedTuple):
    """The list's name, the user's column, and the delimiter."""

    name: str
    column: str | None
    delimiter: str

    def find(self, names: Collection[str]) -> str | None:
        """Finds the URN column; case, spaces and invisible characters may differ."""
        wanted = COLUMNS if self.column is None else (self.column,)
        for name in wanted:
            if name in names:
                return name
        known = {_plain(name): name for name in reversed(list(names))}
        return next((known[_plain(name)] for name in wanted if _plain(name) in known), None)

    def pick(self, names: list[str]) -> str:
        """Finds the URN column.

        Raises:
            SourceError: there is none.
        """
        found = self.find(names)
        if found is not None:
            return found
        wanted = COLUMNS if self.column is None else (self.column,)
        has = ", ".join(repr(name[:40]) for name in names[:10]) or "none"
        advice = (
            "give it a header"
            if names[:1] and names[0].startswith("urn:")
            else "name the column of the URNs with --column"
        )
        if len(names) == 1:
            advice += ", or remove the lines above the header"
        raise SourceError(
            f"{self.name} has no column {' or '.join(repr(name) for name in wanted)} (its columns: {has}); {advice}"
        )

    def check_unique(self, name: str, names: list[str]) -> None:
        """Checks that a column name is unique.

        Raises:
            SourceError: it is not.
        """
        if names.count(name) > 1:
            raise SourceError(f"{self.name} has {names.count(name)} columns {name!r}; rename all but one")


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", trim(name)[0].lower())


def read_text(stream: IO[bytes], table: ReadOptions) -> Iterator[Entry]:
    """One URN a line, maybe quoted or with a comma after it; ``#`` begins a comment."""
    is_first = True
    for entry in lines_of(stream):
        if entry.reason is not None:
            yield entry
            continue
        text, cleaned = trim(entry.text)
        if "#" in text:
            text = re.split(r"(?:^|\s)#", text, maxsplit=1)[0]
        text = text.rstrip(" \t,;")
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1]
        text, inside = trim(text)
        if not text:
            continue
        if not (is_first and (table.find([text]) or table._replace(column=None).find([text]))):  # a header
            yield Entry(entry.line, text, cleaned=cleaned or inside)
        is_first = False


csv.field_size_limit(MAX_LINE * 16)  # global; rows are bounded by their lines


class _CsvLines:
    """Lines for the csv module; invalid bytes become surrogates, so that it sees every quote.

    ``ruined`` collects lines that are too long. Byte order marks of joined files are removed and noted.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._entries = lines_of(stream, for_csv=True)
        self.number = 0
        self.ruined: list[Entry] = []
        self.had_bom = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        entry = next(self._entries)
        self.number = entry.line
        if entry.reason is not None:
            self.ruined.append(entry)
            return ""
        self.had_bom = self.had_bom or entry.text.startswith(BOM)
        return entry.text.lstrip(BOM)


class _Header(NamedTuple):
    names: list[str]
    delimiter: str
    position: int


def _read_header(lines: _CsvLines, table: ReadOptions) -> _Header | None:
    """Reads the header with the first delimiter that gives a URN column; None for an empty table.

    Raises:
        SourceError: there is no such column.
        csv.Error: the text is not a row.
    """
    delimiters = [table.delimiter, *_DELIMITERS]
    text = ""
    for line in lines:
        said = None if text else _SEP_LINE.fullmatch(line.rstrip("\r\n"))
        if said:
            delimiters.insert(0, said[1])
        elif text or line.strip():
            text += line
            if text.count('"') % 2 == 0 or len(text) > MAX_LINE:  # otherwise a quoted cell continues in the next line
                break
    if not text:
        return None
    found: list[list[str]] = []
    for delimiter in dict.fromkeys(delimiters):
        try:
            row = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
        except csv.Error as error:
            refused = error
            continue
        names = [trim(name)[0] for name in row]
        column = table.find(names)
        if column is not None:
            table.check_unique(column, names)
            return _Header(names, delimiter, names.index(column))
        found.append(names)
    if not found:
        raise refused
    table.pick(max(found, key=len))
    return None


def is_header(line: str, table: ReadOptions) -> bool:
    """Whether a line is Excel's, or has several column names with one of URNs."""
    if _SEP_LINE.fullmatch(line):
        return True
    rows = [next(csv.reader([line], delimiter=delimiter), []) for delimiter in _DELIMITERS if not line.startswith("#")]
    return any(len(row) > 1 and table.find([trim(name)[0] for name in row]) is not None for row in rows)


def read_csv(stream: IO[bytes], table: ReadOptions) -> Iterator[Entry]:
    """A table with a header, which decides the delimiter; quoted cells may contain line ends."""
    lines = _CsvLines(stream)
    header: _Header | None = None
    began = 1
    try:
        header = _read_header(lines, table)
        yield from lines.ruined
        lines.ruined.clear()
        if header is None:
            return
        lines.had_bom = False
        rows = csv.reader(lines, delimiter=header.delimiter, strict=True)
        while True:
            began = lines.number + 1
            row = next(rows, None)
            if lines.ruined:
                yield from lines.ruined
                lines.ruined.clear()
                row = row and []  # a row that contains such a line is invalid
            if row is None:
                return
            entry = _entry_of_row(began, row, header)
            if entry is not None:
                yield entry._replace(cleaned=True) if lines.had_bom else entry
            lines.had_bom = False
    except csv.Error as error:
        # An open quote swallows later rows: no guess.
        raise SourceError(f"{table.name} is no table from line {began} on: {error}; look for a stray quote") from None


def _entry_of_row(line: int, row: list[str], header: _Header) -> Entry | None:
    """The entry of a row; None for empty cells or the header of a joined file."""
    if any(_SURROGATE.search(cell) for cell in row):
        whole = header.delimiter.join(row).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return Entry(line, whole, "not UTF-8")
    text, cleaned = trim(row[header.position]) if header.position < len(row) else ("", False)
    if not text and not any(trim(cell)[0] for cell in row):
        return None
    if text == header.names[header.position] and [trim(cell)[0] for cell in row] == header.names:
        return None
    if header.position >= len(row):
        return Entry(line, header.delimiter.join(row), f"the row has only {len(row)} cells")
    return Entry(line, text, cleaned=cleaned)


def read_parquet(stream: IO[bytes], table: ReadOptions) -> Iterator[Entry]:
    """A column of texts in batches of rows; ``stream`` must be seekable."""
    import pyarrow as pa  # noqa: PLC0415 - heavy, and only for lists in Parquet
    import pyarrow.parquet as pq  # noqa: PLC0415 - only for Parquet lists

    try:
        file = pq.ParquetFile(stream)
        name = table.pick(file.schema_arrow.names)
        table.check_unique(name, file.schema_arrow.names)
        row = 0
        for batch in file.iter_batches(batch_size=4096, columns=[name], use_threads=False):
            for value in _cells_of(batch.column(0)):
                row += 1
                yield _entry_of_cell(row, value)
    except pa.ArrowNotImplementedError:
        raise SourceError(f"{table.name}: column {name!r} does not hold text") from None
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{table.name} is no whole Parquet file: {str(error).splitlines()[0]}") from None


def _cells_of(column: Any) -> list[str | bytes | None]:  # noqa: ANN401 - late import
    import pyarrow as pa  # noqa: PLC0415 - heavy

    try:
        cells: list[str | bytes | None] = column.cast(pa.string()).to_pylist()
    except (pa.ArrowInvalid, UnicodeDecodeError):  # one cell is not UTF-8
        cells = column.cast(pa.binary()).to_pylist()
    return cells


def _entry_of_cell(row: int, value: str | bytes | None) -> Entry:
    if value is None:
        return Entry(row, "", "the cell is empty (null)")
    try:
        text, cleaned = trim(value.decode() if isinstance(value, bytes) else value)
    except UnicodeDecodeError as error:
        return Entry(row, error.object.decode("utf-8", "replace"), "not UTF-8")
    return Entry(row, text, cleaned=cleaned)


def lines_of(stream: IO[bytes], *, for_csv: bool = False) -> Iterator[Entry]:
    """Lines of a text; too long and not UTF-8 are reasons. For CSV they keep line ends and all bytes.

    Raises:
        csv.Error: a line for CSV is too long and has an open quote.
    """
    number = 0
    while block := stream.readline(MAX_LINE):
        number += 1
        size = len(block)
        if size == MAX_LINE and not block.endswith(b"\n"):
            quotes = block.count(b'"')
            while (rest := stream.readline(BLOCK)) and not rest.endswith(b"\n"):
                size += len(rest)
                quotes += rest.count(b'"')
            size += len(rest)
            if for_csv and (quotes + rest.count(b'"')) % 2:
                raise csv.Error(f"a line of {size} bytes with an open quote")
            start = block[:BLOCK].decode("utf-8", errors="replace")
            yield Entry(number, start, f"the line is {size} bytes long: no function URN is longer than 269 characters")
            continue
        if for_csv:
            yield Entry(number, block.decode("utf-8", errors="surrogateescape"))
            continue
        raw = block.rstrip(b"\r\n")
        try:
            yield Entry(number, raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            text = raw.decode("utf-8", errors="replace")
            yield Entry(number, text, f"not UTF-8 (byte {error.start + 1} of the line)")
