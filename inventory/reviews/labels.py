"""What a function is called where there is little room: in a picture, in a narrow column.

Owns how a URN is shortened. Two URNs of one project never get the same label, as long as nothing has to be cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_FULL_FIELDS = (7, 8)


def short(urn: str, width: int = 40) -> str:
    """A URN as ``package/function:qualifier``, cut in its middle to ``width`` characters.

    The middle is cut: names of one team begin alike, and what tells them apart, the qualifier too, is at the end.
    """
    fields = urn.split(":")
    text = urn
    if len(fields) in _FULL_FIELDS and fields[0] == "urn":
        package, name, *qualifier = fields[5:]
        text = ":".join([f"{package}/{name}", *qualifier])
    return cut(text, width)


def cut(text: str, width: int) -> str:
    """A text of at most ``width`` characters: its head and its tail, an ellipsis between."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[-tail:] if tail else ''}"


def labels(urns: Iterable[str], width: int = 40) -> list[str]:
    """Labels of several URNs, all different: where two were cut to the same text, a number tells them apart."""
    taken: dict[str, int] = {}
    found: list[str] = []
    for urn in urns:
        label = short(urn, width)
        taken[label] = taken.get(label, 0) + 1
        found.append(label if taken[label] == 1 else f"{label} ({taken[label]})")
    return found
