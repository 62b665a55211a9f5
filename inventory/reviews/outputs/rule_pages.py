"""Explains review rules: a list of all, and a page of one."""

from __future__ import annotations

import difflib
import textwrap
from typing import TYPE_CHECKING, Any

from inventory.errors import UsageError
from inventory.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inventory.reviews.rule import Rule


def find_rule(rules: Mapping[str, Rule], name: str) -> Rule:
    """Finds a rule by its id, in any case, or by its name.

    Raises:
        UsageError: there is none; the message has the nearest id.
    """
    by_name = {**{rule.name: rule for rule in rules.values()}, **{rule.id: rule for rule in rules.values()}}
    rule = by_name.get(name) or by_name.get(name.upper())
    if rule is None:
        nearest = difflib.get_close_matches(name.upper(), rules, n=1, cutoff=0)
        raise UsageError(f"there is no rule {name!r}; the nearest is {nearest[0]}; inventory rules lists all")
    return rule


def list_text(rules: Mapping[str, Rule]) -> str:
    """One line a rule: id, severity, area, title, and what it needs beside the two tables of each run."""
    lines = []
    for rule in rules.values():
        extra = [name for name in rule.needs if name in ("function_facts", "aliases")]
        needs = f" (needs {', '.join(extra)})" if extra else ""
        lines.append(printable(f"{rule.id:<7} {'/'.join(_severities(rule)):<12} {rule.area:<12} {rule.title}{needs}"))
    return "\n".join([*lines, "", "inventory rules ID explains one."])


def page_text(rule: Rule, values: Mapping[str, Any], width: int) -> str:
    """The page of one rule.

    Args:
        rule: the rule.
        values: its parameters, as the settings file sets them.
        width: columns of the terminal.
    """
    return "\n".join(printable(line) for line in _page(rule, values, width))


def _page(rule: Rule, values: Mapping[str, Any], width: int) -> Iterator[str]:
    yield f"{rule.id} {rule.name}: {rule.title}"
    yield f"{'/'.join(_severities(rule))}, {rule.area}, judges each {_SUBJECTS[rule.subject]}"
    yield ""
    texts = {"Why": rule.why, "Fix": rule.fix, "Assumes": rule.assumes, "Example": rule.example}
    for label, text in texts.items():
        if text:
            yield from _wrapped(label, text, width)
    for label, block in (("Terraform", rule.terraform), ("Command", rule.command)):
        if block.strip():
            yield f"{label}:"
            yield from textwrap.indent(block.strip("\n"), "  ").splitlines()
    yield from _wrapped("Applies if", rule.applies, width)
    yield f"Needs: {', '.join(rule.needs)}"
    for name, parameter in rule.parameters.items():
        default = "" if values[name] == parameter.default else f" (default {parameter.default})"
        unit = f" {parameter.unit}" if parameter.unit else ""
        yield from _wrapped("Parameter", f"{name} = {values[name]}{unit}{default}: {parameter.meaning}", width)
    yield from _wrapped("Source", rule.source, width)


_SUBJECTS = {"urn": "URN", "destination": "destination of a URN", "function": "function", "cycle": "URN of a cycle"}


def _severities(rule: Rule) -> tuple[str, ...]:
    return rule.severities or (rule.severity,)


def _wrapped(label: str, text: str, width: int) -> list[str]:
    whole = f"{label}: {' '.join(text.split())}"
    return textwrap.wrap(whole, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
