"""Graph of functions that send events to functions; nodes are numbers.

Wide steps run in NumPy; narrow ones, such as those along a chain of a million functions, in Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

SUCCESS, FAILURE, VERSION, POSSIBLE = 0, 1, 2, 3
"""Kinds of an edge, as in ``graph.sql``."""

FEW: Final = 64
"""A step with fewer nodes costs less in Python than in NumPy."""
_MANY: Final = 1024
"""Python hands over to NumPy at this number of nodes."""


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges between the nodes 0 to ``nodes`` - 1; each array has one item per edge."""

    nodes: int
    source: Numbers
    target: Numbers
    kind: Numbers

    def where(self, chosen: Flags) -> Edges:
        """Returns some of the edges."""
        return Edges(self.nodes, self.source[chosen], self.target[chosen], self.kind[chosen])

    def of_kind(self, *kinds: int) -> Edges:
        """Returns the edges of some kinds."""
        return self.where(np.isin(self.kind, kinds))

    def reversed(self) -> Edges:
        """Returns the edges with source and target exchanged."""
        return Edges(self.nodes, self.target, self.source, self.kind)

    @cached_property
    def order(self) -> list[Block]:
        """The nodes that cannot reach a cycle, each after all of its targets."""
        return list(_order_from_ends(self))

    @cached_property
    def sources(self) -> Successors:
        """The sources of each node."""
        return Successors(self.reversed())

    def inside(self, number: Numbers) -> Edges:
        """Returns the edges whose ends have the same component; see :func:`components`."""
        return self.where((number[self.source] >= 0) & (number[self.source] == number[self.target]))


class Successors:
    """The targets of each node: those of node n are ``targets[starts[n] : starts[n + 1]]``."""

    def __init__(self, edges: Edges) -> None:
        self.targets = edges.target[np.argsort(edges.source, kind="stable")]
        self.starts = np.zeros(edges.nodes + 1, np.int64)
        np.cumsum(np.bincount(edges.source, minlength=edges.nodes), out=self.starts[1:])

    def of(self, node: int) -> list[int]:
        """The targets of one node."""
        targets: list[int] = self.targets[self.starts[node] : self.starts[node + 1]].tolist()
        return targets

    def of_all(self, nodes: Numbers) -> tuple[Numbers, Numbers]:
        """The targets of several nodes, and beside each the index of its source in ``nodes``."""
        starts = self.starts[nodes]
        lengths = self.starts[nodes + 1] - starts
        ends = np.cumsum(lengths)
        index = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)
        return self.targets[index], np.repeat(np.arange(len(nodes)), lengths)


def distinct(nodes: Numbers, count: int) -> Numbers:
    """Sorts nodes below ``count`` and removes repeated ones."""
    if 16 * len(nodes) < count:
        return _sorted_distinct(nodes)
    is_present = np.zeros(count, np.bool_)
    is_present[nodes] = True
    return np.flatnonzero(is_present)


def _sorted_distinct(numbers: Numbers) -> Numbers:
    ordered = np.sort(numbers)
    is_first = np.ones(len(ordered), np.bool_)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return np.asarray(ordered[is_first], np.int64)


class Block(NamedTuple):
    """Nodes after all of their targets; in a wide block, none is the target of another."""

    nodes: Numbers
    is_wide: bool


def _order_from_ends(edges: Edges) -> Iterator[Block]:
    sources = edges.sources
    left = np.bincount(edges.source, minlength=edges.nodes)
    ready = np.flatnonzero(left == 0)
    while len(ready):
        if len(ready) < FEW:
            order, ready = _order_in_sequence(ready, sources, left)
            yield Block(order, is_wide=False)
        else:
            yield Block(ready, is_wide=True)
            reached = sources.of_all(ready)[0]
            np.subtract.at(left, reached, 1)
            ready = distinct(reached[left[reached] == 0], edges.nodes)


def _order_in_sequence(ready: Numbers, sources: Successors, left: Numbers) -> tuple[Numbers, Numbers]:
    """Orders nodes until many are ready at once."""
    starts, of, count = sources.starts.data, sources.targets.data, left.data
    frontier: list[int] = ready.tolist()
    order: list[int] = []
    while frontier and len(frontier) < _MANY:
        order += frontier
        following = []
        for node in frontier:
            for index in range(starts[node], starts[node + 1]):
                source = of[index]
                count[source] -= 1
                if not count[source]:
                    following.append(source)
        frontier = following
    return np.array(order, np.int64), np.array(frontier, np.int64)


