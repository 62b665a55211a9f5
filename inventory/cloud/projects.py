"""Where to look for functions: regions, and the projects of each, which IAM knows.

Owns what a region without a project means: its own project and its sub-projects, of each account that has some there.
Knows no function.

Source: api-facts.md section 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inventory.cloud.accounts import select_account
from inventory.cloud.iam import list_projects
from inventory.cloud.transport import open_session
from inventory.errors import CallError, ExitCode, ListingError, UrnError, UsageError
from inventory.settings_file import check_scope_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    import aiohttp

    from inventory.cloud.accounts import CredentialProvider
    from inventory.settings import AccountSettings, ExportSettings


class ProjectRef(NamedTuple):
    """Where to look: a region, and one project of it or, without an id, all that IAM shows."""

    region: str
    project_id: str | None = None


def select_projects(
    settings: ExportSettings, regions: Sequence[str] | None, projects: Sequence[str] | None
) -> list[ProjectRef]:
    """Where to look, as it is said; else the region and project of the settings, else the regions of the accounts.

    Raises:
        UsageError: nothing says a region, or it is not clear which region a project is of.
        SettingsError: a region or project id cannot be a field of a URN.
    """
    owned = [region for account in settings.accounts for region in account.regions]
    regions = regions or ([settings.region] if settings.region else list(dict.fromkeys(owned)))
    projects = projects or ([settings.project_id] if settings.project_id else [])
    check_scope_fields(regions, projects)
    if not regions:
        raise UsageError("--region is missing: say where to look")
    if projects and len(regions) != 1:
        raise UsageError("--project-id goes with one --region: run it once for each region")
    return [ProjectRef(region, project) for region in regions for project in projects or (None,)]


class RegionWithoutProjects(NamedTuple):
    """A region of which no project was found, and why; the one account's where there are several."""

    region: str
    iam_endpoint: str
    account: str | None
    error: ListingError


async def find_projects(
    places: Sequence[ProjectRef], settings: ExportSettings, account: CredentialProvider
) -> tuple[list[tuple[str, str]], list[RegionWithoutProjects]]:
    """Region and project of every place, and the regions that show none."""
    async with open_session(settings.timeout, settings.ca_bundle) as session:
        whole, unseen = await _look_up(places, session, settings, account)
    return [(place.region, place.project_id or "") for place in whole], unseen


async def expand_projects(
    places: Sequence[ProjectRef], session: aiohttp.ClientSession, settings: ExportSettings, account: CredentialProvider
) -> list[ProjectRef]:
    """Every place with its project: a region's own project, and its sub-projects.

    Raises:
        ListingError: IAM does not tell the projects of a region.
    """
    found, unseen = await _look_up(places, session, settings, account)
    if unseen:
        raise unseen[0].error
    return found


async def _look_up(
    places: Sequence[ProjectRef], session: aiohttp.ClientSession, settings: ExportSettings, account: CredentialProvider
) -> tuple[list[ProjectRef], list[RegionWithoutProjects]]:
    """Every place with its project, and the regions without one. Who is refused once is not tried again."""
    found: list[ProjectRef] = []
    unseen: list[RegionWithoutProjects] = []
    refused: set[AccountSettings | None] = set()
    lists: dict[tuple[str, AccountSettings | None], dict[str, str]] = {}
    for place in places:
        if place.project_id is not None:
            found.append(place)
            continue
        own: list[str] = []
        before = len(unseen)
        owners: Sequence[AccountSettings | None] = settings.accounts_in(place.region) or (None,)
        for owner in owners:
            endpoint = _shown_endpoint(settings if owner is None else settings.for_account(owner), place.region)
            name = None if owner is None else owner.name
            if owner in refused:
                told = f"{place.region}: IAM is not asked, as the credential was refused before"
                unseen.append(
                    RegionWithoutProjects(place.region, endpoint, name, ListingError(told, ExitCode.CREDENTIALS))
                )
                continue
            try:
                own += await _projects_in(place.region, owner, session, settings, account, lists)
            except ListingError as error:
                unseen.append(RegionWithoutProjects(place.region, endpoint, name, error))
                if error.exit_code == ExitCode.CREDENTIALS:
                    refused.add(owner)
        if not own and len(unseen) == before:
            endpoint = _shown_endpoint(settings.for_scope(place.region, None), place.region)
            told = f"{place.region}: IAM at {endpoint} shows no project of this region"
            advice = "see how it is spelled, or give --project-id"
            unseen.append(RegionWithoutProjects(place.region, endpoint, None, ListingError(f"{told}: {advice}")))
        found += [ProjectRef(place.region, project_id) for project_id in own]
    return list(dict.fromkeys(found)), unseen


async def _projects_in(
    region: str,
    owner: AccountSettings | None,
    session: aiohttp.ClientSession,
    settings: ExportSettings,
    account: CredentialProvider,
    lists: dict[tuple[str, AccountSettings | None], dict[str, str]],
) -> list[str]:
    """The projects of a region that are an account's own; those that IAM shows, where the settings do not name them.

    IAM shows the projects of all regions: ``lists`` holds what each endpoint showed each account.
    """
    if owner is not None:
        if owner.projects and owner.regions == (region,):
            return list(owner.projects)
        account = select_account(account, owner.name)
    try:
        endpoint = (settings if owner is None else settings.for_account(owner)).iam_endpoint_for(region)
        projects = lists.get((endpoint, owner))
        if projects is None:
            projects = await list_projects(session, endpoint, account.iam_credential(session, region))
            lists[endpoint, owner] = projects
    except (CallError, UrnError) as error:
        told = f"{region}: its projects cannot be listed ({error}); --project-id names one"
        raise ListingError(told, error.exit_code) from None
    return [
        project_id
        for project_id, name in projects.items()
        if (name == region or name.startswith(f"{region}_")) and settings.account_of(region, project_id) is owner
    ]


def _shown_endpoint(settings: ExportSettings, region: str) -> str:
    """IAM's base URL of a region, for messages; "?" where the region cannot be part of it."""
    try:
        return settings.iam_endpoint_for(region)
    except UrnError:
        return "?"
