"""Reads settings from the variables ``INVENTORY_*`` of the environment."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final, get_origin

import msgspec

from inventory.errors import SettingsError
from inventory.option import VARIABLE_PREFIX
from inventory.settings import ExportSettings
from inventory.settings_sources.checks import check_settings
from inventory.settings_sources.run_options import declared_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from inventory.option import DeclaredOption

_BOOLEANS: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_EXPECTED: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}
_SIMILARITY: Final = 0.75


def load_environment(environment: Mapping[str, str], names: Iterable[str] | None = None) -> dict[str, Any]:
    """The settings that variables set, as keyword arguments of :class:`ExportSettings`; an empty variable sets none.

    Args:
        environment: environment variables.
        names: names of settings to read. Default: all.

    Raises:
        SettingsError: a value cannot be used; the message names its variable.
    """
    wanted = None if names is None else set(names)
    values: dict[str, Any] = {}
    variables: dict[str, str] = {}
    for declared in declared_options().values():
        text = environment.get(declared.variable or "", "").strip()
        if declared.is_setting and text and (wanted is None or declared.name in wanted):
            value = _convert(declared, text)
            values[declared.name] = not value if declared.is_negated else value
            variables[declared.name] = str(declared.variable)
    check_settings(ExportSettings(**values), variables)
    return values


def _convert(declared: DeclaredOption, text: str) -> Any:  # noqa: ANN401 - as the option has it
    """The value of a text; the values of a list are separated by commas."""
    is_list = get_origin(declared.kind) is tuple
    value: Any = text
    if declared.kind is bool:
        value = _BOOLEANS.get(text.lower())
    elif is_list:
        value = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    try:
        return msgspec.convert(value, declared.kind, strict=False)
    except msgspec.ValidationError:
        expected = " or ".join(declared.choices) or _EXPECTED[declared.kind]
        several = ", separated by commas" if is_list else ""
        raise SettingsError(f"{declared.variable} {text!r} cannot be used; give {expected}{several}") from None


def variable_warnings(environment: Mapping[str, str]) -> list[str]:
    """One warning for each variable that looks like a setting, and sets none."""
    names = [name for name, value in environment.items() if name.startswith(VARIABLE_PREFIX) and value]
    options = declared_options().values() if names else ()
    known = {declared.variable for declared in options}
    others = {declared.command_line_variable: declared.command_line_name for declared in options}
    messages = []
    for name in sorted(set(names) - known):
        if name in others:
            messages.append(
                f"warning: {name} sets nothing, because --{others[name]} belongs to one command; give it there"
            )
        elif nearest := difflib.get_close_matches(name.removeprefix(VARIABLE_PREFIX), _suffixes(known), 1, _SIMILARITY):
            messages.append(f"warning: {name} is no setting; the nearest is {VARIABLE_PREFIX}{nearest[0]}")
    return messages


def _suffixes(variables: Iterable[str | None]) -> list[str]:
    return [name.removeprefix(VARIABLE_PREFIX) for name in variables if name is not None]
