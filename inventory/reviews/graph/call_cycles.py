"""Cycles of functions that send events to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from inventory.reviews.graph.call_graph import FAILURE, SUCCESS, components

if TYPE_CHECKING:
    from inventory.reviews.graph.call_graph import Edges, Flags, Numbers


class Cycles(NamedTuple):
    """The strongly connected components with an edge of some kind inside: that edge is part of a cycle.

    Attributes:
        type: name of this list of components.
        number: the smallest node of each node's component; -1: none.
        inside: the edges inside components.
    """

    type: str
    number: Numbers
    inside: Edges

    @classmethod
    def find(cls, type_: str, edges: Edges, kind: int) -> Cycles:
        """Finds the components with an edge of ``kind``."""
        number = np.full(edges.nodes, -1, np.int64)
        if np.any(edges.kind == kind):
            number = components(edges)
            inside = edges.inside(number)
            has_kind = np.zeros(edges.nodes + 1, np.bool_)  # the last item is for number -1
            has_kind[number[inside.source[inside.kind == kind]]] = True
            number[~has_kind[number]] = -1
        return cls(type_, number, edges.inside(number))

    def independent(self) -> Numbers:
        """Counts the independent cycles of each component, at its number: links - nodes + 1."""
        count = self._count(self.inside.source) - self._count(np.flatnonzero(self.number >= 0)) + 1
        count[self.number != np.arange(self.inside.nodes)] = 0
        return count

    def columns(self) -> dict[str, np.ndarray[Any, Any]]:
        """One item per member: ``component``, ``node``, ``size``, ``kind``, ``position``.

        ``kind``: 0 on_success, 1 on_failure, 2 mixed. ``position``: that in call order if the component is one simple
        cycle, else 0.
        """
        node = np.flatnonzero(self.number >= 0)
        component = self.number[node]
        has_success = self._count(self.inside.source[self.inside.kind == SUCCESS]) > 0
        has_failure = self._count(self.inside.source[self.inside.kind == FAILURE]) > 0
        kind = np.where(has_success & has_failure, 2, np.where(has_failure, 1, 0))
        return {
            "component": component,
            "node": node,
            "size": self._count(node)[component],
            "kind": kind[component],
            "position": self._positions()[node],
        }

    def _count(self, nodes: Numbers) -> Numbers:
        return np.bincount(self.number[nodes], minlength=self.inside.nodes)

    def _positions(self) -> Numbers:
        position = np.zeros(self.inside.nodes, np.int64)
        following = np.full(self.inside.nodes, -1, np.int64)
        following[self.inside.source] = self.inside.target
        starts = np.flatnonzero(self.independent() == 1)
        next_of, position_of = following.data, position.data
        for start in starts.tolist():
            node, index = next_of[start], 1
            while node != start:
                position_of[node] = index
                node, index = next_of[node], index + 1
        return position


def has_more_cycles(mixed: Cycles, by_success: Cycles, by_failure: Cycles) -> Flags:
    """Whether each component of ``mixed``, at its number, has cycles that need both events.

    Cycles of a single event share no link. So if there are as many of them as independent cycles, each other cycle
    would be made of whole ones, which no simple cycle is.
    """
    more = mixed.independent()
    for single in (by_success, by_failure):
        start = np.flatnonzero(single.number == np.arange(mixed.inside.nodes))
        start = start[mixed.number[start] >= 0]
        np.subtract.at(more, mixed.number[start], single.independent()[start])
    return more > 0
