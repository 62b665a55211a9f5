import math
import random
from itertools import permutations, product

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


def test_the_answered_duplicate_has_the_links():
    links = (("a", "on_success", "a"), ("a:latest", "on_success", "b"))
    chains = trace_chains(functions({"a": {}, "a:latest": "failed", "b": {}}), calls(*links))
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


EVENTS = ("on_success", "on_failure")


def random_links(seed, names):
    dice = random.Random(seed)
    sources = [(name, event) for name in names for event in EVENTS if dice.random() < 0.7]
    return [(name, event, dice.choice(names)) for name, event in sources]


def simple_cycles_by_brute_force(links):
    events, cycles = {}, set()
    for source, event, target in links:
        events.setdefault((source, target), []).append(event)
    nodes = sorted({node for pair in events for node in pair})
    for size in range(1, len(nodes) + 1):
        for order in permutations(nodes, size):
            if order[0] == min(order):
                steps = [events.get(pair, ()) for pair in zip(order, [*order[1:], order[0]], strict=True)]
                for chosen in product(*steps):
                    kinds = set(chosen) - {None}
                    cycles.add((kinds.pop() if len(kinds) == 1 else "mixed", order, None in chosen))
    return cycles


def test_possible_cycles_of_random_graphs_are_those_of_brute_force():
    possible = 0
    for seed in range(30):
        names = [f"{function}:{qualifier}" for function in "ab" for qualifier in ("v1", "v2", "!prod")]
        links = [(urn(source), event, urn(target)) for source, event, target in random_links(seed, names)]
        called = {target for _, _, target in links}
        sources = {source for source, _, _ in links}
        aliases = [
            (alias, None, version)
            for alias in called
            for version in sources
            if alias.endswith(":!prod") and "!" not in version and alias[: -len(":!prod")] == version[: -len(":v1")]
        ]
        wanted = simple_cycles_by_brute_force([*links, *aliases])
        table = functions(dict.fromkeys(sources, "configured"))
        rows = cycles_of(trace_chains(table, calls(*links)))
        reported = [set(urns) for *_, urns in rows]
        needed = [set(urns) for _, urns, needs_alias in wanted if needs_alias]
        assert all(any(cycle <= urns for urns in reported) for cycle in needed), seed
        unsure = [set(urns) for certainty, *_, urns in rows if certainty == "if_alias"]
        assert all(any(cycle <= urns for cycle in needed) for urns in unsure), seed
        possible += bool(unsure)
    assert possible > 3
