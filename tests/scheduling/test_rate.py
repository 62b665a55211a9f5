"""The adaptive rate learns limits that messages name and limits that they do not."""

from __future__ import annotations

import json

import pytest
from support.project import DATA

from inventory.cloud.responses import read_limit
from inventory.errors import RateLimit, ThrottledError
from inventory.scheduling.rate import MARGIN, MIN_MARGIN, START, AdaptiveRate

RECORDED = [entry for entry in json.loads((DATA / "real_answers.json").read_text()) if entry["kind"] == "throttle"]
LIMITS = {
    "api is busy now": None,
    "The throttling threshold has been reached: policy user over ratelimit,limit:200,time:5 minute": RateLimit(
        200, 300.0, "user"
    ),
    "The throttling threshold has been reached: policy user over ratelimit,limit:60,time:1 minute": RateLimit(
        60, 60.0, "user"
    ),
    "The throttling threshold has been reached: policy user over ratelimit,limit:100,time:1 minute": RateLimit(
        100, 60.0, "user"
    ),
}


def refusal(retry_after: float | None = None, limit: RateLimit | None = None) -> ThrottledError:
    return ThrottledError("busy", status_code=429).with_hints(retry_after=retry_after, limit=limit)


@pytest.mark.parametrize("entry", RECORDED, ids=[entry["body"]["error_msg"][-22:] for entry in RECORDED])
def test_the_limits_of_the_recorded_texts(entry):
    assert read_limit(entry["body"]["error_msg"]) == LIMITS[entry["body"]["error_msg"]]


def test_every_recorded_throttling_is_a_case():
    assert {entry["body"]["error_msg"] for entry in RECORDED} == set(LIMITS)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("policy ip over ratelimit,limit:5,time:5 second", RateLimit(5, 5.0, "ip")),
        ("policy api over ratelimit,limit:2000,time:1 minute", RateLimit(2000, 60.0, "api")),
        ("POLICY APP OVER RATELIMIT,LIMIT:10,TIME:2 HOURS", RateLimit(10, 7200.0, "app")),
        ("limit:9,time:1 day", RateLimit(9, 86400.0)),
        ("limit: 3, time: 10 seconds", RateLimit(3, 10.0)),
        ("limit:3,time:10second", RateLimit(3, 10.0)),
        ("limit:0,time:1 second", None),
        ("limit:5,time:0 second", None),
        ("limit:5,time:1 fortnight", None),
        ("limit:-5,time:1 second", None),
        ("limit:,time:1 second", None),
        ("", None),
    ],
)
def test_limits_in_other_words(text, limit):
    assert read_limit(text) == limit


class Calls:
    """A pace whose calls are sent, accepted and refused one after the other, a tenth of a second later each."""

    def __init__(self, cap: float = 200.0, share: float = 1.0) -> None:
        self.pace = AdaptiveRate(cap, share)
        self.now = 100.0

    def accept(self, times: int = 1, every: float | None = None) -> None:
        for _ in range(times):
            self.now += 1.0 / self.pace.rate if every is None else every
            self.pace.record_sent(self.now)
            self.pace.record_accepted(self.now, self.now + 0.1)

    def refuse(self, **hints) -> float:
        self.now += 0.01
        self.pace.record_sent(self.now)
        pause = self.pace.record_throttled(self.now, self.now + 0.1, refusal(**hints))
        self.now += 0.1 + pause
        return pause


def test_a_scope_begins_gently_and_grows_up_to_the_cap():
    calls = Calls(50)
    assert calls.pace.rate == START == 20.0
    calls.accept(15)
    assert 30.0 < calls.pace.rate < 40.0
    calls.accept(100)
    assert calls.pace.rate == 50.0
    assert AdaptiveRate(5).rate == 5.0


def test_without_a_cap_there_is_no_slow_beginning():
    calls = Calls(0)
    assert calls.pace.rate == float("inf")
    calls.accept(100, every=0.001)
    assert calls.pace.rate == float("inf")
    calls.refuse(limit=RateLimit(60, 60.0))
    assert calls.pace.rate == MARGIN


def test_a_limit_is_the_pace_at_once_and_never_lifts_the_cap():
    calls = Calls(20)
    calls.refuse(limit=RateLimit(60_000, 60.0))
    assert (calls.pace.rate, calls.pace.limit) == (20.0, RateLimit(60_000, 60.0))
    calls.accept()
    calls.refuse(limit=RateLimit(60, 60.0))
    assert (calls.pace.rate, calls.pace.limit) == (MARGIN, RateLimit(60, 60.0))


def test_limits_of_several_policies_hold_at_once():
    calls = Calls()
    for limit in (RateLimit(200, 300.0, "user"), RateLimit(2000, 60.0, "api")):
        calls.refuse(limit=limit)
        calls.accept()
    assert calls.pace.limit == RateLimit(200, 300.0, "user")
    calls.refuse(limit=RateLimit(600, 300.0, "user"))
    assert calls.pace.rate == pytest.approx(2 * MARGIN)


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_only_a_share_of_a_limit_is_used(share):
    reported = Calls(share=share)
    reported.refuse(limit=RateLimit(100, 1.0))
    assert reported.pace.rate == pytest.approx(share * MARGIN * 100)
    measured = Calls(share=share)
    measured.accept(400, every=0.01)
    for _ in range(3):  # a single refusal says nothing, and refused probes do
        measured.refuse()
    measured.accept()
    assert share * 80 <= measured.pace.rate <= share * 100
    measured.accept(3000)
    assert share == 1.0 or measured.pace.rate <= share * 100


