import pytest
from support.reviews import rule

from inventory.errors import UsageError
from inventory.reviews.outputs.rule_pages import find_rule, list_text, page_text
from inventory.reviews.rule import Parameter, load_builtin_rules


def test_the_list_has_a_line_for_each_rule():
    rules = load_builtin_rules()
    lines = list_text(rules).splitlines()
    assert [line.split()[0] for line in lines[: len(rules)]] == list(rules)
    assert "needs function_facts" in next(line for line in lines if line.startswith("FGA103"))


@pytest.mark.parametrize("item", load_builtin_rules().values(), ids=lambda item: item.id)
def test_a_page_has_why_fix_and_source_and_fits_a_terminal(item):
    values = {name: parameter.default for name, parameter in item.parameters.items()}
    text = page_text(item, values, 80)
    for label in ("Why: ", "Fix: ", "Applies if: ", "Source: "):
        assert f"\n{label}" in text
    assert all(f"Parameter: {name} = " in text for name in item.parameters)
    assert "Assumes: " in text or not item.assumes
    assert "Example: " in text or not item.example
    assert max(map(len, text.splitlines())) <= 120


def test_a_page_shows_the_values_of_the_settings_file():
    parameters = {"short_age_s": Parameter(300, "an event age below this is short", "s")}
    text = page_text(rule(parameters=parameters), {"short_age_s": 60}, 100)
    assert "Parameter: short_age_s = 60 s (default 300): an event age below this is short" in text


def test_a_page_is_printable():
    text = page_text(rule(title="\x1b[31mred", terraform="a\x1b\nb"), {}, 80)
    assert all(line.isprintable() for line in text.split("\n"))


def test_a_rule_is_found_by_id_in_any_case_or_by_name():
    rules = load_builtin_rules()
    assert find_rule(rules, "fga101") is find_rule(rules, "no-failure-destination")
    with pytest.raises(UsageError, match="there is no rule 'FGA999'; the nearest is FGA"):
        find_rule(rules, "FGA999")
