"""Combines and checks settings: TOML file, options, environment, earlier run."""

from __future__ import annotations

import difflib
import os
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from inventory.errors import SettingsError
from inventory.option import VARIABLE_PREFIX
from inventory.settings import (
    SEVERITIES,
    AccountSettings,
    ExportSettings,
    ReviewSettings,
)
from inventory.settings_sources.checks import check_settings

if TYPE_CHECKING:
    from collections.abc import Iterable
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
    settings = check_settings(
        _convert(document, ExportSettings, path), {names[key]: f"{path}: {key}" for key in document}
    )
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
        is_variable = os.environ.get(f"{VARIABLE_PREFIX}SETTINGS") == os.fspath(path)
        hint = f"correct {VARIABLE_PREFIX}SETTINGS" if is_variable else "name another settings file"
        raise SettingsError.from_os_error(path, "cannot be read", error, hint) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise SettingsError(f"{path} is no TOML: {error}; write lines such as max-workers = 64") from None
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
    return f"{match['key'] or 'the file'} must be {expected}, not {actual}; correct it there"
