"""The runs of a history: a folder, or a prefix of a store, that has a run in each of its sub-folders.

Owns what counts as a whole run, and the words for all that does not. Reads manifests; opens no table and no ledger.
"""

from __future__ import annotations

import os
import stat
from datetime import datetime  # noqa: TC003 - msgspec reads the types when it decodes
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

import msgspec

from inventory.errors import ExitCode, OutputError, UsageError
from inventory.home import at_home
from inventory.ledger import database
from inventory.runs import manifest
from inventory.runs.folder import RunFolder
from inventory.storage.object_store import ObjectStore, ObjectUrl, is_url, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MARK: Final = f".{manifest.FILE_NAME}.pruned"
"""The manifest's name while its run is being removed: without a manifest nothing in the folder is taken for whole."""


class State(StrEnum):
    """What there is in the place of a whole run."""

    AT_WORK = "at_work"
    STOPPED = "stopped"
    DAMAGED = "damaged"
    HALF_REMOVED = "half_removed"
    FOREIGN = "foreign"


class Other(NamedTuple):
    """Something in a history that is no whole run, and the words for it."""

    path: Path | ObjectUrl
    state: State
    reason: str


class _Input(msgspec.Struct):
    urns: int


class _Counts(msgspec.Struct):
    status: dict[str, int]


class _File(msgspec.Struct):
    bytes: int


class _Manifest(msgspec.Struct):
    """What a history needs of a manifest."""

    tool: Literal["functiongraph-inventory"]
    started: Annotated[datetime, msgspec.Meta(tz=True)]
    finished: Annotated[datetime, msgspec.Meta(tz=True)]
    exit_code: int
    schema_version: int
    input: _Input
    counts: _Counts
    tables: list[_File]


