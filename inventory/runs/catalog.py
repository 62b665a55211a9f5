"""Finds the runs in a folder, or under a prefix of an object store."""

from __future__ import annotations

import os
import stat
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.errors import ExitCode, OutputError, UsageError
from inventory.ledger import database
from inventory.runs import manifest_reader
from inventory.runs.folder import RunFolder
from inventory.runs.manifest_reader import FILE_NAME, NewerVersionError
from inventory.storage.files import open_file
from inventory.storage.object_store import ObjectStore, ObjectUrl, is_url, parse
from inventory.user_paths import expand_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PRUNED_MARK: Final = f".{FILE_NAME}.pruned"
"""Name of the manifest while prune removes its run: a folder without a manifest is no complete run."""


class State(StrEnum):
    """State of an entry that is not a complete run."""

    AT_WORK = "at_work"
    STOPPED = "stopped"
    DAMAGED = "damaged"
    HALF_REMOVED = "half_removed"
    UNREADABLE = "unreadable"
    FOREIGN = "foreign"


class OtherEntry(NamedTuple):
    """An entry that is not a complete run, and the reason."""

    path: Path | ObjectUrl
    state: State
    reason: str


class Run(NamedTuple):
    """A complete run: it has a manifest, so its tables are complete. URNs may have failed.

    Units: ``bytes`` of the tables in all formats.

    Attributes:
        started: start of the run, UTC.
        finished: end of the last session, UTC.
        exit_code: 0 every URN answered; 1 some failed; otherwise some were not attempted.
        urns: number of distinct URNs.
        status: URNs by status.
    """

    path: Path | ObjectUrl
    started: datetime
    finished: datetime
    exit_code: int
    schema_version: int
    urns: int
    status: dict[str, int]
    bytes: int
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the folder, or last part of the URL."""
        return str(self.path).rpartition("/")[2] if isinstance(self.path, ObjectUrl) else self.path.name

    @property
    def answered(self) -> bool:
        """Every URN was answered."""
        return self.exit_code == ExitCode.ANSWERED


class Runs(NamedTuple):
    """Complete runs, oldest first, and all other entries by name."""

    whole: list[Run]
    others: list[OtherEntry]


def find_runs(place: str | Path, environment: Mapping[str, str] = os.environ) -> Runs:
    """Finds the runs in the sub-folders of a folder, or under a prefix of a store; one level deep.

    Raises:
        UsageError: there is no such folder, or it is a run itself.
        OutputError: the folder or store cannot be read.
        CredentialsError: there are no access keys for OBS.
    """
    if is_url(str(place)):
        entries = list(_in_store(parse(str(place)), environment))
    else:
        entries = list(_in_folder(Path(expand_user(place))))
    whole = [entry for entry in entries if isinstance(entry, Run)]
    # Older versions wrote a "finished" before "started" if the clock was set back during the run.
    whole.sort(key=lambda run: (max(run.started, run.finished), run.finished, str(run.path)))
    return Runs(whole, [entry for entry in entries if isinstance(entry, OtherEntry)])


def _in_folder(folder: Path) -> Iterator[Run | OtherEntry]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        raise UsageError(f"there is no folder {folder}; name the folder that contains the runs") from None
    except NotADirectoryError:
        raise UsageError(f"{folder} is not a folder; name the folder that contains the runs") from None
    except OSError as error:
        raise OutputError.from_os_error(folder, "cannot be read", error) from None
    if {entry.name for entry in entries} & {FILE_NAME, database.FILE_NAME}:
        raise _is_a_run(folder)
    for entry in entries:
        path = folder / entry.name
        if entry.is_symlink():
            yield OtherEntry(path, State.FOREIGN, "a symbolic link, which is not followed")
        elif not entry.is_dir():
            yield OtherEntry(path, State.FOREIGN, "a file")
        else:
            yield inspect_folder(path)


def inspect_folder(path: Path) -> Run | OtherEntry:
    """Returns the complete run in a folder, or what else the folder contains."""
    folder = RunFolder(path)
    try:
        has_ledger, has_manifest, marked = map(is_file, (folder.ledger, folder.manifest, path / PRUNED_MARK))
        if has_manifest:
            open_file(folder.manifest).close()
        entry = _read_run(path, folder) if has_manifest else None
        if isinstance(entry, Run):
            return entry
        if database.is_in_use(folder.ledger):
            return OtherEntry(path, State.AT_WORK, "a process is working on it")
    except OSError as error:
        return OtherEntry(path, State.UNREADABLE, f"cannot be read: {error.strerror}")
    return entry or _without_manifest(path, has_ledger=has_ledger, marked=marked)


def _without_manifest(path: Path, *, has_ledger: bool, marked: bool) -> OtherEntry:
    if has_ledger:
        return OtherEntry(path, State.STOPPED, "stopped before its tables were complete; --resume continues it")
    if marked:
        return OtherEntry(path, State.HALF_REMOVED, "half removed: prune was interrupted")
    return OtherEntry(path, State.FOREIGN, "no run: it contains neither a manifest nor a ledger")


def _read_run(path: Path, folder: RunFolder) -> Run | OtherEntry:
    try:
        run = _run_of(path, manifest_reader.read(folder.manifest))
    except NewerVersionError as error:
        return OtherEntry(path, State.UNREADABLE, str(error))
    except OutputError as error:
        if not is_file(folder.ledger):
            return OtherEntry(
                path, State.FOREIGN, f"its {FILE_NAME} is not the manifest of a run, and it has no ledger"
            )
        return OtherEntry(path, State.DAMAGED, str(error))
    if not folder.holds(run.manifest["tables"]):
        reason = "a table of its manifest is missing or has another size"
        return OtherEntry(path, State.DAMAGED, f"{reason}; delete the manifest, then --resume writes the table again")
    return run


def _run_of(path: Path | ObjectUrl, content: dict[str, Any]) -> Run:
    return Run(
        path=path,
        started=datetime.fromisoformat(content["started"]),
        finished=datetime.fromisoformat(content["finished"]),
        exit_code=content["exit_code"],
        schema_version=content["schema_version"],
        urns=content["input"]["urns"],
        status=content["counts"]["status"],
        bytes=sum(file["bytes"] for file in content["tables"]),
        manifest=content,
    )


def _in_store(url: ObjectUrl, environment: Mapping[str, str]) -> Iterator[Run | OtherEntry]:
    store = ObjectStore(url, environment)
    if store.look_at(FILE_NAME) is not None:
        raise _is_a_run(url)
    names = store.folders()
    if not names:
        raise UsageError(f"{url} contains no folder of a run; check the URL")
    for name in names:
        path = url._replace(prefix=f"{url.prefix}/{name}")
        if store.look_at(f"{name}/{FILE_NAME}") is None:
            yield OtherEntry(
                path,
                State.FOREIGN,
                f"it contains no {FILE_NAME}: the upload is incomplete, or it is not a run",
            )
            continue
        try:
            content = store.read(f"{name}/{FILE_NAME}")
            yield _run_of(path, manifest_reader.decode(content, f"{path}/{FILE_NAME}"))
        except NewerVersionError as error:
            yield OtherEntry(path, State.UNREADABLE, str(error))
        except OutputError as error:
            yield OtherEntry(path, State.DAMAGED, str(error))


def _is_a_run(place: Path | ObjectUrl) -> UsageError:
    return UsageError(f"{place} is a run itself; open it with open_snapshot, or name the folder that contains the runs")


def is_file(path: Path) -> bool:
    """Tells whether a regular file exists; a symbolic link is not one.

    Raises:
        OSError: the path cannot be read.
    """
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
