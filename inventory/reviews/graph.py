"""Strongly connected parts of a graph: which nodes reach each other, without recursion.

Owns Tarjan's algorithm, for graphs of a million nodes and chains as long. Knows no function and no event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def components(following: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """The strongly connected components of a graph, each after all that it leads to.

    Args:
        following: for each node, from 0 on, the nodes that follow it.

    Yields:
        The nodes of a component; a node that is on no cycle is a component alone.

    Source:
        R. Tarjan, Depth-first search and linear graph algorithms, 1972; its recursion is a list here.
    """
    unseen = -1
    number = [unseen] * len(following)
    low = [0] * len(following)
    open_nodes: list[int] = []
    is_open = bytearray(len(following))
    seen = 0
    for root in range(len(following)):
        if number[root] != unseen:
            continue
        path = [(root, iter(following[root]))]
        number[root] = low[root] = seen
        seen += 1
        open_nodes.append(root)
        is_open[root] = 1
        while path:
            node, rest = path[-1]
            for follower in rest:
                if number[follower] == unseen:
                    number[follower] = low[follower] = seen
                    seen += 1
                    open_nodes.append(follower)
                    is_open[follower] = 1
                    path.append((follower, iter(following[follower])))
                    break
                if is_open[follower]:
                    low[node] = min(low[node], number[follower])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == number[node]:
                    yield _closed(node, open_nodes, is_open)


def _closed(first: int, open_nodes: list[int], is_open: bytearray) -> list[int]:
    """Takes the component of its first node off the open ones."""
    at = len(open_nodes) - 1
    while open_nodes[at] != first:
        at -= 1
    component = open_nodes[at:]
    del open_nodes[at:]
    for node in component:
        is_open[node] = 0
    return component


def rings(follower: dict[int, int]) -> list[list[int]]:
    """The cycles of a graph in which each node has at most one follower: each once, in order, smallest node first."""
    seen_from: dict[int, int] = {}
    found: list[list[int]] = []
    for start in follower:
        node = start
        while node in follower and node not in seen_from:
            seen_from[node] = start
            node = follower[node]
        if node in follower and seen_from[node] == start:
            ring = [node]
            while follower[ring[-1]] != node:
                ring.append(follower[ring[-1]])
            smallest = ring.index(min(ring))
            found.append(ring[smallest:] + ring[:smallest])
    return sorted(found)
