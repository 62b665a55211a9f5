"""The retention policy against a plain implementation of the documented rules, on random histories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.runs.prune import Policy, RunTime, keep_reasons

FIRST = datetime(2026, 1, 30, tzinfo=UTC)
RUN = st.builds(
    lambda hours, code: RunTime(FIRST + timedelta(hours=hours), code),
    st.one_of(st.integers(0, 60), st.integers(0, 24 * 90)),
    st.sampled_from([0, 0, 1, 2, 3, 5]),
)
NUMBER = st.integers(0, 5)


def grade(run):
    """How good a run is: 0 every URN answered, 1 some failed, 2 not finished."""
    return {0: 0, 1: 1}.get(run.exit_code, 2)


def is_newer(runs, one, other):
    """Of equal times, the later in the list is the newer."""
    return (runs[one].time, one) > (runs[other].time, other)


def is_better(runs, one, other):
    grades = grade(runs[one]), grade(runs[other])
    return grades[0] < grades[1] or (grades[0] == grades[1] and is_newer(runs, one, other))


def is_kept(runs, policy, run):
    """Reads the rules one by one; compares each run with each other."""
    others = [other for other in range(len(runs)) if other != run]
    if all(is_newer(runs, run, other) for other in others) or all(is_better(runs, run, other) for other in others):
        return True
    if sum(is_newer(runs, other, run) for other in others) < policy.last:
        return True
    for count, length in ((policy.daily, 10), (policy.monthly, 7)):
        periods = [str(each.time)[:length] for each in runs]
        newer_periods = {period for period in periods if period > periods[run]}
        rivals = [other for other in others if periods[other] == periods[run]]
        if len(newer_periods) < count and all(is_better(runs, run, other) for other in rivals):
            return True
    return False


@given(st.lists(RUN, max_size=25), st.builds(Policy, NUMBER, NUMBER, NUMBER))
@settings(max_examples=1000, deadline=None)
def test_a_policy_keeps_the_runs_of_the_plain_rules(runs, policy):
    kept = [bool(reasons) for reasons in keep_reasons(runs, policy)]
    assert kept == [is_kept(runs, policy, run) for run in range(len(runs))]
