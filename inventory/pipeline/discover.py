"""Lists functions, versions and aliases of projects, completely or not at all.

Source: api-facts.md sections 5 and 6.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from inventory.cloud.pages import MAX_ITEMS, Operation
from inventory.cloud.projects import ProjectRef, expand_projects
from inventory.cloud.transport import open_session
from inventory.display.formatting import duration, format_count, format_number
from inventory.errors import (
    CallError,
    ExitCode,
    ListingError,
    NotConfiguredError,
    NotFoundError,
    OutOfTimeError,
    SettingsError,
    UsageError,
)
from inventory.ledger.records import AnswerCount
from inventory.ledger.schema import ListedTable
from inventory.pipeline.listing import Discovered, Listing
from inventory.pipeline.open_scope import open_scope
from inventory.pipeline.scope import CallSkippedError
from inventory.pipeline.watch import watch
from inventory.runs.listing_coverage import ListingCoverage
from inventory.runs.manifest import now
from inventory.scheduling import worker_pool
from inventory.scheduling.connection_limit import connections
from inventory.scheduling.dispatcher import Dispatcher
from inventory.scheduling.limits import Limits
from inventory.settings import REPORT_NAMES
from inventory.urn import LATEST

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from inventory.cloud.accounts import CredentialProvider
    from inventory.cloud.listed_fields import ListedItem
    from inventory.cloud.pages import FunctionPage
    from inventory.pipeline.open_scope import OpenScope
    from inventory.progress import ProgressObserver
    from inventory.scheduling.lane import Lane
    from inventory.settings import ExportSettings

OVERLAP: Final = 20
"""Functions that two pages share. Without a shared one, the list has changed."""
_MAX_STEPS_BACK: Final = 100
_MAX_READINGS: Final = 4
_ITEMS: Final = {
    Operation.LIST_FUNCTIONS: "functions",
    Operation.LIST_VERSIONS: "versions",
    Operation.LIST_ALIASES: "aliases",
}
_CallCounts = Counter[tuple[str, str, str, int]]
Keep: TypeAlias = "Callable[[ListedTable, Iterable[ListedItem]], None]"


@dataclass(frozen=True)
class Discovery:
    """What to list: functions as ``…:latest``, optionally versions and aliases; and reports about the projects."""

    projects: Sequence[ProjectRef]
    versions: bool = False
    aliases: bool = False
    reports: tuple[str, ...] = ()


def chosen_reports(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The reports among the options of a command or of ``inventory.export``, each once, in a fixed order.

    Raises:
        SettingsError: there is no report of that name.
        UsageError: nothing is listed.
    """
    value = options.get("include") or ()
    if value and not options.get("all"):
        raise UsageError("--with needs --all: the reports are about the projects that it lists")
    names = {value} if isinstance(value, str) else set(map(str, value))
    for name in sorted(names.difference(REPORT_NAMES)):
        raise SettingsError(f"--with {name!r} cannot be used; give one of {', '.join(REPORT_NAMES)}")
    return tuple(name for name in REPORT_NAMES if name in names)


