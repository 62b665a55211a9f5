"""Opens, decompresses and hashes a list, and detects its format."""

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
from inventory.sources.formats import READERS, SUFFIXES, detect_format
from inventory.sources.tabular import BLOCK, Entry, ReadOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

STDIN: Final = "-"
_CHECK_SECONDS: Final = 0.25
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
_PAGE: Final = re.compile(rb"\s*<(!doctype|html|head|body|meta|table|script|\?xml)\b", re.IGNORECASE)


class Source:
    r"""One list of URNs: a file, a pipe, a descriptor, or ``-`` for standard input.

    A stream is opened and read once.

    Attributes:
        name: as given; bytes that are not UTF-8 are written as ``\xff``.
        sha256: of the file's bytes, after the read.
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
                if not name:
                    raise SourceError("the name of a list of URNs is empty; name a file, or - for standard input")
                if self._path.is_dir():
                    raise SourceError(f"{self.name} is a folder; name the list in it, such as {self.name}/urns.txt")
                endings = f"{', '.join(SUFFIXES)} (or these and .gz)"
                raise SourceError(f"{self.name}: its name must end in {endings}{_suffix_advice(self._suffix)}")
            self._suffix, self._zipped = "", False

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the bytes read."""
        return self._digest.hexdigest()

    @property
    def identity(self) -> object:
        """Equal for two names of one pipe; None for a file."""
        if not self._is_stream:
            return None
        try:
            status = os.fstat(0) if self.name in _STDINS else self._path.stat()
        except OSError:
            return self.name
        is_file = stat.S_ISREG(status.st_mode) and self.name not in _STDINS
        return None if is_file else (status.st_dev, status.st_ino)

    def check(self) -> None:
        """Checks that the file can be opened.

        Raises:
            SourceError: it cannot.
        """
        if self.name in _STDINS:
            return
        with self._translate_errors():
            if self._is_stream:
                self._path.stat()  # opening and closing a pipe would break its writer
                return
            with self._open_raw():
                pass

    def read(self, check_cancelled: Callable[[], None] = lambda: None) -> Iterator[Entry]:
        """Reads the entries in blocks.

        Args:
            check_cancelled: called periodically during a wait; an exception ends the read.

        Raises:
            SourceError: the file cannot be opened, is damaged, or has another format than its suffix.
        """
        self._check_cancelled = check_cancelled
        with self._translate_errors(), self._open() as (stream, form):
            reader = READERS[form]
            delimiter = "\t" if form == ".tsv" else ","
            for entry in reader(stream, ReadOptions(self.name, self._column, delimiter)):
                self.entries += 1
                yield entry
            while stream.read(BLOCK):  # to the end, for the digest
                pass

    def digest(self, check_cancelled: Callable[[], None] = lambda: None) -> str:
        """Computes the SHA-256 alone; ``check_cancelled`` as in :meth:`read`."""
        self._check_cancelled = check_cancelled
        with self._translate_errors(), self._open_raw() as raw:
            while raw.read(BLOCK):
                pass
        return self.sha256

    @contextmanager
    def _open(self) -> Iterator[tuple[IO[bytes], str]]:
        with ExitStack() as stack:
            raw = stack.enter_context(self._open_raw())
            plain: IO[bytes] = raw
            start = b"" if self._suffix else _first_bytes(raw)
            if self._zipped or start.startswith(_GZIP):
                plain = io.BufferedReader(gzip.GzipFile(fileobj=_Rest(start, raw)))
                start = b""
            is_unzipped = plain is not raw
            start = start or _first_bytes(plain)
            if is_unzipped and start.startswith(_GZIP):
                raise SourceError(f"{self.name} is compressed with gzip twice; {_DECOMPRESS}, once")
            if self._suffix == ".parquet" or (start.startswith(_PARQUET) and not self._suffix):
                # Parquet is read from its end and needs a seekable file.
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
            raise SourceError(f"{self.name} is a folder; name the list in it, such as {self.name}/urns.txt")
        with open(self._path, "rb", buffering=0, opener=_open_unblocked if self._is_stream else None) as stream:
            yield io.BufferedReader(_Hashed(stream, self._digest, self._check_cancelled), BLOCK)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            is_pipe = self._is_stream
            advice = f"give the list to {STDIN}: COMMAND | inventory ... {STDIN}" if is_pipe else "name a list of URNs"
            raise SourceError(f"{self.name}: there is no such file; {advice}") from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SourceError(f"{self.name} is no whole gzip file: {error}") from None
        except OSError as error:
            hint = "{remedy}" if error.errno in {errno.EMFILE, errno.ENFILE} else ""
            raise SourceError.from_os_error(self.name, "cannot be read", error, hint) from None


