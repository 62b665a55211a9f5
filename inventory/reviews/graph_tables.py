"""Computes the tables that need a graph: cycles, chains, envelope, exposure."""

from __future__ import annotations

import heapq
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from inventory.reviews.call_graph import Edges, components, members_by_component, nearest, order_from_ends

if TYPE_CHECKING:
    import duckdb

    from inventory.reviews.call_graph import Flags, Numbers

_SUCCESS, _FAILURE, _ALIAS, _POSSIBLE = 0, 1, 2, 3
"""Kinds of an edge, as in ``graph.sql``."""
_MAX_MEMBERS: Final = 100
"""URNs of a cycle in the evidence of a finding."""
_INFINITE: Final = float("inf")


class _Graph(NamedTuple):
    """The functions that send or receive events; the arrays are columns of ``graph_nodes``."""

    edges: Edges
    urns: list[str]
    is_subject: Flags
    is_open: Flags
    attempts: Numbers
    has_open_attempts: Flags


class _Cycle(NamedTuple):
    """A strongly connected component; its number is its smallest node that the run lists."""

    type: str
    component: int
    certainty: str
    kind: str
    members: list[int]


def compute_graph_tables(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Creates the tables ``cycles``, ``cycle_list``, ``chains``, ``envelope`` and ``exposure``.

    Returns:
        One row per strongly connected component: ``certainty`` (``certain``, or ``if_alias``: an alias must point
        there), ``kind`` (``on_success``, ``on_failure`` or ``mixed``), ``size``, ``urns``.
    """
    connection.execute(_sql("graph.sql"))
    graph = _read(connection)
    by_success = graph.edges.of_kind(_SUCCESS, _ALIAS)
    certain = graph.edges.of_kind(_SUCCESS, _FAILURE, _ALIAS)
    numbers = {
        "success": _number(graph, by_success, _SUCCESS),
        "failure": _number(graph, certain, _FAILURE),
        "alias": _number(graph, graph.edges, _POSSIBLE),
    }
    cycles = [
        cycle
        for (type_, number), edges in zip(numbers.items(), (by_success, certain, graph.edges), strict=True)
        for cycle in _cycles(type_, number, edges)
    ]
    goals = np.flatnonzero(graph.is_open)
    values: dict[str, np.ndarray[Any, Any]] = {
        "node": np.arange(len(graph.urns)),
        **{f"{type_}_cycle": number for type_, number in numbers.items()},
        "open_by_success": nearest(by_success, goals),
        "open_node": nearest(certain, goals),
        "open_attempts": nearest(certain, np.flatnonzero(graph.is_open | graph.has_open_attempts)),
        "called_by": np.bincount(graph.edges.of_kind(_SUCCESS, _FAILURE).target, minlength=len(graph.urns)),
        **_Paths(graph, certain).columns(),
    }
    _put(connection, "graph_values", pa.table({name: _array(column) for name, column in values.items()}))
    _put(connection, "cycle_rows", _rows(cycles, graph))
    connection.execute(_sql("graph_tables.sql"))
    return _listing(cycles, graph)


def _sql(name: str) -> str:
    return (resources.files("inventory.reviews") / name).read_text("utf-8")


def _read(connection: duckdb.DuckDBPyConnection) -> _Graph:
    nodes = connection.execute("SELECT * FROM graph_nodes ORDER BY node").fetchnumpy()
    edges = connection.execute("SELECT * FROM graph_edges ORDER BY ALL").fetchnumpy()
    ends = (np.asarray(edges[name], np.int64) for name in ("source", "target", "kind"))
    return _Graph(
        Edges(len(nodes["urn"]), *ends),
        [str(urn) for urn in nodes["urn"]],
        np.asarray(nodes["is_subject"], np.bool_),
        np.asarray(nodes["is_open"], np.bool_),
        np.asarray(nodes["attempts"], np.int64),
        np.asarray(nodes["has_open_attempts"], np.bool_),
    )


def _array(values: np.ndarray[Any, Any]) -> pa.Array:
    kind, dtype = (pa.float64(), np.float64) if values.dtype.kind == "f" else (pa.int64(), np.int64)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values, dtype))])


def _put(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    connection.register("incoming", rows)
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")  # noqa: S608 - a constant
    connection.unregister("incoming")


def _number(graph: _Graph, edges: Edges, kind: int) -> Numbers:
    """Numbers the components that have an edge of a kind inside: each such edge lies on a cycle."""
    number = components(edges)
    inside = edges.inside(number)
    kept = np.unique(number[inside.source[inside.kind == kind]])
    nodes = np.flatnonzero(np.isin(number, kept))
    listed = nodes[graph.is_subject[nodes]]
    smallest = np.full(edges.nodes, edges.nodes, np.int64)
    np.minimum.at(smallest, number[listed], listed)
    renumbered = np.full(edges.nodes, -1, np.int64)
    renumbered[nodes] = smallest[number[nodes]]
    return renumbered


def _cycles(type_: str, number: Numbers, edges: Edges) -> list[_Cycle]:
    inside = edges.inside(number)
    succeeding = set(number[inside.source[inside.kind == _SUCCESS]].tolist())
    failing = set(number[inside.source[inside.kind == _FAILURE]].tolist())
    certainty = "if_alias" if type_ == "alias" else "certain"
    cycles = []
    for component, members in sorted(members_by_component(number, edges).items()):
        kind = "mixed" if component in succeeding & failing else "on_failure" if component in failing else "on_success"
        cycles.append(_Cycle(type_, component, certainty, kind, members))
    return cycles


def _rows(cycles: list[_Cycle], graph: _Graph) -> pa.Table:
    rows = [
        (*cycle[:4], len(cycle.members), [graph.urns[node] for node in cycle.members[:_MAX_MEMBERS]])
        for cycle in cycles
    ]
    names = ("type", "component", "certainty", "kind", "size", "members")
    types = (pa.string(), pa.int64(), pa.string(), pa.string(), pa.int64(), pa.list_(pa.string()))
    fields = pa.schema(list(zip(names, types, strict=True)))
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=fields)


def _listing(cycles: list[_Cycle], graph: _Graph) -> pa.Table:
    fields = [("certainty", pa.string()), ("kind", pa.string()), ("size", pa.int64()), ("urns", pa.list_(pa.string()))]
    rows = [
        {
            "certainty": cycle.certainty,
            "kind": cycle.kind,
            "size": len(cycle.members),
            "urns": [graph.urns[node] for node in cycle.members],
        }
        for cycle in cycles
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


class _Paths:
    """Lengths of call chains and numbers of invocations, from the ends of the chains to their beginnings.

    An event ends in a success, after 1 attempt at best and all attempts at worst, or in a failure after all attempts.
    """

    def __init__(self, graph: _Graph, edges: Edges) -> None:
        nodes = len(graph.urns)
        self._edges = edges
        self._success, self._failure = [-1] * nodes, [-1] * nodes
        self._versions: dict[int, list[int]] = {}
        for kind, next_node in ((_SUCCESS, self._success), (_FAILURE, self._failure)):
            chosen = edges.of_kind(kind)
            for source, target in zip(chosen.source.tolist(), chosen.target.tolist(), strict=True):
                next_node[source] = target
        aliases = edges.of_kind(_ALIAS)
        for source, target in zip(aliases.source.tolist(), aliases.target.tolist(), strict=True):
            self._versions.setdefault(source, []).append(target)
        self._attempts: list[int] = graph.attempts.tolist()
        self._length = [_INFINITE] * nodes
        self._most = [_INFINITE] * nodes
        self._fewest = [_INFINITE] * nodes
        self._is_bound: list[bool] = [False] * nodes
        self._follow(order_from_ends(edges).tolist(), (graph.is_open | graph.has_open_attempts).tolist())
        self._follow_cycles()

    def columns(self) -> dict[str, np.ndarray[Any, Any]]:
        """The columns ``length``, ``most``, ``fewest`` and ``is_bound``, one item per node."""
        return {
            "length": np.array(self._length),
            "most": np.array(self._most),
            "fewest": np.array(self._fewest),
            "is_bound": np.array(self._is_bound, np.int64),
        }

    def _follow(self, order: list[int], is_open: list[bool]) -> None:
        length, most, is_bound = self._length, self._most, self._is_bound
        for node in order:
            ahead = [target for target in (self._success[node], self._failure[node]) if target >= 0]
            length[node] = 1 + max((length[target] for target in ahead), default=0)
            most[node] = self._attempts[node] + max((most[target] for target in ahead), default=0)
            versions = self._versions.get(node)
            if versions:
                length[node] = max(length[node], *(length[version] for version in versions))
                most[node] = max(most[node], *(most[version] for version in versions))
                ahead += versions
            is_bound[node] = is_open[node] or any(is_bound[target] for target in ahead)
            self._fewest[node] = self._shortest(node)

    def _shortest(self, node: int) -> float:
        """Fewest invocations from a node, from those of its targets."""
        fewest, attempts = self._fewest, self._attempts[node]
        success, failure = self._success[node], self._failure[node]
        own = min(
            1 + (fewest[success] if success >= 0 else 0),
            attempts + (fewest[failure] if failure >= 0 else 0),
        )
        versions = self._versions.get(node)
        if versions:
            of_versions = min(fewest[version] for version in versions)
            return min(own, of_versions) if attempts else of_versions
        return own

    def _follow_cycles(self) -> None:
        """Shortest paths out of cycles: Dijkstra's algorithm."""
        left = [node for node, fewest in enumerate(self._fewest) if fewest == _INFINITE]
        if not left:
            return
        sources: dict[int, list[int]] = {}
        for source, target in zip(self._edges.source.tolist(), self._edges.target.tolist(), strict=True):
            sources.setdefault(target, []).append(source)
        heap = [(self._shortest(node), node) for node in left]
        heapq.heapify(heap)
        while heap:
            cost, node = heapq.heappop(heap)
            if cost == _INFINITE or self._fewest[node] <= cost:
                continue
            self._fewest[node] = cost
            for source in sources.get(node, ()):
                if self._fewest[source] == _INFINITE:
                    heapq.heappush(heap, (self._shortest(source), source))
