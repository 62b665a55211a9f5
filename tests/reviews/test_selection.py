import pytest

from inventory.errors import OutputError, SettingsError, UsageError
from inventory.reviews.rule import load_builtin_rules
from inventory.reviews.selection import all_rules, select_rules
from inventory.settings import ReviewSection, ReviewSettings

OWN = """/*
id = "OWN001"
name = "own"
title = "An own rule"
area = "hygiene"
severity = "low"
subject = "urn"
why = "It is so."
fix = "Change it."
source = "us"
*/
SELECT subject, false AS fails FROM subjects
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "OWN001.sql").write_text(OWN)
    return tmp_path


def test_all_builtin_rules_run_by_default():
    selected = select_rules(ReviewSettings(), None)
    assert list(selected.rules) == sorted(load_builtin_rules())
    assert selected.own == frozenset()


def test_own_rules_are_added(folder):
    selected = select_rules(ReviewSettings(), folder)
    assert selected.own == {"OWN001"}
    assert len(selected.rules) == len(load_builtin_rules()) + 1


def test_the_settings_file_changes_severity_and_parameters_and_disables_rules():
    settings = ReviewSettings(
        ReviewSection(allowed_regions=("cn-north-4",)),
        rules={"FGA106": {"severity": "high", "short_age_s": 60}, "FGA104": {"enabled": False}},
    )
    selected = select_rules(settings, None)
    assert "FGA104" not in selected.rules
    assert "FGA104" in selected.known
    assert selected.rules["FGA106"].severity == "high"
    assert selected.parameters["FGA106"] == {"short_age_s": 60}
    assert selected.parameters["FGA403"] == {"allowed_regions": ["cn-north-4"]}
    assert select_rules(settings, None, ["FGA104"]).rules.keys() == {"FGA104"}
    assert "FGA104" in all_rules(settings, None).rules


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["FGA101", "FGA104"], {"FGA101", "FGA104"}),
        (["FGA101,fga104"], {"FGA101", "FGA104"}),
        (["FGA20?"], {"FGA201", "FGA202", "FGA203", "FGA204"}),
    ],
)
def test_only_some_rules_run_on_request(only, expected):
    assert select_rules(ReviewSettings(), None, only).rules.keys() == expected


def test_an_unknown_id_names_the_nearest(folder):
    with pytest.raises(UsageError, match="--only 'FGA10': there is no such rule; the nearest is FGA1"):
        select_rules(ReviewSettings(), None, ["FGA10"])
    with pytest.raises(SettingsError, match=r"\[rules.OWN01\]: there is no such rule; the nearest is OWN001"):
        select_rules(ReviewSettings(rules={"OWN01": {}}), folder)


def test_an_own_rule_cannot_replace_one(folder):
    (folder / "OWN001.sql").write_text(OWN.replace("OWN001", "FGA101"))
    with pytest.raises(UsageError, match=r"OWN001.sql: the id FGA101 is that of a rule of inventory"):
        select_rules(ReviewSettings(), folder)


def test_no_rule_is_an_error(tmp_path):
    settings = ReviewSettings(rules={name: {"enabled": False} for name in load_builtin_rules()})
    with pytest.raises(UsageError, match="no rule is left to run"):
        select_rules(settings, None)
    with pytest.raises(OutputError, match="cannot be read as a folder of rules"):
        select_rules(settings, tmp_path / "none")
