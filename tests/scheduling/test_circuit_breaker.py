from __future__ import annotations

import pytest

from inventory.errors import CallTimeoutError, ServerError
from inventory.scheduling.circuit_breaker import (
    MAX_OUTAGE_SECONDS,
    OUTAGE_CALLS,
    CircuitBreaker,
    Outage,
    is_throttled_too_long,
    shows_acceptance,
)
from inventory.scheduling.warmup import Warmup


def started_outage(now: float = 100.0) -> Outage:
    outage = Outage()
    for _ in range(OUTAGE_CALLS):
        outage.record_silence(90.0, now)
    return outage


def test_an_outage_begins_with_the_tenth_unanswered_call():
    outage = Outage()
    pauses = [outage.record_silence(90.0 + number, 100.0) for number in range(OUTAGE_CALLS)]
    assert pauses == [0.0] * (OUTAGE_CALLS - 1) + [1.0]
    assert outage.is_on


def test_an_answer_starts_the_count_again():
    outage = Outage()
    for _ in range(OUTAGE_CALLS - 1):
        outage.record_silence(90.0, 100.0)
    outage.record_answer()
    assert outage.record_silence(90.0, 100.0) == 0.0
    assert not outage.is_on


def test_calls_that_were_in_flight_when_the_outage_began_do_not_extend_its_pause():
    outage = started_outage(100.0)
    assert outage.record_silence(99.0, 101.0) == 0.0
    assert outage.record_silence(100.0, 101.0) == 0.0
    assert outage.record_silence(100.1, 101.0) == 2.0


def test_pauses_double_up_to_half_a_minute():
    outage = started_outage(100.0)
    pauses = [outage.record_silence(101.0 + number, 101.0 + number) for number in range(7)]
    assert pauses == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_an_outage_counts_from_its_first_unanswered_call():
    outage = Outage()
    for number in range(OUTAGE_CALLS):
        outage.record_silence(90.0, 100.0 + number)
    assert not outage.is_too_long(100.0 + MAX_OUTAGE_SECONDS - 0.1)
    assert outage.is_too_long(100.0 + MAX_OUTAGE_SECONDS)
    outage.record_answer()
    assert not outage.is_too_long(1e6)


@pytest.mark.parametrize(("pauses", "seconds", "expected"), [(10, 400.0, True), (9, 1e6, False), (1000, 399.0, False)])
def test_429s_end_a_scope_after_both_pauses_and_seconds(pauses, seconds, expected):
    assert is_throttled_too_long(pauses, seconds) is expected


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "FSS.0400", True),
        (404, "FSS.1051", True),
        (499, "FSS.0400", True),
        (401, "FSS.0401", False),
        (429, "FSS.0429", False),
        (500, "FSS.0500", False),
        (399, "FSS.0400", False),
        (404, "APIGW.0101", False),
    ],
)
def test_only_a_rejected_request_shows_that_the_secret_is_accepted(status, code, expected):
    assert shows_acceptance(ServerError("x", status_code=status, error_code=code)) is expected


def test_silence_before_the_first_answer_is_no_outage():
    breaker = CircuitBreaker(Warmup(), was_accepted=False, has_second_opinion=False)
    error = CallTimeoutError("no answer")
    assert [breaker.record_call(error, 1.0, 1.0) for _ in range(2 * OUTAGE_CALLS)] == [0.0] * 2 * OUTAGE_CALLS
    assert not breaker.is_in_outage
