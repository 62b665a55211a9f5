"""Graph of functions that send events to functions; nodes are numbers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from inventory.reviews.graph import strongly_connected_components

if TYPE_CHECKING:
    from collections.abc import Sequence

Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

_FEW: Final = 32
"""A round with fewer nodes costs less in Python than in NumPy."""


class Edges(NamedTuple):
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

    def inside(self, number: Numbers) -> Edges:
        """Returns the edges whose ends have the same component; see :func:`components`."""
        return self.where((number[self.source] >= 0) & (number[self.source] == number[self.target]))


class Successors:
    """The targets of each node, in two arrays."""

    def __init__(self, edges: Edges) -> None:
        order = np.argsort(edges.source, kind="stable")
        self._targets = edges.target[order]
        self._starts = np.zeros(edges.nodes + 1, np.int64)
        np.cumsum(np.bincount(edges.source, minlength=edges.nodes), out=self._starts[1:])

    def of(self, node: int) -> Numbers:
        """The targets of one node."""
        return self._targets[self._starts[node] : self._starts[node + 1]]

    def of_all(self, nodes: Numbers) -> tuple[Numbers, Numbers]:
        """The targets of several nodes, and beside each the index of its source in ``nodes``."""
        starts = self._starts[nodes]
        lengths = self._starts[nodes + 1] - starts
        ends = np.cumsum(lengths)
        index = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)
        return self._targets[index], np.repeat(np.arange(len(nodes)), lengths)


def order_from_ends(edges: Edges) -> Numbers:
    """Orders the nodes that cannot reach a cycle, each after all of its targets."""
    sources = Successors(edges.reversed())
    left = np.bincount(edges.source, minlength=edges.nodes)
    ready = np.flatnonzero(left == 0)
    rounds = [ready]
    while len(ready):
        if len(ready) < _FEW:
            found: list[int] = []
            for node in ready.tolist():
                for source in sources.of(node).tolist():
                    left[source] -= 1
                    if not left[source]:
                        found.append(source)
            ready = np.array(found, np.int64)
        else:
            affected, count = np.unique(sources.of_all(ready)[0], return_counts=True)
            left[affected] -= count
            ready = affected[left[affected] == 0]
        rounds.append(ready)
    return np.concatenate(rounds)


def components(edges: Edges) -> Numbers:
    """Numbers each node by the smallest node of its strongly connected component; -1: it lies in no cycle.

    Nodes without predecessor or successor are removed first, which leaves few.
    """
    number = np.full(edges.nodes, -1, np.int64)
    inside = np.ones(edges.nodes, np.bool_)
    inside[order_from_ends(edges)] = False
    rest = edges.where(inside[edges.source] & inside[edges.target])
    inside[order_from_ends(rest.reversed())] = False
    rest = rest.where(inside[rest.source] & inside[rest.target])
    nodes = np.flatnonzero(inside)
    successors = _as_lists(nodes, rest)
    for component in strongly_connected_components(successors):
        if len(component) > 1 or component[0] in successors[component[0]]:
            members = nodes[component]
            number[members] = members.min()
    return number


def _as_lists(nodes: Numbers, edges: Edges) -> Sequence[Sequence[int]]:
    successors: list[list[int]] = [[] for _ in nodes]
    sources, targets = np.searchsorted(nodes, edges.source), np.searchsorted(nodes, edges.target)
    for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
        successors[source].append(target)
    return successors


def nearest(edges: Edges, goals: Numbers) -> Numbers:
    """Finds the nearest goal that each node can reach, of equally near ones the smallest; -1: none."""
    sources = Successors(edges.reversed())
    label = np.full(edges.nodes, -1, np.int64)
    frontier = np.unique(goals)
    label[frontier] = frontier
    while len(frontier):
        frontier = (
            np.array(sorted(_label_round(frontier, sources, label)), np.int64)
            if len(frontier) < _FEW
            else (_label_round_at_once(frontier, sources, label))
        )
    return label


def _label_round(frontier: Numbers, sources: Successors, label: Numbers) -> set[int]:
    found: dict[int, int] = {}
    for node in frontier.tolist():
        goal = int(label[node])
        for source in sources.of(node).tolist():
            if label[source] < 0:
                found[source] = min(goal, found.get(source, goal))
    for source, goal in found.items():
        label[source] = goal
    return set(found)


def _label_round_at_once(frontier: Numbers, sources: Successors, label: Numbers) -> Numbers:
    reached, index = sources.of_all(frontier)
    goal = label[frontier][index]
    is_new = label[reached] < 0
    reached, goal = reached[is_new], goal[is_new]
    order = np.lexsort((goal, reached))
    reached, goal = reached[order], goal[order]
    is_first = np.ones(len(reached), np.bool_)
    is_first[1:] = reached[1:] != reached[:-1]
    label[reached[is_first]] = goal[is_first]
    return reached[is_first]


def members_by_component(number: Numbers, edges: Edges) -> dict[int, list[int]]:
    """The nodes of each component of :func:`components`: in call order if it is one simple cycle, else sorted."""
    nodes = np.flatnonzero(number >= 0)
    members: dict[int, list[int]] = {}
    for node, component in zip(nodes.tolist(), number[nodes].tolist(), strict=True):
        members.setdefault(component, []).append(node)
    inside = edges.inside(number)
    following = dict(zip(inside.source.tolist(), inside.target.tolist(), strict=True))
    links = Counter(number[inside.source].tolist())
    for component, unordered in members.items():
        if links[component] == len(unordered):  # each node has one link: a simple cycle
            node = unordered[0]
            for index in range(len(unordered)):
                unordered[index] = node
                node = following[node]
    return members
