"""Finds the projects of regions through IAM."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inventory.cloud.accounts import select_account
from inventory.cloud.transport import open_session
from inventory.errors import CallError, ExitCode, ListingError, UrnError, UsageError
from inventory.settings_sources.checks import check_regions, check_scope_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.cloud.accounts import CredentialProvider
    from inventory.cloud.transport import HttpSession
    from inventory.settings import AccountSettings, ExportSettings


class ProjectRef(NamedTuple):
    """A region and one of its projects; without an id, all projects that IAM lists."""

    region: str
    project_id: str | None = None


def select_projects(
    settings: ExportSettings, regions: Sequence[str] | None, projects: Sequence[str] | None
) -> list[ProjectRef]:
    """Returns the regions and projects of the arguments, else of the settings, else of the accounts.

    Raises:
        UsageError: no region is given, or projects are given for several regions.
        SettingsError: a region or project id is invalid in a URN.
    """
    account_regions = [region for account in settings.accounts for region in account.regions]
    regions = regions or ([settings.region] if settings.region else list(dict.fromkeys(account_regions)))
    projects = projects or ([settings.project_id] if settings.project_id else [])
    check_scope_fields(regions, projects)
    check_regions(settings, regions)
    if not regions:
        raise UsageError("--region is missing; name one, such as --region cn-north-4")
    if projects and len(regions) != 1:
        raise UsageError("--project-id needs exactly one --region; run the command once for each region")
    return [ProjectRef(region, project) for region in regions for project in projects or (None,)]


class RegionWithoutProjects(NamedTuple):
    """A region for which no project was found, with the reason; ``account`` is set if there are several."""

    region: str
    iam_endpoint: str
    account: str | None
    error: ListingError


async def find_projects(
    refs: Sequence[ProjectRef], settings: ExportSettings, account: CredentialProvider
) -> tuple[list[tuple[str, str]], list[RegionWithoutProjects]]:
    """Returns region and project id of every project, and the regions without projects."""
    async with open_session(settings.timeout, settings.ca_bundle, settings.transport) as session:
        projects, missing = await _look_up(refs, session, settings, account)
    return [(ref.region, ref.project_id or "") for ref in projects], missing


async def expand_projects(
    refs: Sequence[ProjectRef], session: HttpSession, settings: ExportSettings, account: CredentialProvider
) -> list[ProjectRef]:
    """Replaces each region by its own project and its sub-projects.

    Raises:
        ListingError: the projects of a region cannot be listed.

    Source: api-facts.md section 6.
    """
    projects, missing = await _look_up(refs, session, settings, account)
    if missing:
        raise missing[0].error
    return projects


async def _look_up(
    refs: Sequence[ProjectRef], session: HttpSession, settings: ExportSettings, account: CredentialProvider
) -> tuple[list[ProjectRef], list[RegionWithoutProjects]]:
    projects: list[ProjectRef] = []
    missing: list[RegionWithoutProjects] = []
    refused: set[AccountSettings | None] = set()
    cache: dict[tuple[str, AccountSettings | None], dict[str, str]] = {}
    for ref in refs:
        if ref.project_id is not None:
            projects.append(ref)
            continue
        project_ids: list[str] = []
        before = len(missing)
        owners: Sequence[AccountSettings | None] = settings.accounts_in(ref.region) or (None,)
        for owner in owners:
            endpoint = _describe_endpoint(settings if owner is None else settings.for_account(owner), ref.region)
            name = None if owner is None else owner.name
            if owner in refused:
                message = f"{ref.region}: IAM was not called, because it refused the credential before"
                missing.append(
                    RegionWithoutProjects(ref.region, endpoint, name, ListingError(message, ExitCode.CREDENTIALS))
                )
                continue
            try:
                project_ids += await _list_region(ref.region, owner, session, settings, account, cache)
            except ListingError as error:
                missing.append(RegionWithoutProjects(ref.region, endpoint, name, error))
                if error.exit_code == ExitCode.CREDENTIALS:
                    refused.add(owner)
        if not project_ids and len(missing) == before:
            endpoint = _describe_endpoint(settings.for_scope(ref.region, None), ref.region)
            message = f"{ref.region}: IAM at {endpoint} lists no project of this region"
            advice = "check the spelling or give --project-id"
            missing.append(RegionWithoutProjects(ref.region, endpoint, None, ListingError(f"{message}: {advice}")))
        projects += [ProjectRef(ref.region, project_id) for project_id in project_ids]
    return list(dict.fromkeys(projects)), missing


async def _list_region(
    region: str,
    owner: AccountSettings | None,
    session: HttpSession,
    settings: ExportSettings,
    account: CredentialProvider,
    cache: dict[tuple[str, AccountSettings | None], dict[str, str]],
) -> list[str]:
    if owner is not None:
        if owner.projects and owner.regions == (region,):
            return list(owner.projects)
        account = select_account(account, owner.name)
    try:
        endpoint = (settings if owner is None else settings.for_account(owner)).iam_endpoint_for(region)
        projects = cache.get((endpoint, owner))
        if projects is None:
            from inventory.cloud.iam import list_projects  # noqa: PLC0415 - only if a project must be looked up

            projects = await list_projects(session, endpoint, account.iam_credential(session, region))
            cache[endpoint, owner] = projects
    except (CallError, UrnError) as error:
        message = f"{region}: its projects cannot be listed ({error}); give --project-id"
        raise ListingError(message, error.exit_code) from None
    return [
        project_id
        for project_id, name in projects.items()
        if (name == region or name.startswith(f"{region}_")) and settings.account_of(region, project_id) is owner
    ]


def _describe_endpoint(settings: ExportSettings, region: str) -> str:
    try:
        return settings.iam_endpoint_for(region)
    except UrnError:
        return "?"
