"""Pictures made of horizontal bars: a row has a name, a number and a bar of parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.printable import printable
from inventory.reviews.page.canvas import CONTEXT_SIZE, WIDTH, Canvas, Point, text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROW: Final = 33
_LEGEND_ROW: Final = 18
_BAR: Final = 9
_GAP: Final = 12
_VALUE_SIZE: Final = 11
_CONTEXT_ROOM: Final = 62
_CONTEXT_GAP: Final = 8


class Part(NamedTuple):
    """A kind of parts of all bars: its name in the legend, its class, and whether it is hatched."""

    name: str
    style: str
    hatched: bool = False


class Bar(NamedTuple):
    """A row; ``context`` is a second, less important name, ``amounts`` has one number per part."""

    name: str
    value: str
    amounts: tuple[float, ...]
    context: str = ""
    is_rest: bool = False


def draw_bars(name: str, bars: Sequence[Bar], parts: Sequence[Part], whole: float | None, note: str = "") -> Canvas:
    """Draws one row per bar.

    Args:
        name: of the picture.
        bars: the rows, the first on top.
        parts: what the numbers of a bar are; a legend names them if there are several.
        whole: the number that fills the width; None: each bar's own sum.
        note: a sentence below the rows.
    """
    legend = len(parts) if len(parts) > 1 else 0
    top = legend * _LEGEND_ROW + (6 if legend else 0)
    canvas = Canvas(name, top + len(bars) * _ROW + (18 if note else 0))
    for number, part in enumerate(parts[:legend]):
        y = number * _LEGEND_ROW
        canvas.rectangle(Point(0, y + 3), 14, 10, part.style, hatched=part.hatched)
        canvas.text(Point(20, y + 12), part.name, "label")
    for number, bar in enumerate(bars):
        _draw_row(canvas, bar, parts, whole, top + number * _ROW)
    if note:
        canvas.text(Point(0, top + len(bars) * _ROW + 12), note, "note")
    return canvas


def _draw_row(canvas: Canvas, bar: Bar, parts: Sequence[Part], whole: float | None, top: float) -> None:
    baseline = top + 12
    canvas.text(Point(WIDTH, baseline), bar.value, "value", anchor="end")
    room = WIDTH - text_width(bar.value, _VALUE_SIZE) - _GAP
    if bar.is_rest:
        canvas.text(Point(0, baseline), bar.name, "label")
    else:
        beside = (
            min(text_width(printable(bar.context), CONTEXT_SIZE), _CONTEXT_ROOM) + _CONTEXT_GAP if bar.context else 0
        )
        used = canvas.name_text(Point(0, baseline), bar.name, room - beside)
        if bar.context:
            left = used + _CONTEXT_GAP
            canvas.name_text(Point(left, baseline), bar.context, room - left, size=CONTEXT_SIZE, style="context")
    if any(bar.amounts) or not bar.is_rest:
        canvas.rectangle(Point(0, top + 17), WIDTH, _BAR, "track")
    total = sum(bar.amounts) if whole is None else whole
    x = 0.0
    for amount, part in zip(bar.amounts, parts, strict=True):
        width = min(max(2.0, WIDTH * amount / total), WIDTH - x) if amount and total else 0.0
        if width:
            canvas.rectangle(Point(x, top + 17), width, _BAR, part.style, hatched=part.hatched)
        x += width
