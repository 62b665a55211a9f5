"""Pictures: cycles and chains of functions, a line each, with arrows between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.display.formatting import format_count
from inventory.printable import printable
from inventory.reviews.graph.call_graph import FAILURE, POSSIBLE, SUCCESS, VERSION
from inventory.reviews.labels import cut
from inventory.reviews.page.call_samples import Node, Samples, read_chains, read_cycles
from inventory.reviews.page.canvas import CONTEXT_SIZE, WIDTH, Canvas, Point
from inventory.urn import split_urn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inventory.reviews.page.call_samples import Sample
    from inventory.reviews.page.canvas import Cell, Picture
    from inventory.reviews.reviewed import Reviewed

_ROW: Final = 40
_HEAD: Final = 34
_RADIUS: Final = 9
_LANES_WIDTH: Final = 72
_MAX_LANE: Final = 11
_LEGEND_ROW: Final = 18
_EVENTS: Final = {SUCCESS: "on_success", FAILURE: "on_failure", VERSION: "alias", POSSIBLE: "possible alias"}
_STYLES: Final = {SUCCESS: "success", FAILURE: "failure", VERSION: "alias", POSSIBLE: "alias"}
_LEGEND: Final = {"success": "on_success calls", "failure": "on_failure calls", "alias": "alias points to"}
_REST: Final = "rest"
_NOTES: Final = {
    "failed": "was not answered",
    "not_attempted": "was not attempted",
    "not_configured": "no configuration",
    "not_listed": "not in this inventory",
}
_MEANINGS: Final = {
    "success": "never ends",
    "failure": "repeats on failures",
    "alias": "if an alias points there",
    "chain": "in a row",
}
_NAME_IN_TITLE: Final = 40
"""Characters."""


class _Arrow(NamedTuple):
    source: int
    target: int
    style: str
    lane: int


def draw_calls(reviewed: Reviewed) -> Iterator[Picture]:
    """Draws the most severe cycles and the longest chains; a picture of none is left out."""
    cycles, chains = read_cycles(reviewed), read_chains(reviewed)
    if cycles.samples:
        yield _draw("cycles", "cycle", cycles, _cycles_title(cycles))
    if chains.samples:
        yield _draw("chains", "chain", chains, _chains_title(chains))


def _cycles_title(cycles: Samples) -> str:
    first = cycles.samples[0]
    name = cut(printable(_name(first.nodes[0])), _NAME_IN_TITLE)
    size = format_count(first.size, "function")
    if first.size == 1:
        size = "1 function that calls itself"
    one = "1 cycle of functions" if cycles.total == 1 else f"{format_count(cycles.total, 'cycle')} of functions"
    return f"{one}; the most severe {_MEANINGS[first.type]} and has {size}, from {name}"


def _chains_title(chains: Samples) -> str:
    first = chains.samples[0]
    name = cut(printable(_name(first.nodes[0])), _NAME_IN_TITLE)
    of = f"The longest of {chains.total:,} call chains" if chains.total > 1 else "One call chain"
    return f"{of} passes an event through {format_count(first.size, 'function')}, from {name}"


def _draw(name: str, noun: str, samples: Samples, title: str) -> Picture:
    arrows = [_arrows(sample) for sample in samples.samples]
    styles = [style for style in _LEGEND if any(style == arrow.style for group in arrows for arrow in group)]
    left = samples.total - len(samples.samples)
    legend = len(styles) * _LEGEND_ROW
    height = legend + sum(_HEAD + _ROW * _lines(sample) for sample in samples.samples) + (18 if left else 0)
    canvas = Canvas(name, height)
    for number, style in enumerate(styles):
        y = number * _LEGEND_ROW + 8
        _arrow(canvas, [Point(0, y), Point(34, y)], style)
        canvas.text(Point(42, y + 4), _LEGEND[style], "label")
    top = float(legend)
    for number, (sample, drawn) in enumerate(zip(samples.samples, arrows, strict=True), 1):
        size = "1 function that calls itself" if sample.size == 1 else format_count(sample.size, "function")
        heading = f"{noun.capitalize()} {number} of {samples.total:,}: {size}, {_MEANINGS[sample.type]}"
        canvas.text(Point(0, top + 22), heading, "heading")
        _draw_sample(canvas, sample, drawn, top + _HEAD)
        top += _HEAD + _ROW * _lines(sample)
    if left:
        canvas.text(Point(0, top + 12), f"{format_count(left, f'other {noun}')} not drawn", "note")
    rows = tuple(row for number, sample in enumerate(samples.samples, 1) for row in _rows(number, sample))
    description = (
        f"{format_count(len(samples.samples), noun)} of {samples.total:,} drawn, a line for each function and an arrow "
        f"for each call. {'; '.join(_words(noun, number, sample) for number, sample in enumerate(samples.samples, 1))}."
    )
    return canvas.picture(title, description, (noun, "from", "event", "to"), rows)


def _lines(sample: Sample) -> int:
    return len(sample.nodes) + (1 if _hidden(sample) else 0)


def _hidden(sample: Sample) -> int:
    return sample.size - len(sample.nodes)


def _words(noun: str, number: int, sample: Sample) -> str:
    names = ", ".join(cut(printable(_name(node)), _NAME_IN_TITLE) for node in sample.nodes)
    more = f" and {_hidden(sample):,} more" if _hidden(sample) else ""
    return f"{noun} {number} ({_MEANINGS[sample.type]}): {names}{more}"


def _rows(number: int, sample: Sample) -> Iterator[tuple[Cell, ...]]:
    for source, target, kind in sample.edges:
        yield number, sample.nodes[source].urn, _EVENTS[kind], sample.nodes[target].urn
    if _hidden(sample):
        yield number, sample.nodes[-1].urn, None, f"{format_count(_hidden(sample), 'more function')}"


def _arrows(sample: Sample) -> list[_Arrow]:
    """Gives each call a lane: 0 is the line from a function to the next one, the others are left of it."""
    pairs = [(source, target, _STYLES[kind]) for source, target, kind in sample.edges]
    if _hidden(sample):
        last = len(sample.nodes) - 1
        pairs.append((last, last + 1, _REST))
        if sample.type != "chain":
            pairs.append((last + 1, 0, _REST))
    pairs = list(dict.fromkeys(pairs))
    arrows: list[_Arrow] = []
    taken: list[list[tuple[int, int]]] = []
    for source, target, style in sorted(pairs, key=lambda pair: (abs(pair[0] - pair[1]), pair)):
        if target == source + 1 and not any(arrow[:2] == (source, target) for arrow in arrows):
            arrows.append(_Arrow(source, target, style, 0))
            continue
        low, high = sorted((source, target))
        lane = next((n for n, spans in enumerate(taken) if all(high < a or b < low for a, b in spans)), len(taken))
        taken[lane:] = [[*(taken[lane] if lane < len(taken) else []), (low, high)], *taken[lane + 1 :]]
        arrows.append(_Arrow(source, target, style, lane + 1))
    return arrows


def _draw_sample(canvas: Canvas, sample: Sample, arrows: list[_Arrow], top: float) -> None:
    lanes = max((arrow.lane for arrow in arrows), default=0)
    lane_width = min(_MAX_LANE, _LANES_WIDTH / max(lanes, 1))
    x = 2 + lanes * lane_width + _RADIUS + (6 if lanes else 0)
    for arrow in arrows:
        left = x - _RADIUS - 6 - (arrow.lane - 0.5) * lane_width
        _arrow(canvas, _route(arrow, x, left, top), arrow.style)
    for number, node in enumerate(sample.nodes):
        y = top + number * _ROW + _RADIUS + 2
        canvas.circle(Point(x, y), _RADIUS, "node")
        canvas.text(Point(x, y + 4), str(number + 1), "number", anchor="middle")
        start = x + _RADIUS + 8
        canvas.name_text(Point(start, y + 1), _name(node), WIDTH - start)
        canvas.name_text(Point(start, y + 14), _place(node), WIDTH - start, size=CONTEXT_SIZE, style="context")
    if _hidden(sample):
        y = top + len(sample.nodes) * _ROW + _RADIUS + 2
        canvas.text(Point(x, y + 4), "⋮", "number", anchor="middle")
        canvas.text(Point(x + _RADIUS + 8, y + 4), format_count(_hidden(sample), "more function"), "label")


def _route(arrow: _Arrow, x: float, left: float, top: float) -> list[Point]:
    source, target = (top + row * _ROW + _RADIUS + 2 for row in arrow[:2])
    if not arrow.lane:
        return [Point(x, source + _RADIUS), Point(x, target - _RADIUS)]
    edge = x - _RADIUS
    if arrow.source == arrow.target:
        return [
            Point(edge + 2, source + 5),
            Point(left, source + 5),
            Point(left, target - 4),
            Point(edge + 1, target - 4),
        ]
    down = 1 if source < target else -1
    start, end = source + 5 * down, target - 4 * down
    return [Point(edge + 2, start), Point(left, start), Point(left, end), Point(edge + 1, end)]


def _arrow(canvas: Canvas, points: list[Point], style: str) -> None:
    canvas.line(points, f"edge-{style}")
    before, tip = points[-2:]
    length = abs(tip.x - before.x) + abs(tip.y - before.y)
    along = ((tip.x - before.x) / length, (tip.y - before.y) / length) if length else (1.0, 0.0)
    canvas.arrow_head(tip, along_x=along[0], along_y=along[1], style=f"head-{style}")


def _name(node: Node) -> str:
    parts = split_urn(node.urn)
    if parts.qualifier in {None, "latest"}:
        return parts.function_name
    return f"{parts.function_name}:{'!' if parts.qualifier_type == 'alias' else ''}{parts.qualifier}"


def _place(node: Node) -> str:
    parts = split_urn(node.urn)
    note = _NOTES.get(node.status)
    place = " · ".join(filter(None, (parts.package, parts.project_id, parts.region)))
    return f"{note}: {place}" if note else place
