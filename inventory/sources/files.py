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
import re
import select
import shutil
import stat
import sys
import tempfile
import zlib
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

from inventory.errors import SourceError, UsageError
from inventory.sources.formats import BLOCK, Entry, ReadOptions, is_header, read_csv, read_parquet, read_text
from inventory.sources.json_documents import is_json_line, read_json, read_jsonl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

STDIN: Final = "-"
SUFFIXES: Final = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".parquet")
_IDLE_SECONDS: Final = 0.25
_BOM: Final = b"\xef\xbb\xbf"
_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_DESCRIPTOR: Final = re.compile(r"/dev/(stdin|fd/\d+)|/proc/(self|\d+)/fd/\d+")
_STDINS: Final = (STDIN, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_DECOMPRESS: Final = "decompress it first"
_CSV: Final = "save it as CSV"
_SIGNATURES: Final = {
    _PARQUET: "a Parquet file (.parquet), which its name does not say; name it so",
    _GZIP: "compressed with gzip (.gz), which its name does not say; name it so",
    b"PK\x03\x04": f"a zip file, as an Excel workbook (.xlsx) is; {_CSV}, or unzip it",
    b"\xd0\xcf\x11\xe0": f"an Excel workbook (.xls); {_CSV}",
    b"BZh": f"compressed with bzip2; {_DECOMPRESS}",
    b"\xfd7zXZ": f"compressed with xz; {_DECOMPRESS}",
    b"\x28\xb5\x2f\xfd": f"compressed with zstd; {_DECOMPRESS}",
    b"7z\xbc\xaf": f"compressed with 7-Zip; {_DECOMPRESS}",
    b"ARROW1": "an Arrow file; write it as Parquet",
    b"SQLite format 3": "an SQLite database; export the column of URNs as CSV",
    b"%PDF": "a PDF file; copy the URNs into a text file",
}
_JSON: Final = re.compile(r"\[\s*([\[{\"'\]]|$)|\{\s*([\"'}]|$)")
_PAGE: Final = re.compile(rb"\s*<(!doctype|html|head|body|meta|table|script|\?xml)\b", re.IGNORECASE)


class Source:
    r"""One list of URNs: a file, a pipe or a descriptor, or ``-`` for standard input.

    What cannot be sought in is read once, from its start to its end, and is never opened twice.

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
        self._check_cancelled: Callable[[], None] = lambda: None
        self.entries = 0
        self._is_stream = is_stream(name)
        suffixes = [suffix.lower() for suffix in self._path.suffixes]
        self._zipped = suffixes[-1:] == [".gz"]
        self._suffix = "".join(suffixes[-2:-1] if self._zipped else suffixes[-1:])
        if self._suffix not in SUFFIXES:
            if not self._is_stream:
                endings = f"{', '.join(SUFFIXES)} (or these and .gz)"
                raise SourceError(f"{self.name}: its name must end in {endings}{_way_out(self._suffix)}")
            self._suffix, self._zipped = "", False

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of what was read."""
        return self._digest.hexdigest()

    @property
    def identity(self) -> object:
        """What is the same of two sources that read one pipe, of which one gets the content; None: it is a file."""
        if not self._is_stream:
            return None
        try:
            found = os.fstat(0) if self.name in _STDINS else self._path.stat()
        except OSError:
            return self.name
        is_file = stat.S_ISREG(found.st_mode) and self.name not in _STDINS
        return None if is_file else (found.st_dev, found.st_ino)

    def check(self) -> None:
        """Sees that there is a file that can be opened, before anything else is begun.

        Raises:
            SourceError: there is none.
        """
        if self.name in _STDINS:
            return
        with self._damage_is_named():
            if self._is_stream:
                self._path.stat()  # a pipe that is opened and closed is lost for its writer
                return
            with self._open_raw():
                pass

    def read(self, check_cancelled: Callable[[], None] = lambda: None) -> Iterator[Entry]:
        """Reads the entries, a block at a time.

        Args:
            check_cancelled: called now and then while nothing comes; what it raises ends the reading.

        Raises:
            SourceError: the file cannot be opened, is damaged, or is not what its name says.
        """
        self._check_cancelled = check_cancelled
        readers = {".txt": read_text, ".jsonl": read_jsonl, ".json": read_json, ".parquet": read_parquet}
        with self._damage_is_named(), self._open() as (stream, form):
            reader = readers.get(form, read_csv)
            delimiter = "\t" if form == ".tsv" else ","
            for entry in reader(stream, ReadOptions(self.name, self._column, delimiter)):
                self.entries += 1
                yield entry
            while stream.read(BLOCK):  # to the end, for the digest
                pass

    def digest(self, check_cancelled: Callable[[], None] = lambda: None) -> str:
        """Reads the bytes alone: the SHA-256 without the entries; ``check_cancelled`` as in :meth:`read`."""
        self._check_cancelled = check_cancelled
        with self._damage_is_named(), self._open_raw() as raw:
            while raw.read(BLOCK):
                pass
        return self.sha256

    @contextmanager
    def _open(self) -> Iterator[tuple[IO[bytes], str]]:
        """The list as it is when it is decompressed, with the ending of its form."""
        with ExitStack() as stack:
            raw = stack.enter_context(self._open_raw())
            plain: IO[bytes] = raw
            start = b"" if self._suffix else _first_bytes(raw)
            if self._zipped or start.startswith(_GZIP):
                plain = io.BufferedReader(gzip.GzipFile(fileobj=_Rest(start, raw)))
                start = b""
            start = start or _first_bytes(plain)
            if self._suffix == ".parquet" or (start.startswith(_PARQUET) and not self._suffix):
                # Parquet is read from its end: what cannot be sought in goes through a file without a name.
                spool = stack.enter_context(tempfile.TemporaryFile())
                spool.write(start)
                shutil.copyfileobj(plain, spool)
                spool.seek(0)
                yield cast("IO[bytes]", spool), ".parquet"
                return
            _refuse_binary(self.name, start)
            form = detect_format(start, self._column)
            if self._suffix in {".csv", ".tsv"} and form in {".json", ".jsonl"}:
                raise SourceError(f"{self.name} holds JSON, which its name does not say; name it {form}")
            form = form if self._suffix in {"", ".txt"} else self._suffix
            yield cast("IO[bytes]", io.BufferedReader(_Lines(start.removeprefix(_BOM), plain))), form

    @contextmanager
    def _open_raw(self) -> Iterator[io.BufferedReader]:
        self._digest = hashlib.sha256()
        if self.name in _STDINS:
            raw = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
            yield io.BufferedReader(_Hashed(raw, self._digest, self._check_cancelled), BLOCK)
            return
        if self._path.is_dir():
            raise SourceError(f"{self.name} is a folder; name the list in it")
        with open(self._path, "rb", buffering=0, opener=_open_unblocked if self._is_stream else None) as stream:
            yield io.BufferedReader(_Hashed(stream, self._digest, self._check_cancelled), BLOCK)

    @contextmanager
    def _damage_is_named(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            advice = f"; give the list to {STDIN}: COMMAND | inventory ... {STDIN}" if self._is_stream else ""
            raise SourceError(f"{self.name}: there is no such file{advice}") from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SourceError(f"{self.name} is no whole gzip file: {error}") from None
        except OSError as error:
            hint = "{remedy}" if error.errno in {errno.EMFILE, errno.ENFILE} else ""
            raise SourceError.from_os_error(self.name, "cannot be read", error, hint) from None


def _open_unblocked(name: str, flags: int) -> int:
    """Opens a pipe that may have no writer yet: otherwise it would block here, where no stop is heard."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def is_stream(name: str | Path) -> bool:
    """Whether something is read as it comes, and once: standard input, a descriptor (``<(command)``), a pipe."""
    if str(name) == STDIN or _DESCRIPTOR.fullmatch(str(name)):
        return True
    try:
        mode = Path(name).stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def check_unique_streams(sources: Sequence[Any]) -> None:
    """Refuses to read twice what can be read once.

    Raises:
        UsageError: a pipe is given twice.
    """
    seen: dict[object, str] = {}
    for source in sources:
        identity = getattr(source, "identity", None)
        if identity is not None and identity in seen:
            what = "standard input" if source.name == STDIN else f"{seen[identity]} is the same pipe, and"
            raise UsageError(f"{source.name} is given twice: {what} can be read once")
        seen[identity] = source.name


def detect_format(start: bytes, column: str | None) -> str:
    """The ending of the form that a list has whose name does not say it, from its first bytes."""
    text = start.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    line = re.split(r"[\r\n]", text, maxsplit=1)[0]
    table = ReadOptions("", column, ",")
    if _JSON.match(text):
        return ".jsonl" if is_json_line(line, table) else ".json"
    return ".csv" if is_header(line, table) else ".txt"


class _Hashed(io.RawIOBase):
    """A raw stream that adds what is read through it to a digest, and can be left while nothing comes."""

    def __init__(self, stream: Any, digest: Any, check_cancelled: Callable[[], None]) -> None:  # noqa: ANN401 - stdin has no one type
        self._stream = stream
        self._digest = digest
        self._check_cancelled = check_cancelled
        try:
            # A pipe or a terminal; a file is always ready, and elsewhere than here only sockets can be waited for.
            self._waits = os.name == "posix" and not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
        except (AttributeError, OSError):
            self._waits = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - a writable buffer
        size: int | None = None
        while size is None:  # of a pipe that does not block: nothing was there after all
            while self._waits:
                self._check_cancelled()
                if select.select([self._stream], [], [], _IDLE_SECONDS)[0]:
                    break
            size = self._stream.readinto(buffer)
        self._digest.update(memoryview(buffer)[:size])
        return size


class _Rest(io.RawIOBase):
    """A stream from its beginning again, of which the first bytes were read already."""

    def __init__(self, start: bytes, stream: IO[bytes]) -> None:
        self._start = start
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - a writable buffer
        block = self._next(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def _next(self, size: int) -> bytes:
        block, self._start = self._start[:size], self._start[size:]
        return block or cast("io.BufferedReader", self._stream).read1(size)


class _Lines(_Rest):
    """A text of which each line ends with a line feed, whether it was CR LF, LF, or CR alone."""

    _after_cr = False

    def _next(self, size: int) -> bytes:
        while block := super()._next(size):
            if self._after_cr and block.startswith(b"\n"):
                block = block[1:]
                self._after_cr = False
                if not block:
                    continue
            self._after_cr = block.endswith(b"\r")
            return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block
        return b""


def _first_bytes(stream: IO[bytes]) -> bytes:
    """Reads the beginning of a stream, up to the end of the first line that is not blank."""
    start = b""
    while len(start) < BLOCK:
        block = cast("io.BufferedReader", stream).read1(BLOCK - len(start))
        start += block
        if not block or re.search(rb"[\r\n]", start.removeprefix(_BOM).lstrip()):
            break
    return start


def _way_out(suffix: str) -> str:
    if suffix in {".xlsx", ".xls", ".xlsm", ".ods", ".numbers"}:
        return f"; {_CSV}"
    return f"; name it so, or give its content to {STDIN}, which is read by what is in it"


def _refuse_binary(name: str, start: bytes) -> None:
    for signature, what in _SIGNATURES.items():
        if start.startswith(signature):
            raise SourceError(f"{name} is {what}")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or re.match(rb"(\0[^\0]){4}|([^\0]\0){4}", start):
        raise SourceError(f"{name} is UTF-16 text; save it as UTF-8")
    if b"\0" in start:
        raise SourceError(f"{name} is a binary file (byte 0 at offset {start.index(0)}), not a list of URNs")
    if _PAGE.match(start.removeprefix(_BOM)):
        raise SourceError(f"{name} is a web page or XML, such as a login page, in place of a list; get the list again")
