"""Picture: findings by severity and area."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, get_args

from inventory.display.formatting import format_count, format_number
from inventory.reviews.page.canvas import WIDTH, Canvas, Picture, Point
from inventory.reviews.rule import Area
from inventory.settings import SEVERITIES

if TYPE_CHECKING:
    from inventory.reviews.reviewed import Reviewed

AREAS: Final[tuple[str, ...]] = get_args(Area)
_LEFT: Final = 54
_COLUMN: Final = (WIDTH - _LEFT) / len(AREAS)
_ROW: Final = 34
_HEAD: Final = 24


def draw_severities(reviewed: Reviewed) -> Picture:
    """Draws the number of open findings in each severity and area; suppressed ones are left out."""
    counts: Counter[tuple[str, str]] = Counter()
    for group, number in reviewed.counts.items():
        if group.verdict == "fail" and not group.suppressed and _is_shown(reviewed, group.state):
            counts[group.severity, reviewed.rules[group.rule].area] += number
    canvas = Canvas("severities", _HEAD + _ROW * len(SEVERITIES))
    for column, area in enumerate(AREAS):
        canvas.text(Point(_LEFT + (column + 0.5) * _COLUMN, 13), area, "label", anchor="middle")
    largest = max([1, *counts.values()])
    for row, severity in enumerate(SEVERITIES):
        y = _HEAD + row * _ROW
        canvas.text(Point(0, y + 16), severity, "label")
        for column, area in enumerate(AREAS):
            number, x = counts[severity, area], _LEFT + column * _COLUMN
            canvas.rectangle(Point(x + 3, y), _COLUMN - 6, _ROW - 5, "track")
            if number:
                width = max(2.0, (_COLUMN - 6) * number / largest)
                canvas.rectangle(Point(x + 3, y + _ROW - 11), width, 6, f"severity-{severity}")
            style = "value" if number else "context"
            canvas.text(Point(x + _COLUMN / 2, y + 16), format_number(number), style, anchor="middle")
    rows = tuple((severity, *(counts[severity, area] for area in AREAS)) for severity in SEVERITIES)
    listed = ", ".join(
        f"{severity} {area} {counts[severity, area]:,}"
        for severity in SEVERITIES
        for area in AREAS
        if counts[severity, area]
    )
    description = f"Open findings by severity and area: {listed or 'none'}. Suppressed findings are left out."
    return canvas.picture(_title(counts), description, ("severity", *AREAS), rows)


def _is_shown(reviewed: Reviewed, state: str | None) -> bool:
    return state == "new" or not reviewed.details.new_only


def _title(counts: Counter[tuple[str, str]]) -> str:
    total = sum(counts.values())
    if not total:
        return "No finding is open"
    of_severity: Counter[str] = Counter()
    of_area: Counter[str] = Counter()
    for (severity, area), number in counts.items():
        of_severity[severity] += number
        of_area[area] += number
    severe = [f"{of_severity[name]:,} {name}" for name in SEVERITIES if of_severity[name]][:2]
    area, number = min(of_area.items(), key=lambda item: (-item[1], AREAS.index(item[0])))
    most = "all" if number == total else f"{number:,}"
    are = "is" if total == 1 else "are"
    return f"{format_count(total, 'finding')} {are} open: {', '.join(severe)}; {most} about {area}"