class _Project:
    """One project while it is listed. Its scope exists only during calls.

    Attributes:
        unclear: operations answered with a 404 that does not mean a deleted function.
    """

    def __init__(self, ref: ProjectRef, opener: Callable[[], OpenScope], calls: _CallCounts) -> None:
        self.name = f"{ref.region}/{ref.project_id}"
        self.key = ref.region, ref.project_id or ""
        self.functions: list[str] = []
        self.urns: set[str] = set()
        self.unclear: set[str] = set()
        self._opened = cache(opener)
        self._calls = calls

    def open(self, limits: Limits, dispatcher: Dispatcher) -> Lane:
        opened = self._opened()
        self.client, self.scope = opened.client, opened.start(self._count_call, limits, dispatcher)
        return self.scope.lane

    def close(self) -> None:
        """Drops the scope, but not its credential."""
        self.scope.close()
        del self.client, self.scope

    def _count_call(self, operation: str, http_status: int) -> None:
        self._calls[*self.key, operation, http_status] += 1

    def add(self, urns: Iterable[str]) -> int:
        """Returns how many URNs are new."""
        before = len(self.urns)
        self.urns.update(urns)
        return len(self.urns) - before

    async def fetch(self, operation: str, call: Callable[[], Awaitable[list[ListedItem]]]) -> list[ListedItem]:
        """A list of one function; empty if the function is deleted."""
        try:
            return await self.scope.fetch(operation, call)
        except NotFoundError:
            return []
        except NotConfiguredError:
            self.unclear.add(operation)
            return []
        except (CallError, CallSkippedError) as error:
            raise self._incomplete(operation, error) from None

    async def fetch_page(self, marker: int) -> FunctionPage:
        try:
            return await self.scope.fetch(
                Operation.LIST_FUNCTIONS, lambda: self.client.list_functions(marker, MAX_ITEMS)
            )
        except (CallError, CallSkippedError) as error:
            raise self._incomplete(Operation.LIST_FUNCTIONS, error) from None

    async def list_qualifiers(self, function: str, discovery: Discovery, keep: Keep) -> int:
        """Lists versions and aliases of a function; returns how many URNs are new."""
        new = 0
        if discovery.versions:
            items = await self.fetch(Operation.LIST_VERSIONS, lambda: self.client.list_function_versions(function))
            named = [item._replace(name=f"{function}:{item.name}") for item in items if item.name != LATEST]
            new += self.add(item.name for item in named)
            keep(ListedTable.FUNCTION_FACTS, named)
        if discovery.aliases:
            items = await self.fetch(Operation.LIST_ALIASES, lambda: self.client.list_version_aliases(function))
            named = [item._replace(name=f"{function}:!{item.name}") for item in items]
            new += self.add(item.name for item in named)
            keep(ListedTable.ALIASES, named)
        return new

    def _incomplete(self, operation: str, error: Exception) -> ListingError:
        reason = self.scope.stopped or error
        code = reason.exit_code if isinstance(reason, CallError) else ExitCode.STOPPED
        return ListingError(
            f"{self.name}: the list of {_ITEMS[operation]} broke off ({reason}); no list is written", code
        )


_Job = tuple[_Project, str]


async def discover(
    discovery: Discovery,
    settings: ExportSettings,
    account: CredentialProvider,
    observer: ProgressObserver,
    limits: Limits | None = None,
    keep: Keep = lambda _table, _items: None,
) -> Discovered:
    """Lists the functions of all projects.

    Args:
        discovery: what to list.
        settings: endpoints, rate and time limit.
        account: the credentials.
        observer: receives progress and can cancel.
        limits: rate limits that are known or learned.
        keep: stores facts by URN; the last facts of a URN are right.

    Raises:
        ListingError: a list is incomplete; ``exit_code`` has the reason.
        OutOfTimeError: ``max_time`` is over.
        InterruptedRunError: the run was cancelled.
    """
    limits = limits or Limits(settings.quota_share)
    deadline = time.monotonic() + (math.inf if settings.max_time is None else settings.max_time)
    dispatcher = Dispatcher(connections(settings.max_workers), deadline=deadline, clock=limits.clock)

    def check_time() -> None:
        if time.monotonic() >= deadline:
            reason = f"the {duration(settings.max_time or 0)} of --max-time were over before all functions were listed"
            raise OutOfTimeError(f"out of time: {reason}; no list is written")

    listing = _discover(discovery, settings, account, observer, limits, dispatcher, keep)
    return await watch(listing, limits, observer, check_time)


