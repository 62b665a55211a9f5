"""The plan of a run in shards: the scopes and the list of each shard."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from inventory.errors import OutputError, UsageError
from inventory.ledger import schema as ledger_schema
from inventory.ledger.records import ScopeCount, SourceRead  # noqa: TC001 - msgspec reads the types
from inventory.runs.shard_files import FOLDER, PLAN, shard_path
from inventory.settings_sources.checks import check_settings
from inventory.settings_sources.combine import describe, restore
from inventory.storage.files import atomic_write, temporary_folder
from inventory.storage.folder_store import FolderStore
from inventory.storage.object_store import ObjectStore
from inventory.tables import schema
from inventory.urn import scope_prefix
from inventory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory.ledger.reader import LedgerView
    from inventory.settings import ExportSettings

Place = FolderStore | ObjectStore
"""Where the processes of a run meet: the run's folder, a shared folder, or a prefix of an object store."""
VERSION: Final = 1
URNS_PER_SHARD: Final = 25_000
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


class Plan(msgspec.Struct, frozen=True):
    """The shards of a run. The same list and settings give the same plan, which contains no secret.

    Attributes:
        versions: ``VERSIONS`` of the process that made it.
        settings: as in the manifest.
        entries: of all sources, with duplicates and rejects.
    """

    version: int
    versions: dict[str, str]
    settings: dict[str, Any]
    sources: list[SourceRead]
    entries: _Count
    rejects: _Count
    shards: list[Shard]

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


def make_plan(
    ledger: LedgerView,
    folder: Path,
    settings: ExportSettings,
    urns_per_shard: int,
    check_cancelled: Callable[[], None],
) -> Plan:
    """Assigns whole scopes to shards, greedily in URN order, and writes the list of each shard.

    A larger scope is a shard of its own. The scopes of a shard have one account.
    """
    groups: list[tuple[str | None, list[ScopeCount]]] = []
    last: dict[str | None, list[ScopeCount]] = {}
    room: Counter[str | None] = Counter()
    for scope in sorted(ledger.scopes(), key=lambda scope: scope_prefix(scope.region, scope.project_id)):
        owner = settings.account_of(scope.region, scope.project_id)
        account = None if owner is None else owner.name
        if account not in last or scope.urns > room[account]:
            last[account], room[account] = [], urns_per_shard
            groups.append((account, last[account]))
        last[account].append(scope)
        room[account] -= scope.urns
    shards = []
    with suppress(OSError):  # the next write reports it
        (folder / FOLDER).mkdir(exist_ok=True)
    for number, (account, scopes) in enumerate(groups):
        digest = hashlib.sha256()
        with atomic_write(folder / shard_path(number, ".jsonl"), ", then --resume", ours=True) as sink:
            for scope in scopes:
                check_cancelled()
                for lines in ledger.urn_lines(scope.region, scope.project_id):
                    digest.update(lines.encode())
                    sink.write(lines.encode())
        shards.append(Shard(number, account, scopes, sum(scope.urns for scope in scopes), digest.hexdigest()))
    sources = ledger.sources()
    entries = sum(source.entries for source in sources)
    return Plan(VERSION, VERSIONS, describe(settings), sources, entries, ledger.count_rejects(), shards)


def credential_of(settings: ExportSettings, account: str | None) -> tuple[str | None, ...]:
    """What identifies the credential of an account; several accounts may share one."""
    owner = next((own for own in settings.accounts if own.name == account), None)
    return () if owner is None else (owner.token_file, owner.profile, owner.environment)


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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OutputError(
            f"{place}/{PLAN} is damaged, or of another version of inventory ({error}); {advice}"
        ) from None
    if plan.version != VERSION or [shard.number for shard in plan.shards] != [*range(len(plan.shards))]:
        raise OutputError(
            f"{place}/{PLAN} is of another version of inventory ({plan.version}, not {VERSION}); {advice}"
        )
    return plan


def write_json(place: Place, name: str, content: object) -> None:
    """Writes a small file.

    Raises:
        OutputError: the place cannot be written.
    """
    with temporary_folder() as folder:
        (folder / Path(name).name).write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
        place.put(name, folder / Path(name).name, lambda _sent: None)
