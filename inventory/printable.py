"""Text that is not ours (lists, cloud, names of files, environment) as one line that a terminal only prints.

Owns which characters are shown as they are. Data keeps the raw text: this is for messages.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt, where str.isprintable() says True.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)


def printable(text: str, maximum: int | None = None) -> str:
    """A text as one line of printable characters; all others are escaped as in Python.

    Escaped are line breaks, control, format and separator characters but the space, surrogates, private use, what is
    not assigned, and what is invisible. Escaping twice changes nothing more.

    Args:
        text: any text.
        maximum: characters to keep at most; what is cut is marked.
    """
    if not (text.isprintable() and (text.isascii() or not _INVISIBLE.search(text))):
        text = "".join(one if _is_shown(one) else ascii(one)[1:-1] for one in text)
    return text if maximum is None or len(text) <= maximum else f"{text[:maximum]} ..."


def printable_lines(lines: Iterable[str]) -> str:
    """Lines of ours, each printable."""
    return "\n".join(map(printable, lines))


def printable_json(text: str) -> str:
    """A JSON text on one line, of which all that is not printable is escaped as in JSON."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if _is_shown(one) else _json_escape(one) for one in text)


def shell_word(text: str) -> str:
    """A text as one word of a POSIX shell; an unprintable one in the form that bash, zsh and ksh read back."""
    if text == printable(text):
        return shlex.quote(text)
    raw = os.fsencode(text)
    return "".join(("$'", *(chr(one) if _is_plain(one) else f"\\x{one:02x}" for one in raw), "'"))


def _is_shown(character: str) -> bool:
    return character.isprintable() and not _INVISIBLE.match(character)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _is_plain(byte: int) -> bool:
    return chr(byte).isascii() and chr(byte).isprintable() and chr(byte) not in "'\\"
