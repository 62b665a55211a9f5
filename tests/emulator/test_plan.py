from __future__ import annotations

from collections import Counter

import pytest

from inventory.emulator import Fault, Faults
from inventory.emulator.faults.plan import ERRORS_5XX, MALFORMED, RESETS, STALLS, STORM_CALLS, THROTTLES, Plan
from inventory.errors import SettingsError


def test_a_text_gives_the_rates():
    assert Faults.parse("latency=20ms,5xx=1%,reset=0.5%, malformed=0.01", seed=3) == Faults(
        latency=0.02, error_5xx=0.01, reset=0.005, malformed=0.01, seed=3
    )
    assert Faults.parse("latency=1.5s,jitter=0") == Faults(latency=1.5, jitter=0.0)
    assert Faults.parse("") == Faults()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("latncy=1s", ["'latncy'", "did you mean 'latency'?", "latency, jitter, 5xx, reset, malformed"]),
        ("qqq=1", ["'qqq'", "allowed are"]),
        ("latency", ["'latency'", "KEY=VALUE"]),
        ("latency=fast", ["latency=fast"]),
        ("latency=-1s", ["latency=-1s"]),
        ("5xx=101%", ["5xx=101%"]),
        ("reset=x", ["reset=x"]),
        ("reset=1%,reset=2%", ["'reset'", "twice"]),
        ("reset=60%,5xx=60%", ["add up to 1"]),
    ],
)
def test_a_wrong_text_says_what_and_what_is_allowed(text, words):
    with pytest.raises(SettingsError) as caught:
        Faults.parse(text)
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("wrong", [{"latency": -1}, {"reset": 1.1}, {"error_5xx": -0.1}, {"jitter": 2}])
def test_impossible_rates_are_refused(wrong):
    with pytest.raises(SettingsError):
        Faults(**wrong)


def test_draws_depend_on_seed_and_number_only():
    faults, same, other = (Faults(error_5xx=0.3, latency=1, seed=seed) for seed in (1, 1, 2))
    draws = [faults.draw(number) for number in range(100)]
    assert draws == [same.draw(number) for number in range(100)]
    assert draws != [other.draw(number) for number in range(100)]


def test_faults_come_at_their_rates_and_in_all_kinds():
    faults = Faults(error_5xx=0.1, reset=0.2, malformed=0.3)
    counts = Counter(faults.draw(number)[1] for number in range(10_000))
    for rate, kinds in ((0.1, ERRORS_5XX), (0.2, RESETS), (0.3, MALFORMED)):
        assert sum(counts[kind] for kind in kinds) == pytest.approx(10_000 * rate, rel=0.1)
        assert all(counts[kind] for kind in kinds)


def test_latency_varies_by_its_jitter():
    drawn = [Faults(latency=2.0, jitter=0.25).draw(number)[0] for number in range(1000)]
    assert 1.5 <= min(drawn) < 1.6
    assert 2.4 < max(drawn) <= 2.5
    assert Faults(latency=2.0, jitter=0).draw(1) == (2.0, None)


def test_a_plan_is_followed_per_urn_and_then_over():
    plan = Plan({"a": [Fault.RESET, None, Fault.NULL]})
    assert [plan.step("a") for _ in range(5)] == [Fault.RESET, None, Fault.NULL, None, None]
    assert plan.step("b") is None


def test_a_plan_may_be_a_function():
    plan = Plan(lambda urn, asked: Fault.HTML if (urn, asked) == ("a", 1) else None)
    assert [plan.step("a"), plan.step("b"), plan.step("a"), plan.step("a")] == [None, None, Fault.HTML, None]


def test_a_text_names_groups_and_single_kinds():
    faults = Faults.parse("stall=10%,other_urn=20%,blocked=0.05,absence=250ms")
    assert faults == Faults(others={"stall": 0.1, "other_urn": 0.2, "blocked": 0.05}, absence=0.25)
    counts = Counter(faults.draw(number)[1] for number in range(10_000))
    assert counts.keys() == {*STALLS, Fault.OTHER_URN, Fault.BLOCKED, None}
    assert counts[Fault.OTHER_URN] == pytest.approx(2000, rel=0.1)
    assert sum(counts[kind] for kind in STALLS) == pytest.approx(1000, rel=0.1)


@pytest.mark.parametrize("kind", Fault)
def test_every_kind_can_be_named(kind):
    drawn = {Faults.parse(f"{kind}=100%").draw(number)[1] for number in range(50)}
    assert drawn == ({*RESETS} if kind is Fault.RESET else {kind})


def test_all_covers_every_recoverable_fault():
    counts = Counter(Faults.parse("all=100%").draw(number)[1] for number in range(20_000))
    assert counts.keys() == set(Fault) - {Fault.BLOCKED}
    assert min(counts.values()) == pytest.approx(max(counts.values()), rel=0.3)


def test_a_storm_refuses_calls_in_a_row():
    drawn = [Faults.parse("storm=20%").draw(number)[1] for number in range(20_000)]
    runs = [set(drawn[start : start + STORM_CALLS]) for start in range(0, len(drawn), STORM_CALLS)]
    assert all(len(run) == 1 for run in runs)
    assert set.union(*runs) == {*THROTTLES, None}
    assert sum(kind is not None for kind in drawn) == pytest.approx(4000, rel=0.1)


def test_unknown_names_are_refused_in_python():
    with pytest.raises(SettingsError, match=r"'stalls': did you mean 'stall'\? allowed are latency"):
        Faults(others={"stalls": 0.1})
