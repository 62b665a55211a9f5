"""A run's results go up into an object store: the tables first, the manifest last.

Owns the order, what is up already, and the rule that another run in the store is never lost by accident. Knows no cloud
and no ledger: it takes what lies in the work folder.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from inventory.errors import OutputError
from inventory.runs import manifest
from inventory.runs.output import resume_command
from inventory.settings import FORMATS
from inventory.storage.files import atomic_write, read_file
from inventory.storage.object_store import Found, ObjectStore, ObjectUrl, Sent
from inventory.tables import paths
from inventory.tables.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from inventory.progress import ProgressObserver
    from inventory.runs.folder import Mode
    from inventory.runs.output import Output

FILE_NAME: Final = "delivery.json"
_FILES: Final = {manifest.FILE_NAME, *(paths.file_name(table, form) for table in TABLES for form in FORMATS)}
_FOLDERS: Final = tuple(paths.folder_name(table, form) for table in TABLES for form in FORMATS)


class _Up(msgspec.Struct, frozen=True):
    """An object that went up: what was sent, and how it was found there."""

    sent: Sent
    found: Found


class _Record(msgspec.Struct):
    """What the work folder knows of the store; it is written before and after each thing that is done there.

    ``manifests`` are the sha256 of those that may be replaced: our own, and one that --overwrite was said to.
    """

    url: str
    manifests: list[str] = []
    files: dict[str, _Up] = {}


def upload_hint(output: Output) -> str:
    """Returns the command for results that are missing in their object store; empty if none are missing."""
    if Upload(output.url, output.folder, {}).is_done():
        return ""
    return f"{output} does not have these tables yet; upload them with: {resume_command(output)}"


class Upload:
    """The way of one run's results into a store; where the run has no store, all of it does nothing."""

    def __init__(self, url: ObjectUrl | None, folder: Path, environment: Mapping[str, str]) -> None:
        self._url = url
        self._folder = folder
        self._environment = environment

    def prepare(self, mode: Mode) -> None:
        """Looks whether the store can be used and what it holds, before anything is asked.

        Raises:
            InventoryError: it cannot be used, or holds a run that must not be written over.
        """
        if self._url is None:
            return
        store = ObjectStore(self._url, self._environment)
        there = _of_a_run(store)
        if there and mode == "new":
            raise OutputError(
                f"{self._url} holds a run already ({next(iter(there))}): --resume goes on with it, --overwrite begins "
                "again, and another --output leaves it alone"
            )
        if manifest.FILE_NAME not in there:
            return
        record = self._record()
        if mode == "resume":
            self._check_ours(store, record)
        else:
            record.manifests.append(_digest_of_manifest(store))
            self._keep(record)

    def complete(self, tables: Iterable[Mapping[str, Any]], observer: ProgressObserver) -> bool:
        """Sends up what is not there yet; whether there was anything to send.

        Raises:
            OutputError: it could not be done; a further run sends the rest.
            InterruptedRunError: a stop was asked for.
        """
        if self._url is None:
            return False
        try:
            return self._complete(self._url, {table["path"]: table for table in tables}, observer)
        except OutputError as error:
            observer.check_cancelled()  # a stop that was asked for meanwhile outweighs what it may have caused
            error.message += "; what was answered is kept, and --resume sends up what is missing"
            raise

    def is_done(self) -> bool:
        """Whether all went up as it is now, by what the work folder knows; the store is not asked.

        Raises:
            OutputError: the manifest cannot be read.
        """
        if self._url is None:
            return True
        up = self._record().files.get(manifest.FILE_NAME)  # it went last
        return up is not None and up.sent == self._on_disk(manifest.FILE_NAME)

    def _complete(self, url: ObjectUrl, tables: Mapping[str, Mapping[str, Any]], observer: ProgressObserver) -> bool:
        store = ObjectStore(url, self._environment)
        record = self._record()
        wanted = {name: Sent(table["bytes"], table["sha256"]) for name, table in tables.items()}
        last = self._on_disk(manifest.FILE_NAME)
        there = _of_a_run(store)

        def is_up(name: str, sent: Sent) -> bool:
            return name in there and record.files.get(name) == _Up(sent, there[name])

        missing = [name for name, sent in wanted.items() if not is_up(name, sent)]
        old = [name for name in there if name not in {*wanted, manifest.FILE_NAME}]
        if not missing and not old and is_up(manifest.FILE_NAME, last):
            return False
        if manifest.FILE_NAME in there:  # once it is gone, nothing that is there is taken for whole
            self._check_ours(store, record)
            store.remove(manifest.FILE_NAME)
        record.manifests = [last.sha256]
        record.files.pop(manifest.FILE_NAME, None)
        self._keep(record)
        for name in old:
            store.remove(name)
        before, total = 0, sum(wanted[name].size for name in missing) + last.size
        for name, sent in [*((name, wanted[name]) for name in missing), (manifest.FILE_NAME, last)]:
            self._send(store, name, sent, record, partial(_tell, observer, before, total))
            before += sent.size
        return True

    def _send(self, store: ObjectStore, name: str, wanted: Sent, record: _Record, tell: Callable[[int], None]) -> None:
        path = self._folder / name
        record.files.pop(name, None)
        sent = store.put(name, path, tell)
        if sent != wanted:
            store.remove(name)
            raise OutputError(f"{path} is not what this run wrote; remove it, and it is written again")
        found = store.look_at(name)
        if found is None or found.size != sent.size:
            raise OutputError(f"{store.url} does not hold {name} as it was sent; see that the endpoint is right")
        record.files[name] = _Up(sent, found)
        self._keep(record)

    def _check_ours(self, store: ObjectStore, record: _Record) -> None:
        if _digest_of_manifest(store) not in record.manifests:
            raise OutputError(
                f"{self._url} holds another run than {self._folder} by now: --overwrite begins again, and another "
                "--output leaves it alone"
            )

    def _on_disk(self, name: str) -> Sent:
        try:
            content = read_file(self._folder / name)
        except OSError as error:
            raise OutputError.from_os_error(self._folder / name, "cannot be read", error) from None
        return Sent(len(content), hashlib.sha256(content).hexdigest())

    def _record(self) -> _Record:
        """What is known of this URL. A record that cannot be read is none: then all is sent again."""
        try:
            record = msgspec.json.decode(read_file(self._folder / FILE_NAME), type=_Record)
        except (OSError, msgspec.DecodeError, ValueError):
            return _Record(str(self._url))
        return record if record.url == str(self._url) else _Record(str(self._url))

    def _keep(self, record: _Record) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError.from_os_error(
                self._folder, "cannot be written", error, "{remedy} or give another --work-dir"
            ) from None
        with atomic_write(self._folder / FILE_NAME, ours=True) as sink:
            sink.write(msgspec.json.encode(record))


def _tell(observer: ProgressObserver, before: int, total: int, sent: int) -> None:
    observer.on_upload(before + sent, total)


def _digest_of_manifest(store: ObjectStore) -> str:
    return hashlib.sha256(store.read(manifest.FILE_NAME)).hexdigest()


def _is_ours(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return name in _FILES or (folder in _FOLDERS and paths.is_part(file))


def _of_a_run(store: ObjectStore) -> dict[str, Found]:
    """What the store holds of a run, the manifest first."""
    found = {name: one for name, one in store.listed(_FOLDERS).items() if _is_ours(name)}
    return dict(sorted(found.items(), key=lambda item: item[0] != manifest.FILE_NAME))
