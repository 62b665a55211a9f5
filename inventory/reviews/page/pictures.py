"""Draws the pictures of the report page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inventory.reviews.page.call_diagrams import draw_calls
from inventory.reviews.page.canvas import Picture
from inventory.reviews.page.fan_in import draw_fan_in
from inventory.reviews.page.lost_events import draw_lost_events
from inventory.reviews.page.severity_matrix import draw_severities

if TYPE_CHECKING:
    from inventory.reviews.reviewed import Reviewed

__all__ = ["Picture", "draw_pictures"]


def draw_pictures(reviewed: Reviewed) -> list[Picture]:
    """Draws the pictures that have something to show; each is bounded in size, whatever the number of functions."""
    fan_in = draw_fan_in(reviewed)
    return [
        draw_severities(reviewed),
        *draw_lost_events(reviewed),
        *draw_calls(reviewed),
        *([fan_in] if fan_in else []),
    ]
