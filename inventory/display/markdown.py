"""Foreign text in Markdown: escaped, or as a code span."""

from __future__ import annotations

import re

from inventory.printable import printable


def escape_markdown(text: str) -> str:
    """Escapes a text for one line or one cell of a table."""
    escaped = printable(" ".join(text.splitlines()))
    for mark in "\\`*_<>[]|@#":
        escaped = escaped.replace(mark, f"\\{mark}")
    return escaped


def code_span(text: str | None) -> str:
    """Makes a code span with a fence of as many backticks as it needs; ``|`` is escaped for a table."""
    if not text:
        return "" if text is None else '`""`'
    shown = printable(" ".join(text.splitlines())).replace("|", "\\|")
    ticks = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    space = " " if shown[0] == "`" or shown[-1] == "`" else ""
    return f"{ticks}{space}{shown}{space}{ticks}"
