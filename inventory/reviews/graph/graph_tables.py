"""Computes the tables that need a graph: cycles, chains, envelope, exposure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from inventory.reviews.database import create_views, read_sql, registered
from inventory.reviews.graph.call_cycles import Cycles, has_more_cycles
from inventory.reviews.graph.call_graph import FAILURE, POSSIBLE, SUCCESS, VERSION, Edges, nearest
from inventory.reviews.graph.call_paths import Calls, cheapest_paths, longest_paths
from inventory.tables.arrow import combine_chunks, take_rows, to_array

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from inventory.reviews.graph.call_graph import Flags, Numbers

_SELECT_MEMBERS: Final = """
SELECT component, kind, size, urn
FROM cycle_members JOIN (SELECT id AS node, subject AS urn FROM subjects UNION ALL FROM other_nodes) USING (node)
WHERE type = $type AND ({condition})
ORDER BY component, {position} urn
"""
_CREATE_CYCLE_LIST: Final = """
CREATE TABLE cycle_list (
    type VARCHAR, component VARCHAR, component_id INTEGER, size INTEGER, kind VARCHAR, members VARCHAR[]
)
"""
_LIST_CYCLES: Final = """
INSERT INTO cycle_list
SELECT $type, urn, component, size, kind, urns
FROM incoming JOIN (SELECT id AS component, subject AS urn FROM subjects UNION ALL FROM other_nodes) USING (component)
"""
_MEMBERS_OF_EVIDENCE: Final = 100
_KINDS: Final = ("on_success", "on_failure", "mixed")
_LISTED: Final = (
    ("success", "certain", "true", "position,"),
    ("on_failure", "certain", "true", "position,"),
    ("failure", "certain", "is_more", ""),
    ("alias", "if_alias", "true", ""),
)
"""Cycles that :func:`compute_graph_tables` returns: type, certainty, condition, and first key of their URNs."""
_CYCLE_MEMBERS: Final = """
CREATE TABLE IF NOT EXISTS cycle_members AS
SELECT NULL::VARCHAR AS type, component, node, size, NULL::VARCHAR AS kind, position, is_more FROM incoming LIMIT 0;
INSERT INTO cycle_members
SELECT $type, component, node, size, $kinds[kind + 1], position, is_more FROM incoming
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
    create_views(connection, "graph/graph_tables.sql", edges.nodes)
    _create_cycle_list(connection)
    listing = _list_cycles(connection)
    connection.execute("DROP TABLE cycle_members")
    return listing


def _create_cycle_list(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates the table of cycles with their first URNs."""
    connection.execute(_CREATE_CYCLE_LIST)
    for type_ in ("success", "failure", "alias"):
        query = _SELECT_MEMBERS.format(condition="true", position="position,")
        rows = _group(connection.sql(query, params={"type": type_}).to_arrow_table(), _MEMBERS_OF_EVIDENCE)
        with registered(connection, "incoming", rows):
            connection.execute(_LIST_CYCLES, {"type": type_})


def _list_cycles(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """All cycles, with all of their URNs."""
    tables, keys = [], []
    for type_, certainty, condition, position in _LISTED:
        query = _SELECT_MEMBERS.format(condition=condition, position=position)
        rows = _group(connection.sql(query, params={"type": type_}).to_arrow_table())
        kinds = rows["kind"].to_pylist()
        keys += [
            (certainty, _KINDS.index(kind), urns[0].as_py()) for kind, urns in zip(kinds, rows["urns"], strict=True)
        ]
        names = to_array([certainty] * len(rows), pa.string())
        tables.append(rows.drop_columns("component").add_column(0, "certainty", names))
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
    return take_rows(pa.concat_tables(tables).combine_chunks(), order)


def _group(members: pa.Table, maximum: int | None = None) -> pa.Table:
    """One row per component, with the list of its first ``urns``, from one row per member in order."""
    component = np.from_dlpack(combine_chunks(members["component"]))
    is_first = np.ones(len(component), np.bool_)
    is_first[1:] = component[1:] != component[:-1]
    starts = np.flatnonzero(is_first)
    lengths = np.diff(np.append(starts, len(component)))
    urns = combine_chunks(members["urn"])
    if maximum is not None and np.max(lengths, initial=0) > maximum:
        urns = take_rows(urns, np.flatnonzero(np.arange(len(component)) - np.repeat(starts, lengths) < maximum))
        lengths = np.minimum(lengths, maximum)
    ends = np.append(0, np.cumsum(lengths)).astype(np.int32)
    offsets = pa.Array.from_buffers(pa.int32(), len(ends), [None, pa.py_buffer(ends)])
    rows = take_rows(members.select(["component", "kind", "size"]), starts)
    return rows.append_column("urns", pa.ListArray.from_arrays(offsets, urns))


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
            connection.execute(insert, {"type": cycles.type, "kinds": list(_KINDS)})
    return {f"{cycles.type}_cycle": cycles.number for cycles in (success, failure, alias)}


def _table(columns: Mapping[str, np.ndarray[Any, Any]]) -> pa.Table:
    return pa.table({name: _array(column) for name, column in columns.items()})


def _array(values: np.ndarray[Any, Any]) -> pa.Array:
    kind, dtype = (pa.float64(), np.float64) if values.dtype.kind == "f" else (pa.int32(), np.int32)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values, dtype))])
