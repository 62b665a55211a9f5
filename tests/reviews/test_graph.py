from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.reviews.graph import simple_cycles, strongly_connected_components


def test_a_long_chain_needs_no_recursion():
    length = 100_000
    line = [[node + 1] for node in range(length - 1)] + [[]]
    assert [len(component) for component in strongly_connected_components(line)] == [1] * length
    assert len(next(strongly_connected_components([*line[:-1], [0]]))) == length
    assert len(simple_cycles({node: (node + 1) % length for node in range(length)})[0]) == length


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.integers(0, 7), max_size=3), min_size=8, max_size=8))
def test_components_contain_the_nodes_that_reach_each_other(successors):
    reached = [_reachable(successors, node) for node in range(8)]
    components = list(strongly_connected_components(successors))
    index = {node: number for number, component in enumerate(components) for node in component}
    assert sorted(index) == list(range(8))
    for node in range(8):
        for other in range(8):
            together = node == other or (other in reached[node] and node in reached[other])
            assert (index[node] == index[other]) == together
            assert other not in successors[node] or index[other] <= index[node]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.integers(0, 9), st.integers(0, 9)))
def test_simple_cycles_contain_the_nodes_that_reach_themselves(successor):
    successors = [[successor[node]] if node in successor else [] for node in range(10)]
    cycles = simple_cycles(successor)
    on_cycle = [node for cycle in cycles for node in cycle]
    assert sorted(on_cycle) == [node for node in range(10) if node in _reachable(successors, node)]
    for cycle in cycles:
        assert cycle[0] == min(cycle)
        assert all(successor[node] == following for node, following in pairwise([*cycle, cycle[0]]))


def _reachable(successors, start):
    seen, left = set(), list(successors[start])
    while left:
        node = left.pop()
        if node not in seen:
            seen.add(node)
            left += successors[node]
    return seen
