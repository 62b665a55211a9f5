"""Chains and circles of functions: against truths worked out by hand, and against a slow way to find the same."""

import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from snapshots import calls, functions, urn

from inventory.reviews import follow
from inventory.reviews.graph import components, rings

RETRIES = "max_async_retry_attempts"


def latest(*names):
    return tuple(urn(f"{name}:latest") for name in names)


def test_a_chain_costs_its_dearest_way_at_worst():
    """a(2 retries) calls b on success and c on failure; b(0) calls d(1): 3 + 1 + 2 = 6 calls, a chain of 3."""
    table = functions({"a": {RETRIES: 2}, "b": {RETRIES: 0}, "c": {RETRIES: 1}, "d": {RETRIES: 1}})
    found = follow(table, calls(("a", "on_success", "b"), ("a", "on_failure", "c"), ("b", "on_success", "d")))
    by_urn = found.functions.set_index("urn").loc[list(latest(*"abcd"))]
    assert by_urn["calls_at_worst"].tolist() == [6, 3, 2, 2]
    assert by_urn["chain"].tolist() == [3, 2, 1, 1]
    assert by_urn["called_by"].tolist() == [0, 1, 1, 1]
    assert not by_urn["is_lower_bound"].any()
    assert found.circles.empty


def test_what_is_not_known_on_the_way_makes_a_lower_bound():
    """A target that failed or is not listed counts as one call, and says so; one that is not found is not called."""
    table = functions({"a": {RETRIES: 1}, "b": "failed", "x": {RETRIES: 1}, "gone": "not_found"})
    found = follow(table, calls(("a", "on_success", "b"), ("x", "on_success", "gone"), ("x", "on_failure", "a:v9")))
    by_urn = found.functions.set_index("urn")
    assert by_urn.loc[urn("a:latest"), ["calls_at_worst", "is_lower_bound"]].tolist() == [3, True]
    assert by_urn.loc[urn("x:latest"), ["calls_at_worst", "chain"]].tolist() == [3, 2]
    assert urn("gone:latest") not in by_urn.index


def test_each_circle_is_told_once_with_its_urns_in_order():
    """Three that call on in turn are one circle, from the smallest on; failures of one to itself are another."""
    table = functions({name: {RETRIES: 0} for name in "abcd"})
    links = [("c", "on_success", "a"), ("a", "on_success", "b"), ("b", "on_success", "c")]
    found = follow(table, calls(*links, ("b", "on_failure", "b:latest"), ("d", "on_failure", "a")))
    assert [tuple(row) for row in found.circles.itertuples(index=False)] == [
        ("certain", "on_success", 3, latest("a", "b", "c")),
        ("certain", "on_failure", 1, latest("b")),
    ]
    ends = found.functions.set_index("urn")
    assert ends["calls_at_worst"].tolist() == [math.inf] * 4
    assert not ends["is_lower_bound"].any()


def test_a_function_that_the_list_names_twice_has_one_way_an_event():
    """Of `a` and `a:latest`, whose answers differ as somebody changed it between, the first holds: a circle of one."""
    links = (("a", "on_success", "a"), ("a:latest", "on_success", "b"))
    found = follow(functions({"a": {}, "a:latest": {}, "b": {}}), calls(*links))
    assert found.circles["urns"].tolist() == [latest("a")]
    assert found.links["target"].tolist() == list(latest("a"))


def test_a_circle_of_both_events_is_mixed():
    """A success calls the one, its failure calls back: one circle that takes both events."""
    found = follow(functions({"a": {}, "b": {}}), calls(("a", "on_success", "b"), ("b", "on_failure", "a")))
    assert [tuple(row) for row in found.circles.itertuples(index=False)] == [("certain", "mixed", 2, latest("a", "b"))]


def test_an_alias_makes_a_circle_that_is_not_certain():
    """a:v1 calls b, b calls a:!prod: a circle only if prod is v1, and it is told as such."""
    table = functions({"a:v1": {}, "b": {}, "a:v2": {}})
    found = follow(table, calls(("a:v1", "on_success", "b"), ("b", "on_success", "a:!prod")))
    assert [tuple(row) for row in found.circles.itertuples(index=False)] == [
        ("if_alias", "on_success", 3, (urn("a:!prod"), urn("a:v1"), urn("b:latest")))
    ]
    assert found.functions["calls_at_worst"].max() < math.inf


def test_no_links_give_empty_tables():
    """A snapshot without FunctionGraph destinations has no chain and no circle."""
    found = follow(functions({"a": {}, "b": "failed"}), calls())
    assert found.functions.empty
    assert found.circles.empty
    assert list(found.circles.columns) == ["certainty", "kind", "size", "urns"]


def test_a_chain_as_long_as_a_large_account_needs_no_recursion():
    """100,000 functions in one line and then in one ring: a chain of that length, then one circle."""
    length = 100_000
    line = [[at + 1] for at in range(length - 1)] + [[]]
    assert [len(part) for part in components(line)] == [1] * length
    assert len(next(components([*line[:-1], [0]]))) == length
    assert len(rings({at: (at + 1) % length for at in range(length)})[0]) == length


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.integers(0, 7), max_size=3), min_size=8, max_size=8))
def test_components_are_what_reaches_each_other(following):
    """Two nodes share a component exactly if each reaches the other, and what a component leads to came before it."""
    reached = [_reach(following, node) for node in range(8)]
    parts = list(components(following))
    place = {node: at for at, part in enumerate(parts) for node in part}
    assert sorted(place) == list(range(8))
    for one in range(8):
        for other in range(8):
            together = one == other or (other in reached[one] and one in reached[other])
            assert (place[one] == place[other]) == together
            assert other not in following[one] or place[other] <= place[one]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.integers(0, 9), st.integers(0, 9)))
def test_rings_are_the_nodes_that_come_back(follower):
    """A node is in a ring exactly if following it leads back to it; each ring is told once, in order."""
    following = [[follower[node]] if node in follower else [] for node in range(10)]
    found = rings(follower)
    on_ring = [node for ring in found for node in ring]
    assert sorted(on_ring) == [node for node in range(10) if node in _reach(following, node)]
    for ring in found:
        assert ring[0] == min(ring)
        assert all(follower[one] == other for one, other in pairwise([*ring, ring[0]]))


def _reach(following, start):
    seen, left = set(), list(following[start])
    while left:
        node = left.pop()
        if node not in seen:
            seen.add(node)
            left += following[node]
    return seen
