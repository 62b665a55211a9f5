from collections import Counter

import pyarrow as pa
from support.reviews import finding, reviewed, rule, suppression, table_of

from inventory.reviews.page.sample import FindingSample


def failures(name, severity, number, **cells):
    return [finding(f"{name}-{at:05}", name, severity, **cells) for at in range(number)]


def kept(rows, maximum, **options):
    return taken(FindingSample(reviewed(rows, **options), maximum), maximum)


def taken(sample, maximum):
    return [row for table in sample.take(maximum) for row in table.to_pylist()]


def test_findings_that_fit_are_all_there_in_order():
    rows = failures("FGA101", "high", 3) + failures("FGA106", "low", 2) + failures("FGA107", "low", 2)
    assert kept(rows, 7) == rows


def test_the_most_severe_are_kept_and_no_rule_of_the_last_severity_is_left_out():
    rows = failures("FGA201", "critical", 2) + failures("FGA101", "high", 50)
    rows += failures("FGA105", "high", 50) + failures("FGA108", "high", 1) + failures("FGA106", "low", 50)
    found = kept(rows, 11)
    assert Counter(row["rule"] for row in found) == {"FGA201": 2, "FGA101": 4, "FGA105": 4, "FGA108": 1}
    assert [row["subject"] for row in found if row["rule"] == "FGA105"] == [row["subject"] for row in rows[52:56]]


def test_what_is_no_open_failure_has_a_quarter_of_the_room():
    rows = failures("FGA101", "high", 50) + failures("FGA106", "low", 50, verdict="unknown")
    assert Counter(row["verdict"] for row in kept(rows, 40)) == {"fail": 30, "unknown": 10}
    assert Counter(row["verdict"] for row in kept(rows[:55], 40)) == {"fail": 35, "unknown": 5}
    assert Counter(row["verdict"] for row in kept(rows[47:], 40)) == {"fail": 3, "unknown": 37}


def test_a_suppressed_failure_is_no_open_failure():
    rows = failures("FGA101", "critical", 30) + failures("FGA106", "low", 30)
    found = kept(rows, 8, suppress=[suppression(rule="FGA101", subjects=("*",))])
    assert Counter((row["rule"], row["suppressed"]) for row in found) == {("FGA106", False): 6, ("FGA101", True): 2}


def test_a_smaller_part_can_be_taken_later():
    rows = failures("FGA101", "high", 10) + failures("FGA106", "low", 10)
    sample = FindingSample(reviewed(rows), 16)
    assert (sample.total, sample.open_failures) == (20, 20)
    for size in (16, 10, 1, 0):
        assert taken(sample, size) == rows[:size]


def test_memory_is_bounded_by_the_findings_that_are_kept():
    names = [f"FGA{number}" for number in range(100, 140)]
    table = pa.concat_tables([table_of(failures(name, "high", 25)) for name in names * 4])
    review = reviewed([], *map(rule, names))
    review._review._findings = table
    review._review._rows_per_batch = 25
    sample = FindingSample(review, 100)
    held = [batch for pool in (sample._failures, sample._others) for group in pool._groups.values() for batch in group]
    assert sum(batch.num_rows for batch in held) <= 2 * 100 + 25
    assert sum(batch.get_total_buffer_size() for batch in held) < table.nbytes / 4
    assert Counter(row["rule"] for row in taken(sample, 100)) == dict.fromkeys(names, 2) | dict.fromkeys(names[20:], 3)
