from collections import Counter
from types import SimpleNamespace

import pytest

from inventory.display.formatting import (
    Speed,
    duration,
    format_bytes,
    format_count,
    format_exact,
    format_number,
    format_progress,
    format_share,
)
from inventory.progress import Progress


def progress_at(done, *, total=100, paused_for=0.0, **statuses):
    return Progress(done, total, calls=done, statuses=Counter(statuses), paused_for=paused_for)


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    return clock


def test_speed_needs_a_second_of_measurements(clock):
    speed = Speed()
    assert speed.update(0) is None
    clock.now = 0.5
    assert speed.update(100) is None
    clock.now = 2.0
    assert speed.update(200) == 100
    for second in range(3, 60):
        clock.now = float(second)
        measured = speed.update(200 + 10 * second)
    assert measured == pytest.approx(10)


@pytest.mark.parametrize(
    ("progress", "speed", "text"),
    [
        (progress_at(0), None, ""),
        (progress_at(0), 0.0, "0/s"),
        (progress_at(40, configured=30, not_found=10), 2.0, "2/s, 30 s left, 30 configured, 10 not_found"),
        (progress_at(40, paused_for=0.3), 2.0, "2/s, 30 s left"),
        (progress_at(40, paused_for=90.0), 2.0, "waiting 1 min 30 s, 2/s, 2 min 0 s left"),
        (progress_at(100, configured=100), 2.0, "2/s, 100 configured"),
        (
            progress_at(100, configured=90, failed=9, not_attempted=1),
            2.0,
            "9 failed, 1 not_attempted, 2/s, 90 configured",
        ),
    ],
)
def test_progress_puts_the_most_important_first(progress, speed, text):
    assert format_progress(progress, speed) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "0.25 s"),
        (45.4, "45 s"),
        (60, "1 min 0 s"),
        (3599.9, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
        (36e8, "41,666 d 16 h"),
    ],
)
def test_duration_has_two_units(seconds, text):
    assert duration(seconds) == text


def test_a_share_never_rounds_to_all_or_nothing():
    assert [format_share(part, 10**6) for part in (0, 1, 500_000, 999_999, 10**6)] == [
        "0%",
        "<0.1%",
        "50.0%",
        ">99.9%",
        "100%",
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 duplicates"),
        (1, "1 duplicate"),
        (2, "2 duplicates"),
        (12_345, "12,345 duplicates"),
        (0.5, "0.5 duplicates"),
    ],
)
def test_a_count_agrees_with_its_noun(count, text):
    assert format_count(count, "duplicate") == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1_234_567, "1.2 MB"), (2_110_000_000_000, "2.1 TB")]
)
def test_a_size_has_its_largest_unit(size, text):
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12_655, "12,655"),
        (2113.4, "2,113"),
        (99.94, "99.9"),
        (99.96, "100"),
        (9.996, "10"),
        (0.00299, "0.00299"),
        (1e-9, "<0.001"),
        (-1e-9, ">-0.001"),
        (1e18, "1,000,000,000,000,000,000"),
        (float("inf"), "endless"),
        (float("nan"), "not known"),
    ],
)
def test_a_number_has_commas_and_no_exponent(value, text):
    assert format_number(value) == text


def test_a_share_of_nothing_is_not_known():
    assert [format_share(0, 0), format_share(float("nan")), format_share(0.2)] == ["not known", "not known", "20.0%"]


def test_a_number_of_a_user_keeps_its_digits():
    assert [format_exact(value) for value in (10_000, 1.2345, 1.67e-5, 2.0)] == ["10,000", "1.2345", "0.0000167", "2"]
