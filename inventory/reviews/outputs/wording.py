"""Words a finding for people: what, why, and what to copy."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.printable import printable

if TYPE_CHECKING:
    from inventory.reviews.rule import Rule

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:!-]+")
"""Names that are safe inside a block that a person copies."""
_MAX_EVIDENCE: Final = 300
_EVENTS: Final = {"on_success": "of successes", "on_failure": "of failures"}


class Wording(NamedTuple):
    """A finding in words; ``block`` is what a person copies, ``place`` has printable foreign text."""

    title: str
    place: str
    evidence: str
    why: str
    fix: str
    block: str


def describe(finding: dict[str, Any], rule: Rule) -> Wording:
    """Words one row of the table ``findings``; all texts are printable."""
    event = f", destination {_EVENTS.get(finding['event'], finding['event'])}" if finding["event"] else ""
    target = f", to {finding['target']}" if finding["target"] else ""
    return Wording(
        printable(rule.title),
        printable(f"{finding['subject']}{event}{target}"),
        evidence_text(finding),
        printable(" ".join(rule.why.split())),
        printable(" ".join(rule.fix.split())),
        block_of(finding, rule),
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


def block_of(finding: dict[str, Any], rule: Rule) -> str:
    """The rule's Terraform block with the finding's names, or the command that explains the rule."""
    if not rule.terraform.strip():
        return f"inventory rules {rule.id}"
    block = rule.terraform.strip("\n")
    for word, name in (("FUNCTION_URN", "subject"), ("PROJECT_ID", "project_id"), ("REGION", "region")):
        text = finding[name] or ""
        if _PLAIN.fullmatch(text):
            block = re.sub(rf"\b{word}\b", text, block)
    return "\n".join(printable(line) for line in block.splitlines())
