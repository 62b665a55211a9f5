"""Words a finding for people: what, why, and what to copy."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from inventory.printable import printable, shell_word

if TYPE_CHECKING:
    from inventory.reviews.rule import Rule

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:!-]+")
"""Names that are safe inside a block that a person copies."""
_WORD: Final = re.compile(r"\b[A-Z][A-Z0-9_]*\b")
_OBS: Final = re.compile(r"obs://(?P<bucket>[^/]+)/(?P<prefix>.*)", re.DOTALL)
_COLUMNS: Final = ("event", "target", "region", "project_id", "package", "function_name", "qualifier")
_MAX_EVIDENCE: Final = 300
Language: TypeAlias = Literal["hcl", "bash"]
_EVENTS: Final = {"on_success": "of successes", "on_failure": "of failures"}


class Ask(NamedTuple):
    """How an unknown verdict becomes known."""

    fix: str
    command: str


_LIST: Final = "inventory export --all --versions --aliases --region REGION --project-id PROJECT_ID --output DIR"
_AGAIN: Final = Ask("Ask again for the URNs without an answer.", "inventory export --resume --output RUN")
_LISTED: Final = Ask("Export with --all: the listing has functions, versions, aliases and facts.", _LIST)
_LOOK: Final = "The answer lacks the value: look at the function in the console."
ASKS: Final = {
    "not_answered": _AGAIN,
    "not_attempted": _AGAIN,
    "not_stated": Ask(_LOOK, ""),
    "default_unknown": Ask(
        "Choose the default that applies, in [review.defaults] of a settings file.",
        "inventory review RUN --settings inventory.toml",
    ),
    "param_unreadable": Ask("Correct param of the destination.", "inventory rules FGA116"),
    "not_listed": _LISTED,
    "alias_unresolved": _LISTED,
    "existence_unknown": _LISTED,
    "facts_missing": _LISTED,
}
"""By ``why_unknown``."""


class Wording(NamedTuple):
    """A finding in words; ``block`` is what a person copies, ``place`` has printable foreign text."""

    title: str
    place: str
    evidence: str
    why: str
    fix: str
    block: Block


def describe(finding: dict[str, Any], rule: Rule, run: str = "") -> Wording:
    """Words one row of the table ``findings``; all texts are printable."""
    event = f", destination {_EVENTS.get(finding['event'], finding['event'])}" if finding["event"] else ""
    target = f", to {finding['target']}" if finding["target"] else ""
    return Wording(
        printable(rule.title),
        printable(f"{finding['subject']}{event}{target}"),
        evidence_text(finding),
        printable(" ".join(rule.why.split())),
        printable(" ".join((ASKS[finding["why_unknown"]].fix if is_unknown(finding) else rule.fix).split())),
        block_of(finding, rule, run),
    )


def evidence_text(finding: dict[str, Any]) -> str:
    """The evidence as ``name value`` pairs; of an unknown finding, why it is unknown."""
    if finding["verdict"] == "unknown":
        return f"not checked: {finding['why_unknown']}"
    values = json.loads(finding["evidence"]) if finding["evidence"] else {}
    if not isinstance(values, dict):
        return printable(str(values), _MAX_EVIDENCE)
    shown = ", ".join(f"{name} {_value(value)}" for name, value in values.items() if value is not None)
    return printable(shown, _MAX_EVIDENCE)


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Block(NamedTuple):
    """What a person copies: Terraform, or commands of a shell."""

    text: str
    language: Language


def block_of(finding: dict[str, Any], rule: Rule, run: str = "") -> Block:
    """The block of a finding, with its names, numbers and evidence; of an unknown one, what makes it known."""
    block = Block(ASKS[finding["why_unknown"]].command, "bash") if is_unknown(finding) else template_of(rule)
    if not block.text:
        return Block(explain_command(rule), "bash")
    values = _values(finding, run)
    text = _WORD.sub(lambda match: values.get(match[0].lower(), match[0]), block.text)
    return Block("\n".join(map(printable, text.splitlines())), block.language)


def template_of(rule: Rule) -> Block:
    """The block of a rule, with names in capitals."""
    if rule.terraform.strip():
        return Block(rule.terraform.strip("\n"), "hcl")
    return Block(rule.command.strip() or explain_command(rule), "bash")


def explain_command(rule: Rule) -> str:
    """The command that explains a rule."""
    folder = f" --rules {shell_word(rule.folder)}" if rule.folder else ""
    return f"inventory rules {rule.id}{folder}"


def is_unknown(finding: dict[str, Any]) -> bool:
    """Whether a finding could not be checked."""
    return bool(finding["verdict"] == "unknown")


def _values(finding: dict[str, Any], run: str) -> dict[str, str]:
    """Values that may be part of a block, by name."""
    values = json.loads(finding["evidence"]) if finding["evidence"] else {}
    names = {name: finding[name] for name in _COLUMNS} | {"function_urn": finding["subject"], "run": run}
    if place := _OBS.fullmatch(finding["target"] or ""):
        names |= place.groupdict()
    texts = {name: _to_text(value) for name, value in {**(values if isinstance(values, dict) else {}), **names}.items()}
    return {name: text for name, text in texts.items() if _PLAIN.fullmatch(text)}


def _to_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, bool | int | float) else ""
