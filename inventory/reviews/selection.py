"""Selects the rules of a review, and applies the settings file to them."""

from __future__ import annotations

import difflib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from inventory.errors import SettingsError, UsageError
from inventory.reviews.rule import load_builtin_rules, load_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from inventory.reviews.rule import Rule
    from inventory.settings import ReviewSettings

_KEYS = ("enabled", "severity")
_ALLOWED_REGIONS = "allowed_regions"


class SelectedRules(NamedTuple):
    """The rules that run.

    Attributes:
        rules: by id.
        parameters: changed parameters, by rule id.
        own: ids of the user's rules.
        known: ids of all rules, also of those that do not run.
    """

    rules: dict[str, Rule]
    parameters: dict[str, dict[str, Any]]
    own: frozenset[str]
    known: frozenset[str]


def select_rules(settings: ReviewSettings, folder: Path | None, only: Sequence[str] = ()) -> SelectedRules:
    """Selects rules.

    Args:
        settings: sections of the settings file.
        folder: of the user's rules.
        only: ids, or patterns with ``*``; a rule that they name runs although the settings file disables it.

    Raises:
        UsageError: a rule is invalid, an id is unknown or repeated, or no rule is left.
        OutputError: the folder cannot be read.
    """
    rules, own = _load(settings, folder)
    if only:
        chosen = _named(only, rules)
    else:
        chosen = [name for name in rules if settings.rules.get(name, {}).get("enabled", True)]
    if not chosen:
        raise UsageError("no rule is left to run: the settings file disables all")
    return _selected(rules, chosen, own, settings)


def all_rules(settings: ReviewSettings, folder: Path | None) -> SelectedRules:
    """All rules, also the disabled ones.

    Raises:
        UsageError: a rule is invalid, or an id is unknown or repeated.
        OutputError: the folder cannot be read.
    """
    rules, own = _load(settings, folder)
    return _selected(rules, list(rules), own, settings)


def _load(settings: ReviewSettings, folder: Path | None) -> tuple[dict[str, Rule], frozenset[str]]:
    builtin = load_builtin_rules()
    own = {} if folder is None else load_rules(folder)
    for name in builtin.keys() & own.keys():
        raise UsageError(f"{own[name].origin}: the id {name} is that of a rule of inventory; choose another id")
    rules = {**builtin, **own}
    for name in settings.rules:
        if name not in rules:
            raise SettingsError(f"[rules.{name}]: {_unknown(name, rules)}")
    return rules, frozenset(own)


def _selected(
    rules: dict[str, Rule], chosen: Sequence[str], own: frozenset[str], settings: ReviewSettings
) -> SelectedRules:
    return SelectedRules(
        {name: _changed(rules[name], settings) for name in sorted(chosen)},
        {name: _parameters(rules[name], settings) for name in chosen},
        own,
        frozenset(rules),
    )


def _named(patterns: Iterable[str], rules: dict[str, Rule]) -> list[str]:
    chosen: set[str] = set()
    for pattern in (part.strip() for text in patterns for part in text.split(",")):
        matches = {name for name in rules if fnmatchcase(name, pattern.upper())}
        if not matches:
            raise UsageError(f"--only {pattern!r}: {_unknown(pattern, rules)}")
        chosen |= matches
    return list(chosen)


def _unknown(name: str, rules: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name.upper(), list(rules), n=1, cutoff=0)
    return f"there is no such rule; the nearest is {nearest[0]}, and inventory rules lists all"


def _changed(rule: Rule, settings: ReviewSettings) -> Rule:
    severity = settings.rules.get(rule.id, {}).get("severity")
    return rule if severity is None else rule.with_severity(severity)


def _parameters(rule: Rule, settings: ReviewSettings) -> dict[str, Any]:
    values = {name: value for name, value in settings.rules.get(rule.id, {}).items() if name not in _KEYS}
    if settings.review.allowed_regions and _ALLOWED_REGIONS in rule.parameters:
        values.setdefault(_ALLOWED_REGIONS, list(settings.review.allowed_regions))
    return values
