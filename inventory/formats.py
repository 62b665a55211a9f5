"""The formats of lists: from an open stream of bytes to entries, one at a time.

Owns what each format looks like and what can be wrong with an entry. Does not know what a URN is, nor where the bytes
come from. Whatever the size of a list or of one line in it, no more than a block of it is held.
"""

from __future__ import annotations

import csv
import json
import re
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from inventory.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS: Final = ("function_urn", "func_urn", "urn")
"""Where the URNs stand in a table, in the order in which they are looked for."""
MAX_LINE: Final = 256 * 1024
"""Bytes of one line that are read; the rest of a longer line is passed over, and the entry is rejected."""
MAX_ELEMENT: Final = 4 * 1024 * 1024
"""Characters that one element of a JSON array may have."""
BLOCK: Final = 64 * 1024
_SURROGATE: Final = re.compile("[\udc80-\udcff]")
"""Bytes that are read at a time."""


class Entry(NamedTuple):
    """One entry of a list.

    Attributes:
        line: its line, or in a Parquet file its row, counted from 1.
        text: what stands there.
        reason: why it cannot be read as text of a URN; None where it can.
    """

    line: int
    text: str
    reason: str | None = None


class Table(NamedTuple):
    """What a reader of a table needs to know: whose it is, which column, and what separates cells."""

    name: str
    column: str | None
    delimiter: str

    def pick(self, names: list[str]) -> str:
        """The column that holds the URNs."""
        wanted = COLUMNS if self.column is None else (self.column,)
        for name in wanted:
            if name in names:
                return name
        has = ", ".join(repr(name[:40]) for name in names[:10]) or "none"
        advice = "give it a header" if names[:1] and names[0].startswith("urn:") else "say which it is with --column"
        raise SourceError(
            f"{self.name} has no column {' or '.join(repr(name) for name in wanted)} (its columns: {has}); {advice}"
        )


def read_text(stream: IO[bytes], _table: Table) -> Iterator[Entry]:
    """A URN a line; ``#`` begins a comment; blank lines are no entries."""
    for entry in _lines(stream):
        if entry.reason is None:
            text = entry.text
            if "#" in text:
                text = re.split(r"(?:^|\s)#", text, maxsplit=1)[0]
            text = text.strip()
            if not text:
                continue
            quoted = len(text) > 1 and text[0] == text[-1] == '"'
            yield Entry(entry.line, text[1:-1] if quoted else text)
        else:
            yield entry


def read_jsonl(stream: IO[bytes], table: Table) -> Iterator[Entry]:
    """A JSON text or object a line."""
    for entry in _lines(stream):
        if entry.reason is not None:
            yield entry
        elif entry.text.strip():
            try:
                value = json.loads(entry.text)
            except (ValueError, RecursionError):
                yield Entry(entry.line, entry.text, "not JSON: a line of a .jsonl list is a text or an object")
            else:
                yield _entry_of(entry.line, value, table)


def read_json(stream: IO[bytes], table: Table) -> Iterator[Entry]:
    """Reads one array, an element at a time, so that a list of any length fits in memory."""
    window = _Window(stream, table.name)
    if window.next_sign() != "[":
        raise SourceError(f"{table.name} is not a JSON array of URNs, or of objects with a URN each")
    window.take(1)
    sign = window.next_sign()
    while sign != "]":
        yield _entry_of(window.line, window.next_value(), table)
        sign = window.next_sign()
        if sign == ",":
            window.take(1)
            if window.next_sign() != "]":
                continue
        if sign != "]":
            raise SourceError(f"{table.name} is no whole JSON array: {sign or 'its end'!r} at line {window.line}")
    window.take(1)
    if window.next_sign():
        raise SourceError(
            f"{table.name}: there is more behind the array, at line {window.line}; a .jsonl list has many"
        )


