"""The plan of a run in shards: structure, reading, writing."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from inventory.errors import OutputError, UsageError
from inventory.ledger import schema as ledger_schema
from inventory.ledger.records import ScopeCount, SourceRead  # noqa: TC001 - msgspec reads the types
from inventory.runs.shard_files import FOLDER, PLAN, PROGRESS, RUN, shard_path
from inventory.settings_sources.checks import check_settings
from inventory.settings_sources.combine import restore
from inventory.storage.files import temporary_folder
from inventory.storage.folder_store import FolderStore
from inventory.storage.object_store import ObjectStore
from inventory.tables import schema
from inventory.version import __version__

if TYPE_CHECKING:
    from inventory.settings import ExportSettings

Place = FolderStore | ObjectStore
"""Where the processes of a run meet: the run's folder, a shared folder, or a prefix of an object store."""
VERSION: Final = 1
VERSIONS: Final = {
    "inventory": __version__,
    "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    "tables": str(schema.VERSION),
    "ledger": str(ledger_schema.VERSION),
}
"""What all processes of a run must have in common."""
_Count = Annotated[int, msgspec.Meta(ge=0)]


class Shard(msgspec.Struct, frozen=True):
    """Whole scopes of one account, which one process fetches.

    Attributes:
        account: its name in the settings; None without accounts.
        scopes: in the order of their URNs.
        entries: distinct URNs of its list.
        sha256: of its list.
    """

    number: _Count
    account: str | None
    scopes: list[ScopeCount]
    entries: _Count
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]

    @property
    def list_path(self) -> str:
        """The path of its list in the place."""
        return shard_path(self.number, ".jsonl")


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """The shards of a run. The same list and settings give the same plan, which contains no secret.

    Attributes:
        versions: ``VERSIONS`` of the process that made it.
        settings: as in the manifest.
        entries: of all sources, with duplicates and rejects.
        run: identifies the run of a published plan; it is in a file of its own.
    """

    version: int
    versions: dict[str, str]
    settings: dict[str, Any]
    sources: list[SourceRead]
    entries: _Count
    rejects: _Count
    shards: list[Shard]
    run: str = ""

    def export_settings(self) -> ExportSettings:
        """The settings.

        Raises:
            SettingsError: they cannot be used here.
        """
        settings = restore(self.settings)
        assert settings is not None  # noqa: S101 - never None
        return check_settings(settings)

    def check_versions(self, worker: str, versions: dict[str, str]) -> None:
        """Refuses a worker whose answers might not fit.

        Raises:
            UsageError: it has another version.
        """
        for name, version in self.versions.items():
            if versions.get(name) != version:
                raise UsageError(
                    f"{worker} has {name} {versions.get(name)} and the plan was made with {version}: install the same "
                    "versions everywhere"
                )


def read_plan(place: Place) -> Plan:
    """Reads the plan.

    Raises:
        UsageError: there is none.
        OutputError: it is damaged, or of another version.
    """
    if place.look_at(PLAN) is None:
        raise UsageError(f"{place} contains no {PLAN}: make it with inventory export --plan-only --output {place}")
    advice = "start again with --overwrite"
    try:
        plan = msgspec.json.decode(place.read(PLAN), type=Plan)
        run = msgspec.json.decode(place.read(RUN), type=str) if place.look_at(RUN) else ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OutputError(
            f"{place}/{PLAN} is damaged, or of another version of inventory ({error}); {advice}"
        ) from None
    if plan.version != VERSION or [shard.number for shard in plan.shards] != [*range(len(plan.shards))]:
        raise OutputError(
            f"{place}/{PLAN} is of another version of inventory ({plan.version}, not {VERSION}); {advice}"
        )
    return msgspec.structs.replace(plan, run=run)


def publish_plan(place: Place, folder: Path, plan: Plan, *, is_new: bool) -> Plan:
    """Writes the plan of a run to its folder, and to its store if that is elsewhere; returns it.

    Args:
        place: of the run.
        folder: of the run on this machine; has the lists.
        plan: of the run.
        is_new: the lists are copied too, in place of what an earlier run left, and the run is named.

    Raises:
        OutputError: a place cannot be written.
    """
    places = (FolderStore(folder),) if isinstance(place, FolderStore) else (place, FolderStore(folder))
    if is_new and isinstance(place, ObjectStore):
        for name in place.listed((FOLDER, PROGRESS)):
            if name.partition("/")[0] in {FOLDER, PROGRESS}:
                place.remove(name)
        for shard in plan.shards:
            place.put(shard.list_path, folder / shard.list_path, lambda _sent: None)
    run = uuid.uuid4().hex if is_new else plan.run
    for name, content in ((RUN, run), (PLAN, msgspec.structs.replace(plan, run=""))):
        for own in places:
            write_json(own, name, content)
    return msgspec.structs.replace(plan, run=run)


def write_json(place: Place, name: str, content: object) -> None:
    """Writes a small file.

    Raises:
        OutputError: the place cannot be written.
    """
    with temporary_folder() as folder:
        (folder / Path(name).name).write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
        place.put(name, folder / Path(name).name, lambda _sent: None)