async def _discover(
    discovery: Discovery,
    settings: ExportSettings,
    account: CredentialProvider,
    observer: ProgressObserver,
    limits: Limits,
    dispatcher: Dispatcher,
    keep: Keep,
) -> Discovered:
    began = now()
    calls: _CallCounts = Counter()
    count = 0

    def report(new: int) -> None:
        nonlocal count
        count += new
        observer.on_load(count)

    async def list_project(job: _Job) -> None:
        project, _ = job
        project.functions = await _list_functions(project, observer, keep)
        report(project.add(f"{urn}:{LATEST}" for urn in project.functions))

    async def list_qualifiers(job: _Job) -> None:
        project, function = job
        report(await project.list_qualifiers(function, discovery, keep))

    async with open_session(settings.timeout, settings.ca_bundle, settings.transport) as session:
        projects = [
            _Project(ref, partial(open_scope, session, settings, account, ref.region, ref.project_id or ""), calls)
            for ref in await expand_projects(discovery.projects, session, settings, account)
        ]
        queues = partial(_queues, projects, limits, dispatcher)
        await worker_pool.run(queues(list_project, lambda project: [(project, "")]), dispatcher)
        if discovery.versions or discovery.aliases:
            await worker_pool.run(
                queues(list_qualifiers, lambda project: ((project, function) for function in project.functions)),
                dispatcher,
            )
    return _result(projects, discovery, calls, began)


def _queues(
    projects: Sequence[_Project],
    limits: Limits,
    dispatcher: Dispatcher,
    work: Callable[[_Job], Awaitable[None]],
    jobs: Callable[[_Project], Iterable[_Job]],
) -> Iterator[worker_pool.JobQueue[_Job]]:
    for project in projects:
        yield worker_pool.JobQueue(iter(list(jobs(project))), work, project.open(limits, dispatcher), project.close)


def _result(projects: Sequence[_Project], discovery: Discovery, calls: _CallCounts, began: str) -> Discovered:
    return Discovered(
        [Listing(project.name, sorted(project.urns)) for project in projects],
        [AnswerCount(*key, number) for key, number in calls.items()],
        began,
        ListingCoverage(
            frozenset(project.name for project in projects),
            discovery.versions and not any(Operation.LIST_VERSIONS in project.unclear for project in projects),
            discovery.aliases and not any(Operation.LIST_ALIASES in project.unclear for project in projects),
        ),
    )


async def _list_functions(project: _Project, observer: ProgressObserver, keep: Keep) -> list[str]:
    """Reads a changing list again until nothing is new, and a list shorter than its total once more."""
    found: dict[str, None] = {}
    for reading in range(_MAX_READINGS):
        before = len(found)
        totals = await _read_pages(project, observer, found, keep)
        is_complete = not totals or len(found) >= min(totals)
        is_unchanged = len(set(totals)) <= 1 or len(found) == before
        if is_complete and (is_unchanged or reading == _MAX_READINGS - 1):
            return list(found)
        if not is_complete and reading:
            break
    counts = f"{format_count(min(totals), 'function')} and listed {format_number(len(found))}"
    raise ListingError(f"{project.name}: the service says it has {counts}; no list is written")


async def _read_pages(project: _Project, observer: ProgressObserver, found: dict[str, None], keep: Keep) -> list[int]:
    """Reads a list once; returns the total that each page states.

    Deletions shift offsets. Overlapping pages reveal this, so no function is skipped.
    """
    marker = reached = steps_back = longest = 0
    totals: list[int] = []
    previous: set[str] = set()  # URNs of the last page, if pages overlap
    while True:
        observer.on_load(len(found))
        page = await project.fetch_page(marker)
        if previous and marker and previous.isdisjoint(page.urns):
            steps_back += 1
            if steps_back > _MAX_STEPS_BACK:
                raise ListingError(f"{project.name}: the list of functions changes faster than it can be read")
            marker = reached = max(0, marker - steps_back * MAX_ITEMS // 4)
            continue
        keep(ListedTable.FUNCTION_FACTS, [item._replace(name=f"{item.name}:{LATEST}") for item in page.functions])
        totals += [] if page.total is None else [page.total]
        new = [urn for urn in page.urns if urn not in found]
        found.update(dict.fromkeys(new))
        following = page.next_marker
        if not page.urns or following is None or following <= marker or (not new and following <= reached):
            break
        longest = max(longest, len(page.urns))
        is_full = len(page.urns) >= (longest if marker else MAX_ITEMS)
        if page.total is not None and following >= page.total and not is_full:
            break  # the total may be outdated, so a full page may have a successor
        overlap = min(OVERLAP, len(page.urns) // 4)
        previous, reached = set(page.urns if overlap else ()), following
        marker = following - overlap
    return totals
