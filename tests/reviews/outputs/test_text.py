import re

import pytest
from support.reviews import finding, reviewed, rule, suppression

from inventory.reviews.outputs.text import to_text

HOSTILE = "urn:fss:cn-north-4:p:function:default:\x1b[31mf\u202e\n; rm -rf:latest"


def test_ten_findings_are_shown_and_the_rest_is_counted():
    text = to_text(reviewed([finding(f"f{number:02}") for number in range(12)]), 120)
    assert "The 10 most severe of 12 findings:" in text
    assert len(re.findall(r"^ ?\d+\. high FGA101", text, re.MULTILINE)) == 10
    assert "inventory review output/today --format csv --output findings.csv" in text


def test_a_finding_has_one_line_what_one_line_why_and_a_block_to_copy():
    terraform = 'on_failure {\n  param = "urn:smn:REGION:PROJECT_ID:TOPIC"\n}\n'
    lines = to_text(reviewed([finding("f")], rule(terraform=terraform)), 120).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(" 1. "))
    assert lines[first].startswith(" 1. high FGA101 Failed events are lost (")
    assert lines[first + 1].endswith(":function:default:f:latest")
    assert "    why: The event is dropped." in lines
    assert "    do: Set on_failure." in lines
    assert '        param = "urn:smn:cn-north-4:0123456789abcdef0123456789abcdef:TOPIC"' in lines


def test_a_rule_without_a_block_gives_a_command():
    assert "\n      inventory rules FGA101\n" in to_text(reviewed([finding("f")]), 80)


def test_equally_severe_findings_of_different_rules_come_first():
    rows = [*(finding(f"f{number:02}") for number in range(20)), finding("g", "FGA105"), finding("h", "FGA108")]
    text = to_text(reviewed(rows), 120)
    assert re.findall(r"^ ?\d+\. high (FGA\d+)", text, re.MULTILINE) == ["FGA101"] * 8 + ["FGA105", "FGA108"]
    assert "one of 20" in text


def test_more_severe_findings_come_before_others_whatever_the_rule():
    rows = [*(finding(f"f{number:02}", "FGA201", "critical") for number in range(12)), finding("g")]
    assert "FGA101 Failed" not in to_text(reviewed(rows), 120)


@pytest.mark.parametrize("width", [80, 120])
def test_sentences_fit_the_terminal_and_names_are_never_broken(width):
    long = rule(why="A long reason. " * 20, fix="Do this. " * 30)
    text = to_text(reviewed([finding("f" * 100)], long), width)
    lines = [line for line in text.splitlines() if "function:default" not in line and "inventory " not in line]
    assert max(map(len, lines)) <= max(width, 100)
    assert max(len(line) for line in lines if line.startswith("    ")) <= width
    assert f":{'f' * 100}:latest" in text


def test_foreign_text_is_printable():
    rows = [
        finding(HOSTILE, target="\x1b]0;title\x07", evidence='{"name":"\\u001b[2J"}'),
        finding("g", verdict="unknown", why_unknown="not_answered"),
    ]
    suppress = [suppression(rule="FGA101", subjects=("*",), reason="\x1b[1mbecause", by="\x1b[5mme")]
    for items, shown in (((), frozenset({"unknown"})), (suppress, frozenset({"suppressed"}))):
        text = to_text(reviewed(rows, run="out\x1b[7mput", suppress=items), 80, shown)
        assert all(line.isprintable() for line in text.split("\n"))
        assert "\\x1b[31mf\\u202e\\n; rm -rf" in text


def test_a_block_has_no_name_that_could_be_code():
    terraform = 'function_urn = "FUNCTION_URN"'
    text = to_text(reviewed([finding('urn:fss:r:p:function:d:${file("x")}:latest')], rule(terraform=terraform)), 80)
    assert 'function_urn = "FUNCTION_URN"' in text


def test_what_was_not_checked_is_counted_with_its_reason():
    rows = [finding("f"), *(finding(f"u{number}", verdict="unknown") for number in range(3))]
    text = to_text(reviewed(rows), 120)
    assert "Coverage 78.6%: 10 pass, 1 fail, 3 not checked, 2 not applicable" in text
    assert "Not checked because: not_answered 3" in text
    assert "Rules with gaps: FGA101 78.6%" in text
    assert "--show unknown" in text
    assert "not checked: not_answered" not in text
    shown = to_text(reviewed(rows), 120, frozenset({"unknown"}))
    assert "3 subjects that were not checked:" in shown
    assert "with: not checked: not_answered" in shown


def test_a_suppressed_finding_is_counted_and_shown_on_request():
    suppress = [suppression(rule="FGA101", subjects=("*:f:*",))]
    rows = [finding("f"), finding("g")]
    text = to_text(reviewed(rows, suppress=suppress), 120)
    assert re.search(r"high +1 +0 +1$", text, re.MULTILINE)
    assert ":default:f:" not in text
    shown = to_text(reviewed(rows, suppress=suppress), 120, frozenset({"suppressed"}))
    assert "suppressed: until 2027-01-31, by team: accepted" in shown


def test_with_a_baseline_states_are_counted():
    rows = [
        finding("a", state="new"),
        finding("b", state="unchanged"),
        finding("c", state="fixed", verdict="pass"),
        finding("d", state="gone", verdict="not_applicable"),
    ]
    text = to_text(reviewed(rows, has_baseline=True), 120)
    assert re.search(r"severity +fail +not checked +suppressed +new +changed +fixed +gone", text)
    assert re.search(r"high +2 +0 +0 +1 +0 +1 +1$", text, re.MULTILINE)
    only_new = to_text(reviewed(rows, has_baseline=True, new_only=True), 120)
    assert ":default:a:" in only_new
    assert ":default:b:" not in only_new


def test_a_review_without_findings_says_so():
    text = to_text(reviewed([], rule()), 80)
    assert "0 fail, 0 not checked" in text
    assert "See more:" in text


def test_colours_are_those_of_the_severity():
    text = to_text(reviewed([finding("f")]), 80, paint=lambda text, color: f"<{color}>{text}</>")
    assert " 1. <red>high FGA101</> Failed events" in text
