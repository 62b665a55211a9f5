import itertools
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any
from unittest import mock

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.reviews.graph import call_graph, call_paths
from inventory.reviews.graph.graph_tables import compute_graph_tables

INFINITE = math.inf
STATUSES = ("configured", "not_configured", "failed", "not_attempted")
WHY = {"failed": "not_answered", "not_attempted": "not_attempted"}


def urn(name: str) -> str:
    return f"urn:fss:cn-north-4:p:function:default:{name}"


A, B, C, D = (urn(f"{name}:latest") for name in "abcd")


@dataclass(frozen=True)
class Fleet:
    """Status and retries by URN, targets by URN and event, versions by alias."""

    subjects: dict[str, tuple[str, int | None]]
    edges: dict[tuple[str, str], str] = field(default_factory=dict)
    aliases: dict[str, dict[str, float]] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()

    def called(self, *events: str) -> dict[str, list[tuple[str, str]]]:
        """Targets with their events; those of a called alias include its versions."""
        links: dict[str, list[tuple[str, str]]] = {}
        for (source, event), target in self.edges.items():
            if event in events:
                links.setdefault(source, []).append((event, target))
        for alias, versions in self.aliases.items():
            if alias in self.edges.values():
                links.setdefault(alias, []).extend(("version", version) for version in versions)
        return links

    def possible(self) -> dict[str, list[tuple[str, str]]]:
        """All targets, and the versions that an unresolved alias may point to."""
        links = self.called("on_success", "on_failure")
        for alias in set(self.edges.values()) - set(self.aliases):
            if ":!" in alias:
                versions = {
                    source
                    for source, _ in self.edges
                    if ":!" not in source and source.rpartition(":")[0] == alias.rpartition(":")[0]
                }
                links.setdefault(alias, []).extend(("possible", version) for version in sorted(versions))
        return links

    def open_urns(self) -> dict[str, str]:
        why = {}
        names = {*self.subjects, *self.edges.values(), *itertools.chain(*self.aliases.values())}
        for name in names:
            if ":!" in name and name in self.edges.values() and name not in self.aliases:
                why[name] = "alias_unresolved"
            elif name not in self.subjects:
                if name not in self.aliases:
                    why[name] = "not_listed"
            elif self.subjects[name][0] in WHY:
                why[name] = WHY[self.subjects[name][0]]
            elif name in self.unreadable:
                why[name] = "param_unreadable"
        return why


