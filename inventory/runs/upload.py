"""Uploads a run's results to an object store: tables first, manifest last."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from inventory.errors import OutputError
from inventory.runs import manifest_reader
from inventory.runs.claim import TakenError, check_unclaimed, foreign_claims, is_claim, new_claim, take_claim
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
_FILES: Final = {manifest_reader.FILE_NAME, *(paths.file_name(table, form) for table in TABLES for form in FORMATS)}
_FOLDERS: Final = tuple(paths.folder_name(table, form) for table in TABLES for form in FORMATS)


class _Uploaded(msgspec.Struct, frozen=True):
    sent: Sent
    found: Found


class _Record(msgspec.Struct):
    """State of the upload, in the work folder; written before and after each change of the store.

    ``manifests``: SHA-256 of the manifests that may be replaced. ``replaced``: claims that --overwrite removes.
    """

    url: str
    manifests: list[str] = []
    files: dict[str, _Uploaded] = {}
    claim: str = ""
    replaced: list[str] = []


def upload_hint(output: Output) -> str:
    """Returns the command for results that are missing in their object store; empty if none are missing."""
    if Upload(output.url, output.folder, {}).is_done():
        return ""
    return f"{output} does not have these tables yet; upload them with: {resume_command(output)}"


class Upload:
    """Upload of one run. Without a URL, the methods do nothing."""

    def __init__(self, url: ObjectUrl | None, folder: Path, environment: Mapping[str, str]) -> None:
        self._url = url
        self._folder = folder
        self._environment = environment

    def prepare(self, mode: Mode) -> None:
        """Checks the store before the first call.

        Raises:
            InventoryError: the store cannot be used, or contains a run that must not be overwritten.
        """
        if self._url is None:
            return
        store = ObjectStore(self._url, self._environment)
        present = _objects_of_run(store)
        if present and mode == "new":
            raise OutputError(
                f"{self._url} contains a run already ({next(iter(present))}): --resume continues it, --overwrite "
                "starts again, and another --output keeps it"
            )
        record = self._record()
        if mode == "resume":
            check_unclaimed(store, present, record.claim)
            if manifest_reader.FILE_NAME in present:
                self._check_own_manifest(store, record)
        elif present:
            record.replaced = foreign_claims(present, record.claim)
            if manifest_reader.FILE_NAME in present:
                record.manifests.append(_digest_of_manifest(store))
            self._save(record)

    def complete(self, tables: Iterable[Mapping[str, Any]], observer: ProgressObserver) -> bool:
        """Uploads the missing files; returns whether there were any.

        Raises:
            OutputError: the upload failed; --resume uploads the rest.
            InterruptedRunError: the run was cancelled.
        """
        if self._url is None:
            return False
        try:
            return self._complete(self._url, {table["path"]: table for table in tables}, observer)
        except TakenError as error:
            observer.check_cancelled()
            error.message += (
                f"; all answers are kept in {self._folder}: --resume with this --work-dir and another --output uploads "
                "them there"
            )
            raise
        except OutputError as error:
            observer.check_cancelled()  # a cancelled run may be the cause of this error
            error.message += "; all answers are kept, and --resume uploads the rest"
            raise

    def is_done(self) -> bool:
        """Tells whether the current files are uploaded, by the record in the work folder; makes no call.

        Raises:
            OutputError: the manifest cannot be read.
        """
        if self._url is None:
            return True
        up = self._record().files.get(manifest_reader.FILE_NAME)  # it is uploaded last
        return up is not None and up.sent == self._on_disk(manifest_reader.FILE_NAME)

    def _complete(self, url: ObjectUrl, tables: Mapping[str, Mapping[str, Any]], observer: ProgressObserver) -> bool:
        store = ObjectStore(url, self._environment)
        record = self._record()
        wanted = {name: Sent(table["bytes"], table["sha256"]) for name, table in tables.items()}
        last = self._on_disk(manifest_reader.FILE_NAME)
        present = _objects_of_run(store)
        missing, old = _differences(record, {**wanted, manifest_reader.FILE_NAME: last}, present)
        if not missing and not old:
            if record.claim in present:  # the run was killed after its manifest
                store.remove(record.claim)
            return False
        present = self._claim(store, record, observer)
        missing, old = _differences(record, wanted, present)
        for name in old:  # the manifest first: without it, no table in the store counts as complete
            store.remove(name)
        record.manifests = [last.sha256]
        record.files.pop(manifest_reader.FILE_NAME, None)
        self._save(record)
        before, total = 0, sum(wanted[name].size for name in missing) + last.size
        for name, sent in [*((name, wanted[name]) for name in missing), (manifest_reader.FILE_NAME, last)]:
            self._check_claim(store, record, wanted if name == manifest_reader.FILE_NAME else {})
            self._send(store, name, sent, record, partial(_report, observer, before, total))
            before += sent.size
        store.remove(record.claim)
        return True

    def _claim(self, store: ObjectStore, record: _Record, observer: ProgressObserver) -> dict[str, Found]:
        record.claim = record.claim or new_claim()
        self._save(record)
        for name in record.replaced:
            store.remove(name)
        take_claim(store, record.claim, self._folder / FILE_NAME, observer.check_cancelled)
        record.replaced = []
        present = _objects_of_run(store)
        if manifest_reader.FILE_NAME in present:
            try:
                self._check_own_manifest(store, record)
            except TakenError:
                with suppress(OutputError):  # the user needs the first error
                    store.remove(record.claim)
                raise
        return present

    def _check_claim(self, store: ObjectStore, record: _Record, uploaded: Mapping[str, Sent]) -> None:
        """Another run may have removed the claim or changed a file."""
        if store.look_at(record.claim) is None:
            raise self._taken()
        if not uploaded:
            return
        changed, others = _differences(record, uploaded, _objects_of_run(store))
        if manifest_reader.FILE_NAME in others:
            raise self._taken()
        if changed:
            raise OutputError(f"{store.url}/{changed[0]} was changed by another process during the upload")

    def _send(self, store: ObjectStore, name: str, wanted: Sent, record: _Record, tell: Callable[[int], None]) -> None:
        path = self._folder / name
        record.files.pop(name, None)
        sent = store.put(name, path, tell)
        if sent != wanted:
            store.remove(name)
            raise OutputError(
                f"{path} differs from the file that this run wrote; remove it, then --resume writes it again"
            )
        found = store.look_at(name)
        if found is None or found.size != sent.size:
            raise OutputError(f"{store.url} does not contain {name} as it was sent; check the endpoint")
        record.files[name] = _Uploaded(sent, found)
        self._save(record)

    def _check_own_manifest(self, store: ObjectStore, record: _Record) -> None:
        if _digest_of_manifest(store) not in record.manifests:
            raise self._taken()

    def _taken(self) -> TakenError:
        return TakenError(
            f"{self._url} contains another run than {self._folder}: start again with --overwrite, or give another "
            "--output"
        )

    def _on_disk(self, name: str) -> Sent:
        try:
            content = read_file(self._folder / name)
        except OSError as error:
            raise OutputError.from_os_error(self._folder / name, "cannot be read", error) from None
        return Sent(len(content), hashlib.sha256(content).hexdigest())

    def _record(self) -> _Record:
        """An unreadable record is empty: all files are uploaded again."""
        try:
            record = msgspec.json.decode(read_file(self._folder / FILE_NAME), type=_Record)
        except (OSError, msgspec.DecodeError, ValueError):
            return _Record(str(self._url))
        return record if record.url == str(self._url) else _Record(str(self._url))

    def _save(self, record: _Record) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError.from_os_error(
                self._folder, "cannot be written", error, "{remedy} or give another --work-dir"
            ) from None
        with atomic_write(self._folder / FILE_NAME, ours=True) as sink:
            sink.write(msgspec.json.encode(record))


def _report(observer: ProgressObserver, before: int, total: int, sent: int) -> None:
    observer.on_upload(before + sent, total)


def _digest_of_manifest(store: ObjectStore) -> str:
    return hashlib.sha256(store.read(manifest_reader.FILE_NAME)).hexdigest()


def _differences(
    record: _Record, wanted: Mapping[str, Sent], present: Mapping[str, Found]
) -> tuple[list[str], list[str]]:
    """Returns missing and superfluous names."""
    missing = [
        name
        for name, sent in wanted.items()
        if name not in present or record.files.get(name) != _Uploaded(sent, present[name])
    ]
    return missing, [name for name in present if name not in wanted and not is_claim(name)]


def _is_run_file(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return is_claim(name) or name in _FILES or (folder in _FOLDERS and paths.is_part(file))


def _objects_of_run(store: ObjectStore) -> dict[str, Found]:
    objects = {name: found for name, found in store.listed(_FOLDERS).items() if _is_run_file(name)}
    return dict(sorted(objects.items(), key=lambda item: item[0] != manifest_reader.FILE_NAME))
