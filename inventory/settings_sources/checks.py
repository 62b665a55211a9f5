"""Checks the values of settings; the messages name them as the command line does."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from inventory.endpoints import check_endpoint
from inventory.errors import SettingsError, UrnError, UsageError
from inventory.proxies import is_loopback
from inventory.settings import DEFAULT_ENDPOINT, DEFAULT_IAM_ENDPOINT, FORMATS, AccountSettings, ExportSettings
from inventory.settings_sources.run_options import declared_options
from inventory.urn import check_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PREFIX: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def check_settings(settings: ExportSettings) -> ExportSettings:
    """Returns the settings if every value can be used.

    Raises:
        SettingsError: one cannot; the message names it as the command line does.
    """
    _check_bounds("--", settings)
    _check_endpoints("--", settings)
    formats: Any = settings.format  # Python callers may give anything
    is_known = isinstance(formats, tuple | list) and bool(formats) and set(formats) <= set(FORMATS)
    _check(is_known, "--format", formats, "parquet, csv or both")
    check_scope_fields([settings.region], [settings.project_id])
    settings.zone()
    for region, endpoint in settings.region_endpoints.items():
        check_endpoint(f"the endpoint of {region}", endpoint, DEFAULT_ENDPOINT)
    for account in settings.accounts:
        _check_account(account)
    names = Counter(account.name for account in settings.accounts)
    repeated = [name for name, count in names.items() if count > 1]
    _check(not repeated, "accounts: the name", ", ".join(repeated), "each a name of its own")
    return settings


def check_scope_fields(regions: Iterable[str | None], project_ids: Iterable[str | None]) -> None:
    """Checks that regions and project ids can be fields of a URN; None is no value.

    Raises:
        SettingsError: one cannot; the message names its option.
    """
    for name, values in (("--region", regions), ("--project-id", project_ids)):
        for value in values:
            _check(value is None or _is_field(value), name, repr(value), "one as it stands in a URN")


def _check(fits: bool, name: str, value: object, expected: str) -> None:  # noqa: FBT001 - the condition is the message's subject
    if not fits:
        raise SettingsError(f"{name} {value} cannot be used; give {expected}")


def _is_field(text: str) -> bool:
    try:
        check_field(text, "")
    except UrnError:
        return False
    return True


def _check_bounds(prefix: str, settings: ExportSettings | AccountSettings) -> None:
    for declared in declared_options().values():
        bounds, value = declared.option.bounds, getattr(settings, declared.name, None)
        if bounds is not None and value is not None:
            name = f"{prefix}{declared.name.replace('_', '-')}"
            _check(bounds.hold(value), name, value, bounds.text)


def _check_endpoints(prefix: str, settings: ExportSettings | AccountSettings) -> None:
    for name, endpoint, default in (
        ("endpoint", settings.endpoint, DEFAULT_ENDPOINT),
        ("iam-endpoint", settings.iam_endpoint, DEFAULT_IAM_ENDPOINT),
    ):
        if endpoint is not None:
            check_endpoint(f"{prefix}{name}", endpoint, default)


def _check_account(account: AccountSettings) -> None:
    place = f"account {account.name!r}:"
    prefix = account.environment
    _check(prefix is None or bool(_PREFIX.fullmatch(prefix)), f"{place} environment", prefix, "a word such as PROD")
    sources = sum(source is not None for source in (account.environment, account.profile, account.token_file))
    _check(sources <= 1, f"{place} {sources} sources of a credential", "", "one of environment, profile and token-file")
    _check_bounds(f"{place} ", account)
    _check_endpoints(f"{place} ", account)


def plain_http_warnings(settings: ExportSettings) -> list[str]:
    """One warning for each remote host that a credential is sent to without TLS."""
    endpoints = [settings.endpoint, settings.iam_endpoint]
    endpoints += settings.region_endpoints.values() if settings.endpoint == DEFAULT_ENDPOINT else ()
    for account in settings.accounts:
        endpoints += filter(None, (account.endpoint, account.iam_endpoint))
    urls = [urlsplit(endpoint) for endpoint in endpoints]
    hosts = dict.fromkeys(url.hostname or "" for url in urls if url.scheme == "http")
    return [
        f"warning: the credential goes to {host} over plain http, which others on the way can read; use https"
        for host in hosts
        if not is_loopback(host)
    ]


def check_combination(options: Mapping[str, Any], *, has_source: bool) -> None:
    """Checks that the options of an export can be combined.

    Raises:
        UsageError: they cannot.
    """
    if options.get("resume"):
        for other in ("overwrite", "dry_run"):
            if options.get(other):
                raise UsageError(f"--resume cannot be combined with --{other.replace('_', '-')}: give one of them")
        if options.get("output") is None:
            raise UsageError("--resume needs --output with the folder of the run")
    if options.get("all"):
        if has_source:
            raise UsageError("--all finds the list itself: give it without a list")
        if options.get("dry_run"):
            raise UsageError("--all needs calls, and --dry-run makes none: write a list with discover")
    elif options.get("versions") or options.get("aliases"):
        raise UsageError("--versions and --aliases need --all; a list says itself which URNs to export")
