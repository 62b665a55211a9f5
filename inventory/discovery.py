"""What there is to ask for: the functions of projects, their versions and aliases; listed whole, or not at all.

Owns the paging of a list that may change while it is read, and the finding of projects. Knows no ledger and no table.

Source: api-facts.md sections 5 and 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from inventory import pool
from inventory.client import Client, open_session
from inventory.errors import CallError, ExitCode, ListingError, NotConfiguredError, NotFoundError
from inventory.iam import list_projects
from inventory.listing import MAX_ITEMS
from inventory.scope import NotAskedError, Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import aiohttp

    from inventory.credentials import Account
    from inventory.listing import FunctionPage
    from inventory.settings import ExportSettings
    from inventory.watch import Watch

OVERLAP: Final = 20
"""Functions of a page that the next one repeats: if none of them is there, the list has moved, and we go back."""
_MAX_STEPS_BACK: Final = 100


class Place(NamedTuple):
    """Where to look: a region, and one project of it or, without an id, all that IAM shows."""

    region: str
    project_id: str | None = None


class _Project:
    """One project that is listed, by the rules of its scope."""

    def __init__(self, place: Place, client: Client, scope: Scope) -> None:
        self.name = f"{place.region}/{place.project_id}"
        self.functions: list[str] = []
        self.client = client
        self._scope = scope

    async def fetch(self, what: str, ask: Callable[[], Awaitable[list[str]]]) -> list[str]:
        """A list of one function; an empty one where the function is gone since it was listed."""
        try:
            return await self._scope.fetch(ask)
        except (NotFoundError, NotConfiguredError):
            return []
        except (CallError, NotAskedError) as error:
            raise self._broken(what, error) from None

    async def page(self, marker: int) -> FunctionPage:
        """A page of functions."""
        try:
            return await self._scope.fetch(lambda: self.client.list_functions(marker, MAX_ITEMS))
        except (CallError, NotAskedError) as error:
            raise self._broken("functions", error) from None

    def _broken(self, what: str, error: Exception) -> ListingError:
        reason = self._scope.stopped or error
        code = reason.exit_code if isinstance(reason, CallError) else ExitCode.STOPPED
        return ListingError(f"{self.name}: the list of {what} broke off ({reason}); no list is written", code)


async def discover(
    places: Sequence[Place],
    settings: ExportSettings,
    account: Account,
    watch: Watch,
    *,
    versions: bool = False,
    aliases: bool = False,
) -> list[str]:
    """Lists the functions of all places, sorted, as ``…:latest``, and where asked for their versions and aliases.

    Raises:
        ListingError: a list broke off, or is shorter than the service says; its ``exit_code`` says why.
        InterruptedRunError: a signal came.
    """
    found: set[str] = set()

    async def list_project(project: _Project) -> None:
        project.functions = await _functions_of(project, watch)
        found.update(f"{urn}:latest" for urn in project.functions)
        watch.loading(len(found))

    async def list_qualifiers(asked: tuple[_Project, str]) -> None:
        project, function = asked
        if versions:
            names = await project.fetch("versions", lambda: project.client.list_function_versions(function))
            found.update(f"{function}:{name}" for name in names)
        if aliases:
            names = await project.fetch("aliases", lambda: project.client.list_version_aliases(function))
            found.update(f"{function}:!{name}" for name in names)
        watch.loading(len(found))

    async with open_session(settings.timeout) as session:
        projects = [
            _project(place, session, settings, account)
            for place in await _projects_of(places, session, settings, account)
        ]
        await pool.run([pool.Lane(iter(projects), list_project)], settings.max_workers)
        if versions or aliases:
            lanes = [
                pool.Lane(iter([(project, function) for function in project.functions]), list_qualifiers)
                for project in projects
            ]
            await pool.run(lanes, settings.max_workers)
    return sorted(found)


async def find_projects(places: Sequence[Place], settings: ExportSettings, account: Account) -> list[tuple[str, str]]:
    """Region and project of every place.

    Raises:
        ListingError: IAM does not tell the projects of a region.
    """
    async with open_session(settings.timeout) as session:
        whole = await _projects_of(places, session, settings, account)
    return [(place.region, place.project_id or "") for place in whole]


def _project(place: Place, session: aiohttp.ClientSession, settings: ExportSettings, account: Account) -> _Project:
    project_id = place.project_id or ""
    credential = account.credential(session, place.region, project_id)
    settings = settings.for_scope(place.region, place.project_id)
    client = Client(session, settings.endpoint_for(place.region), project_id, credential)
    scope = Scope(
        client.show_async_invoke_config,
        credential,
        max_per_second=settings.pace,
        attempts=settings.attempts,
        count_call=lambda _http_status: None,
    )
    return _Project(place, client, scope)


async def _projects_of(
    places: Sequence[Place], session: aiohttp.ClientSession, settings: ExportSettings, account: Account
) -> list[Place]:
    """Every place with its project: a region's own project, and its sub-projects."""
    found: list[Place] = []
    for place in places:
        if place.project_id is not None:
            found.append(place)
            continue
        endpoint = settings.for_scope(place.region, None).iam_endpoint_for(place.region)
        try:
            projects = await list_projects(session, endpoint, account.overview(session, place.region))
        except CallError as error:
            told = f"{place.region}: its projects cannot be listed ({error}); --project-id names one"
            raise ListingError(told, error.exit_code) from None
        own = [
            Place(place.region, project_id)
            for project_id, name in projects.items()
            if name == place.region or name.startswith(f"{place.region}_")
        ]
        if not own:
            raise ListingError(f"{place.region}: IAM at {endpoint} shows no project of this region")
        found += own
    return list(dict.fromkeys(found))


async def _functions_of(project: _Project, watch: Watch) -> list[str]:
    """The functions of a project, without qualifiers. A list that is too short is read once more, then refused."""
    found: dict[str, None] = {}
    for _ in range(2):
        total = await _read_pages(project, watch, found)
        if total is None or len(found) >= total:
            return list(found)
    raise ListingError(
        f"{project.name}: the service says it has {total} functions and listed {len(found)}; no list is written"
    )


async def _read_pages(project: _Project, watch: Watch, found: dict[str, None]) -> int | None:
    """Reads a list from its beginning to its end; returns the fewest functions that the service said there are.

    Offsets move when functions come and go. Each page repeats the end of the one before: what is deleted in between
    would otherwise push functions past us unseen.
    """
    marker = reached = steps_back = 0
    totals: list[int] = []
    known: set[str] = set()  # the last page, where the next one repeats some of it
    while True:
        watch.loading(len(found))
        page = await project.page(marker)
        if known and marker and known.isdisjoint(page.urns):
            steps_back += 1
            if steps_back > _MAX_STEPS_BACK:
                raise ListingError(f"{project.name}: the list of functions changes faster than it can be read")
            marker = max(0, marker - steps_back * MAX_ITEMS // 4)
            continue
        totals += [] if page.total is None else [page.total]
        new = [urn for urn in page.urns if urn not in found]
        found.update(dict.fromkeys(new))
        following = page.next_marker
        if not page.urns or following is None or following <= marker or (not new and following <= reached):
            break
        if page.total is not None and following >= page.total:
            break
        overlap = min(OVERLAP, len(page.urns) // 4)
        known, reached = set(page.urns if overlap else ()), following
        marker = following - overlap
    return min(totals, default=None)
