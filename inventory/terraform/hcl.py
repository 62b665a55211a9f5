"""Writes HCL: strings, `jsonencode`, blocks, comments."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from inventory.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Body: TypeAlias = "dict[str, str | dict[str, str]]"
"""Arguments of a block by name: an expression, or the arguments of a nested block."""

_ESCAPED: Final = re.compile(r'["\\]|[$%](?=\{)|[^\x20-\x7e]')
_SHORT: Final = {'"': r"\"", "\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
_LAST_OF_FOUR_DIGITS: Final = 0xFFFF
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_IDENTIFIER: Final = re.compile(r"(?!(?:for|true|false|null)\Z)[A-Za-z_][A-Za-z0-9_]*\Z")
# Go's JSON differs from Python's in <, >, & and in most escapes.
_SAME_IN_GO: Final = re.compile(r'(?:[^\\<>&\x00-\x1f\x7f\u2028\u2029]|\\["\\])*\Z')
_MAX_JSON: Final = 10_000
_MAX_EXACT: Final = 2**53


class InexpressibleError(Exception):
    """HCL or the provider cannot express a value; the text is the reason."""


def quote(text: str) -> str:
    r"""Returns a quoted string that Terraform reads as exactly this text.

    ``${`` and ``%{`` are written as ``\u0024{`` and ``\u0025{``: ``$${`` is ambiguous after another ``$``.

    Raises:
        InexpressibleError: Terraform would read another text.
    """
    if not text.isascii():
        if _SURROGATE.search(text):
            raise InexpressibleError("a text with half of a character (a lone surrogate)")
        if not unicodedata.is_normalized("NFC", text):
            raise InexpressibleError("a text that is not in Unicode form NFC, which Terraform changes")
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in _SHORT:
        return _SHORT[character]
    if not character.isascii() and printable(character) == character:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= _LAST_OF_FOUR_DIGITS else f"\\U{code:08x}"


def json_expression(text: str) -> str:
    """Returns an expression for a JSON text: ``jsonencode`` where it gives exactly this text, else a quoted string.

    Raises:
        InexpressibleError: Terraform would read another text.
    """
    if len(text) <= _MAX_JSON and _SAME_IN_GO.match(text):
        try:
            value = json.loads(text)
            is_same = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False) == text
            if isinstance(value, dict) and is_same and _has_exact_numbers(value):
                return f"jsonencode({_expression(value)})"
        except (ValueError, RecursionError):
            pass
    return quote(text)


def _has_exact_numbers(value: object) -> bool:
    if isinstance(value, dict | list):
        return all(map(_has_exact_numbers, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) and (not isinstance(value, int) or abs(value) <= _MAX_EXACT)


def _expression(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_expression, value))}]"
    if isinstance(value, dict):
        pairs = (f"{name if _IDENTIFIER.match(name) else quote(name)} = {_expression(value[name])}" for name in value)
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    return json.dumps(value)


def block(head: str, body: Body) -> list[str]:
    """Returns the lines of a block, formatted as ``terraform fmt`` does."""
    attributes = {name: value for name, value in body.items() if isinstance(value, str)}
    lines = [f"{head} {{", *_attributes(attributes)]
    for name, value in body.items():
        if isinstance(value, dict):
            lines += ["", *(f"  {line}" for line in block(name, dict(value)))]
    return [*lines, "}"]


def _attributes(attributes: Mapping[str, str]) -> Iterable[str]:
    width = max(map(len, attributes), default=0)
    return (f"  {name.ljust(width)} = {value}" for name, value in attributes.items())


def comment(lines: Iterable[str]) -> list[str]:
    """Returns lines of a comment; foreign text is printable, so that no line ends early."""
    return [f"# {printable(line)}".rstrip() for line in lines]