def components(edges: Edges) -> Numbers:
    """Numbers each node by the smallest node of its strongly connected component; -1: it lies in no cycle.

    Nodes without predecessor or successor are removed first. A node with one successor is in the component of its
    successor or in none: Tarjan's algorithm sees only the others.
    """
    number = np.full(edges.nodes, -1, np.int64)
    rest = _peel(edges)
    if not len(rest.source):
        return number
    nodes = distinct(rest.source, edges.nodes)
    count = len(nodes)
    renumbered = np.zeros(edges.nodes, np.int64)
    renumbered[nodes] = np.arange(count)
    links = _sorted_distinct(renumbered[rest.source] * count + renumbered[rest.target])
    source, target = np.divmod(links, count)
    is_fork = np.bincount(source, minlength=count) > 1
    following = np.arange(count)
    following[source[~is_fork[source]]] = target[~is_fork[source]]
    root = _last_of_path(following)
    group = _groups(Edges(count, source, root[target], source), np.flatnonzero(is_fork))[root]
    members = distinct(_peel(Edges(count, source, target, source).inside(group)).source, count)
    smallest = np.full(count, count, np.int64)
    np.minimum.at(smallest, group[members], members)
    number[nodes[members]] = nodes[smallest[group[members]]]
    return number


def _peel(edges: Edges) -> Edges:
    """Removes the edges of nodes that cannot reach a cycle, then of those that no cycle reaches."""
    for _ in range(2):
        inside = np.ones(edges.nodes, np.bool_)
        for block in edges.order:
            inside[block.nodes] = False
        edges = edges.where(inside[edges.source] & inside[edges.target]).reversed()
    return edges


def _last_of_path(following: Numbers) -> Numbers:
    """The node that follows itself at the end of each node's path, or the smallest node of the cycle that it enters."""
    smallest = np.arange(len(following))
    for _ in range(len(following).bit_length()):
        smallest = np.minimum(smallest, smallest[following])
        further = following[following]
        if np.array_equal(further, following):
            break
        following = further
    return smallest[following]


def _groups(edges: Edges, forks: Numbers) -> Numbers:
    """Numbers each fork by a fork of its strongly connected component, and each other node by itself."""
    group = np.arange(edges.nodes)
    index = np.full(edges.nodes, -1, np.int64)
    index[forks] = np.arange(len(forks))
    between = edges.where((index[edges.source] >= 0) & (index[edges.target] >= 0))
    links = Edges(len(forks), index[between.source], index[between.target], between.kind)
    group[forks] = forks[_tarjan(Successors(links))]
    return group


def _tarjan(successors: Successors) -> Numbers:
    """Numbers each node by a node of its strongly connected component.

    Iterative, since a path may be a million nodes long.

    Source:
        R. Tarjan, Depth-first search and linear graph algorithms, 1972.
    """
    starts, targets = successors.starts.tolist(), successors.targets.tolist()
    count = len(starts) - 1
    following, ends = starts[:-1], starts[1:]
    number, low, group = [0] * count, [0] * count, [-1] * count
    stack: list[int] = []
    seen = 0
    for start in range(count):
        path = [] if number[start] else [start]
        while path:
            node = path[-1]
            if not number[node]:
                seen += 1
                number[node] = low[node] = seen
                stack.append(node)
            if following[node] < ends[node]:
                target = targets[following[node]]
                following[node] += 1
                if not number[target]:
                    path.append(target)
                elif group[target] < 0:
                    low[node] = min(low[node], number[target])
                continue
            path.pop()
            if path:
                low[path[-1]] = min(low[path[-1]], low[node])
            if low[node] == number[node]:
                while group[node] < 0:
                    group[stack.pop()] = node
    return np.array(group, np.int64)


def nearest(edges: Edges, goals: Numbers) -> Numbers:
    """Finds the nearest goal that each node can reach, of equally near ones the smallest; -1: none.

    A goal reaches itself.
    """
    label = np.full(edges.nodes, edges.nodes, np.int64)
    label[goals] = goals
    if len(goals) and len(edges.source):
        sources = edges.sources
        frontier = goals
        while len(frontier):
            if len(frontier) < FEW:
                frontier = _label_in_sequence(frontier, sources, label)
                continue
            reached, index = sources.of_all(frontier)
            goal = label[frontier][index]
            is_new = label[reached] == edges.nodes
            np.minimum.at(label, reached[is_new], goal[is_new])
            frontier = distinct(reached[is_new], edges.nodes)
    label[label == edges.nodes] = -1
    return label


def _label_in_sequence(frontier: Numbers, sources: Successors, label: Numbers) -> Numbers:
    """Labels the next nodes until they are many."""
    starts, of, goals = sources.starts.data, sources.targets.data, label.data
    unlabelled = len(label)
    nodes: list[int] = frontier.tolist()
    while nodes and len(nodes) < _MANY:
        found: dict[int, int] = {}
        for node in nodes:
            goal = goals[node]
            for source in of[starts[node] : starts[node + 1]]:
                if goals[source] == unlabelled and found.get(source, unlabelled) > goal:
                    found[source] = goal
        for source, goal in found.items():
            goals[source] = goal
        nodes = list(found)
    return np.array(nodes, np.int64)