@contextmanager
def tables_of(fleet: Fleet, seed: int = 0) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database as ``views.sql`` leaves it; the order of the rows follows the seed."""
    shuffled = random.Random(seed).sample
    with duckdb.connect() as connection:
        connection.execute((resources.files("inventory.reviews") / "macros.sql").read_text())
        connection.execute(
            "CREATE TABLE subjects (id BIGINT, subject VARCHAR, status VARCHAR, is_known BOOLEAN, why_unknown VARCHAR, "
            "why_null VARCHAR, retries BIGINT, age_s BIGINT, status_log BOOLEAN, has_failure_destination BOOLEAN);"
            "CREATE TABLE edges (source_id BIGINT, source VARCHAR, target_id BIGINT, target VARCHAR, event VARCHAR, "
            "target_known BOOLEAN, via_alias BOOLEAN);"
            "CREATE TABLE targets (subject_id BIGINT, subject VARCHAR, event VARCHAR, type VARCHAR, "
            "target_urn VARCHAR, place VARCHAR);"
            "CREATE TABLE facts (id BIGINT, timeout BIGINT, memory_size BIGINT, log_group_id VARCHAR, "
            "fail_count BIGINT);"
            "CREATE TABLE alias_of (alias_urn VARCHAR, function VARCHAR, alias VARCHAR, version_urn VARCHAR, "
            "weight DOUBLE)"
        )
        ids = {name: 3 * index + 2 for index, name in enumerate(sorted(fleet.subjects))}  # with gaps
        rows: list[tuple[Any, ...]] = []
        for name, (status, retries) in fleet.subjects.items():
            why_null = {"configured": "not_stated", "not_configured": "default_unknown"}.get(status)
            known = status not in WHY
            rows.append((ids[name], name, status, known, WHY.get(status), why_null, retries if known else None))
        insert(connection, "subjects", [(*row, None, None, None) for row in shuffled(rows, len(rows))])
        rows = [
            (ids[source], source, ids.get(target), target, event, ids.get(target) is not None, ":!" in target)
            for (source, event), target in fleet.edges.items()
        ]
        insert(connection, "edges", shuffled(rows, len(rows)))
        rows = [(ids.get(name), name, "on_success", "FunctionGraph", None, None) for name in fleet.unreadable]
        insert(connection, "targets", rows)
        rows = [
            (alias, alias.rpartition(":")[0], alias.rpartition("!")[2], version, weight)
            for alias, versions in fleet.aliases.items()
            for version, weight in versions.items()
        ]
        insert(connection, "alias_of", shuffled(rows, len(rows)))
        yield connection


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)  # noqa: S608 - constants


def table(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, dict[str, Any]]:
    """The rows by subject."""
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return {row["subject"]: row for row in rows}


# The oracle: the definitions as they are, on small graphs.


def reachable(links: dict[str, list[tuple[str, str]]], start: str) -> dict[str, int]:
    """The distance of each URN that an event can reach, the start itself at 0."""
    distance = {start: 0}
    for node in (queue := [start]):
        for _, target in links.get(node, ()):
            if target not in distance:
                distance[target] = distance[node] + 1
                queue.append(target)
    return distance


def cycle_with(links: dict[str, list[tuple[str, str]]], node: str, event: str) -> set[str]:
    """The strongly connected component of a node if it has a link of an event inside, else nothing."""
    component = {other for other in reachable(links, node) if node in reachable(links, other)}
    inside = {kind for member in component for kind, target in links.get(member, ()) if target in component}
    return component if event in inside else set()


def is_in_cycle(links: dict[str, list[tuple[str, str]]], node: str) -> bool:
    return any(node in reachable(links, target) for _, target in links.get(node, ()))


def attempts_of(fleet: Fleet, node: str) -> int:
    retries = fleet.subjects.get(node, ("", None))[1] if fleet.subjects.get(node, ("failed",))[0] not in WHY else None
    if retries is None and node in fleet.aliases:
        return 0
    return 1 + max(0, retries or 0)


def longest(fleet: Fleet, node: str) -> tuple[float, float]:
    """Functions and invocations on the longest and on the most expensive path."""
    links = fleet.called("on_success", "on_failure")
    if any(is_in_cycle(links, other) for other in reachable(links, node)):
        return INFINITE, INFINITE
    own = [longest(fleet, target) for event, target in links.get(node, ()) if event != "version"]
    versions = [longest(fleet, target) for event, target in links.get(node, ()) if event == "version"]
    length = max([1 + max([0, *(length for length, _ in own)]), *(length for length, _ in versions)])
    most = max([attempts_of(fleet, node) + max([0, *(most for _, most in own)]), *(most for _, most in versions)])
    return length, most


def fewest(fleet: Fleet) -> dict[str, float]:
    links = fleet.called("on_success", "on_failure")
    names = {*fleet.subjects, *fleet.edges.values(), *itertools.chain(*fleet.aliases.values())}
    value = dict.fromkeys(names, INFINITE)
    for _ in names:
        for node in names:
            ahead = dict(links.get(node, ()))
            own = attempts_of(fleet, node)
            choices = [value[target] for event, target in links.get(node, ()) if event == "version"]
            if own:
                choices.append(1 + (value[ahead["on_success"]] if "on_success" in ahead else 0))
                choices.append(own + (value[ahead["on_failure"]] if "on_failure" in ahead else 0))
            value[node] = min(choices, default=INFINITE)
    return value


NAMES = [urn(f"{function}:{qualifier}") for function in "ab" for qualifier in ("latest", "v1", "v2", "!x")] + [C, D]
FLEETS = st.builds(
    Fleet,
    subjects=st.dictionaries(
        st.sampled_from(NAMES),
        st.sampled_from(["configured"] * 4 + list(STATUSES)).flatmap(
            lambda status: st.tuples(
                st.just(status),
                st.sampled_from([0, 1, 3, None]) if status == "configured" else st.none(),
            )
        ),
        min_size=1,
    ),
    edges=st.dictionaries(
        st.tuples(st.sampled_from(NAMES), st.sampled_from(["on_success", "on_failure"])), st.sampled_from(NAMES)
    ),
    aliases=st.dictionaries(
        st.sampled_from([name for name in NAMES if "!" in name]),
        st.sets(st.sampled_from(["latest", "v1", "v2"]), min_size=1),
    ).map(
        lambda aliases: {
            alias: {f"{alias.rpartition(':')[0]}:{version}": 1.0 for version in sorted(versions)}
            for alias, versions in aliases.items()
        }
    ),
    unreadable=st.frozensets(st.sampled_from(NAMES), max_size=1),
).map(
    lambda fleet: replace(
        fleet,
        edges={key: to for key, to in fleet.edges.items() if fleet.subjects.get(key[0], ("",))[0] == "configured"},
        unreadable=frozenset(name for name in fleet.unreadable if fleet.subjects.get(name, ("",))[0] == "configured"),
    )
)
WAYS = pytest.mark.parametrize("few", [pytest.param(0, id="numpy"), pytest.param(10**9, id="python")])


@contextmanager
def steps(few: int) -> Iterator[None]:
    with mock.patch.object(call_graph, "FEW", few), mock.patch.object(call_paths, "FEW", few):
        yield


def check(fleet: Fleet, connection: duckdb.DuckDBPyConnection) -> None:
    check_cycles(fleet, table(connection, "FROM cycles"))
    check_paths(fleet, table(connection, "FROM chains"), table(connection, "FROM envelope"))


def check_cycles(fleet: Fleet, cycles: dict[str, dict[str, Any]]) -> None:
    by_success, certain = fleet.called("on_success"), fleet.called("on_success", "on_failure")
    why = fleet.open_urns()
    nothing = dict.fromkeys(["success_cycle", "failure_cycle", "alias_cycle", "unknown_urn", "why_unknown"])
    nothing |= {"reaches_unknown": False, "reaches_unknown_by_success": False}
    for name in fleet.subjects:
        row = cycles.get(name, nothing)
        for column, links, event in (
            ("success_cycle", by_success, "on_success"),
            ("failure_cycle", certain, "on_failure"),
            ("alias_cycle", fleet.possible(), "possible"),
        ):
            component = cycle_with(links, name, event) & set(fleet.subjects)
            assert row[column] == min(component, default=None), (column, name)
        assert row["reaches_unknown_by_success"] == bool(reachable(by_success, name).keys() & why.keys())
        assert row["reaches_unknown"] == bool(reachable(certain, name).keys() & why.keys())
        links = by_success if row["reaches_unknown_by_success"] else certain
        near = {other: distance for other, distance in reachable(links, name).items() if other in why}
        nearest = {other for other, distance in near.items() if distance == min(near.values())}
        assert row["unknown_urn"] in (nearest or {None})
        assert row["why_unknown"] == why.get(row["unknown_urn"])


def check_paths(fleet: Fleet, chains: dict[str, dict[str, Any]], envelope: dict[str, dict[str, Any]]) -> None:
    links, cheapest, why = fleet.called("on_success", "on_failure"), fewest(fleet), fleet.open_urns()
    assert envelope.keys() == fleet.subjects.keys()
    for name, row in envelope.items():
        length, most = longest(fleet, name)
        unstated = {
            other
            for other in reachable(links, name)
            if other in why or (other not in fleet.aliases and fleet.subjects[other][1] is None)
        }
        assert (row["fewest_invocations"], row["most_invocations"]) == (cheapest[name], most)
        assert row["is_infinite"] == (most == INFINITE)
        assert row["is_lower_bound"] == (bool(unstated) and most < INFINITE)
        assert (row["why_unknown"] is not None) == bool(unstated)
        chain = chains.get(name, {"length": 1, "called_by": 0, "is_infinite": False, "is_lower_bound": None})
        assert chain["length"] == (None if length == INFINITE else length)
        assert chain["is_infinite"] == (length == INFINITE)
        assert chain["is_lower_bound"] in (row["is_lower_bound"], None)
        assert chain["called_by"] == list(fleet.edges.values()).count(name)


@WAYS
@given(fleet=FLEETS, seed=st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_tables_are_those_of_a_search_by_definition(few: int, fleet: Fleet, seed: int) -> None:
    with steps(few), tables_of(fleet, seed) as connection:
        compute_graph_tables(connection)
        check(fleet, connection)


@WAYS
@given(fleet=FLEETS)
@settings(max_examples=10, deadline=None)
def test_tables_are_the_same_for_every_order_of_rows(few: int, fleet: Fleet) -> None:
    results = []
    for seed in (1, 2):
        with steps(few), tables_of(fleet, seed) as connection:
            listing = compute_graph_tables(connection).to_pylist()
            tables = ("cycles", "cycle_list", "chains", "envelope", "exposure")
            results.append([listing, *(connection.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in tables)])
    assert results[0] == results[1]


def simple_cycles(links: dict[str, list[tuple[str, str]]]) -> set[tuple[tuple[str, str], ...]]:
    """All simple cycles, each from its smallest URN, as URNs and the event that leads on."""
    cycles = set()

    def follow(path: list[tuple[str, str]], node: str) -> None:
        for event, target in links.get(node, ()):
            if target == path[0][0] if path else target == node:
                cycles.add((*path, (node, event)))
            elif target > (path[0][0] if path else node) and target not in {node, *(name for name, _ in path)}:
                follow([*path, (node, event)], target)

    for start in links:
        follow([], start)
    return cycles


@given(
    edges=st.dictionaries(
        st.tuples(st.sampled_from([A, B, C, D]), st.sampled_from(["on_success", "on_failure"])),
        st.sampled_from([A, B, C, D]),
    )
)
@settings(max_examples=30, deadline=None)
def test_the_listing_has_each_cycle_of_one_event_and_each_component_with_a_mixed_one(
    edges: dict[tuple[str, str], str],
) -> None:
    fleet = Fleet(dict.fromkeys([A, B, C, D], ("configured", 0)), edges)
    links = fleet.called("on_success", "on_failure")
    expected = set()
    for cycle in simple_cycles(links):
        urns, events = [name for name, _ in cycle], {event for _, event in cycle}
        if len(events) == 1:
            expected.add(("certain", *events, tuple(urns)))
        else:
            component = reachable(links, urns[0]).keys() & {name for name in links if urns[0] in reachable(links, name)}
            expected.add(("certain", "mixed", tuple(sorted(component))))
    with tables_of(fleet) as connection:
        rows = compute_graph_tables(connection).to_pylist()
    found = [(row["certainty"], row["kind"], tuple(row["urns"])) for row in rows]
    normalized = {
        (certainty, kind, tuple(sorted(urns)) if kind == "mixed" else urns) for certainty, kind, urns in found
    }
    assert normalized == expected
    assert len(found) == len(expected)
    assert all(row["size"] == len(row["urns"]) for row in rows)


SIZE = 100_000


def edges_of(source: object, target: object, nodes: int = SIZE) -> call_graph.Edges:
    sources, targets = np.asarray(source, np.int64), np.asarray(target, np.int64)
    return call_graph.Edges(nodes, sources, targets, np.zeros(len(sources), np.int64))


def test_a_long_chain_and_a_long_cycle_are_followed_to_their_ends() -> None:
    order = np.random.default_rng(1).permutation(SIZE)
    chain = edges_of(order[:-1], order[1:])
    assert np.all(call_graph.components(chain) == -1)
    assert np.all(call_graph.nearest(chain, order[-1:]) == order[-1])
    calls = call_paths.Calls(chain, np.full(SIZE, 4))
    paths = call_paths.longest_paths(calls, np.zeros(SIZE, np.bool_))
    assert paths.length[order].tolist() == list(range(SIZE, 0, -1))
    assert paths.most[order].tolist() == list(range(4 * SIZE, 0, -4))
    assert call_paths.cheapest_paths(calls)[order].tolist() == [4.0] * (SIZE - 4) + [4.0, 3.0, 2.0, 1.0]
    ring = edges_of(order, np.roll(order, 1))
    assert np.all(call_graph.components(ring) == 0)
    assert np.all(np.isinf(call_paths.longest_paths(call_paths.Calls(ring, np.ones(SIZE)), order < 0).most))


def test_a_large_component_with_shortcuts_is_one_component() -> None:
    order = np.random.default_rng(2).permutation(SIZE)
    source = np.concatenate([order, order])
    target = np.concatenate([np.roll(order, 1), np.random.default_rng(3).permutation(SIZE)])
    assert np.all(call_graph.components(edges_of(source, target)) == 0)
    without = (source != order[0]) & (target != order[0])
    number = call_graph.components(edges_of(source[without], target[without]))
    assert number[order[0]] == -1


def test_a_star_is_no_cycle_unless_its_centre_answers() -> None:
    spokes = np.arange(1, SIZE)
    star = edges_of(spokes, np.zeros(SIZE - 1))
    assert np.all(call_graph.components(star) == -1)
    assert np.all(call_graph.nearest(star, np.array([0])) == 0)
    answering = edges_of(np.append(spokes, 0), np.append(np.zeros(SIZE - 1), 7))
    assert np.flatnonzero(call_graph.components(answering) == 0).tolist() == [0, 7]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20), st.sampled_from([0, 10**9]))
@settings(max_examples=300, deadline=None)
def test_components_contain_the_nodes_that_reach_each_other(pairs: list[tuple[int, int]], few: int) -> None:
    links: dict[str, list[tuple[str, str]]] = {}
    for source, target in pairs:
        links.setdefault(str(source), []).append(("", str(target)))
    with steps(few):
        number = call_graph.components(edges_of([a for a, _ in pairs], [b for _, b in pairs], 8)).tolist()
    expected = [
        min(int(name) for name in cycle_with(links, str(node), "")) if is_in_cycle(links, str(node)) else -1
        for node in range(8)
    ]
    assert number == expected
