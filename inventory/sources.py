"""Lists of URNs: every form that a SOURCE may have, read lazily, an entry at a time.

Owns files: opening, decompressing, hashing, and what is wrong with one as a whole. Does not know what a URN is: it
gives the text of each entry with the place it stands at.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import select
import shutil
import stat
import sys
import tempfile
import zlib
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

from inventory.errors import SourceError
from inventory.formats import BLOCK, Entry, Table, read_csv, read_json, read_jsonl, read_parquet, read_text
from inventory.remedy import remedy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STDIN: Final = "-"
SUFFIXES: Final = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".parquet")
_IDLE_SECONDS: Final = 0.25
_BOM: Final = b"\xef\xbb\xbf"
_SIGNATURES: Final = {b"PAR1": "a Parquet file (.parquet)", b"\x1f\x8b": "compressed with gzip (.gz)"}


class Source:
    r"""One list of URNs: a file, or ``-`` for standard input.

    Attributes:
        name: as it was given; bytes of a file's name that are no UTF-8 are written as ``\xff``.
        sha256: of the file's bytes; known when it was read to its end.
        entries: how many were read.
    """

    def __init__(self, name: str, column: str | None = None) -> None:
        self.name = os.fsencode(name).decode("utf-8", "backslashreplace")
        self._path = Path(name)
        self._column = column
        self._digest = hashlib.sha256()
        self._idle: Callable[[], None] = lambda: None
        self.entries = 0
        suffixes = [suffix.lower() for suffix in self._path.suffixes]
        self._zipped = name != STDIN and suffixes[-1:] == [".gz"]
        self._suffix = ".txt" if name == STDIN else "".join(suffixes[-2:-1] if self._zipped else suffixes[-1:])
        if self._suffix not in SUFFIXES:
            raise SourceError(f"{self.name}: its name must end in {', '.join(SUFFIXES)} (or these and .gz)")

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of what was read."""
        return self._digest.hexdigest()

    def check(self) -> None:
        """Sees that there is a file that can be opened, before anything else is begun.

        Raises:
            SourceError: there is none.
        """
        if self.name != STDIN:
            with self._damage_is_named(), self._open_raw():
                pass

    def read(self, idle: Callable[[], None] = lambda: None) -> Iterator[Entry]:
        """Reads the entries, a block at a time.

        Args:
            idle: called now and then while nothing comes; what it raises ends the reading.

        Raises:
            SourceError: the file cannot be opened, is damaged, or is not what its name says.
        """
        self._idle = idle
        readers = {".txt": read_text, ".jsonl": read_jsonl, ".json": read_json, ".parquet": read_parquet}
        with self._damage_is_named(), self._open() as stream:
            reader = readers.get(self._suffix, read_csv)
            delimiter = "\t" if self._suffix == ".tsv" else ","
            for entry in reader(stream, Table(self.name, self._column, delimiter)):
                self.entries += 1
                yield entry
            while stream.read(BLOCK):  # to the end, for the digest
                pass

    def digest(self, idle: Callable[[], None] = lambda: None) -> str:
        """Reads the bytes alone: the SHA-256 without the entries; ``idle`` as in :meth:`read`."""
        self._idle = idle
        with self._damage_is_named(), self._open_raw() as raw:
            while raw.read(BLOCK):
                pass
        return self.sha256

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        with ExitStack() as stack:
            raw = stack.enter_context(self._open_raw())
            if self._suffix == ".parquet":
                # Parquet is read from its end: what cannot be sought in goes through a file without a name.
                spool = stack.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(gzip.GzipFile(fileobj=raw) if self._zipped else raw, spool)
                spool.seek(0)
                yield cast("IO[bytes]", spool)
                return
            plain = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if self._zipped else raw
            _refuse_binary(self.name, plain.peek(BLOCK)[:BLOCK])
            if plain.peek(3)[:3] == _BOM:
                plain.read(3)
            yield cast("IO[bytes]", plain)

    @contextmanager
    def _open_raw(self) -> Iterator[io.BufferedReader]:
        self._digest = hashlib.sha256()
        if self.name == STDIN:
            raw = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
            yield io.BufferedReader(_Hashed(raw, self._digest, self._idle), BLOCK)
            return
        if self._path.is_dir():
            raise SourceError(f"{self.name} is a folder; name the list in it")
        with self._path.open("rb", buffering=0) as stream:
            yield io.BufferedReader(_Hashed(stream, self._digest, self._idle), BLOCK)

    @contextmanager
    def _damage_is_named(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise SourceError(f"{self.name}: there is no such file") from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SourceError(f"{self.name} is no whole gzip file: {error}") from None
        except OSError as error:
            more = f"; {remedy(error)}" if error.errno in {errno.EMFILE, errno.ENFILE} else ""
            raise SourceError(f"{self.name} cannot be read: {error.strerror or error}{more}") from None


class _Hashed(io.RawIOBase):
    """A raw stream that adds what is read through it to a digest, and can be left while nothing comes."""

    def __init__(self, stream: Any, digest: Any, idle: Callable[[], None]) -> None:  # noqa: ANN401 - stdin has no one type
        self._stream = stream
        self._digest = digest
        self._idle = idle
        try:
            # A pipe or a terminal; a file is always ready, and elsewhere than here only sockets can be waited for.
            self._waits = os.name == "posix" and not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
        except (AttributeError, OSError):
            self._waits = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - a writable buffer
        while self._waits:
            self._idle()
            if select.select([self._stream], [], [], _IDLE_SECONDS)[0]:
                break
        size: int = self._stream.readinto(buffer) or 0
        self._digest.update(memoryview(buffer)[:size])
        return size


def _refuse_binary(name: str, start: bytes) -> None:
    for signature, what in _SIGNATURES.items():
        if start.startswith(signature):
            raise SourceError(f"{name} is {what}, which its name does not say; name it so")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise SourceError(f"{name} is UTF-16 text; save it as UTF-8")
    if b"\0" in start:
        raise SourceError(f"{name} is a binary file (byte 0 at offset {start.index(0)}), not a list of URNs")
