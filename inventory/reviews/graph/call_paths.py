"""Lengths of call chains, and how many invocations one event can cause on them."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from inventory.reviews.graph.call_graph import FAILURE, FEW, SUCCESS, VERSION, Successors, distinct

if TYPE_CHECKING:
    from inventory.reviews.graph.call_graph import Block, Edges, Flags, Numbers

Amounts: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

_INFINITE: Final = float("inf")
_NO_NODE: Final = -1
"""In place of a target; the last item of an array with one more item than nodes."""


class Calls:
    """Where an event goes from each node: an array of targets per event, and the versions of aliases.

    An event ends in a success, after 1 attempt at best and all attempts at worst, or in a failure after all attempts.
    An alias is its own function, or one of its versions. ``attempts`` 0: an alias without a configuration of its own.
    """

    def __init__(self, edges: Edges, attempts: Numbers) -> None:
        self.edges = edges
        self.success, self.failure = _targets(edges.of_kind(SUCCESS)), _targets(edges.of_kind(FAILURE))
        self.versions = Successors(edges.of_kind(VERSION))
        self.has_versions = np.diff(self.versions.starts) > 0
        self.attempts = attempts.astype(np.float64)


class Longest(NamedTuple):
    """The longest and most expensive paths; infinite if a path leads into a cycle.

    Attributes:
        length: nodes on the longest path.
        most: invocations on the most expensive path.
        is_bound: a finite path has an open node, so that it may be longer.
    """

    length: Amounts
    most: Amounts
    is_bound: Flags


def longest_paths(calls: Calls, is_open: Flags) -> Longest:
    """Follows the paths from their ends to their beginnings."""
    nodes = calls.edges.nodes
    paths = Longest(np.full(nodes + 1, _INFINITE), np.full(nodes + 1, _INFINITE), np.zeros(nodes + 1, np.bool_))
    paths.length[_NO_NODE] = paths.most[_NO_NODE] = 0
    for block in calls.edges.order:
        if block.is_wide:
            _follow_at_once(block.nodes, calls, is_open, paths)
        else:
            _follow_in_sequence(block, calls, is_open, paths)
    return Longest(paths.length[:-1], paths.most[:-1], paths.is_bound[:-1])


def _targets(edges: Edges) -> Numbers:
    targets = np.full(edges.nodes, _NO_NODE, np.int64)
    targets[edges.source] = edges.target
    return targets


def _follow_at_once(nodes: Numbers, calls: Calls, is_open: Flags, paths: Longest) -> None:
    length, most, is_bound = paths
    success, failure = calls.success[nodes], calls.failure[nodes]
    length[nodes] = 1 + np.maximum(length[success], length[failure])
    most[nodes] = calls.attempts[nodes] + np.maximum(most[success], most[failure])
    is_bound[nodes] = is_open[nodes] | is_bound[success] | is_bound[failure]
    aliases = nodes[calls.has_versions[nodes]]
    versions, index = calls.versions.of_all(aliases)
    np.maximum.at(length, aliases[index], length[versions])
    np.maximum.at(most, aliases[index], most[versions])
    np.logical_or.at(is_bound, aliases[index], is_bound[versions])


def _follow_in_sequence(block: Block, calls: Calls, is_open: Flags, paths: Longest) -> None:
    length, most, is_bound = (array.data for array in paths)
    attempts = calls.attempts.data
    columns = (calls.success, calls.failure, is_open, calls.has_versions)
    rows = zip(block.nodes.tolist(), *(column[block.nodes].tolist() for column in columns), strict=True)
    for node, success, failure, is_open_itself, has_versions in rows:
        length[node] = 1 + max(length[success], length[failure])
        most[node] = attempts[node] + max(most[success], most[failure])
        is_bound[node] = is_open_itself or is_bound[success] or is_bound[failure]
        if has_versions:
            for version in calls.versions.of(node):
                length[node] = max(length[node], length[version])
                most[node] = max(most[node], most[version])
                is_bound[node] = is_bound[node] or is_bound[version]


class _Queue:
    """Nodes by cost, the cheapest first."""

    def __init__(self) -> None:
        self._nodes: dict[float, list[int]] = {}
        self._costs: list[float] = []

    def __bool__(self) -> bool:
        return bool(self._costs)

    def at(self, cost: float) -> list[int]:
        """The nodes of one cost, to append to."""
        nodes = self._nodes.get(cost)
        if nodes is None:
            nodes = self._nodes[cost] = []
            heapq.heappush(self._costs, cost)
        return nodes

    def put(self, nodes: Numbers, costs: Amounts) -> None:
        """Adds nodes whose cost is finite."""
        order = np.argsort(costs, kind="stable")[: np.count_nonzero(costs < _INFINITE)]
        ends = np.flatnonzero(np.diff(costs[order])) + 1
        for part in np.split(order, ends) if len(order) else []:
            self.at(float(costs[part[0]])).extend(nodes[part].tolist())

    def pop(self) -> tuple[float, list[int]]:
        """Removes the nodes of the lowest cost."""
        cost = heapq.heappop(self._costs)
        return cost, self._nodes.pop(cost)


def cheapest_paths(calls: Calls) -> Amounts:
    """Counts the invocations on the cheapest path of each node; infinite if no path has an end.

    Source:
        E. Dijkstra, A note on two problems in connexion with graphs, 1959; here with all nodes of one cost at once.
    """
    nodes = calls.edges.nodes
    sources = calls.edges.sources
    fewest = np.full(nodes + 1, _INFINITE)
    fewest[_NO_NODE] = 0
    queue = _Queue()
    everything = np.arange(nodes)
    queue.put(everything, _costs(everything, calls, fewest))
    while queue:
        cost, ready = _settle_in_sequence(calls, sources, fewest, queue)
        settled = distinct(np.array(ready, np.int64), nodes)
        settled = settled[fewest[settled] == _INFINITE]
        fewest[settled] = cost
        reached = distinct(sources.of_all(settled)[0], nodes)
        reached = reached[fewest[reached] == _INFINITE]
        queue.put(reached, _costs(reached, calls, fewest))
    return fewest[:-1]


def _settle_in_sequence(calls: Calls, sources: Successors, fewest: Amounts, queue: _Queue) -> tuple[float, list[int]]:
    """Settles nodes until many have the same cost, which are returned."""
    value: memoryview[Any] = fewest.data
    attempts, has_versions = calls.attempts.data, calls.has_versions.data
    success, failure = calls.success.data, calls.failure.data
    starts, of = sources.starts.data, sources.targets.data
    while queue:
        cost, ready = queue.pop()
        if len(ready) >= FEW:
            return cost, ready
        for node in ready:
            if value[node] < _INFINITE:
                continue
            value[node] = cost
            for source in of[starts[node] : starts[node + 1]]:
                if value[source] < _INFINITE:
                    continue
                own = attempts[source]
                new = min(1 + value[success[source]], own + value[failure[source]]) if own else _INFINITE
                if has_versions[source]:
                    new = min(new, *(value[version] for version in calls.versions.of(source)))
                queue.at(new).append(source)
    return _INFINITE, []


def _costs(nodes: Numbers, calls: Calls, fewest: Amounts) -> Amounts:
    attempts = calls.attempts[nodes]
    costs = np.minimum(1 + fewest[calls.success[nodes]], attempts + fewest[calls.failure[nodes]])
    costs[attempts == 0] = _INFINITE
    chosen = np.flatnonzero(calls.has_versions[nodes])
    versions, index = calls.versions.of_all(nodes[chosen])
    np.minimum.at(costs, chosen[index], fewest[versions])
    return costs
