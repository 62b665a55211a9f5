"""Divides the list of a run into shards of whole scopes."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.runs.shard_files import FOLDER, shard_path
from inventory.runs.shard_plan import VERSION, VERSIONS, Plan, Shard
from inventory.settings_sources.combine import describe
from inventory.storage.files import atomic_write
from inventory.urn import scope_prefix

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from inventory.ledger.reader import LedgerView
    from inventory.ledger.records import ScopeCount
    from inventory.settings import ExportSettings

URNS_PER_SHARD: Final = 25_000
Credential = tuple[str | None, ...]  # what identifies it


class Sharding(NamedTuple):
    """How a run is divided.

    Attributes:
        engine: runs the shards; None: the plan is made, and nothing else.
        processes: at the same time; None: one for each core.
        scheduler: address of the engine's scheduler; None: the engine starts what it needs on this machine.
        urns_per_shard: at most, unless a scope is larger.
        endpoint_share: of each process, of limits that all share; None: equal shares.
    """

    engine: str | None = None
    processes: int | None = None
    scheduler: str | None = None
    urns_per_shard: int = URNS_PER_SHARD
    endpoint_share: float | None = None


def make_plan(
    ledger: LedgerView, folder: Path, settings: ExportSettings, urns_per_shard: int, check_cancelled: Callable[[], None]
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


def credential_of(settings: ExportSettings, account: str | None) -> Credential:
    """The credential of an account; several accounts may share one."""
    owner = next((own for own in settings.accounts if own.name == account), None)
    return () if owner is None else (owner.token_file, owner.profile, owner.environment)
