from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from inventory.emulator import Fault, Faults
from inventory.emulator.faults.plan import ERRORS_5XX, MALFORMED, RESETS, STALLS, THROTTLES, AttemptCounts, Plan
from inventory.errors import SettingsError


def test_a_text_gives_the_rates():
    assert Faults.parse("latency=20ms,5xx=1%,reset=0.5%, malformed=0.01", seed=3) == Faults(
        latency=0.02, error_5xx=0.01, reset=0.005, malformed=0.01, seed=3
    )
    assert Faults.parse("latency=1.5s,jitter=0") == Faults(latency=1.5, jitter=0.0)
    assert Faults.parse("") == Faults()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("latncy=1s", ["'latncy'", "did you mean 'latency'?", "latency, jitter, 5xx, reset, malformed"]),
        ("stary=1%", ["'stary'", "did you mean 'stray'?"]),
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
def test_a_wrong_text_says_what_and_what_is_allowed(text, parts):
    with pytest.raises(SettingsError) as caught:
        Faults.parse(text)
    assert [part for part in parts if part not in str(caught.value)] == []


@pytest.mark.parametrize("wrong", [{"latency": -1}, {"reset": 1.1}, {"error_5xx": -0.1}, {"jitter": 2}])
def test_impossible_rates_are_refused(wrong):
    with pytest.raises(SettingsError):
        Faults(**wrong)


def drawn(faults, count, attempt=0):
    return [faults.draw(f"/f{number}", attempt)[1] for number in range(count)]


def test_draws_depend_on_seed_call_and_attempt_only():
    attempts = [(f"/f{number}", attempt) for number in range(50) for attempt in range(4)]
    faults, same, other = (Faults(error_5xx=0.3, latency=1, seed=seed) for seed in (1, 1, 2))
    draws = {each: faults.draw(*each) for each in attempts}
    assert draws == {each: same.draw(*each) for each in reversed(attempts)}
    assert draws != {each: other.draw(*each) for each in attempts}
    assert drawn(faults, 50, 0) != drawn(faults, 50, 1)


def test_the_attempts_of_a_call_are_drawn_independently():
    failing = [number for number, fault in enumerate(drawn(Faults(error_5xx=0.2), 10_000)) if fault]
    again = [fault for number, fault in enumerate(drawn(Faults(error_5xx=0.2), 10_000, 1)) if number in set(failing)]
    assert sum(fault is not None for fault in again) == pytest.approx(0.2 * len(failing), rel=0.15)


@pytest.mark.parametrize("workers", [1, 7, 50])
def test_a_call_meets_the_same_faults_in_any_order_of_requests(workers):
    faults, attempts = Faults(error_5xx=0.4), AttemptCounts()
    met = {f"/f{number}": [] for number in range(50)}
    waiting = random.Random(workers).sample(sorted(met), len(met)) * 4
    while waiting:
        call = waiting.pop(random.Random(len(waiting)).randrange(min(workers, len(waiting))))
        met[call].append(attempts.draw(faults, call, number=len(waiting)).fault)
    assert met == {call: [faults.draw(call, attempt)[1] for attempt in range(4)] for call in met}


def test_encoded_and_raw_paths_are_the_same_call():
    faults, attempts = Faults(error_5xx=0.5), AttemptCounts()
    seen = [attempts.draw(faults, path, 0).fault for path in ("/a!b", "/a%21b") * 5]
    assert seen == [faults.draw("/a!b", attempt)[1] for attempt in range(10)]


def test_a_request_that_a_storm_refuses_is_no_attempt():
    stormy, attempts = Faults(storm=1, error_5xx=0.5), AttemptCounts()
    for number in range(20):
        draw = attempts.draw(stormy, "/a", number)
        assert draw.fault in THROTTLES
        attempts.undo(draw)
    calm = Faults(error_5xx=0.5)
    assert [attempts.draw(calm, "/a", 0).fault for _ in range(9)] == [calm.draw("/a", number)[1] for number in range(9)]


def test_an_undone_attempt_is_drawn_again():
    faults, attempts = Faults(error_5xx=0.5), AttemptCounts()
    for attempt in range(9):
        for _ in range(3):
            draw = attempts.draw(faults, "/a", 0)
            assert draw.fault is faults.draw("/a", attempt)[1]
            attempts.undo(draw)
        attempts.draw(faults, "/a", 0)


