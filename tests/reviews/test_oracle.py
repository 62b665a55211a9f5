"""Every rule, both computed tables and all states, held against a second computation in plain Python."""

import random

import pytest
from support.review_oracle import (
    DEFAULTS,
    PARAMETERS,
    Oracle,
    differences,
    random_fleet,
    reviewed,
    state_differences,
)

from inventory.reviews import database, result
from inventory.reviews.baseline import baseline_of


def compare(seed, size, listed, defaults, *, has_facts):
    old, new = random_fleet(random.Random(seed), size, listed, has_facts=has_facts)
    before, after = Oracle(*old, PARAMETERS, defaults), Oracle(*new, PARAMETERS, defaults)
    with reviewed(old, defaults) as done:
        yield from differences(before, done)
        baseline = baseline_of("old", done.batches("findings"), done.rules)
    with reviewed(new, defaults) as done:
        yield from differences(after, done)
        done.compare(baseline)
        yield from state_differences(before, after, done)


@pytest.mark.parametrize(
    ("seed", "listed", "defaults", "has_facts"),
    [(1, ("versions", "aliases"), {}, True), (2, None, DEFAULTS, False)],
    ids=["listed by the service", "listed by a user"],
)
def test_verdicts_tables_and_states_are_those_of_a_second_computation(seed, listed, defaults, has_facts):
    assert list(compare(seed, 40, listed, defaults, has_facts=has_facts)) == []


def test_large_runs_have_the_findings_of_small_ones(monkeypatch):
    old, new = random_fleet(random.Random(3), 40, ("versions",), has_facts=True)

    def both():
        with reviewed(old, {}) as done:
            baseline = baseline_of("old", done.batches("findings"), done.rules)
        with reviewed(new, {}) as done:
            done.compare(baseline)
            return done.findings, done.summary, done.exposure, done.envelope

    small = both()
    for module in (database, result):
        monkeypatch.setattr(module, "FEW_ROWS", -1)
    assert all(large.equals(table) for large, table in zip(both(), small, strict=True))
    assert len(small[0])