def test_the_pause_ends_when_the_window_has_room():
    calls = Calls(0)
    calls.accept(10, every=0.5)
    refused_at = calls.now + 0.11
    assert calls.refuse(limit=RateLimit(10, 30.0)) == pytest.approx(101.0 + 30.0 - refused_at)


def test_what_was_under_way_tells_nothing_new():
    pace = AdaptiveRate(200)
    for number in range(10):
        pace.record_sent(100.0 + number / 100)
    pauses = [pace.record_throttled(100.0 + number / 100, 100.2, refusal()) for number in range(10)]
    assert pauses == [0.0, 0.2, *[0.0] * 8]
    assert pace.refused == 10
    assert pace.record_throttled(100.09, 100.3, refusal(retry_after=7.0)) == 7.0
    assert pace.record_throttled(100.09, 100.3, refusal(limit=RateLimit(60, 60.0))) == 0.0
    assert pace.rate == MARGIN


def test_an_answer_that_comes_late_tells_nothing_new():
    pace = AdaptiveRate(200)
    for sent in (100.0, 100.1, 100.15, 100.2):
        pace.record_sent(sent)
    pace.record_throttled(100.1, 100.3, refusal())
    assert pace.record_throttled(100.15, 100.3, refusal()) == 0.2
    pace.record_sent(100.5)
    pace.record_accepted(100.5, 100.6)
    rate = pace.rate
    assert pace.record_throttled(100.2, 101.0, refusal()) == 0.0
    pace.record_sent(101.1)
    pace.record_accepted(101.1, 101.2)
    assert pace.rate >= rate


def test_guesses_grow_to_a_minute_and_begin_anew():
    calls = Calls()
    calls.accept()
    waits = [calls.refuse() for _ in range(19)]
    assert waits[:5] == pytest.approx([0.0, 0.2, 0.3, 0.45, 0.675])
    assert waits[-2:] == [60.0, 60.0]
    calls.accept()
    calls.refuse()
    assert calls.refuse() == 0.2


@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7.0), (900.0, 900.0), (1e9, 1e9)])
def test_retry_after_is_the_pause(asked, waited):
    assert Calls().refuse(retry_after=asked) == waited


def test_a_limit_that_was_a_little_too_much_is_used_a_little_less():
    calls = Calls()
    limit = RateLimit(100, 1.0)
    calls.refuse(limit=limit)
    for _ in range(20):
        calls.accept(300)
        calls.refuse(limit=limit)
    calls.accept()
    assert calls.pace.rate == pytest.approx(100 * MIN_MARGIN)


def test_a_burst_from_before_a_limit_was_known_widens_no_margin():
    calls = Calls()
    limit = RateLimit(600, 5.0)
    calls.accept(600)
    calls.refuse(limit=limit)
    calls.accept(20)
    calls.refuse(limit=limit)
    calls.accept()
    assert calls.pace.rate == pytest.approx(120 * MARGIN)


def test_a_limit_that_is_counted_in_another_way_is_measured():
    calls = Calls()
    limit = RateLimit(100, 1.0)
    calls.refuse(limit=limit)
    for _ in range(12):
        calls.accept(120)
        calls.refuse(limit=limit)
    calls.accept()
    assert 50.0 < calls.pace.rate < 100 * MIN_MARGIN


def test_a_guess_is_no_shorter_than_a_slot_of_the_limit():
    calls = Calls()
    calls.refuse(limit=RateLimit(60, 60.0))
    calls.accept(3)
    assert calls.refuse(limit=RateLimit(60, 60.0)) == 1.0


def test_a_limit_that_others_use_too_is_measured():
    calls = Calls()
    limit = RateLimit(600, 60.0)
    calls.refuse(limit=limit)
    calls.accept(300)
    while calls.now < 160.0:  # the window is used up, by others too, until it ends
        calls.refuse(limit=limit)
    calls.accept()
    assert 4.0 < calls.pace.rate < 6.5
    calls.accept(3000)
    assert calls.pace.rate == pytest.approx(600 / 60 * MARGIN)


def test_refusals_that_no_slowing_down_makes_rarer_are_no_matter_of_pace():
    calls = Calls(100)
    rates = []
    for _ in range(60):
        calls.accept(50)
        calls.refuse()
        rates.append(calls.pace.rate)
    assert min(rates) > 5.0
    assert max(rates[-4:]) == 100.0


def test_how_much_of_a_limit_was_used():
    calls = Calls()
    assert calls.pace.used(calls.now) is None
    calls.refuse(limit=RateLimit(100, 10.0))
    calls.accept(60)
    assert calls.pace.used(calls.now) is None
    calls.accept(1000)
    assert calls.pace.used(calls.now) == pytest.approx(0.99, abs=0.01)


@pytest.mark.parametrize(("share", "calls"), [(1.0, 5), (0.5, 2), (0.1, 1)])
def test_a_window_never_contains_more_calls_than_the_limit(share, calls):
    pace = AdaptiveRate(0, share)
    pace.learn(RateLimit(5, 10.0, "user"), 100.0)
    for number in range(calls):
        assert pace.ready_at() <= 100.0 + number
        pace.record_sent(100.0 + number)
    assert pace.ready_at() == 110.0
