"""Computes the tables that need a graph: cycles, chains, envelope, exposure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from inventory.reviews.database import read_sql, registered
from inventory.reviews.graph.call_cycles import Cycles, has_more_cycles
from inventory.reviews.graph.call_graph import FAILURE, POSSIBLE, SUCCESS, VERSION, Edges, nearest
from inventory.reviews.graph.call_paths import Calls, cheapest_paths, longest_paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from inventory.reviews.graph.call_graph import Flags, Numbers

_LIST_CYCLES: Final = """
SELECT
    CASE type WHEN 'alias' THEN 'if_alias' ELSE 'certain' END AS certainty, any_value(kind) AS kind, size,
    list(urn ORDER BY CASE WHEN type <> 'alias' AND NOT is_more THEN position END, urn) AS urns
FROM cycle_members JOIN (SELECT id AS node, subject AS urn FROM subjects UNION ALL FROM other_nodes) USING (node)
WHERE type IN ('success', 'on_failure', 'alias') OR is_more
GROUP BY type, component, size
ORDER BY certainty, list_position(['on_success', 'on_failure', 'mixed'], any_value(kind)), urns
"""
_CYCLE_MEMBERS: Final = """
CREATE TABLE IF NOT EXISTS cycle_members AS
SELECT NULL::VARCHAR AS type, component, node, size, NULL::VARCHAR AS kind, position, is_more FROM incoming LIMIT 0;
INSERT INTO cycle_members
SELECT $type, component, node, size, ['on_success', 'on_failure', 'mixed'][kind + 1], position, is_more FROM incoming
"""


class _Nodes(NamedTuple):
    """Columns of ``graph_nodes``, at the number of the node."""

    attempts: Numbers
    is_open: Flags
    has_open_attempts: Flags


def compute_graph_tables(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Creates the tables ``cycles``, ``cycle_list``, ``chains``, ``envelope`` and ``exposure``.

    Returns:
        The cycles: ``certainty`` (``certain``, or ``if_alias``: an alias must point there), ``kind`` (``on_success``,
        ``on_failure`` or ``mixed``), ``size``, ``urns``: in call order if it is certain and not mixed, else
        sorted. All cycles of connected functions that need both events are one row, ``mixed``.
    """
    connection.execute(read_sql("graph/graph.sql"))
    nodes = _read_nodes(connection)
    edges = _read_edges(connection, len(nodes.is_open))
    certain = edges.of_kind(SUCCESS, FAILURE, VERSION)
    by_success = edges.of_kind(SUCCESS, VERSION) if np.any(edges.kind == FAILURE) else certain
    numbers = _find_cycles(connection, edges, by_success, certain)
    goals = np.flatnonzero(nodes.is_open)
    calls = Calls(certain, nodes.attempts)
    length, most, is_bound = longest_paths(calls, nodes.is_open | nodes.has_open_attempts)
    columns = {
        "node": np.arange(edges.nodes),
        **numbers,
        "open_by_success": nearest(by_success, goals),
        "open_node": nearest(certain, goals),
        "open_attempts": nearest(certain, np.flatnonzero(nodes.is_open | nodes.has_open_attempts)),
        "called_by": np.bincount(edges.of_kind(SUCCESS, FAILURE).target, minlength=edges.nodes),
        "length": length,
        "most": most,
        "fewest": cheapest_paths(calls),
        "is_bound": is_bound,
    }
    with registered(connection, "incoming", _table(columns)):
        connection.execute(
            "CREATE TABLE graph_values AS SELECT * REPLACE (is_bound::BOOLEAN AS is_bound) FROM incoming"
        )
    connection.execute(read_sql("graph/graph_tables.sql"))
    listing = connection.sql(_LIST_CYCLES).to_arrow_table()
    connection.execute("DROP TABLE cycle_members")
    return listing


def _read_nodes(connection: duckdb.DuckDBPyConnection) -> _Nodes:
    rows = connection.execute("SELECT node, attempts, is_open, has_open_attempts FROM graph_nodes").fetchnumpy()
    node = np.asarray(rows["node"], np.int64)
    count = int(np.max(node, initial=-1)) + 1
    nodes = _Nodes(np.zeros(count, np.int64), np.zeros(count, np.bool_), np.zeros(count, np.bool_))
    for column, name in zip(nodes, nodes._fields, strict=True):
        column[node] = rows[name]
    return nodes


def _read_edges(connection: duckdb.DuckDBPyConnection, nodes: int) -> Edges:
    columns = connection.execute("SELECT source, target, kind FROM graph_edges").fetchnumpy()
    return Edges(nodes, *(np.asarray(columns[name], np.int64) for name in ("source", "target", "kind")))


def _find_cycles(
    connection: duckdb.DuckDBPyConnection, edges: Edges, by_success: Edges, certain: Edges
) -> dict[str, Numbers]:
    """Creates the table ``cycle_members``, one row per list and member; returns the numbers of the components."""
    success = Cycles.find("success", by_success, SUCCESS)
    on_failure = Cycles.find("on_failure", edges.of_kind(FAILURE, VERSION), FAILURE)
    failure = Cycles.find("failure", certain, FAILURE)
    alias = Cycles.find("alias", edges, POSSIBLE)
    is_more = has_more_cycles(failure, success, on_failure)
    for cycles in (success, on_failure, failure, alias):
        columns = cycles.columns()
        columns["is_more"] = is_more[columns["component"]] if cycles is failure else np.zeros(len(columns["node"]))
        with registered(connection, "incoming", _table(columns)):
            create, insert = _CYCLE_MEMBERS.split(";")
            connection.execute(create)
            connection.execute(insert, {"type": cycles.type})
    return {f"{cycles.type}_cycle": cycles.number for cycles in (success, failure, alias)}


def _table(columns: Mapping[str, np.ndarray[Any, Any]]) -> pa.Table:
    return pa.table({name: _array(column) for name, column in columns.items()})


def _array(values: np.ndarray[Any, Any]) -> pa.Array:
    kind, dtype = (pa.float64(), np.float64) if values.dtype.kind == "f" else (pa.int32(), np.int32)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values, dtype))])
