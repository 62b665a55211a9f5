"""Who loses events, what an outage loses, where destinations lead: against truths worked out by hand."""

import math

import pandas as pd
import pytest
from snapshots import BASE, calls, functions, urn

from inventory.reviews import (
    ANSWERS,
    QUESTIONS,
    VENDOR_DEFAULTS,
    answer_counts,
    blast_radius,
    judge,
    labels,
    outage_losses,
    resolve,
    shifts,
    short,
)
from inventory.schema import TABLES

AGE, RETRIES = "max_async_event_age_in_seconds", "max_async_retry_attempts"
SIX = functions(
    {
        "careful": {AGE: 3600, RETRIES: 3, "enable_async_status_log": True, "on_failure_destination": "SMN"},
        "careless": {AGE: 60, RETRIES: 0, "enable_async_status_log": False},
        "unset": "not_configured",
        "gone": "not_found",
        "broken": "failed",
        "urn:fss:cn-north-4:p2:function:orders:late:!prod": "not_attempted",
    }
)
AS_CATEGORIES = SIX.astype(dict.fromkeys(("status", "package", "project_id", "on_failure_destination"), "category"))


@pytest.mark.parametrize("table", [SIX, AS_CATEGORIES, SIX.astype(object)], ids=["arrow", "category", "object"])
def test_what_is_not_known_is_neither_good_nor_bad(table):
    """A URN answers yes or no only where the cloud did; what is gone is left out, whatever types the columns have."""
    counts = answer_counts(judge(table, short_age_s=300))
    assert list(counts.columns) == list(ANSWERS)
    for question in QUESTIONS:
        assert counts.loc[question].tolist() == [1, 1, 1, 2], question
    careless = judge(table, short_age_s=300).set_index("function_urn").loc[urn("careless")]
    assert careless["gaps"] == 4


def test_the_bar_of_a_short_age_is_the_readers():
    """An age that equals the bar is not below it."""
    assert [answer_counts(judge(SIX, bar)).loc["short_age", "yes"] for bar in (60, 61, 3601)] == [0, 1, 2]


def test_what_a_configuration_does_not_say_is_unknown():
    """A configured URN whose answer has no status log, age or retries is unknown in these questions."""
    counts = answer_counts(judge(functions({"silent": {}}), short_age_s=300))
    assert counts["unknown"].to_dict() == {
        "no_failure_destination": 0,
        "short_age": 1,
        "no_retries": 1,
        "no_status_log": 1,
    }


def test_the_blast_radius_has_a_bound_on_either_side():
    """A group's share lies between what is known to be bad and what is not known to be good."""
    found = blast_radius(judge(SIX, 300), "no_failure_destination", ["project_id", "package"])
    assert found.loc[("p1", "default"), ["yes", "no", "not_configured", "unknown"]].tolist() == [1, 1, 1, 1]
    assert found.loc[("p1", "default"), ["urns", "functions", "at_least", "at_most"]].tolist() == [4, 4, 0.25, 0.75]
    assert found.loc[("p2", "orders"), ["at_least", "at_most"]].tolist() == [0.0, 1.0]


def test_versions_and_aliases_of_a_function_are_one_function():
    """The blast radius counts URNs and, beside them, the functions that they are of."""
    found = blast_radius(judge(functions({"a": {}, "a:v1": {}, "a:!prod": {}, "b": {}}), 1), "no_retries", ["package"])
    assert found.loc["default", ["urns", "functions"]].tolist() == [4, 2]


def test_an_outage_loses_what_came_in_too_early():
    """Of a constant stream in L seconds, an event age of T loses (L - T) / L; nothing where T is longer."""
    table = functions(
        {
            "hour": {AGE: 3600, "on_failure_destination": "OBS"},
            "minute": {AGE: 60},
            "zero": {AGE: 0},
            "unsaid": {},
            "unset": "not_configured",
        }
    )
    found = outage_losses(table, [0, 60, 120, 7200]).set_index("outage_s")
    assert found["urns_that_lose"].tolist() == [0, 1, 2, 3]
    assert found["lost_share"].tolist() == pytest.approx([0, 1 / 3, (0.5 + 1) / 3, (0.5 + 7140 / 7200 + 1) / 3])
    assert found.loc[7200, "untold_share"] == pytest.approx((7140 / 7200 + 1) / 3)


