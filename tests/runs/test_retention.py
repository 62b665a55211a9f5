"""What a policy keeps of a history: by hand, and for any history and any policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from inventory.runs.retention import Dated, Policy, reasons

BEGIN = datetime(2026, 1, 30, tzinfo=UTC)
runs = st.lists(
    st.builds(
        Dated,
        st.integers(0, 24 * 70).map(lambda hours: BEGIN + timedelta(hours=hours)),
        st.sampled_from([0, 0, 0, 1, 2, 5]),
    ),
    max_size=40,
)
counts = st.integers(0, 5)
policies = st.builds(Policy, counts, counts, counts)


def kept(history, policy):
    return {index for index, words in enumerate(reasons(history, policy)) if words}


def days(*moments, code=0):
    return [Dated(datetime(2026, *moment, tzinfo=UTC), code) for moment in moments]


def test_the_newest_of_each_day_and_month_stays():
    """Two days and two months: the last run of each of them, whatever their number, and no other."""
    history = days((9, 1, 8), (9, 30, 7), (9, 30, 23), (10, 2, 1), (10, 2, 2), (10, 3, 1))
    assert reasons(history, Policy(daily=2)) == [
        *[()] * 4,
        ("day 2026-10-02",),
        ("day 2026-10-03", "newest", "newest that answered best"),
    ]
    assert kept(history, Policy(monthly=2)) == {2, 5}
    assert kept(history, Policy(last=3)) == {3, 4, 5}


def test_periods_without_a_run_do_not_count():
    """The last three days are the last three that have a run, as with restic and borg."""
    assert kept(days((3, 1), (6, 1), (8, 1), (8, 2)), Policy(daily=3)) == {1, 2, 3}


def test_a_run_that_answered_all_stands_for_its_day():
    """A stopped run in the evening does not push out the morning's whole answer; one with failures is between."""
    (morning,), (noon,), (evening,) = days((5, 1, 8)), days((5, 1, 12), code=1), days((5, 1, 20), code=5)
    tomorrow = days((5, 2, 8))
    assert kept([morning, noon, evening, *tomorrow], Policy(daily=2)) == {0, 3}
    assert kept([noon, evening, *tomorrow], Policy(daily=2)) == {0, 2}


def test_broken_nights_do_not_push_out_the_last_good_run():
    """--keep-last counts every run, and still the newest that answered every URN stays."""
    history = [*days((5, 1), (5, 2)), *days((5, 3), (5, 4), (5, 5), code=5)]
    assert kept(history, Policy(last=2)) == {1, 3, 4}


@given(runs, policies, policies)
def test_a_policy_that_asks_for_more_keeps_more(history, one, other):
    """What a policy keeps, every policy keeps that has no smaller number."""
    larger = Policy(*map(max, one, other))
    assert kept(history, one) | kept(history, other) <= kept(history, larger)


@given(runs, policies)
def test_what_was_kept_is_kept_again(history, policy):
    """A second prune removes nothing, and the runs stay for the same reasons."""
    words = [one for one in reasons(history, policy) if one]
    left = [run for run, one in zip(history, reasons(history, policy), strict=True) if one]
    assert reasons(left, policy) == words


@given(runs, policies)
def test_the_rules_keep_what_they_say(history, policy):
    """The newest run stays; each rule keeps as many as it says, or as there are; no period has two."""
    words = reasons(history, policy)
    if history:
        newest = max(range(len(history)), key=lambda index: (history[index].time, index))
        assert "newest" in words[newest]
    said = [one for each in words for one in each]
    periods = [one for one in said if one.startswith(("day", "month"))]
    assert len(periods) == len(set(periods))
    assert said.count("last") == min(policy.last, len(history))
    for form, name, wanted in (("%Y-%m-%d", "day", policy.daily), ("%Y-%m", "month", policy.monthly)):
        there = {run.time.strftime(form) for run in history}
        expected = sorted(there, reverse=True)[:wanted]
        assert sorted(one for one in periods if one.startswith(name)) == sorted(f"{name} {one}" for one in expected)
