"""Lists of URNs that a Python program gives: an iterable, a column of a frame or of Arrow, or the names of files.

Owns which of these something is, and what a value in it is: a text is an entry, anything else a reject with its
position. Reads lazily. Does not know what a URN is, nor any of the libraries whose columns come here: columns are told
by what they can do, so that an export loads no pandas.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from inventory.errors import SourceError, UsageError
from inventory.sources.files import STDIN, SUFFIXES, Source, check_unique_streams, is_stream
from inventory.sources.formats import Entry, ReadOptions
from inventory.urn import trim
from inventory.user_paths import expand_user

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MISSING: Final = frozenset({"NoneType", "NAType", "NaTType"})
_BLOCK: Final = 64  # a page of a slow cursor: a stop must not wait for thousands of rows
_SHOWN: Final = 80


class MemorySource:
    """A list of URNs from memory, in the place of a :class:`inventory.sources.files.Source`.

    Attributes:
        name: what rejects and manifest call it, such as ``<list>`` or ``<Series 'function_urn'>``.
        sha256: of a file with an entry a line; known when it was read to its end.
        entries: how many were read.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        label = getattr(values, "name", None)
        shown = f" {label[:_SHOWN]!r}" if isinstance(label, str) else ""
        self.name = f"<{type(values).__name__}{shown}>"
        # A set has another order in each process: sorted, it is the same list when the run goes on.
        self._values = sorted(values, key=str) if isinstance(values, AbstractSet) else values
        self._spool: IO[bytes] | None = None
        self.entries = 0
        self.sha256 = hashlib.sha256().hexdigest()
        if isinstance(values, Iterator):
            self._spool = _spooled(values)
            weakref.finalize(self, self._spool.close)

    def check(self) -> None:
        """There is nothing to open."""

    def read(self, check_cancelled: Callable[[], None] = lambda: None) -> Iterator[Entry]:
        """Its entries; ``line`` is the position, counted from 1. ``check_cancelled`` is called now and then."""
        digest = hashlib.sha256()
        self.entries = 0
        for entry in self._entries():
            if self.entries % _BLOCK == 0:
                check_cancelled()
            self.entries += 1
            digest.update(f"{entry.text}\n".encode())
            yield entry
        self.sha256 = digest.hexdigest()

    def digest(self, check_cancelled: Callable[[], None] = lambda: None) -> str:
        """The SHA-256 alone."""
        for _ in self.read(check_cancelled):
            pass
        return self.sha256

    def _entries(self) -> Iterator[Entry]:
        if self._spool is None:
            yield from (_entry(line, value) for line, value in enumerate(self._values, 1))
        else:
            self._spool.seek(0)
            yield from (Entry(*json.loads(line)) for line in self._spool)


def _spooled(values: Iterator[Any]) -> IO[bytes]:
    """What can be read once, in a file without a name.

    It is read here, in the caller's thread: a cursor of a database works in no other, and what goes wrong in a
    generator is its own error, before a run is begun.
    """
    with ExitStack() as stack:
        spool = stack.enter_context(tempfile.TemporaryFile())
        spool.writelines(json.dumps(_entry(line, value)).encode() + b"\n" for line, value in enumerate(values, 1))
        stack.pop_all()  # it is whole, and goes with the list that holds it
        return spool


def _entry(line: int, value: Any) -> Entry:  # noqa: ANN401 - whatever a list holds
    if not isinstance(value, str) and hasattr(value, "as_py"):
        value = value.as_py()  # Arrow's scalars
    if isinstance(value, str):
        text = value.encode("utf-8", "backslashreplace").decode()
        trimmed, cleaned = trim(text)
        return Entry(line, trimmed, None if text == value else "a half character (lone surrogate)", cleaned)
    if type(value).__name__ in _MISSING or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN
        return Entry(line, "", "no value (null)")
    return Entry(line, str(value), f"not a text but {type(value).__name__}")


def to_sources(given: object, column: str | None) -> list[Source | MemorySource]:
    """What was given, as lists to read; nothing of it is read but what can be read once.

    A single text that begins with ``urn:`` is a URN, any other names a file. In a list or tuple, paths and texts that
    end as a list's file does (``.txt``, ``.csv.gz`` and so on) name files, and all others are entries, as in any other
    iterable.

    Raises:
        UsageError: it is nothing of these, or files and URNs are mixed.
        SourceError: a file's name does not say what is in it, or a table has no column of URNs.
    """
    if given is None:
        return []
    if isinstance(given, Path) or (isinstance(given, str) and not given.startswith("urn:")):
        if isinstance(given, str) and not _names_a_file(given):
            raise UsageError(
                f"{given[:_SHOWN]!r} is no URN, and no file's name that ends in {', '.join(SUFFIXES)}; a single short "
                "form goes in a list: ['name']"
            )
        return [_file(given, column)]
    if isinstance(given, str):
        return [MemorySource([given])]
    if isinstance(given, list | tuple):
        files = [_names_a_file(item) for item in given]
        if any(files):
            return _files(given, files, column)
        return [MemorySource(given)] if given else []
    return [_column_of(given, column)]


def _column_of(given: object, column: str | None) -> MemorySource:
    """An iterable, or the column of URNs of a frame or an Arrow table."""
    asks = hasattr(given, "collect") or hasattr(given, "fetchall")  # of polars and Spark, of DuckDB
    if asks and not isinstance(given, Iterable):
        raise UsageError(
            f"{type(given).__name__} is a query that has not run; give what it brings: a frame or a column"
        )
    names = getattr(given, "column_names", None)
    if names is None:
        names = getattr(given, "columns", None)
    if names is not None and hasattr(given, "__getitem__"):
        name = ReadOptions(f"<{type(given).__name__}>", column, ",").pick([str(name) for name in names])
        column_of: Any = given
        found = column_of[name]
        if hasattr(found, "columns"):  # of pandas, where two columns have the name
            raise SourceError(f"<{type(given).__name__}> has two columns {name!r}; give one of them as the list")
        return MemorySource(found)
    if isinstance(given, bytes | bytearray) or not isinstance(given, Iterable):
        raise UsageError(
            f"{type(given).__name__} is no list of URNs; give a file's name, an iterable of URNs, or a column of them"
        )
    return MemorySource(given)


def _names_a_file(item: object) -> bool:
    if isinstance(item, Path):
        return True
    if not isinstance(item, str) or item.startswith("urn:"):
        return False
    return item.lower().removesuffix(".gz").endswith(SUFFIXES) or ((item == STDIN or "/" in item) and is_stream(item))


def _files(given: Sequence[Any], files: Sequence[bool], column: str | None) -> list[Source | MemorySource]:
    if not all(files):
        file, other = str(given[files.index(True)]), str(given[files.index(False)])
        raise UsageError(
            f"the list names files ({file[:_SHOWN]!r}) and URNs ({other[:_SHOWN]!r}); give one or the other: files, or "
            "URNs as a list"
        )
    sources = [_file(item, column) for item in given]
    check_unique_streams(sources)
    return list(sources)


def _file(name: str | Path, column: str | None) -> Source:
    return Source(expand_user(name), column)
