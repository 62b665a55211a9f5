"""The scopes of a run: their block in the manifest, and the rows of their table."""

from __future__ import annotations

from collections import Counter, defaultdict
from http import HTTPStatus
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from inventory.errors import RateLimit
from inventory.pipeline.scope_settings import resolve_scope
from inventory.runs.facts import RunFacts
from inventory.runs.manifest import ScopeReport, describe_scopes
from inventory.tables.schema import FUNCTION_FACTS
from inventory.tables.scopes import ScopeCounts, scope_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from inventory.ledger.reader import LedgerView
    from inventory.pipeline.fetch import ScopeEnd
    from inventory.runs.manifest import Counts
    from inventory.scheduling.limits import ScopeKey
    from inventory.settings import ExportSettings
    from inventory.tables.column import Table
    from inventory.tables.flatten import Row


def _cells(table: Table, *names: str) -> itemgetter[tuple[Any, ...]]:
    columns = [column.name for column in table.columns]
    return itemgetter(*(columns.index(name) for name in names))


_PROJECT_NAME: Final = _cells(FUNCTION_FACTS, "region", "project_id", "project_name")


_KNOWN_TO_SHARDS: Final = ("limit_learnt", "limit_used", "shared_limit", "shared_limit_used", "stopped")


class ScopeRows:
    """Collects what the rows of other tables say about scopes."""

    def __init__(self) -> None:
        self._names: dict[ScopeKey, str] = {}

    def add_facts(self, row: Row) -> None:
        """Takes the name of the project from a row of ``function_facts``; the first one is kept."""
        region, project_id, name = _PROJECT_NAME(row)
        if name:
            self._names.setdefault((region, project_id), name)

    def rows(
        self, ledger: LedgerView, settings: ExportSettings, ends: Iterable[Mapping[str, Any]], counts: Counts
    ) -> Iterator[Row]:
        """Yields the rows of ``scopes``, also of listed projects without functions.

        Args:
            ledger: has the calls of all sessions.
            settings: name accounts and endpoints.
            ends: the scopes in the manifest.
            counts: of all URNs.
        """
        calls: Counter[ScopeKey] = Counter()
        refused: Counter[ScopeKey] = Counter()
        for answer in ledger.answers():
            calls[answer.region, answer.project_id] += answer.calls
            if answer.http_status == HTTPStatus.TOO_MANY_REQUESTS:
                refused[answer.region, answer.project_id] += answer.calls
        statuses: defaultdict[ScopeKey, Counter[str]] = defaultdict(Counter)
        for (region, project_id, status, _), (urns, _) in counts.by_scope.items():
            statuses[region, project_id][status] += urns
        listed = (RunFacts(ledger).listed or {}).get("projects", ())
        end_of = {(end["region"], end["project_id"]): end for end in ends}
        for key in sorted({*statuses, *calls, *end_of, *(_key(project) for project in listed)}):
            end = end_of.get(key, {})
            cells = {
                "account": end.get("account") or _account_name(settings, key),
                "project_name": self._names.get(key),
                "endpoint": end.get("endpoint") or resolve_scope(settings, *key).endpoint,
            }
            yield scope_row(key, cells, end, ScopeCounts(statuses.get(key, {}), calls[key], refused[key]))


def describe_ends(
    ledger: LedgerView, settings: ExportSettings, ends: Mapping[ScopeKey, ScopeEnd]
) -> list[dict[str, Any]]:
    """Makes the block ``scopes`` of the manifest."""
    return describe_scopes(
        ledger.scopes(),
        ledger.answers(),
        {
            key: ScopeReport(
                resolve_scope(settings, *key).endpoint,
                end.limit,
                end.used,
                end.stopped,
                end.shared_limit,
                end.shared_used,
                _account_name(settings, key),
            )
            for key, end in ends.items()
        },
    )


def describe_recorded(ledger: LedgerView, settings: ExportSettings) -> list[dict[str, Any]]:
    """Makes the same block from what a killed session recorded: limits, but not why it gave up a scope."""
    recorded = RunFacts(ledger).limits or {"scopes": (), "endpoints": ()}
    own = {(region, project_id): _narrowest(limits) for region, project_id, limits in recorded["scopes"]}
    shared = {url: _narrowest(limits) for url, limits in recorded["endpoints"]}
    scopes = ledger.scopes()
    reports = {}
    for region, project_id, _ in scopes:
        key = region, project_id
        endpoint = resolve_scope(settings, *key).endpoint
        reports[key] = ScopeReport(
            endpoint, own.get(key), None, None, shared.get(endpoint), None, _account_name(settings, key)
        )
    return describe_scopes(scopes, ledger.answers(), reports)


def describe_shards(
    ledger: LedgerView, settings: ExportSettings, blocks: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Makes the same block from the blocks of shards; ``ledger`` has the calls of listing and shards."""
    ended = {(block["region"], block["project_id"]): block for block in blocks}
    scopes = describe_recorded(ledger, settings)
    for scope in scopes:
        own = ended.get((scope["region"], scope["project_id"]), scope)
        scope.update({key: own[key] for key in _KNOWN_TO_SHARDS})
    return scopes


def _narrowest(limits: Sequence[Sequence[Any]]) -> RateLimit | None:
    return min((RateLimit(*limit) for limit in limits), key=lambda limit: limit.per_second, default=None)


def _account_name(settings: ExportSettings, key: ScopeKey) -> str | None:
    account = settings.account_of(*key)
    return None if account is None else account.name


def _key(project: str) -> ScopeKey:
    region, _, project_id = project.partition("/")
    return region, project_id
