"""Short labels of URNs for charts and narrow columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_URN_FIELDS = (7, 8)


def short(urn: str, width: int = 40) -> str:
    """Formats a URN as ``package/function:qualifier``, cut to ``width`` characters."""
    fields = urn.split(":")
    text = urn
    if len(fields) in _URN_FIELDS and fields[0] == "urn":
        package, name, *qualifier = fields[5:]
        text = ":".join([f"{package}/{name}", *qualifier])
    return cut(text, width)


def cut(text: str, width: int) -> str:
    """Cuts the middle of a text: similar names differ at their ends."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[-tail:] if tail else ''}"


def labels(urns: Iterable[str], width: int = 40) -> list[str]:
    """Formats URNs with :func:`short`; a number is added to a label that occurs again."""
    counts: dict[str, int] = {}
    unique: list[str] = []
    for urn in urns:
        label = short(urn, width)
        counts[label] = counts.get(label, 0) + 1
        unique.append(label if counts[label] == 1 else f"{label} ({counts[label]})")
    return unique