def _open_unblocked(name: str, flags: int) -> int:
    """Opens a pipe without a wait for its writer, so that a stop works."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def is_stream(name: str | Path) -> bool:
    """Whether a source can be read only once: standard input, a descriptor (``<(command)``), a pipe."""
    if str(name) == STDIN or _DESCRIPTOR.fullmatch(str(name)):
        return True
    try:
        mode = Path(name).stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def check_unique_streams(sources: Sequence[Any]) -> None:
    """Checks that no stream is given twice.

    Raises:
        UsageError: one is.
    """
    seen: dict[object, str] = {}
    for source in sources:
        identity = getattr(source, "identity", None)
        if identity is not None and identity in seen:
            what = "standard input" if source.name == STDIN else f"{seen[identity]} is the same pipe, and"
            raise UsageError(f"{source.name} is given twice: {what} can be read once")
        seen[identity] = source.name


class _Hashed(io.RawIOBase):
    """Hashes a raw stream, and checks for cancellation during waits."""

    def __init__(self, stream: Any, digest: Any, check_cancelled: Callable[[], None]) -> None:  # noqa: ANN401 - stdin has no one type
        self._stream = stream
        self._digest = digest
        self._check_cancelled = check_cancelled
        try:
            # Windows' select works only on sockets.
            self._waits = os.name == "posix" and not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
        except (AttributeError, OSError):
            self._waits = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - a writable buffer
        size: int | None = None
        while size is None:  # a non-blocking pipe may have no data yet
            while self._waits:
                self._check_cancelled()
                if select.select([self._stream], [], [], _CHECK_SECONDS)[0]:
                    break
            size = self._stream.readinto(buffer)
        self._digest.update(memoryview(buffer)[:size])
        return size


class _Rest(io.RawIOBase):
    """Puts bytes back before a stream."""

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
    start = b""
    while len(start) < BLOCK:
        block = cast("io.BufferedReader", stream).read1(BLOCK - len(start))
        start += block
        if not block or re.search(rb"[\r\n]", start.removeprefix(_BOM).lstrip()):
            break
    return start


def _suffix_advice(suffix: str) -> str:
    if suffix in {".xlsx", ".xls", ".xlsm", ".ods", ".numbers"}:
        return f"; {_CSV}"
    return f"; rename it, or give its content to {STDIN} (standard input)"


def _refuse_binary(name: str, start: bytes) -> None:
    for signature, what in _SIGNATURES.items():
        if start.startswith(signature):
            raise SourceError(f"{name} is {what}")
    if start[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff") or re.match(rb"(\0\0\0[^\0]){2}|([^\0]\0\0\0){2}", start):
        raise SourceError(f"{name} is UTF-32 text; save it as UTF-8")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or re.match(rb"(\0[^\0]){4}|([^\0]\0){4}", start):
        raise SourceError(f"{name} is UTF-16 text; save it as UTF-8")
    if b"\0" in start:
        raise SourceError(f"{name} is a binary file (byte 0 at offset {start.index(0)}), not a list of URNs")
    if _PAGE.match(start.removeprefix(_BOM)):
        raise SourceError(f"{name} is a web page or XML, such as a login page, in place of a list; get the list again")
