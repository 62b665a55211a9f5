"""Checks the values of settings; the messages name them as the command line does."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from inventory.endpoints import check_endpoint, nearest_region
from inventory.errors import SettingsError, UrnError, UsageError
from inventory.proxies import is_loopback
from inventory.settings import (
    DEFAULT_ENDPOINT,
    DEFAULT_IAM_ENDPOINT,
    FORMATS,
    TRANSPORTS,
    AccountSettings,
    ExportSettings,
)
from inventory.settings_sources.run_options import declared_options
from inventory.urn import check_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PREFIX: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def check_settings(settings: ExportSettings, names: Mapping[str, str] | None = None) -> ExportSettings:
    """Returns the settings if every value can be used.

    Args:
        settings: the settings.
        names: what messages call a setting, by its field. Default: its option on the command line.

    Raises:
        SettingsError: a value cannot be used; the message names the setting.
    """
    labels = {**_option_names(), **(names or {})}
    _check_bounds(labels, settings)
    _check_endpoints(labels, settings)
    formats: Any = settings.format  # Python callers may give anything
    is_known = isinstance(formats, tuple | list) and bool(formats) and set(formats) <= set(FORMATS)
    _check(is_known, labels["format"], formats, "parquet, csv or both")
    _check(settings.transport in TRANSPORTS, labels["transport"], settings.transport, "auto, direct or session")
    check_scope_fields([settings.region], [settings.project_id], labels)
    settings.zone(labels["naive_timezone"])
    for region, endpoint in settings.region_endpoints.items():
        check_endpoint(f"the endpoint of {region}", endpoint, DEFAULT_ENDPOINT)
    for account in settings.accounts:
        _check_account(account)
    counts = Counter(account.name for account in settings.accounts)
    repeated = [name for name, count in counts.items() if count > 1]
    _check(not repeated, "accounts: the name", ", ".join(repeated), "each a name of its own")
    return settings


def check_scope_fields(
    regions: Iterable[str | None], project_ids: Iterable[str | None], names: Mapping[str, str] | None = None
) -> None:
    """Checks that regions and project ids can be fields of a URN; None is no value.

    Raises:
        SettingsError: one cannot; the message names its option, or what ``names`` has.
    """
    labels = names or _option_names()
    for name, values in (("region", regions), ("project_id", project_ids)):
        for value in values:
            _check(value is None or _is_field(value), labels[name], repr(value), "one as it stands in a URN")


def check_regions(settings: ExportSettings, regions: Iterable[str | None], name: str = "--region") -> None:
    """Refuses misspelt regions of Huawei Cloud; another cloud, with endpoints of its own, may have any.

    Raises:
        SettingsError: a region is misspelt; the message has the nearest.
    """
    for region in filter(None, regions):
        if settings.for_scope(region, None).endpoint != DEFAULT_ENDPOINT or region in settings.region_endpoints:
            continue
        if (nearest := nearest_region(region)) is not None:
            raise SettingsError(
                f"{name} {region!r} is no region of Huawei Cloud (did you mean {nearest}?); give that one, or the "
                "--endpoint of another cloud"
            )


def _option_names() -> dict[str, str]:
    return {declared.name: f"--{declared.name.replace('_', '-')}" for declared in declared_options().values()}


def _check(fits: bool, name: str, value: object, expected: str) -> None:  # noqa: FBT001 - the condition is the message's subject
    if not fits:
        raise SettingsError(f"{name} {value} cannot be used; give {expected}")


def _is_field(text: str) -> bool:
    try:
        check_field(text, "")
    except UrnError:
        return False
    return True


def _check_bounds(labels: Mapping[str, str], settings: ExportSettings | AccountSettings) -> None:
    for declared in declared_options().values():
        bounds, value = declared.option.bounds, getattr(settings, declared.name, None)
        if bounds is not None and value is not None:
            _check(bounds.hold(value), labels[declared.name], value, bounds.text)


def _check_endpoints(labels: Mapping[str, str], settings: ExportSettings | AccountSettings) -> None:
    for name, endpoint, default in (
        ("endpoint", settings.endpoint, DEFAULT_ENDPOINT),
        ("iam_endpoint", settings.iam_endpoint, DEFAULT_IAM_ENDPOINT),
    ):
        if endpoint is not None:
            check_endpoint(labels[name], endpoint, default)


def _check_account(account: AccountSettings) -> None:
    place = f"account {account.name!r}:"
    prefix = account.environment
    _check(prefix is None or bool(_PREFIX.fullmatch(prefix)), f"{place} environment", prefix, "a word such as PROD")
    sources = sum(source is not None for source in (account.environment, account.profile, account.token_file))
    _check(sources <= 1, f"{place} {sources} sources of a credential", "", "one of environment, profile and token-file")
    labels = {name: f"{place} {option.removeprefix('--')}" for name, option in _option_names().items()}
    _check_bounds(labels, account)
    _check_endpoints(labels, account)


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
                raise UsageError(f"--resume cannot be combined with --{other.replace('_', '-')}; give one of them")
        if options.get("output") is None:
            raise UsageError("--resume needs --output; give --output with the folder of the run")
    if options.get("all"):
        if has_source:
            raise UsageError("--all finds the list itself; give it without a list")
        if options.get("dry_run"):
            raise UsageError("--all needs calls, and --dry-run makes none; write a list with discover")
    elif options.get("versions") or options.get("aliases"):
        raise UsageError("--versions and --aliases need --all; a list says itself which URNs to export")
