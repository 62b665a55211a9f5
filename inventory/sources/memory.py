"""Lists of URNs from Python: iterables, columns, frames or file names.

Methods identify a column, so that no library is loaded.
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
from inventory.sources.files import STDIN, Source, check_unique_streams, is_stream
from inventory.sources.formats import SUFFIXES
from inventory.sources.tabular import Entry, ReadOptions
from inventory.urn import trim
from inventory.user_paths import expand_user

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MISSING: Final = frozenset({"NoneType", "NAType", "NaTType"})
_BLOCK: Final = 64  # small, so that a slow cursor can be cancelled
_SHOWN: Final = 80


class MemorySource:
    """A list of URNs in memory, with the interface of :class:`inventory.sources.files.Source`.

    Attributes:
        name: in rejects and manifest, such as ``<list>`` or ``<Series 'function_urn'>``.
        sha256: of a file with one entry a line, after the read.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        label = getattr(values, "name", None)
        shown = f" {label[:_SHOWN]!r}" if isinstance(label, str) else ""
        self.name = f"<{type(values).__name__}{shown}>"
        # A set's order differs between processes; --resume compares digests.
        self._values = sorted(values, key=str) if isinstance(values, AbstractSet) else values
        self._spool: IO[bytes] | None = None
        self.entries = 0
        self.sha256 = hashlib.sha256().hexdigest()
        if isinstance(values, Iterator):
            self._spool = _spool_iterator(values)
            weakref.finalize(self, self._spool.close)

    def check(self) -> None:
        """Does nothing: there is no file."""

    def read(self, check_cancelled: Callable[[], None] = lambda: None) -> Iterator[Entry]:
        """The entries; ``line`` counts from 1. ``check_cancelled`` is called periodically."""
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
        """Computes the SHA-256 alone."""
        for _ in self.read(check_cancelled):
            pass
        return self.sha256

    def _entries(self) -> Iterator[Entry]:
        if self._spool is None:
            yield from (_entry(line, value) for line, value in enumerate(self._values, 1))
        else:
            self._spool.seek(0)
            yield from (Entry(*json.loads(line)) for line in self._spool)


def _spool_iterator(values: Iterator[Any]) -> IO[bytes]:
    """Copies an iterator to a temporary file in the caller's thread, which database cursors need."""
    with ExitStack() as stack:
        spool = stack.enter_context(tempfile.TemporaryFile())
        spool.writelines(json.dumps(_entry(line, value)).encode() + b"\n" for line, value in enumerate(values, 1))
        stack.pop_all()  # closed with the list
        return spool


def _entry(line: int, value: Any) -> Entry:  # noqa: ANN401 - any element
    if not isinstance(value, str) and hasattr(value, "as_py"):
        value = value.as_py()  # Arrow's scalars
    if isinstance(value, str):
        text = value.encode("utf-8", "backslashreplace").decode()
        trimmed, cleaned = trim(text)
        return Entry(line, trimmed, None if text == value else "a half character (lone surrogate)", cleaned)
    if type(value).__name__ in _MISSING or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN
        return Entry(line, "", "no value (null)")
    return Entry(line, str(value), f"not a text but {type(value).__name__}")


def to_sources(value: object, column: str | None) -> list[Source | MemorySource]:
    """Converts the argument of ``export()`` to sources; reads only iterators.

    A text that begins with ``urn:`` is a URN, any other text is a file. In a list or tuple, paths and texts with the
    suffix of a list (``.txt``, ``.csv.gz``, ...) are files; all others are entries.

    Raises:
        UsageError: the type is not supported, or files and URNs are mixed.
        SourceError: a file's suffix is unknown, or a table has no URN column.
    """
    if value is None:
        return []
    if isinstance(value, Path) or (isinstance(value, str) and not value.startswith("urn:")):
        if isinstance(value, str) and not _names_a_file(value):
            raise UsageError(
                f"{value[:_SHOWN]!r} is no URN, and no file's name that ends in {', '.join(SUFFIXES)}; a single short "
                "form goes in a list: ['name']"
            )
        return [_file(value, column)]
    if isinstance(value, str):
        return [MemorySource([value])]
    if isinstance(value, list | tuple):
        files = [_names_a_file(item) for item in value]
        if any(files):
            return _files(value, files, column)
        return [MemorySource(value)] if value else []
    return [_to_column(value, column)]


def _to_column(value: object, column: str | None) -> MemorySource:
    is_query = hasattr(value, "collect") or hasattr(value, "fetchall")  # polars and Spark; DuckDB
    if is_query and not isinstance(value, Iterable):
        raise UsageError(
            f"{type(value).__name__} is a query that has not run; give what it brings: a frame or a column"
        )
    names = getattr(value, "column_names", None)
    if names is None:
        names = getattr(value, "columns", None)
    if names is not None and hasattr(value, "__getitem__"):
        name = ReadOptions(f"<{type(value).__name__}>", column, ",").pick([str(name) for name in names])
        frame: Any = value
        selected = frame[name]
        if hasattr(selected, "columns"):  # pandas, for two columns of the name
            raise SourceError(f"<{type(value).__name__}> has two columns {name!r}; give one of them as the list")
        return MemorySource(selected)
    if isinstance(value, bytes | bytearray) or not isinstance(value, Iterable):
        raise UsageError(
            f"{type(value).__name__} is no list of URNs; give a file's name, an iterable of URNs, or a column of them"
        )
    return MemorySource(value)


def _names_a_file(item: object) -> bool:
    if isinstance(item, Path):
        return True
    if not isinstance(item, str) or item.startswith("urn:"):
        return False
    return item.lower().removesuffix(".gz").endswith(SUFFIXES) or ((item == STDIN or "/" in item) and is_stream(item))


def _files(value: Sequence[Any], files: Sequence[bool], column: str | None) -> list[Source | MemorySource]:
    if not all(files):
        file, other = str(value[files.index(True)]), str(value[files.index(False)])
        raise UsageError(
            f"the list names files ({file[:_SHOWN]!r}) and URNs ({other[:_SHOWN]!r}); give one or the other: files, or "
            "URNs as a list"
        )
    sources = [_file(item, column) for item in value]
    check_unique_streams(sources)
    return list(sources)


def _file(name: str | Path, column: str | None) -> Source:
    return Source(expand_user(name), column)