def test_faults_come_at_their_rates_and_in_all_kinds():
    counts = Counter(drawn(Faults(error_5xx=0.1, reset=0.2, malformed=0.3), 10_000))
    for rate, kinds in ((0.1, ERRORS_5XX), (0.2, RESETS), (0.3, MALFORMED)):
        assert sum(counts[kind] for kind in kinds) == pytest.approx(10_000 * rate, rel=0.1)
        assert all(counts[kind] for kind in kinds)


def test_stray_hits_its_share_of_calls():
    faults = Faults.parse("stray=10%")
    assert drawn(faults, 10_000).count(Fault.STRAY) == pytest.approx(1000, rel=0.1)
    assert drawn(faults, 10_000, attempt=1).count(Fault.STRAY) == pytest.approx(900, rel=0.1)


@pytest.mark.parametrize("share", [0.5, 0.99, 1.0])
def test_a_stray_refusal_is_never_followed_by_another(share):
    faults = Faults(others={"stray": share})
    for number in range(200):
        strays = [faults.draw(f"/f{number}", attempt)[1] is Fault.STRAY for attempt in range(20)]
        assert not any(first and second for first, second in itertools.pairwise(strays))


def test_all_of_stray_refuses_each_call_once():
    faults = Faults.parse("stray=100%")
    assert [[faults.draw(call, attempt)[1] for attempt in range(3)] for call in ("/a", "/b")] == [
        [Fault.STRAY, None, None]
    ] * 2


def test_latency_varies_by_its_jitter():
    latencies = [Faults(latency=2.0, jitter=0.25).draw("/f", attempt)[0] for attempt in range(1000)]
    assert 1.5 <= min(latencies) < 1.6
    assert 2.4 < max(latencies) <= 2.5
    assert Faults(latency=2.0, jitter=0).draw("/f", 1) == (2.0, None)


def test_a_plan_is_followed_per_urn_and_then_over():
    plan = Plan({"a": [Fault.RESET, None, Fault.NULL]})
    assert [plan.step("a") for _ in range(5)] == [Fault.RESET, None, Fault.NULL, None, None]
    assert plan.step("b") is None


def test_a_plan_may_be_a_function():
    plan = Plan(lambda urn, calls: Fault.HTML if (urn, calls) == ("a", 1) else None)
    assert [plan.step("a"), plan.step("b"), plan.step("a"), plan.step("a")] == [None, None, Fault.HTML, None]


def test_a_text_names_groups_and_single_kinds():
    faults = Faults.parse("stall=10%,other_urn=20%,blocked=0.05,absence=250ms")
    assert faults == Faults(others={"stall": 0.1, "other_urn": 0.2, "blocked": 0.05}, absence=0.25)
    counts = Counter(drawn(faults, 10_000))
    assert counts.keys() == {*STALLS, Fault.OTHER_URN, Fault.BLOCKED, None}
    assert counts[Fault.OTHER_URN] == pytest.approx(2000, rel=0.1)
    assert sum(counts[kind] for kind in STALLS) == pytest.approx(1000, rel=0.1)


@pytest.mark.parametrize("kind", Fault)
def test_every_kind_can_be_named(kind):
    assert set(drawn(Faults.parse(f"{kind}=100%"), 50)) == ({*RESETS} if kind is Fault.RESET else {kind})


def test_all_covers_every_recoverable_fault():
    counts = Counter(drawn(Faults.parse("all=100%"), 20_000))
    assert counts.keys() == set(Fault) - {Fault.BLOCKED}
    assert min(counts.values()) == pytest.approx(max(counts.values()), rel=0.3)


def test_a_storm_refuses_calls_in_a_row():
    kinds = [Faults.parse("storm=20%").draw_storm(number) for number in range(20_000)]
    runs = [set(kinds[start : start + 10]) for start in range(0, len(kinds), 10)]
    assert all(len(run) == 1 for run in runs)
    assert set.union(*runs) == {*THROTTLES, None}
    assert sum(kind is not None for kind in kinds) == pytest.approx(4000, rel=0.1)


def test_unknown_names_are_refused_in_python():
    with pytest.raises(SettingsError, match=r"'stalls': did you mean 'stall'\? allowed are latency"):
        Faults(others={"stalls": 0.1})
