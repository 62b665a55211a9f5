"""What there is to ask for: the functions of projects, their versions and aliases; listed whole, or not at all.

Owns the paging of a list that may change while it is read. What is found is a list, as if it had been read from a file.
Knows no table.

Source: api-facts.md sections 5 and 6.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.cloud.client import Client
from inventory.cloud.pages import MAX_ITEMS, Operation
from inventory.cloud.projects import ProjectRef, expand_projects
from inventory.cloud.transport import open_session
from inventory.errors import CallError, ExitCode, ListingError, NotConfiguredError, NotFoundError, OutOfTimeError
from inventory.ledger.writer import AnswerCount
from inventory.pipeline.scope import CallSkippedError, Scope
from inventory.runs.census import Census
from inventory.runs.manifest import now
from inventory.scheduling import worker_pool
from inventory.scheduling.connection_limit import connections
from inventory.sources.formats import Entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    import aiohttp

    from inventory.cloud.accounts import CredentialProvider
    from inventory.cloud.credentials import Credential
    from inventory.cloud.pages import FunctionPage
    from inventory.progress import ProgressObserver
    from inventory.scheduling.throttle import Throttle
    from inventory.settings import ExportSettings

OVERLAP: Final = 20
"""Functions of a page that the next one repeats: if none of them is there, the list has moved, and we go back."""
_MAX_STEPS_BACK: Final = 100
_MAX_READINGS: Final = 4
_TICK_SECONDS: Final = 0.25
_OF: Final = {
    Operation.LIST_FUNCTIONS: "functions",
    Operation.LIST_VERSIONS: "versions",
    Operation.LIST_ALIASES: "aliases",
}


@dataclass(frozen=True)
class Discovery:
    """What to list: the functions of places as ``…:latest``, and where asked for their versions and aliases."""

    places: Sequence[ProjectRef]
    versions: bool = False
    aliases: bool = False


class Listing:
    """The functions of one project, in the place of a list that is read from a file.

    Attributes:
        name: region and project.
        urns: sorted.
        sha256: of a file with a URN a line.
        entries: how many URNs.
    """

    def __init__(self, name: str, urns: Sequence[str]) -> None:
        self.name = name
        self.urns = urns
        self.entries = len(urns)
        self.sha256 = hashlib.sha256("".join(f"{urn}\n" for urn in urns).encode()).hexdigest()

    def read(self, check_cancelled: Callable[[], None]) -> Iterator[Entry]:  # noqa: ARG002 - there is nothing to wait for
        """Its entries."""
        return (Entry(line, urn) for line, urn in enumerate(self.urns, 1))


class Discovered(NamedTuple):
    """What a search brought.

    Attributes:
        listings: one for each project.
        calls: how many were made.
        throttles: what was learnt of the pace of each region and project.
        began: when the first was made, as the manifest writes times.
        census: what was listed in full.
    """

    listings: list[Listing]
    calls: list[AnswerCount]
    throttles: dict[tuple[str, str], Throttle]
    began: str
    census: Census

    def urns(self) -> list[str]:
        """All that was found, sorted."""
        return sorted({urn for listing in self.listings for urn in listing.urns})


class _Project:
    """One project that is listed, by the rules of its scope, which is there only while the project is asked.

    Attributes:
        name: region and project.
        place: the same.
        functions: those that were listed, without a qualifier.
        found: the URNs that were listed.
        vague: the lists of which one was answered with a 404 that does not say that the function is gone.
        throttle: what was learnt of the pace; None before the first call.
    """

    def __init__(
        self,
        place: ProjectRef,
        credential: Callable[[], Credential],
        make: Callable[[Credential], tuple[Client, Scope]],
    ) -> None:
        self.name = f"{place.region}/{place.project_id}"
        self.place = place
        self.functions: list[str] = []
        self.found: set[str] = set()
        self.vague: set[str] = set()
        self.throttle: Throttle | None = None
        self._credential = cache(credential)
        self._make = make

    def open(self) -> None:
        """Makes what calls are made with."""
        self.client, self.scope = self._make(self._credential())
        if self.throttle is not None:
            self.scope.throttle.continue_from(self.throttle)
        self.throttle = self.scope.throttle

    def close(self) -> None:
        """Keeps nothing of it but the pace and the credential."""
        del self.client, self.scope

    def add(self, urns: Iterable[str]) -> int:
        """Adds URNs; how many of them are new."""
        before = len(self.found)
        self.found.update(urns)
        return len(self.found) - before

    async def fetch(self, operation: str, ask: Callable[[], Awaitable[list[str]]]) -> list[str]:
        """A list of one function; an empty one where the function is gone since it was listed."""
        try:
            return await self.scope.fetch(operation, ask)
        except NotFoundError:
            return []
        except NotConfiguredError:
            self.vague.add(operation)  # a 404 that does not say that the function is gone
            return []
        except (CallError, CallSkippedError) as error:
            raise self._broken(operation, error) from None

    async def page(self, marker: int) -> FunctionPage:
        """A page of functions."""
        try:
            return await self.scope.fetch(
                Operation.LIST_FUNCTIONS, lambda: self.client.list_functions(marker, MAX_ITEMS)
            )
        except (CallError, CallSkippedError) as error:
            raise self._broken(Operation.LIST_FUNCTIONS, error) from None

    def _broken(self, operation: str, error: Exception) -> ListingError:
        reason = self.scope.stopped or error
        code = reason.exit_code if isinstance(reason, CallError) else ExitCode.STOPPED
        return ListingError(f"{self.name}: the list of {_OF[operation]} broke off ({reason}); no list is written", code)


async def discover(
    search: Discovery, settings: ExportSettings, account: CredentialProvider, observer: ProgressObserver
) -> Discovered:
    """Lists the functions of all places.

    Raises:
        ListingError: a list broke off, or is shorter than the service says; its ``exit_code`` says why.
        OutOfTimeError: the time that the run was given is over; half a list is no list.
        InterruptedRunError: a signal came.
    """
    ends = time.monotonic() + (math.inf if settings.max_time is None else settings.max_time)
    listing = asyncio.create_task(_discover(search, settings, account, observer))
    try:
        while not listing.done():
            await asyncio.wait({listing}, timeout=_TICK_SECONDS)
            observer.on_wait()
            if time.monotonic() >= ends and not listing.done():
                told = f"the {settings.max_time:g} s of --max-time were over before all functions were listed"
                raise OutOfTimeError(f"out of time: {told}; no list is written")
        return listing.result()
    finally:
        listing.cancel()
        await asyncio.wait({listing})


async def _discover(
    search: Discovery, settings: ExportSettings, account: CredentialProvider, observer: ProgressObserver
) -> Discovered:
    began = now()
    calls: Counter[tuple[str, str, str, int]] = Counter()
    found = 0

    def tell(new: int) -> None:
        nonlocal found
        found += new
        observer.on_load(found)

    async def list_project(project: _Project) -> None:
        project.open()
        project.functions = await _functions_of(project, observer)
        project.close()
        tell(project.add(f"{urn}:latest" for urn in project.functions))

    async def list_qualifiers(asked: tuple[_Project, str]) -> None:
        project, function = asked
        new = 0
        if search.versions:
            names = await project.fetch(
                Operation.LIST_VERSIONS, lambda: project.client.list_function_versions(function)
            )
            new += project.add(f"{function}:{name}" for name in names)
        if search.aliases:
            names = await project.fetch(Operation.LIST_ALIASES, lambda: project.client.list_version_aliases(function))
            new += project.add(f"{function}:!{name}" for name in names)
        tell(new)

    async with open_session(settings.timeout, settings.ca_bundle) as session:
        places = await expand_projects(search.places, session, settings, account)
        projects = [
            _Project(
                place,
                partial(account.credential, session, place.region, place.project_id or ""),
                partial(_made, place, session, settings, calls),
            )
            for place in places
        ]
        workers = connections(settings.max_workers)
        await worker_pool.run([worker_pool.Lane(iter(projects), list_project)], workers)
        if search.versions or search.aliases:
            await worker_pool.run((_lane(project, list_qualifiers) for project in projects), workers)
    return _all_of(projects, search, calls, began)


def _all_of(
    projects: Sequence[_Project], search: Discovery, calls: Counter[tuple[str, str, str, int]], began: str
) -> Discovered:
    return Discovered(
        [Listing(project.name, sorted(project.found)) for project in projects],
        [AnswerCount(*key, number) for key, number in calls.items()],
        {
            (project.place.region, project.place.project_id or ""): project.throttle
            for project in projects
            if project.throttle is not None
        },
        began,
        Census(
            frozenset(project.name for project in projects),
            search.versions and not any(Operation.LIST_VERSIONS in project.vague for project in projects),
            search.aliases and not any(Operation.LIST_ALIASES in project.vague for project in projects),
        ),
    )


def _lane(
    project: _Project, work: Callable[[tuple[_Project, str]], Awaitable[None]]
) -> worker_pool.Lane[tuple[_Project, str]]:
    """The functions of a project that were listed, as jobs."""
    project.open()
    return worker_pool.Lane(iter([(project, function) for function in project.functions]), work, close=project.close)


def _made(
    place: ProjectRef,
    session: aiohttp.ClientSession,
    settings: ExportSettings,
    calls: Counter[tuple[str, str, str, int]],
    credential: Credential,
) -> tuple[Client, Scope]:
    region, project_id = place.region, place.project_id or ""
    settings = settings.for_scope(region, project_id)
    client = Client(session, settings.endpoint_for(region), project_id, credential)

    def count_call(operation: str, http_status: int) -> None:
        calls[region, project_id, operation, http_status] += 1

    return client, Scope(client.show_async_invoke_config, credential, settings, count_call=count_call)


async def _functions_of(project: _Project, observer: ProgressObserver) -> list[str]:
    """The functions of a project, without qualifiers.

    A list that changed while it was read is read again, until that brings nothing new; so is one that is too short,
    once, before it is refused.
    """
    found: dict[str, None] = {}
    for reading in range(_MAX_READINGS):
        before = len(found)
        totals = await _read_pages(project, observer, found)
        is_whole = not totals or len(found) >= min(totals)
        is_still = len(set(totals)) <= 1 or len(found) == before
        if is_whole and (is_still or reading == _MAX_READINGS - 1):
            return list(found)
        if not is_whole and reading:
            break
    raise ListingError(
        f"{project.name}: the service says it has {min(totals)} functions and listed {len(found)}; no list is written"
    )


async def _read_pages(project: _Project, observer: ProgressObserver, found: dict[str, None]) -> list[int]:
    """Reads a list from its beginning to its end; returns how many functions the service said there are, page by page.

    Offsets move when functions come and go. Each page repeats the end of the one before: what is deleted in between
    would otherwise push functions past us unseen.
    """
    marker = reached = steps_back = longest = 0
    totals: list[int] = []
    known: set[str] = set()  # the last page, where the next one repeats some of it
    while True:
        observer.on_load(len(found))
        page = await project.page(marker)
        if known and marker and known.isdisjoint(page.urns):
            steps_back += 1
            if steps_back > _MAX_STEPS_BACK:
                raise ListingError(f"{project.name}: the list of functions changes faster than it can be read")
            marker = reached = max(0, marker - steps_back * MAX_ITEMS // 4)
            continue
        totals += [] if page.total is None else [page.total]
        new = [urn for urn in page.urns if urn not in found]
        found.update(dict.fromkeys(new))
        following = page.next_marker
        if not page.urns or following is None or following <= marker or (not new and following <= reached):
            break
        longest = max(longest, len(page.urns))
        is_full = len(page.urns) >= (longest if marker else MAX_ITEMS)
        if page.total is not None and following >= page.total and not is_full:
            break  # behind a full page there may be more: a count may be older than the list
        overlap = min(OVERLAP, len(page.urns) // 4)
        known, reached = set(page.urns if overlap else ()), following
        marker = following - overlap
    return totals
