"""Draws texts, bars and lines as inline SVG that the page's style sheet colours."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Final, NamedTuple, TypeAlias
from unicodedata import east_asian_width

import drawsvg

from inventory.printable import printable
from inventory.reviews.labels import cut

Cell: TypeAlias = str | int | float | None

WIDTH: Final = 320
"""Units of every picture: on the narrowest screens a unit is about a pixel."""

NAME_SIZE: Final = 12
CONTEXT_SIZE: Final = 10.5
"""Units of a function's name and of what stands beside it, as in ``pictures.css``."""

_NAME_ADVANCE: Final = 0.62
"""Width of a Latin character of a monospaced font, in font sizes."""
_LAST_LATIN: Final = 0x24F
_MAX_TOOLTIP: Final = 300


@dataclass(frozen=True)
class Picture:
    """A picture, and its numbers as a table.

    Attributes:
        name: prefix of the ids in ``svg``.
        title: the finding, with its numbers.
        svg: markup of one ``<svg>`` element; all other texts are not escaped.
        description: what the picture shows, in words.
        columns: names of the table's columns.
        rows: the table; names are whole.
    """

    name: str
    title: str
    svg: str
    description: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Point(NamedTuple):
    """A place on a canvas."""

    x: float
    y: float


class Canvas:
    """An SVG drawing of ``WIDTH`` units.

    Names from lists and cloud go into texts only, which are escaped: drawsvg escapes no attribute.
    """

    def __init__(self, name: str, height: float) -> None:
        self.name = name
        self._drawing = drawsvg.Drawing(WIDTH, round(height), id_prefix=f"{name}-", class_="picture")
        self._drawing.svg_args |= {"width": None, "height": None}
        self._hatch = drawsvg.Pattern(4, 4, patternUnits="userSpaceOnUse")
        self._hatch.append(drawsvg.Path("M0,4 L4,0", class_="hatch"))

    def text(self, at: Point, text: str, style: str, *, anchor: str = "start") -> None:
        """Writes one line; ``style`` is its class."""
        self._append(drawsvg.Text(text, None, _round(at.x), _round(at.y), class_=style, text_anchor=anchor))

    def name_text(self, at: Point, text: str, width: float, *, size: float = NAME_SIZE, style: str = "name") -> float:
        """Writes a name, cut to a width, with the whole name as tooltip; returns the width that it takes."""
        shown = fit(text, width, size)
        used = min(text_width(shown, size), width)
        group = drawsvg.Group(clip_path=None if shown.isascii() else self._clip(at, used, size))
        group.append_title(printable(text, _MAX_TOOLTIP))
        group.append(drawsvg.Text(shown, None, _round(at.x), _round(at.y), class_=style))
        self._append(group)
        return used

    def _clip(self, at: Point, width: float, size: float) -> drawsvg.ClipPath:
        """The room of a text, which some glyphs of other scripts would leave."""
        clip = drawsvg.ClipPath()
        clip.append(drawsvg.Rectangle(*map(_round, (at.x, at.y - 1.2 * size, width, 1.6 * size))))
        return clip

    def rectangle(self, at: Point, width: float, height: float, style: str, *, hatched: bool = False) -> None:
        """Draws a filled rectangle."""
        place = [_round(number) for number in (*at, width, height)]
        self._append(drawsvg.Rectangle(*place, class_=style))
        if hatched:
            self._append(drawsvg.Rectangle(*place, fill=self._hatch))

    def circle(self, at: Point, radius: float, style: str) -> None:
        """Draws a circle."""
        self._append(drawsvg.Circle(_round(at.x), _round(at.y), radius, class_=style))

    def line(self, points: list[Point], style: str) -> None:
        """Draws a line with round corners."""
        path = drawsvg.Path(class_=style, fill="none").M(*map(_round, points[0]))
        for before, corner, after in zip(points, points[1:], points[2:], strict=False):
            path.L(*map(_round, _towards(corner, before))).Q(*map(_round, (*corner, *_towards(corner, after))))
        self._append(path.L(*map(_round, points[-1])))

    def arrow_head(self, tip: Point, *, along_x: float, along_y: float, style: str) -> None:
        """Draws the end of an arrow that points along a direction of length 1."""
        left = Point(tip.x - 6 * along_x + 3.5 * along_y, tip.y - 6 * along_y + 3.5 * along_x)
        right = Point(tip.x - 6 * along_x - 3.5 * along_y, tip.y - 6 * along_y - 3.5 * along_x)
        self._append(drawsvg.Lines(*map(_round, (*tip, *left, *right)), close=True, class_=style))

    def picture(
        self, title: str, description: str, columns: tuple[str, ...], rows: tuple[tuple[Cell, ...], ...]
    ) -> Picture:
        """Finishes the picture."""
        ids = f"{self.name}-title", f"{self.name}-description"
        labels = f'<title id="{ids[0]}">{_escape(title)}</title><desc id="{ids[1]}">{_escape(description)}</desc>'
        self._drawing.svg_args |= {"role": "img", "aria-labelledby": " ".join(ids)}
        start, rest = self._drawing.as_svg(header="").replace("<defs>\n</defs>\n", "").split(">", 1)
        svg = f"{start}>{labels}{rest}"
        return Picture(self.name, title, svg, description, columns, rows)

    def _append(self, element: drawsvg.DrawingElement) -> None:
        self._drawing.append(element)


def fit(text: str, width: float, size: float) -> str:
    """Cuts the middle of a name that is wider than ``width`` units."""
    shown = printable(text)
    length = min(len(shown), round(width))
    while text_width(cut(shown, length), size) > width and length > 1:
        length -= 1
    return cut(shown, length)


def text_width(text: str, size: float) -> float:
    """The most units that a monospaced text takes: other fonts stand in for what is not Latin."""
    return sum(_NAME_ADVANCE if ord(character) <= _LAST_LATIN else _advance(character) for character in text) * size


def _advance(character: str) -> float:
    return 1.0 if character == "…" or east_asian_width(character) not in "WF" else 1.1


def _towards(corner: Point, other: Point, radius: float = 6) -> Point:
    distance = abs(other.x - corner.x) + abs(other.y - corner.y)
    share = min(radius, distance / 2) / distance if distance else 0
    return Point(corner.x + (other.x - corner.x) * share, corner.y + (other.y - corner.y) * share)


def _round(number: float) -> float:
    return int(number) if number == int(number) else round(number, 1)


def _escape(text: str) -> str:
    return escape(printable(text), quote=False)