class Run(NamedTuple):
    """A whole run: its manifest is there, so its tables are whole, whatever became of its URNs.

    Units: ``bytes`` of the tables in all formats.

    Attributes:
        path: its folder, or its URL.
        started: when it began; UTC.
        finished: when its last session ended; UTC. The tables know of nothing later.
        exit_code: 0 every URN answered; 1 some failed; else it did not get through its list.
        schema_version: of its tables.
        urns: distinct URNs asked for.
        status: how many of them ended in each status.
        bytes: how large its tables are.
        manifest: all of its manifest.
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
        """The name of its folder, or the last part of its URL."""
        return str(self.path).rpartition("/")[2] if isinstance(self.path, ObjectUrl) else self.path.name

    @property
    def answered(self) -> bool:
        """Whether every URN was answered, so that nothing in it is unknown."""
        return self.exit_code == ExitCode.ANSWERED


class Runs(NamedTuple):
    """What a history holds: the whole runs, oldest first, and all else, by name."""

    whole: list[Run]
    others: list[Other]


def runs_in(place: str | Path, environment: Mapping[str, str] = os.environ) -> Runs:
    """Looks at each sub-folder of a folder, one level deep, or of a prefix of a store.

    Raises:
        UsageError: there is no such folder, or it is a run itself.
        OutputError: it cannot be read.
        CredentialsError: OBS has no keys.
    """
    if is_url(str(place)):
        found = list(_in_store(parse(str(place)), environment))
    else:
        found = list(_in_folder(Path(at_home(place))))
    whole = [one for one in found if isinstance(one, Run)]
    # Older versions wrote a "finished" before "started" where the clock went back during the run.
    whole.sort(key=lambda run: (max(run.started, run.finished), run.finished, str(run.path)))
    return Runs(whole, [one for one in found if isinstance(one, Other)])


def _in_folder(folder: Path) -> Iterator[Run | Other]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        raise UsageError(f"there is no folder {folder}; name the one that holds the runs' folders") from None
    except NotADirectoryError:
        raise UsageError(f"{folder} is no folder; name the one that holds the runs' folders") from None
    except OSError as error:
        raise OutputError.from_os_error(folder, "cannot be read", error) from None
    if {entry.name for entry in entries} & {manifest.FILE_NAME, database.FILE_NAME}:
        raise _itself(folder)
    for entry in entries:
        path = folder / entry.name
        if entry.is_symlink():
            yield Other(path, State.FOREIGN, "a symbolic link, which is not followed")
        elif not entry.is_dir():
            yield Other(path, State.FOREIGN, "a file")
        else:
            yield look_at(path)


def look_at(path: Path) -> Run | Other:
    """What a folder holds: a whole run, or what else."""
    folder = RunFolder(path)
    try:
        has_ledger, has_manifest, marked = (is_file(one) for one in (folder.ledger, folder.manifest, path / MARK))
    except OSError as error:
        return Other(path, State.FOREIGN, f"cannot be looked into: {error.strerror}")
    found = _described(path, folder) if has_manifest else None
    if isinstance(found, Run):
        return found
    if database.is_in_use(folder.ledger):
        return Other(path, State.AT_WORK, "a process is at work on it")
    return found or _without_manifest(path, has_ledger=has_ledger, marked=marked)


def _without_manifest(path: Path, *, has_ledger: bool, marked: bool) -> Other:
    if has_ledger:
        return Other(path, State.STOPPED, "stopped before its tables were whole; --resume goes on with it")
    if marked:
        return Other(path, State.HALF_REMOVED, "half removed: prune was stopped while it removed it")
    return Other(path, State.FOREIGN, "no run: it holds neither a manifest nor a ledger")


def _described(path: Path, folder: RunFolder) -> Run | Other:
    try:
        run = _run_of(path, manifest.read(folder.manifest))
    except OutputError as error:
        if not is_file(folder.ledger):
            return Other(path, State.FOREIGN, f"its {manifest.FILE_NAME} is no manifest of a run, and it has no ledger")
        return Other(path, State.DAMAGED, str(error))
    if not folder.holds(run.manifest["tables"]):
        words = "a table that its manifest names is not there as it was written"
        return Other(path, State.DAMAGED, f"{words}; without the manifest, --resume writes it again")
    return run


def _run_of(path: Path | ObjectUrl, content: dict[str, Any]) -> Run:
    try:
        read = msgspec.convert(content, _Manifest)
    except msgspec.ValidationError as error:
        raise OutputError(f"{path}/{manifest.FILE_NAME} is damaged: {error}") from None
    size = sum(file.bytes for file in read.tables)
    return Run(
        path=path,
        started=read.started,
        finished=read.finished,
        exit_code=read.exit_code,
        schema_version=read.schema_version,
        urns=read.input.urns,
        status=read.counts.status,
        bytes=size,
        manifest=content,
    )


def _in_store(url: ObjectUrl, environment: Mapping[str, str]) -> Iterator[Run | Other]:
    store = ObjectStore(url, environment)
    if store.look_at(manifest.FILE_NAME) is not None:
        raise _itself(url)
    names = store.folders()
    if not names:
        raise UsageError(f"{url} holds no run's folder; see that the URL is right")
    for name in names:
        path = url._replace(prefix=f"{url.prefix}/{name}")
        if store.look_at(f"{name}/{manifest.FILE_NAME}") is None:
            yield Other(path, State.FOREIGN, f"it holds no {manifest.FILE_NAME}: not all went up, or it is no run")
            continue
        try:
            content = store.read(f"{name}/{manifest.FILE_NAME}")
            yield _run_of(path, manifest.decode(content, f"{path}/{manifest.FILE_NAME}"))
        except OutputError as error:
            yield Other(path, State.DAMAGED, str(error))


def _itself(place: Path | ObjectUrl) -> UsageError:
    return UsageError(f"{place} is a run itself; open it with open_snapshot, or name the folder that holds the runs")


def is_file(path: Path) -> bool:
    """Whether there is a file of our own: a symbolic link is none.

    Raises:
        OSError: it cannot be looked at.
    """
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
