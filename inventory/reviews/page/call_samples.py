"""Reads the most severe cycles and the longest chains, cut to a drawable size."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.reviews.graph.call_graph import FAILURE, POSSIBLE, SUCCESS, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inventory.reviews.reviewed import Reviewed

MAX_NODES: Final = 10
"""Functions that are drawn of one cycle or chain."""
_SEARCH_STEPS: Final = 12
_SEARCHED: Final = 2000
_CHAINS: Final = 2
_CYCLES: Final = 3
_HEADS: Final = 40

CERTAIN: Final = (SUCCESS, FAILURE, VERSION)
_KINDS: Final = {"success": (SUCCESS, VERSION), "failure": CERTAIN, "alias": (*CERTAIN, POSSIBLE)}
"""Edges of a cycle by its type, the most severe type first."""

_COMPONENTS: Final = """
SELECT {type}_cycle, count(*) FROM graph_values WHERE {type}_cycle >= 0 GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $limit
"""
_COUNT_COMPONENTS: Final = "SELECT count(DISTINCT {type}_cycle) FROM graph_values WHERE {type}_cycle >= 0"
_STEP: Final = """
SELECT DISTINCT source, target, kind FROM graph_edges JOIN graph_values AS v ON v.node = target
WHERE source IN (SELECT unnest($nodes)) AND kind IN (SELECT unnest($kinds)) AND {condition}
ORDER BY source, kind, target LIMIT $limit
"""
_NODES: Final = """
WITH named AS (
    SELECT id AS node, subject AS urn, status FROM subjects UNION ALL SELECT node, urn, 'not_listed' FROM other_nodes
)
FROM named WHERE node IN (SELECT unnest($nodes))
"""
_CHAIN_HEADS: Final = """
SELECT node, length::BIGINT FROM graph_values WHERE called_by = 0 AND length > 1 AND isfinite(length)
ORDER BY length DESC, node LIMIT $limit
"""
_COUNT_HEADS: Final = "SELECT count(*) FROM graph_values WHERE called_by = 0 AND length > 1 AND isfinite(length)"
_NEXT: Final = """
SELECT source, target, kind FROM graph_edges JOIN graph_values AS v ON v.node = target
WHERE source IN (SELECT unnest($nodes)) AND kind IN (SELECT unnest($kinds))
ORDER BY source, v.length DESC, kind, target
"""


class Node(NamedTuple):
    """A function, its version or its alias; ``status`` may be ``not_listed``."""

    urn: str
    status: str


class Sample(NamedTuple):
    """A part of the call graph that is small enough to draw.

    Attributes:
        type: ``success``, ``failure`` or ``alias`` cycle, or ``chain``.
        size: functions of the whole cycle or chain.
        nodes: those that are drawn, in call order.
        edges: calls between them: indices of two nodes, and the kind.
    """

    type: str
    size: int
    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int, int], ...]


class Samples(NamedTuple):
    """What is drawn, and how many there are in all."""

    samples: list[Sample]
    total: int


def read_cycles(reviewed: Reviewed) -> Samples:
    """Reads the most severe cycles; of equally severe ones the largest."""
    samples: list[Sample] = []
    seen: set[tuple[int, int]] = set()
    count = 0
    for name, kinds in _KINDS.items():
        components = reviewed.query(_COMPONENTS.format(type=name), {"limit": _CYCLES * 2})
        ((number,),) = reviewed.query(_COUNT_COMPONENTS.format(type=name))
        count += number
        for component, size in components:
            if (component, size) in seen:  # the same functions, in a more severe cycle
                count -= 1
            elif len(samples) < _CYCLES:
                seen.add((component, size))
                samples.append(_sample_cycle(reviewed, name, kinds, component, size))
    return Samples(samples, count)


def read_chains(reviewed: Reviewed) -> Samples:
    """Reads the longest chains from functions that no other calls; chains that share their second function are one."""
    ((count,),) = reviewed.query(_COUNT_HEADS)
    heads = reviewed.query(_CHAIN_HEADS, {"limit": _HEADS})
    paths = {node: [node] for node, _ in heads}
    links: dict[tuple[int, int], int] = {}
    for _ in range(MAX_NODES - 1):
        ends = sorted({path[-1] for path in paths.values()})
        following: dict[int, tuple[int, int]] = {}
        for source, target, kind in reviewed.query(_NEXT, {"nodes": ends, "kinds": list(CERTAIN)}):
            following.setdefault(source, (target, kind))
        for path in paths.values():
            if path[-1] in following:
                target, links[path[-1], target] = following[path[-1]]
                path.append(target)
    samples: list[Sample] = []
    drawn: set[int] = set()
    for head, length in heads:
        path = paths[head]
        if len(samples) < _CHAINS and path[1] not in drawn:
            drawn.update(path)
            edges = [(n, n + 1, links[pair]) for n, pair in enumerate(pairwise(path))]
            samples.append(Sample("chain", length, _read_nodes(reviewed, path), tuple(edges)))
    return Samples(samples, count)


def _sample_cycle(reviewed: Reviewed, name: str, kinds: Sequence[int], component: int, size: int) -> Sample:
    """Searches from the first function of a cycle until it is reached again."""
    condition = f"v.{name}_cycle = {int(component)}"
    edges: list[tuple[int, int, int]] = []
    caller: dict[int, int] = {}
    order, frontier = [component], [component]
    for _ in range(_SEARCH_STEPS):
        found = _step(reviewed, condition, frontier, kinds)
        edges += found
        frontier = []
        for source, target, _kind in found:
            if target not in caller:
                caller[target] = source
                if target != component:
                    order.append(target)
                    frontier.append(target)
        if not frontier or len(order) > _SEARCHED:
            break
    chosen = _shortest_cycle(component, caller)
    chosen += [node for node in order if node not in set(chosen)]
    chosen = chosen[:MAX_NODES]
    number = {node: index for index, node in enumerate(chosen)}
    inside = {edge for edge in edges if edge[0] in number and edge[1] in number}
    drawn = sorted((number[source], number[target], kind) for source, target, kind in inside)
    return Sample(name, size, _read_nodes(reviewed, chosen), tuple(drawn))


def _step(reviewed: Reviewed, condition: str, nodes: Iterable[int], kinds: Sequence[int]) -> list[tuple[Any, Any, Any]]:
    values = {"nodes": list(nodes), "kinds": list(kinds), "limit": _SEARCHED}
    return [(row[0], row[1], row[2]) for row in reviewed.query(_STEP.format(condition=condition), values)]


def _shortest_cycle(start: int, caller: dict[int, int]) -> list[int]:
    """The functions of the cycle that was found, in call order, or only the first one."""
    path = [start]
    node = caller.get(start, start)
    while node != start:
        path.append(node)
        node = caller[node]
    return [start, *reversed(path[1:])]


def _read_nodes(reviewed: Reviewed, nodes: Sequence[int]) -> tuple[Node, ...]:
    names = {node: Node(urn, status) for node, urn, status in reviewed.query(_NODES, {"nodes": list(nodes)})}
    return tuple(names[node] for node in nodes)