class _Window:
    """The part of a JSON text that is being read: it moves on, and grows only as far as one element needs."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self._name = name
        self._decode = json.JSONDecoder().raw_decode
        self._text = ""
        self._ended = False
        self.line = 1

    def take(self, size: int) -> None:
        """Moves on."""
        self.line += self._text.count("\n", 0, size)
        self._text = self._text[size:]

    def next_sign(self) -> str:
        """The next character that is no white space; an empty text at the end."""
        while True:
            self.take(len(self._text) - len(self._text.lstrip(" \t\r\n")))
            if self._text or self._ended:
                return self._text[:1]
            self._grow()

    def next_value(self) -> object:
        """The next element."""
        self.next_sign()
        while True:
            try:
                value, end = self._decode(self._text)
            except (ValueError, RecursionError):
                end = 0
            # What ends with the window may go on behind it: a number, say.
            if end and (end < len(self._text) or self._ended):
                self.take(end)
                return value
            if self._ended or len(self._text) > MAX_ELEMENT:
                raise SourceError(f"{self._name} is no whole JSON array: what is at line {self.line} is no JSON value")
            self._grow()

    def _grow(self) -> None:
        block = self._stream.read(max(BLOCK, len(self._text)))
        self._ended = not block
        self._text += _decoded_block(block, self._stream, self._name)


def _decoded_block(block: bytes, stream: IO[bytes], name: str) -> str:
    while True:
        try:
            return block.decode("utf-8")
        except UnicodeDecodeError as error:
            more = stream.read(1) if error.end == len(block) else b""
            if not more:
                raise SourceError(f"{name} is not UTF-8 text; save it as UTF-8") from None
            block += more


csv.field_size_limit(MAX_LINE * 16)  # of the module, for all its readers: rows are bounded by their lines


class _CsvLines:
    """Lines for the csv module, which must see every quote: bytes that are no UTF-8 go through it as surrogates.

    Lines that are too long are set aside for their place, unless they leave it open where a cell ends.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.number = 0
        self.ruined: list[Entry] = []

    def __iter__(self) -> Iterator[str]:
        for entry in _lines(self._stream, for_csv=True):
            self.number = entry.line
            if entry.reason is not None:
                self.ruined.append(entry)
            yield "" if entry.reason is not None else entry.text


def read_csv(stream: IO[bytes], table: Table) -> Iterator[Entry]:
    """A table with a header, with the separator of ``table``; cells may be quoted, and then span lines."""
    lines = _CsvLines(stream)
    rows = csv.reader(lines, delimiter=table.delimiter, strict=True)
    position: int | None = None
    while True:
        began = lines.number + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            # Where a quote is astray, rows behind it are swallowed: none of them is guessed.
            raise SourceError(
                f"{table.name} is no table from line {began} on: {error}; look for a stray quote"
            ) from None
        if lines.ruined:
            yield from lines.ruined
            lines.ruined.clear()
            row = row and []  # what is left of a row with such a line in it is no row
        if row is None:
            return
        if not row:
            continue
        if position is None:
            names = [name.strip() for name in row]
            position = names.index(table.pick(names))
        elif any(_SURROGATE.search(cell) for cell in row):
            whole = table.delimiter.join(row).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            yield Entry(began, whole, "not UTF-8")
        elif position < len(row):
            yield Entry(began, row[position].strip())
        else:
            yield Entry(began, table.delimiter.join(row), f"the row has only {len(row)} cells")


def read_parquet(stream: IO[bytes], table: Table) -> Iterator[Entry]:
    """A column of texts, a batch of rows at a time; ``stream`` must be seekable."""
    import pyarrow as pa  # noqa: PLC0415 - heavy, and only for lists in Parquet
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        file = pq.ParquetFile(stream)
        name = table.pick(file.schema_arrow.names)
        row = 0
        for batch in file.iter_batches(batch_size=4096, columns=[name]):
            for value in batch.column(0).cast(pa.string()).to_pylist():
                row += 1
                yield Entry(row, value.strip()) if value is not None else Entry(row, "", "the cell is empty (null)")
    except pa.ArrowNotImplementedError:
        raise SourceError(f"{table.name}: column {name!r} does not hold text") from None
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{table.name} is no whole Parquet file: {str(error).splitlines()[0]}") from None


def _entry_of(line: int, value: object, table: Table) -> Entry:
    if isinstance(value, dict):
        names = [name for name in (COLUMNS if table.column is None else (table.column,)) if name in value]
        if not names:
            return Entry(line, json.dumps(value), "no field with a URN; see --column")
        value = value[names[0]]
    if isinstance(value, str):
        text = value.encode("utf-8", "backslashreplace").decode()
        return Entry(line, text.strip(), None if text == value else "a half character (lone surrogate)")
    return Entry(line, json.dumps(value), "not a text")


def _lines(stream: IO[bytes], *, for_csv: bool = False) -> Iterator[Entry]:
    """Lines of a text, each checked: too long and not UTF-8 are reasons. For CSV they keep their ends and all bytes.

    Raises:
        csv.Error: a line for CSV is too long, and a quote in it is open.
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
