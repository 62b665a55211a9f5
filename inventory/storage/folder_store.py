"""Files under a folder, with the methods of an object store."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from inventory.errors import OutputError
from inventory.storage.files import atomic_write, open_file, read_file
from inventory.storage.object_store import Found, ObjectStore, Sent, is_url, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_CHUNK_BYTES: Final = 1024 * 1024


class FolderStore:
    """The files under a folder, such as one that several machines share.

    Every method raises :class:`OutputError` if the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    def listed(self, folders: tuple[str, ...] = ()) -> dict[str, Found]:
        """Returns the files in the folder, and in the given folders in it."""
        found: dict[str, Found] = {}
        for prefix in ("", *(f"{name}/" for name in folders)):
            with self._translate_errors(prefix, "read"):
                folder = self.folder / prefix
                for path in folder.iterdir() if folder.is_dir() else ():
                    if (entry := self.look_at(f"{prefix}{path.name}")) is not None:
                        found[f"{prefix}{path.name}"] = entry
        return found

    def look_at(self, name: str) -> Found | None:
        """Returns a file, or None."""
        with self._translate_errors(name, "read"):
            try:
                status = (self.folder / name).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Found(status.st_size, int(status.st_mtime)) if (self.folder / name).is_file() else None

    def read(self, name: str) -> bytes:
        """Returns the content of a small file."""
        with self._translate_errors(name, "read"):
            return read_file(self.folder / name)

    def fetch(self, name: str, sink: IO[bytes]) -> Sent:
        """Copies a file into another."""
        with self._translate_errors(name, "read"):
            return _copy(self.folder / name, sink)

    def put(self, name: str, path: Path, tell: Callable[[int], None]) -> Sent:
        """Copies a file into the folder; ``tell`` gets the bytes at the end."""
        with self._translate_errors(name, "written"):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.folder / name, ours=True) as sink:
            sent = _copy(path, sink)
        tell(sent.size)
        return sent

    def remove(self, name: str) -> None:
        """Removes a file; a missing one is no error."""
        with self._translate_errors(name, "removed"):
            (self.folder / name).unlink(missing_ok=True)

    @contextmanager
    def _translate_errors(self, name: str, action: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError.from_os_error(self.folder / name, f"cannot be {action}", error, "{remedy}") from None


def open_store(text: str, environment: Mapping[str, str]) -> FolderStore | ObjectStore:
    """Opens a folder or the URL of a store.

    Raises:
        InventoryError: the URL or the store cannot be used.
    """
    return ObjectStore(parse(text), environment) if is_url(text) else FolderStore(Path(text))


def _copy(path: Path, sink: IO[bytes]) -> Sent:
    digest, size = hashlib.sha256(), 0
    with open_file(path) as source:
        while block := source.read(_CHUNK_BYTES):
            digest.update(block)
            size += sink.write(block)
    return Sent(size, digest.hexdigest())


def hash_file(path: Path) -> Sent:
    """Size and SHA-256 of a file.

    Raises:
        OutputError: it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with open_file(path) as source:
            while block := source.read(_CHUNK_BYTES):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise OutputError.from_os_error(path, "cannot be read", error) from None
    return Sent(size, digest.hexdigest())
