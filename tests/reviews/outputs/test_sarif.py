import io
import json

import pytest
from sarif_kit.validate import validation_errors
from support.reviews import finding, reviewed, rule, suppression, urn

from inventory.reviews.outputs.sarif import MAX_RESULTS, write_sarif

HOSTILE = "urn:fss:cn-north-4:p:function:default:{0}[a](http://evil)\x1b\u202e\U0001f600\\:latest"


def log_of(result, **options):
    sink = io.BytesIO()
    write_sarif(result, sink, **options)
    document = json.loads(sink.getvalue())
    assert validation_errors(document) == []
    return document["runs"][0]


def test_a_log_without_findings_is_valid():
    run = log_of(reviewed([], rule()))
    assert run["results"] == []
    assert run["tool"]["driver"]["rules"][0]["id"] == "FGA101"


def test_a_result_has_the_locations_and_fingerprints_that_code_scanning_needs():
    rows = [finding("f"), finding("g")]
    first, second = log_of(reviewed(rows))["results"]
    physical = second["locations"][0]["physicalLocation"]
    assert physical == {"artifactLocation": {"uri": "functions.csv"}, "region": {"startLine": 3}}
    (logical,) = first["locations"][0]["logicalLocations"]
    assert logical["fullyQualifiedName"] == urn("f")
    assert first["partialFingerprints"]["primaryLocationLineHash"] == f"{rows[0]['finding_id']}:1"
    assert (first["ruleId"], first["level"], first["kind"]) == ("FGA101", "error", "fail")
    assert first["suppressions"] == []


def test_a_subject_without_a_line_has_a_location_too():
    result = reviewed([finding("f")])
    result.lines = lambda _subjects: {}
    assert log_of(result)["results"][0]["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}


@pytest.mark.parametrize(
    ("severity", "level"),
    [("critical", "error"), ("high", "error"), ("medium", "warning"), ("low", "note"), ("info", "note")],
)
def test_levels_are_those_of_the_severities(severity, level):
    (result,) = log_of(reviewed([finding("f", severity=severity)]))["results"]
    assert result["level"] == level
    assert result["properties"]["severity"] == severity


def test_a_suppressed_finding_is_a_result_with_its_suppression():
    suppress = [suppression(rule="FGA101", subjects=("*:f:*",), reason="because [x]{0}")]
    first, second = log_of(reviewed([finding("f"), finding("g")], suppress=suppress))["results"]
    (accepted,) = first["suppressions"]
    assert (accepted["kind"], accepted["status"]) == ("external", "accepted")
    assert accepted["justification"] == "because [x]{0}"
    assert second["suppressions"] == []


def test_a_file_has_at_most_25000_results_the_most_severe_and_says_what_is_left_out():
    rows = [finding(f"c{number}", "FGA201", "critical") for number in range(10)]
    rows += [finding(f"m{number}", "FGA104", "medium") for number in range(MAX_RESULTS)]
    sink = io.BytesIO()
    write_sarif(reviewed(rows), sink)
    run = json.loads(sink.getvalue())["runs"][0]
    assert len(run["results"]) == MAX_RESULTS == 25_000
    assert [result["ruleId"] for result in run["results"][:10]] == ["FGA201"] * 10
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "10 less severe results left out: a file has at most 25,000"
    run["results"] = run["results"][:20]
    assert validation_errors({"version": "2.1.0", "runs": [run]}) == []


def test_what_was_not_checked_is_a_notification_and_on_request_an_open_result():
    rows = [finding("f"), finding("u", verdict="unknown")]
    run = log_of(reviewed(rows))
    assert [result["kind"] for result in run["results"]] == ["fail"]
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "1 verdicts are unknown, not passed: not_answered 1"
    _, unknown = log_of(reviewed(rows), shown=frozenset({"unknown"}))["results"]
    assert (unknown["kind"], unknown["level"]) == ("open", "none")


def test_states_become_those_of_sarif():
    states = ["new", "unchanged", "changed"]
    rows = [finding(state, state=state) for state in states]
    rows += [finding("x", verdict="pass", state="fixed"), finding("y", verdict="not_applicable", state="gone")]
    results = log_of(reviewed(rows, has_baseline=True))["results"]
    assert [result["baselineState"] for result in results] == ["new", "unchanged", "updated"]


def test_foreign_text_is_valid_and_is_no_link_or_placeholder():
    rows = [finding(HOSTILE, target=HOSTILE, evidence='{"a":"{1}[b](c)\\u0000"}')]
    run = log_of(reviewed(rows, warnings=["[w](x) {2} \x1b"], run="out\udcffput"))
    (result,) = run["results"]
    text = result["message"]["text"]
    assert "{{0}}\\[a\\](http://evil)" in text
    assert text.isprintable()
    assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"].isprintable()
    assert "\\[w\\](x) {{2}}" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def test_only_new_findings_are_results_on_request():
    rows = [finding("a", state="new"), finding("b", state="unchanged")]
    run = log_of(reviewed(rows, has_baseline=True, new_only=True))
    assert [result["baselineState"] for result in run["results"]] == ["new"]
    assert run["invocations"][0]["toolExecutionNotifications"] == []
