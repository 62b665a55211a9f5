"""Combines and checks settings: TOML file, options, environment, earlier run."""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from inventory.certificates import create_ssl_context
from inventory.endpoints import IAM_VARIABLE, check_endpoint, sdk_endpoints
from inventory.errors import SettingsError, UrnError, UsageError
from inventory.proxies import check_proxies, is_loopback
from inventory.settings import (
    ACCOUNT_OVERRIDES,
    DEFAULT_ENDPOINT,
    DEFAULT_IAM_ENDPOINT,
    FORMATS,
    SEVERITIES,
    AccountSettings,
    ExportSettings,
    ReviewSettings,
    declared_options,
    mark_explicit_endpoints,
)
from inventory.urn import check_field
from inventory.user_paths import expand_user, home_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

T = TypeVar("T")

_REVIEW_KEYS: Final = tuple(field.encode_name for field in msgspec.structs.fields(ReviewSettings))
_MISMATCH: Final = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<actual>[^`]+)`(?: - at `\$\.?(?P<key>.*)`)?")
_TOML_TYPES: Final = {
    "array": "an array",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "str": "a text",
}
_MAX_SIZE: Final = 4_000_000
"""Bytes of a settings file; a device may have no end."""
_PREFIX: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def load_settings(path: Path) -> dict[str, Any]:
    """Reads the options of an export from a TOML settings file, as keyword arguments of :class:`ExportSettings`.

    Raises:
        SettingsError: it cannot be read, is no TOML, or has an unknown key or a value of another type.
    """
    document = {key: value for key, value in _read_toml(path).items() if key not in _REVIEW_KEYS}
    names = {field.encode_name: field.name for field in msgspec.structs.fields(ExportSettings)}
    accounts = document.get("accounts")
    for account in accounts if isinstance(accounts, list) else ():
        if isinstance(account, dict):
            known = (field.encode_name for field in msgspec.structs.fields(AccountSettings))
            _check_keys(account, known, f"{path}: account {account.get('name')!r}")
    settings = _convert(document, ExportSettings, path)
    return {names[key]: getattr(settings, names[key]) for key in document}


def load_review_settings(path: Path) -> ReviewSettings:
    """Reads the sections of a review from a TOML settings file.

    Raises:
        SettingsError: as :func:`load_settings`; or a suppression has neither ``finding`` nor ``rule`` and ``subjects``.
    """
    document = _read_toml(path)
    settings = _convert({key: value for key, value in document.items() if key in _REVIEW_KEYS}, ReviewSettings, path)
    for number, suppression in enumerate(settings.suppress, 1):
        place = f"{path}: [[suppress]] number {number}"
        by_rule = suppression.rule is not None and bool(suppression.subjects)
        has_part = suppression.rule is not None or bool(suppression.subjects)
        if by_rule == (suppression.finding is not None) or (has_part and not by_rule):
            raise SettingsError(f"{place} needs rule and subjects, or finding")
        for name in ("reason", "by"):
            if not getattr(suppression, name).strip():
                raise SettingsError(f"{place}: {name} is empty")
    for name, rule in settings.rules.items():
        if not isinstance(rule.get("enabled", True), bool):
            raise SettingsError(f"{path}: [rules.{name}] enabled is {rule['enabled']!r}; it must be true or false")
        if rule.get("severity", SEVERITIES[0]) not in SEVERITIES:
            raise SettingsError(
                f"{path}: [rules.{name}] severity is {rule['severity']!r}; it must be one of {', '.join(SEVERITIES)}"
            )
    return settings


def _read_toml(path: Path) -> dict[str, Any]:
    """Reads a settings file, and checks that each key is a setting of some command."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SIZE + 1)
        if len(content) > _MAX_SIZE:
            raise SettingsError(f"{path} is no settings file: it has over {_MAX_SIZE:,} bytes")
        document: dict[str, Any] = msgspec.toml.decode(content)
    except OSError as error:
        raise SettingsError.from_os_error(path, "cannot be read", error) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise SettingsError(f"{path} is no TOML: {error}") from None
    export = [field.encode_name for field in msgspec.structs.fields(ExportSettings)]
    _check_keys(document, [*export, *_REVIEW_KEYS], str(path))
    return document


def _check_keys(document: dict[str, Any], names: Iterable[str], place: str) -> None:
    known = list(names)
    for key in document:
        if key not in known:
            nearest = difflib.get_close_matches(key.replace("_", "-"), known, n=1, cutoff=0)
            raise SettingsError(f"{place} has the key {key!r}, which is no setting; the nearest is {nearest[0]!r}")


def _convert(document: dict[str, Any], cls: type[T], path: Path) -> T:
    try:
        return msgspec.convert(document, cls)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {_describe_mismatch(str(error))}") from None


def _describe_mismatch(text: str) -> str:
    """The wrong type of a value, in words of TOML; any other text stays."""
    if (match := _MISMATCH.fullmatch(text)) is None:
        return text
    expected, actual = (
        " or ".join(_TOML_TYPES.get(name, name) for name in names.split(" | ") if name != "null")
        for names in match.group("expected", "actual")
    )
    return f"{match['key'] or 'the file'} must be {expected}, not {actual}"


def combine(path: Path | None, options: dict[str, Any], earlier: ExportSettings | None = None) -> ExportSettings:
    """Combines the settings of a resumed run, a settings file and the options; the later wins.

    Args:
        path: the settings file.
        options: values by the names of :class:`ExportSettings`; None where an option is not given.
        earlier: the settings that a resumed run started with.

    Raises:
        SettingsError: a value, or a proxy of the environment, cannot be used.
    """
    check_proxies()
    before = {} if earlier is None else msgspec.structs.asdict(earlier)
    file = {} if path is None else load_settings(path)
    if "region_endpoints" not in file:  # endpoints of single regions win over the default endpoint
        file = mark_explicit_endpoints(file)
    chosen = {name: value for name, value in options.items() if value is not None}
    if earlier is None and "region_endpoints" not in file:
        chosen["region_endpoints"] = sdk_endpoints(os.environ, home_folder())
    if "iam_endpoint" not in {**before, **file} and os.environ.get(IAM_VARIABLE):
        chosen.setdefault("iam_endpoint", os.environ[IAM_VARIABLE])
    settings = ExportSettings(**{**before, **file, **mark_explicit_endpoints(chosen)})
    if settings.ca_bundle is not None:
        settings = msgspec.structs.replace(settings, ca_bundle=expand_user(settings.ca_bundle))
    create_ssl_context(settings.ca_bundle, os.environ)  # an unreadable bundle is reported before any call
    if settings.accounts and options.get("token_file") is not None:
        raise SettingsError(
            "--token-file holds the token of one account, and the settings file has several: name it there, as "
            "token-file"
        )
    return check_settings(_override_accounts(settings, options))


def _override_accounts(settings: ExportSettings, options: dict[str, Any]) -> ExportSettings:
    """Removes the overrides of the accounts where the command line has the option."""
    none = dict.fromkeys(name for name in ACCOUNT_OVERRIDES if options.get(name) is not None)
    return msgspec.structs.replace(
        settings, accounts=tuple(msgspec.structs.replace(account, **none) for account in settings.accounts)
    )


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


def restore(document: dict[str, Any] | None) -> ExportSettings | None:
    """The settings that :func:`describe` returned as plain values."""
    return None if document is None else msgspec.convert(document, ExportSettings)


def describe(settings: ExportSettings) -> dict[str, Any]:
    """The settings as plain values, for the ledger and the manifest."""
    plain: dict[str, Any] = {
        name: os.fsencode(value).decode("utf-8", "backslashreplace") if isinstance(value, str) else value
        for name, value in msgspec.structs.asdict(settings).items()
    }
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(ExportSettings(**plain)))
    return document


def described_value(document: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - as the option has it
    """The value of an option in what :func:`describe` returned; its default, if an older version did not know it."""
    field = _field(name)
    return document.get(field.encode_name, field.default)


def described_part(settings: ExportSettings, names: Iterable[str]) -> dict[str, Any]:
    """What :func:`describe` says of some options."""
    document = describe(settings)
    return {key: document[key] for key in (_field(name).encode_name for name in names)}


def _field(name: str) -> msgspec.structs.FieldInfo:
    return next(field for field in msgspec.structs.fields(ExportSettings) if field.name == name)


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


def chosen_settings(options: Mapping[str, Any], *, several: bool = False) -> dict[str, Any]:
    """The settings among the options of a command or of ``inventory.export``, as :class:`ExportSettings` holds them.

    Args:
        options: values by keyword; those not given are absent.
        several: whether ``region`` and ``project_id`` may have several values, which are then no setting.

    Raises:
        UsageError: one has several values where only one is possible.
    """
    chosen: dict[str, Any] = {}
    for declared in declared_options().values():
        if not declared.is_setting or declared.keyword not in options:
            continue
        value = options[declared.keyword]
        if declared.keyword != declared.name:
            chosen[declared.name] = not value
        elif declared.option.is_repeatable:
            values = tuple(dict.fromkeys([value] if isinstance(value, str) else map(str, value)))
            if declared.name == "format":
                chosen[declared.name] = values
            elif len(values) == 1:
                chosen[declared.name] = values[0]
            elif not several:
                raise UsageError(f"--{declared.name.replace('_', '-')} has {len(values)} values: several go with --all")
        else:
            chosen[declared.name] = os.fspath(value) if declared.option.is_path else value
    return chosen
