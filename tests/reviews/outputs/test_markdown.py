import re

from support.reviews import finding, reviewed, rule, suppression

from inventory.reviews.outputs.markdown import MAX_CHARACTERS, to_markdown

HOSTILE = (
    "urn:fss:cn-north-4:p:function:default:`<script>alert(1)</script>`|@admin #1 [x](http://evil)\n# big\x1b:latest"
)


def test_the_most_severe_findings_come_first_and_each_rule_says_what_to_do():
    rows = [finding("c", "FGA201", "critical"), finding("f"), finding("l", "FGA106", "low")]
    text = to_markdown(reviewed(rows))
    assert re.findall(r"^#### (\w+) (FGA\d+)", text, re.MULTILINE) == [
        ("critical", "FGA201"),
        ("high", "FGA101"),
        ("low", "FGA106"),
    ]
    assert "Why: The event is dropped." in text
    assert "Do: Set on\\_failure." in text
    assert "```bash\ninventory rules FGA101\n```" in text
    assert "| high | 1 | 0 | 0 |" in text
    assert "Left out" not in text


def test_a_comment_fits_and_says_what_is_left_out():
    rows = [finding(f"{number:05}{'x' * 100}") for number in range(3000)]
    rows += [finding(f"m{number:05}", "FGA104", "medium") for number in range(5000)]
    text = to_markdown(reviewed(rows))
    assert MAX_CHARACTERS - 60_000 < len(text) <= MAX_CHARACTERS
    shown = len(re.findall(r"^- `urn", text, re.MULTILINE))
    left = re.search(r"\*\*Left out:\*\* (.*?)\. All", text)[1]
    numbers = {name: int(number.replace(",", "")) for number, name in re.findall(r"(\d[\d,]*) (\w+)", left)}
    assert sum(numbers.values()) + shown == 8000
    assert numbers["high"] < 3000
    assert numbers["medium"] == 5000


def test_many_rules_with_long_texts_fit_too():
    rules = [rule(f"FGA{number}", why="w" * 900, terraform='x = "y"\n' * 90) for number in range(100, 400)]
    rows = [finding("f", item.id) for item in rules]
    text = to_markdown(reviewed(rows, *rules, warnings=["w" * 5000] * 50))
    assert len(text) <= MAX_CHARACTERS
    assert "**Left out:** " in text


def test_one_very_long_name_is_left_out():
    text = to_markdown(reviewed([finding("f" * 70_000)]))
    assert len(text) <= MAX_CHARACTERS
    assert "**Left out:** 1 high" in text


def test_foreign_text_is_inside_code_spans():
    rows = [finding(HOSTILE, target=HOSTILE, event="on_failure", evidence='{"a":"``` @you"}')]
    suppress = [suppression(rule="FGA101", subjects=("*",), reason="`@team`", by="<b>")]
    for items, shown in (((), frozenset()), (suppress, frozenset({"suppressed"}))):
        text = to_markdown(reviewed(rows, suppress=items, run="out`put`<i>"), shown)
        outside = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", text)
        assert not re.search(r"<script|@admin|@you|@team|evil|<b>|<i>|\x1b|# big", outside)
        assert "- ```" in text or "- ``" in text


def test_warnings_are_escaped():
    text = to_markdown(reviewed([finding("f")], warnings=["<img src=x> *bold*\nline"]))
    assert "- **Note:** \\<img src=x\\> \\*bold\\* line" in text


def test_what_was_not_checked_is_said():
    text = to_markdown(reviewed([finding("u", verdict="unknown")]))
    assert "**Not checked:** not_answered 1" in text
    assert "Rules with gaps, by coverage: FGA101 90.9%" in text
    assert "No finding that is not suppressed." in text
    assert "#### " not in text


def test_passes_are_marked_and_what_was_not_checked_says_how_it_becomes_known():
    rows = [finding("a"), finding("b", verdict="pass"), finding("c", "FGA105", verdict="unknown")]
    text = to_markdown(reviewed(rows), frozenset({"pass", "unknown"}))
    passing, failing = (re.search(rf"^- .*:default:{name}:.*$", text, re.MULTILINE)[0] for name in "ba")
    assert passing.endswith(" pass")
    assert "pass" not in failing
    section = text.partition("FGA105")[2]
    assert "Do: Ask again for the URNs without an answer." in section
    assert "```bash\ninventory export --resume --output output/today\n```" in section


def test_only_new_findings_are_shown_on_request():
    rows = [finding("a", state="new"), finding("b", state="unchanged")]
    text = to_markdown(reviewed(rows, has_baseline=True, new_only=True))
    assert ":default:a:" in text
    assert ":default:b:" not in text
    assert "| severity | new fail |" in text
    assert "Left out" not in text
