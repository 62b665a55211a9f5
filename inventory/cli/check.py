"""Text of ``inventory check``: a table of ticks, then what is wrong."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING, Final

from inventory.display.formatting import format_count, format_number
from inventory.pipeline.check import STEPS
from inventory.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inventory.pipeline.check import Checkup

_TICKS: Final[dict[bool | None, str]] = {True: "✓", False: "✗", None: "?"}
_WORDS: Final[dict[bool | None, str]] = {True: "ok", False: "no", None: "?"}
"""For a stream that cannot show ticks."""
_SHORT_ID: Final = 8
"""Characters of a project id in a table that is too wide."""


def as_text(results: Sequence[Checkup], width: int | None) -> str:
    """Formats the checks of scopes: a row for each scope, then the problems, wrapped if there is a width."""
    marks = _TICKS if _can_show(_TICKS.values()) else _WORDS
    scopes = [printable(result.scope) for result in results]
    rows = [_row(result, marks) for result in results]
    used = [number for number, step in enumerate(STEPS) if any(row[number] for row in rows)]
    headings = [STEPS[number] for number in used]
    rows = [[row[number] for number in used] for row in rows]
    space = (width or 0) - sum(2 + len(name) for name in headings)
    if width is not None and max(map(len, scopes)) > space:
        scopes = [_shorten_id(scope) for scope in scopes]
    first = max(len("scope"), *map(len, scopes))
    lines = [f"{'scope':{first}}  " + "  ".join(headings)]
    for scope, row in zip(scopes, rows, strict=True):
        cells = (f"{cell:{len(name)}}" for cell, name in zip(row, headings, strict=True))
        lines.append(f"{scope:{first}}  {'  '.join(cells)}".rstrip())
    failed = sum(not result.ok for result in results)
    problems = [line for ok in (False, None) for line in _problems(results, marks[ok], ok=ok)]
    ready = format_number(len(results) - failed)
    verdict = f"{format_count(len(results), 'scope')}: {ready} ready, {format_number(failed)} failed"
    if width is not None:
        problems = [
            textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
            for line in problems
        ]
    return "\n".join([*lines, "", *problems, *([""] if problems else []), verdict])


def _row(result: Checkup, marks: dict[bool | None, str]) -> list[str]:
    found = {step.name: marks[step.ok] for step in result.steps}
    return [found.get(name, "") for name in STEPS]


def _problems(results: Sequence[Checkup], mark: str, *, ok: bool | None) -> list[str]:
    """One line for each message, with the first scope that has it."""
    places: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for step in result.steps:
            if step.ok is ok and step.message:
                places.setdefault((step.name, step.message), []).append(f"{result.scope} at {result.endpoint}")
    return [printable(f"{mark} {name}: {message} ({_first_of(scopes)})") for (name, message), scopes in places.items()]


def _first_of(scopes: list[str]) -> str:
    more = len(scopes) - 1
    return scopes[0] if not more else f"{scopes[0]} and {format_count(more, 'other scope')}"


def _shorten_id(scope: str) -> str:
    region, _, project = scope.partition("/")
    return scope if len(project) <= _SHORT_ID else f"{region}/{project[:_SHORT_ID]}..."


def _can_show(texts: Iterable[str]) -> bool:
    try:
        "".join(texts).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
