"""Combines settings of an earlier run, a file, the environment and options."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from inventory.certificates import create_ssl_context
from inventory.endpoints import IAM_VARIABLE, sdk_endpoints
from inventory.errors import SettingsError, UsageError
from inventory.proxies import check_proxies
from inventory.settings import ACCOUNT_OVERRIDES, ExportSettings, mark_explicit_endpoints
from inventory.settings_sources.checks import check_regions, check_settings
from inventory.settings_sources.environment import load_environment
from inventory.settings_sources.run_options import declared_options
from inventory.settings_sources.toml_file import load_settings
from inventory.user_paths import expand_user, home_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def combine(path: Path | None, options: dict[str, Any], earlier: ExportSettings | None = None) -> ExportSettings:
    """Combines the settings of a resumed run, a settings file, the environment and the options; the later wins.

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
    variables = load_environment(os.environ)
    given = variables | {name: value for name, value in options.items() if value is not None}
    chosen = dict(given)
    if earlier is None and "region_endpoints" not in file:
        chosen["region_endpoints"] = sdk_endpoints(os.environ, home_folder())
    if "iam_endpoint" not in {**before, **file} and os.environ.get(IAM_VARIABLE):
        chosen.setdefault("iam_endpoint", os.environ[IAM_VARIABLE])
    settings = ExportSettings(**{**before, **file, **mark_explicit_endpoints(chosen)})
    if settings.ca_bundle is not None:
        settings = msgspec.structs.replace(settings, ca_bundle=expand_user(settings.ca_bundle))
    name = _name_of("ca_bundle", options, variables)
    if settings.ca_bundle is not None or not settings.endpoint.startswith("http:"):
        create_ssl_context(settings.ca_bundle, os.environ, name)  # an unreadable bundle is reported before any call
    if settings.accounts and "token_file" in given:
        raise SettingsError(
            f"{_name_of('token_file', options, variables)} holds the token of one account, and the settings file has "
            "several: name it there, as token-file"
        )
    settings = check_settings(_override_accounts(settings, given))
    check_regions(settings, [settings.region], _name_of("region", options, variables))
    return settings


def _name_of(field: str, options: Mapping[str, Any], variables: Mapping[str, Any]) -> str:
    """What a message calls a setting: its variable, if that decides, else its option."""
    declared = declared_options()[field]
    is_variable = field in variables and options.get(field) is None
    return str(declared.variable) if is_variable else f"--{declared.command_line_name}"


def _override_accounts(settings: ExportSettings, options: dict[str, Any]) -> ExportSettings:
    """Removes the overrides of the accounts where the command line or the environment has the option."""
    none = dict.fromkeys(name for name in ACCOUNT_OVERRIDES if options.get(name) is not None)
    return msgspec.structs.replace(
        settings, accounts=tuple(msgspec.structs.replace(account, **none) for account in settings.accounts)
    )


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