def test_a_target_is_looked_up_as_the_vendor_reads_it():
    """No qualifier means latest; an alias matches itself alone; and what leads to itself, or nowhere, is named."""
    table = functions({"a": {}, "b:latest": "not_found", "c:v1": "failed", "d:!prod": "not_configured"})
    targets = ["a:latest", "b", "c:v1", "c:latest", "d:!prod", "d:prod", "e", "urn:smn:x:y:topic", None]
    found = resolve(table, calls(*(("a", "on_success", target) for target in targets)))
    assert found["target_status"].tolist() == [
        "itself",
        "not_found",
        "failed",
        "other_qualifier",
        "not_configured",
        "other_qualifier",
        "not_listed",
        "not_a_function_urn",
        "not_a_function_urn",
    ]
    assert found["target"][1] == urn("b:latest")


def test_a_list_that_says_one_thing_twice_tells_the_better_answer():
    """Of `f` and `f:latest` in one list, the one that was answered is believed."""
    table = functions({"a": {}, "b": "failed", "b:latest": {}})
    assert resolve(table, calls(("a", "on_failure", "b")))["target_status"].tolist() == ["configured"]


def test_only_what_both_runs_know_is_better_or_worse():
    """A URN moved only where both runs say yes or no; what one of them does not know is not comparable."""
    old = functions({"a": {RETRIES: 1}, "b": {RETRIES: 0}, "c": {RETRIES: 0}, "d": {RETRIES: 1}, "e": "failed"})
    new = functions({"a": {RETRIES: 0}, "b": {RETRIES: 2}, "c": {RETRIES: 0}, "d": "failed", "f": {RETRIES: 0}})
    found = shifts(judge(old, 300), judge(new, 300))
    assert found.loc["no_retries"].to_dict() == {
        "worse": 1,
        "better": 1,
        "still_yes": 1,
        "still_no": 0,
        "not_comparable": 3,
    }


def test_an_empty_snapshot_has_empty_reviews():
    """Nothing is divided by nothing, and every column is there."""
    empty = SIX.iloc[:0]
    judged = judge(empty, 300)
    assert answer_counts(judged).to_numpy().sum() == 0
    assert blast_radius(judged, "no_retries", ["project_id", "package"]).empty
    assert outage_losses(empty, [60])["lost_share"].isna().all()
    assert resolve(empty, calls()).empty
    assert shifts(judged, judged).to_numpy().sum() == 0
    assert labels([]) == []


def test_a_long_name_is_cut_in_its_middle():
    """A label keeps the qualifier, has the width that was asked for, and is no other's."""
    name = f"{BASE}{'x' * 60}"
    assert short(f"{BASE}f:!prod") == "default/f:!prod"
    assert short("no urn at all", 40) == "no urn at all"
    assert len(short(f"{name}:!prod", 20)) == 20
    assert short(f"{name}:!prod", 20).endswith("xxx:!prod")
    made = labels([f"{name}:v1", f"{name[:-1]}:v1", f"{name}:v2"], 20)
    assert len(set(made)) == 3


def test_the_vendors_defaults_name_columns():
    """Each default of the vendor's pages is one of a column of `functions`, with the page that says so."""
    columns = {column.name for column in TABLES["functions"].columns}
    assert {default.column for default in VENDOR_DEFAULTS} <= columns
    assert all(default.page for default in VENDOR_DEFAULTS)


def test_a_bar_of_nan_finds_nothing():
    """Comparisons with what is no number are never a yes."""
    assert answer_counts(judge(SIX, math.nan)).loc["short_age", "yes"] == 0
    assert isinstance(judge(SIX, 1)["short_age"].dtype, pd.CategoricalDtype)
