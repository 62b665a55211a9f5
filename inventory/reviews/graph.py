"""Call graph of functions; strongly connected components and simple cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class CallGraph(NamedTuple):
    """Nodes are indices into ``urns``; ``sources``, ``targets`` and ``events`` have one item per link."""

    urns: list[str]
    sources: list[int]
    targets: list[int]
    events: list[str]

    def successors(self) -> list[list[int]]:
        """Lists the targets of each node."""
        called: list[list[int]] = [[] for _ in self.urns]
        for source, target in zip(self.sources, self.targets, strict=True):
            called[source].append(target)
        return called


def strongly_connected_components(successors: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yields the strongly connected components in reverse topological order.

    Iterative, since a chain may be a million nodes long.

    Source:
        R. Tarjan, Depth-first search and linear graph algorithms, 1972.
    """
    unseen = -1
    number = [unseen] * len(successors)
    low = [0] * len(successors)
    stack: list[int] = []
    on_stack = bytearray(len(successors))
    seen = 0
    for root in range(len(successors)):
        if number[root] != unseen:
            continue
        path = [(root, iter(successors[root]))]
        number[root] = low[root] = seen
        seen += 1
        stack.append(root)
        on_stack[root] = 1
        while path:
            node, rest = path[-1]
            for successor in rest:
                if number[successor] == unseen:
                    number[successor] = low[successor] = seen
                    seen += 1
                    stack.append(successor)
                    on_stack[successor] = 1
                    path.append((successor, iter(successors[successor])))
                    break
                if on_stack[successor]:
                    low[node] = min(low[node], number[successor])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == number[node]:
                    yield _pop_component(node, stack, on_stack)


def _pop_component(first: int, stack: list[int], on_stack: bytearray) -> list[int]:
    start = len(stack) - 1
    while stack[start] != first:
        start -= 1
    component = stack[start:]
    del stack[start:]
    for node in component:
        on_stack[node] = 0
    return component


def simple_cycles(successor: dict[int, int]) -> list[list[int]]:
    """Finds the cycles of a graph whose nodes have at most one successor; each starts at its smallest node."""
    visited_from: dict[int, int] = {}
    cycles: list[list[int]] = []
    for start in successor:
        node = start
        while node in successor and node not in visited_from:
            visited_from[node] = start
            node = successor[node]
        if node in successor and visited_from[node] == start:
            cycle = [node]
            while successor[cycle[-1]] != node:
                cycle.append(successor[cycle[-1]])
            smallest = cycle.index(min(cycle))
            cycles.append(cycle[smallest:] + cycle[:smallest])
    return sorted(cycles)
