"""Picture: places that receive the failures of many functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inventory.display.formatting import format_count
from inventory.printable import printable
from inventory.reviews.labels import cut, short
from inventory.reviews.page.bars import Bar, Part, draw_bars

if TYPE_CHECKING:
    from inventory.reviews.page.canvas import Picture
    from inventory.reviews.reviewed import Reviewed

_SHOWN: Final = 10
_TABLE_ROWS: Final = 50
_PLACES: Final = """
SELECT place, type, failing_functions FROM places WHERE failing_functions > 0
ORDER BY failing_functions DESC, place LIMIT $rows
"""
_REST: Final = "SELECT count(*), coalesce(sum(failing_functions), 0)::BIGINT FROM places WHERE failing_functions > 0"
_NAME_IN_TITLE: Final = 40
"""Characters."""


def draw_fan_in(reviewed: Reviewed) -> Picture | None:
    """Draws the failure destinations with the most functions; None: there are none."""
    rows = reviewed.query(_PLACES, {"rows": _TABLE_ROWS})
    if not rows:
        return None
    ((places, functions),) = reviewed.query(_REST)
    shown = rows[:_SHOWN]
    bars = [
        Bar(_label(place), format_count(number, "function"), (number,), _kind(place, kind))
        for place, kind, number in shown
    ]
    left = places - len(shown)
    if left:
        rest = functions - sum(row[2] for row in shown)
        name = format_count(left, "other place")
        bars.append(Bar(name, format_count(rest, "function"), (0,), is_rest=True))
    place, kind, number = rows[0]
    canvas = draw_bars("fan-in", bars, [Part("functions", "fan-in")], number)
    name = cut(printable(f"{_kind(place, kind)} {_label(place)}".strip()), _NAME_IN_TITLE)
    title = f"{name} receives the failures of {format_count(number, 'function')}"
    if places > 1:
        title += f", the most of {places:,} failure destinations"
    listed = "; ".join(f"{kind} {printable(place, 120)}: {number:,}" for place, kind, number in shown)
    description = f"Functions that send their failures to one place: {listed}."
    return canvas.picture(title, description, ("place", "type", "functions"), tuple(rows))


def _label(place: str) -> str:
    """What tells places apart: of a URN its last fields."""
    return place.rpartition(":")[2] if place.startswith(("urn:smn:", "dis:")) else short(place, len(place))


def _kind(place: str, kind: str) -> str:
    """The type of a place whose label does not begin with it."""
    return "" if place.startswith("obs://") else kind
