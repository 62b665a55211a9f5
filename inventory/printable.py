"""Text from lists, cloud, files and environment, escaped for a terminal."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt that str.isprintable() accepts.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
_REPEATED: Final = re.compile(r"^(\S.{2,200}?)(?: \1)+(?!\S)")


def printable(text: str, maximum: int | None = None) -> str:
    """Returns a text as one line of printable characters; all others are escaped as in Python.

    Escaping twice changes nothing more.

    Args:
        text: any text.
        maximum: maximum number of characters; a truncated text ends in " ...".
    """
    if not (text.isprintable() and (text.isascii() or not _INVISIBLE.search(text))):
        text = "".join(char if _is_shown(char) else ascii(char)[1:-1] for char in text)
    return text if maximum is None or len(text) <= maximum else f"{text[:maximum]} ..."


def error_text(status: int | None, code: str | None, message: str | None) -> str:
    """Joins status, error code and message; what the message repeats, as web pages do, appears once."""
    prefixes = [str(part) for part in (status, code) if part is not None]
    text = _REPEATED.sub(r"\1", " ".join((message or "").split()))
    for prefix in (*prefixes, *prefixes):
        text = f"{text} ".removeprefix(f"{prefix} ").rstrip()
    return " ".join(filter(None, (*prefixes, text)))


def printable_lines(lines: Iterable[str]) -> str:
    """Joins lines, each escaped."""
    return "\n".join(map(printable, lines))


def printable_json(text: str) -> str:
    """Escapes a JSON text on one line as JSON does."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _is_shown(char) else _json_escape(char) for char in text)


def shell_word(text: str) -> str:
    """Quotes a text for a POSIX shell; an unprintable text for bash, zsh and ksh."""
    if text == printable(text):
        return shlex.quote(text)
    raw = os.fsencode(text)
    return "".join(("$'", *(chr(byte) if _is_plain(byte) else f"\\x{byte:02x}" for byte in raw), "'"))


def _is_shown(character: str) -> bool:
    return character.isprintable() and not _INVISIBLE.match(character)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _is_plain(byte: int) -> bool:
    return chr(byte).isascii() and chr(byte).isprintable() and chr(byte) not in "'\\"
