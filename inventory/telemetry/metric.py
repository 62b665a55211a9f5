"""One metric: a gauge with its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Metric(NamedTuple):
    """A gauge; the unit is the end of the name.

    Attributes:
        samples: labels and value.
    """

    name: str
    help: str
    samples: tuple[tuple[Mapping[str, str], float], ...]


def gauge(name: str, text: str, value: float) -> Metric:
    """Makes a metric with one sample."""
    return Metric(name, text, (({}, value),))
