import re
from datetime import date
from fnmatch import fnmatchcase

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.reviews import TODAY, finding, reviewed, suppression, table_of, urn

from inventory.reviews.suppressions import Suppressions, _SubjectMatcher

ROWS = [finding("f1"), finding("f2"), finding("g"), finding("f1", "FGA104", "medium"), finding("u", verdict="unknown")]


def marked(*items, rows=ROWS, rules=("FGA101", "FGA104"), known=None, as_of=TODAY):
    suppressions = Suppressions(items, as_of, rules, known or rules)
    rows = [row for batch in table_of(rows).to_batches() for row in suppressions.mark(batch).to_pylist()]
    return suppressions, rows


def hidden(rows):
    return [(row["rule"], row["function_name"]) for row in rows if row["suppressed"]]


def test_a_suppression_marks_the_findings_of_its_rule_and_subjects():
    _, rows = marked(suppression(rule="FGA101", subjects=("*:f?:latest",)))
    assert hidden(rows) == [("FGA101", "f1"), ("FGA101", "f2")]
    first = rows[0]
    assert (first["suppressed_by"], first["suppression_reason"]) == ("team", "accepted")
    assert first["suppressed_until"] == "2027-01-31"
    assert rows[2]["suppressed_by"] is None


def test_rules_are_patterns_too_and_unknown_findings_can_be_suppressed():
    _, rows = marked(suppression(rule="FGA10*", subjects=(urn("f1"), "*:u:*")))
    assert hidden(rows) == [("FGA101", "f1"), ("FGA104", "f1"), ("FGA101", "u")]


def test_a_suppression_of_one_finding_marks_that_one():
    _, rows = marked(suppression(finding=ROWS[3]["finding_id"]))
    assert hidden(rows) == [("FGA104", "f1")]


def test_the_first_suppression_of_a_finding_is_named():
    suppressions, rows = marked(
        suppression(rule="FGA101", subjects=("*",), by="first"), suppression(finding=ROWS[0]["finding_id"], by="second")
    )
    assert rows[0]["suppressed_by"] == "first"
    assert suppressions.unmatched() == []


def test_an_expired_suppression_hides_nothing_and_is_reported():
    expired = suppression(rule="FGA101", subjects=("*:g:*",), until=date(2026, 11, 27))
    suppressions, rows = marked(expired)
    assert hidden(rows) == []
    (warning,) = suppressions.warnings()
    assert "FGA101 on *:g:*, by team) expired on 2026-11-27; it no longer hides 1 finding" in warning


def test_a_suppression_holds_on_its_last_day():
    last_day = suppression(rule="FGA101", subjects=("*:g:*",), until=TODAY)
    suppressions, rows = marked(last_day)
    assert hidden(rows) == [("FGA101", "g")]
    assert suppressions.warnings() == []


def test_a_suppression_that_matches_nothing_is_reported():
    suppressions, _ = marked(suppression(rule="FGA101", subjects=("nothing",)), suppression(finding="0" * 16))
    assert [text.split(":")[0] for text in suppressions.unmatched()] == [
        "suppression 1 (FGA101 on nothing, by team) matches no finding",
        "suppression 2 (finding 0000000000000000, by team) matches no finding",
    ]


def test_a_suppression_of_a_rule_that_did_not_run_is_not_reported():
    items = suppression(rule="FGA201", subjects=("*",)), suppression(finding="0" * 16)
    suppressions, _ = marked(*items, known=("FGA101", "FGA104", "FGA201"))
    assert suppressions.unmatched() == []


def test_a_suppression_of_a_rule_that_does_not_exist_is_reported():
    suppressions, _ = marked(suppression(rule="FGA1O1", subjects=("*",)))
    assert len(suppressions.unmatched()) == 1


def test_a_pass_is_never_suppressed():
    suppressions, rows = marked(suppression(rule="FGA101", subjects=("*",)), rows=[finding("p", verdict="pass")])
    assert hidden(rows) == []
    assert len(suppressions.unmatched()) == 1


def test_suppressed_findings_stay_and_are_counted():
    result = reviewed(ROWS, suppress=[suppression(rule="FGA101", subjects=("*:f?:*", "*:u:*"))])
    assert sum(batch.num_rows for batch in result.findings()) == len(ROWS)
    assert dict(zip(*(result.summary[name].to_pylist() for name in ("rule", "suppressed")), strict=True)) == {
        "FGA101": 3,
        "FGA104": 0,
    }
    assert result.failures("high") == 1
    assert result.failures("medium") == 2


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("a*", "a\nb", "ba"),
        ("a?c", "abc", "ac"),
        ("a[bc]d", "abd", "aed"),
        ("a[!bc]d", "aed", "abd"),
        ("a[0-9]", "a7", "ax"),
        ("a[", "a[", "a"),
        ("a[]]", "a]", "a["),
        ("a[!]]", "ax", "a]"),
        ("a[]", "a[]", "a"),
        ("a[!]", "a[!]", "ax"),
        ("a[!!]", "ax", "a!"),
        ("a[z-a]", "a-", "am"),
        ("a[a-]", "a-", "ab"),
        ("a[b!]", "a!", "ac"),
        ("a[&&~]", "a~", "ab"),
        ("a[\\^]", "a^", "ab"),
        ("a.+(b)|c", "a.+(b)|c", "aab"),
        ("*:!prod", "f:!prod", "f:prod"),
    ],
)
def test_patterns_are_those_of_a_shell(pattern, matching, other):
    matches = _SubjectMatcher([pattern]).match(pa.array([matching, other]))
    assert matches.tolist() == [True, False]


@given(st.text("ab*?[]!^-.\\|(\n", max_size=8), st.text("ab[]!^-.\\|(\n", max_size=6))
@settings(max_examples=500)
def test_any_pattern_matches_what_fnmatch_matches(pattern, subject):
    assume(not re.search(r"[^\W\d]?.-.", pattern))  # fnmatch joins overlapping ranges in its own way
    matches = _SubjectMatcher([pattern, "x*"]).match(pa.array([subject]))
    assert matches.tolist() == [fnmatchcase(subject, pattern)]


@given(st.text("ab*?[]!^-.\\|(\n", max_size=8), st.text(max_size=6))
def test_any_pattern_can_be_compared(pattern, subject):
    _SubjectMatcher([pattern]).match(pa.array([subject]))


def test_many_patterns_are_compared_with_many_subjects():
    patterns = [f"*:f{number}*0:latest" for number in range(2000)]
    matcher = _SubjectMatcher([*patterns, urn("g")])
    assert matcher.match(pa.array([urn("f1999x0"), urn("g"), urn("h")])).tolist() == [True, True, False]
