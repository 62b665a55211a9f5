"""Call chains and cycles; expected results are worked out by hand."""

import math

from support.snapshots import calls, functions, urn

from inventory.reviews import trace_chains

RETRIES = "max_async_retry_attempts"


def latest(*names):
    return tuple(urn(f"{name}:latest") for name in names)


def cycles_of(chains):
    return [tuple(row) for row in chains.cycles.itertuples(index=False)]


def test_a_chain_costs_its_most_expensive_path():
    table = functions({"a": {RETRIES: 2}, "b": {RETRIES: 0}, "c": {RETRIES: 1}, "d": {RETRIES: 1}})
    chains = trace_chains(table, calls(("a", "on_success", "b"), ("a", "on_failure", "c"), ("b", "on_success", "d")))
    by_urn = chains.functions.set_index("urn").loc[list(latest(*"abcd"))]
    assert by_urn["calls_at_worst"].tolist() == [6, 3, 2, 2]
    assert by_urn["chain"].tolist() == [3, 2, 1, 1]
    assert by_urn["called_by"].tolist() == [0, 1, 1, 1]
    assert not by_urn["is_lower_bound"].any()
    assert chains.cycles.empty


def test_unknown_retries_make_a_lower_bound():
    table = functions({"a": {RETRIES: 1}, "b": "failed", "x": {RETRIES: 1}, "deleted": "not_found"})
    links = calls(("a", "on_success", "b"), ("x", "on_success", "deleted"), ("x", "on_failure", "a:v9"))
    by_urn = trace_chains(table, links).functions.set_index("urn")
    assert by_urn.loc[urn("a:latest"), ["calls_at_worst", "is_lower_bound"]].tolist() == [3, True]
    assert by_urn.loc[urn("x:latest"), ["calls_at_worst", "chain"]].tolist() == [3, 2]
    assert urn("deleted:latest") not in by_urn.index


def test_each_cycle_is_listed_once_in_call_order():
    table = functions({name: {RETRIES: 0} for name in "abcd"})
    links = [("c", "on_success", "a"), ("a", "on_success", "b"), ("b", "on_success", "c")]
    chains = trace_chains(table, calls(*links, ("b", "on_failure", "b:latest"), ("d", "on_failure", "a")))
    assert cycles_of(chains) == [
        ("certain", "on_success", 3, latest("a", "b", "c")),
        ("certain", "on_failure", 1, latest("b")),
    ]
    by_urn = chains.functions.set_index("urn")
    assert by_urn["calls_at_worst"].tolist() == [math.inf] * 4
    assert not by_urn["is_lower_bound"].any()
    assert chains.circles is chains.cycles  # the old name


def test_the_first_duplicate_has_the_links():
    links = (("a", "on_success", "a"), ("a:latest", "on_success", "b"))
    chains = trace_chains(functions({"a": {}, "a:latest": {}, "b": {}}), calls(*links))
    assert chains.cycles["urns"].tolist() == [latest("a")]
    assert chains.links["target"].tolist() == list(latest("a"))


def test_a_cycle_of_both_events_is_mixed():
    chains = trace_chains(functions({"a": {}, "b": {}}), calls(("a", "on_success", "b"), ("b", "on_failure", "a")))
    assert cycles_of(chains) == [("certain", "mixed", 2, latest("a", "b"))]


def test_a_cycle_through_an_alias_is_not_certain():
    table = functions({"a:v1": {}, "b": {}, "a:v2": {}})
    chains = trace_chains(table, calls(("a:v1", "on_success", "b"), ("b", "on_success", "a:!prod")))
    assert cycles_of(chains) == [("if_alias", "on_success", 3, (urn("a:!prod"), urn("a:v1"), urn("b:latest")))]
    assert chains.functions["calls_at_worst"].max() < math.inf


def test_no_links_give_empty_tables():
    chains = trace_chains(functions({"a": {}, "b": "failed"}), calls())
    assert chains.functions.empty
    assert chains.cycles.empty
    assert list(chains.cycles.columns) == ["certainty", "kind", "size", "urns"]
