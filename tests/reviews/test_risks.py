import math

import pandas as pd
import pytest
from support.snapshots import functions, urn

from inventory import reviews
from inventory.reviews import (
    ANSWERS,
    RISKS,
    VENDOR_DEFAULTS,
    Risk,
    answer_counts,
    assess_risks,
    blast_radius,
    compare_risks,
    risks,
)
from inventory.reviews.rule import load_builtin_rules
from inventory.tables.schema import TABLES

AGE, RETRIES = "max_async_event_age_in_seconds", "max_async_retry_attempts"
SIX = functions(
    {
        "careful": {AGE: 3600, RETRIES: 3, "enable_async_status_log": True, "on_failure_destination": "SMN"},
        "careless": {AGE: 60, RETRIES: 0, "enable_async_status_log": False},
        "unset": "not_configured",
        "deleted": "not_found",
        "broken": "failed",
        "urn:fss:cn-north-4:p2:function:orders:late:!prod": "not_attempted",
    }
)
AS_CATEGORIES = SIX.astype(dict.fromkeys(("status", "package", "project_id", "on_failure_destination"), "category"))


@pytest.mark.parametrize("table", [SIX, AS_CATEGORIES, SIX.astype(object)], ids=["arrow", "category", "object"])
def test_unknown_urns_are_counted_neither_as_yes_nor_as_no(table):
    counts = answer_counts(assess_risks(table, short_age_s=300))
    assert list(counts.columns) == list(ANSWERS)
    assert list(counts.index) == [risk.name for risk in RISKS]
    for name, row in counts.iterrows():
        assert row.tolist() == [1, 1, 1, 2], name
    careless = assess_risks(table, short_age_s=300).set_index("function_urn").loc[urn("careless")]
    assert careless["gaps"] == 4


def test_an_age_equal_to_the_threshold_is_not_short():
    counts = [answer_counts(assess_risks(SIX, threshold)).loc["short_age", "yes"] for threshold in (60, 61, 3601)]
    assert counts == [0, 1, 2]


def test_a_threshold_of_nan_finds_nothing():
    assert answer_counts(assess_risks(SIX, math.nan)).loc["short_age", "yes"] == 0
    assert isinstance(assess_risks(SIX, 1)["short_age"].dtype, pd.CategoricalDtype)


def test_a_missing_value_of_a_configured_urn_is_unknown():
    counts = answer_counts(assess_risks(functions({"silent": {}}), short_age_s=300))
    assert counts["unknown"].to_dict() == {
        "no_failure_destination": 0,
        "short_age": 1,
        "no_retries": 1,
        "no_status_log": 1,
    }


def test_blast_radius_gives_bounds_of_the_share():
    groups = blast_radius(assess_risks(SIX, 300), "no_failure_destination", ["project_id", "package"])
    default = groups.loc[("p1", "default")]
    assert default[["yes", "no", "not_configured", "unknown"]].tolist() == [1, 1, 1, 1]
    assert default[["urns", "functions", "at_least", "at_most"]].tolist() == [4, 4, 0.25, 0.75]
    assert groups.loc[("p2", "orders"), ["at_least", "at_most"]].tolist() == [0.0, 1.0]


def test_blast_radius_counts_versions_and_aliases_as_one_function():
    assessment = assess_risks(functions({"a": {}, "a:v1": {}, "a:!prod": {}, "b": {}}), 1)
    assert blast_radius(assessment, "no_retries", ["package"]).loc["default", ["urns", "functions"]].tolist() == [4, 2]


def test_compare_risks_compares_only_known_answers():
    old = functions({"a": {RETRIES: 1}, "b": {RETRIES: 0}, "c": {RETRIES: 0}, "d": {RETRIES: 1}, "e": "failed"})
    new = functions({"a": {RETRIES: 0}, "b": {RETRIES: 2}, "c": {RETRIES: 0}, "d": "failed", "f": {RETRIES: 0}})
    changes = compare_risks(assess_risks(old, 300), assess_risks(new, 300))
    assert changes.loc["no_retries"].to_dict() == {
        "worse": 1,
        "better": 1,
        "still_yes": 1,
        "still_no": 0,
        "not_comparable": 3,
    }


def test_a_new_risk_is_one_entry(monkeypatch):
    many_retries = Risk(
        "many_retries",
        "max_async_retry_attempts is above 2",
        query="SELECT id, coalesce(retries, 0) > 2 AS fails FROM subjects",
    )
    monkeypatch.setattr(risks, "RISKS", (*RISKS, many_retries))
    assessment = assess_risks(SIX, 300)
    assert answer_counts(assessment).loc["many_retries"].tolist() == [1, 1, 1, 2]
    assert blast_radius(assessment, "many_retries", ["project_id"]).loc["p1", "yes"] == 1
    assert compare_risks(assessment, assessment).loc["many_retries", "still_yes"] == 1
    assert assessment.set_index("function_urn")["gaps"][urn("careful")] == 1


def test_the_answers_are_those_of_the_rules():
    named = {risk.name: risk.rule for risk in RISKS if risk.rule}
    assert named == {"no_failure_destination": "FGA101", "short_age": "FGA106", "no_retries": "FGA104"}
    for rule in named.values():
        assert risks.rule_query(rule) == load_builtin_rules()[rule].sql


def test_of_a_function_and_its_latest_version_the_answered_row_is_kept():
    assessment = assess_risks(functions({"a": "failed", "a:latest": {RETRIES: 0}, "b:v1": {RETRIES: 1}}), 300)
    assert assessment["function_urn"].tolist() == [urn("a:latest"), urn("b:v1")]
    assert assessment["no_retries"].tolist() == ["yes", "no"]


def test_an_empty_snapshot_has_empty_results():
    assessment = assess_risks(SIX.iloc[:0], 300)
    assert answer_counts(assessment).to_numpy().sum() == 0
    assert blast_radius(assessment, "no_retries", ["project_id", "package"]).empty
    assert compare_risks(assessment, assessment).to_numpy().sum() == 0


def test_vendor_defaults_name_columns_of_functions():
    columns = {column.name for column in TABLES["functions"].columns}
    assert {default.column for default in VENDOR_DEFAULTS} <= columns
    assert all(default.page for default in VENDOR_DEFAULTS)


def test_old_names_are_aliases():
    assert reviews.judge is reviews.assess_risks
    assert reviews.shifts is reviews.compare_risks
    assert reviews.follow is reviews.trace_chains
    assert reviews.resolve is reviews.resolve_targets
    assert reviews.SHIFTS is reviews.RISK_CHANGES
