"""Rows of ``function_facts`` and ``aliases``."""

from __future__ import annotations

import json
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.cloud.listed_fields import ALIAS_FIELDS, FUNCTION_FIELDS, ITEM_FIELDS, keep_fields
from inventory.tables.listed_rows import alias_row, function_facts_row
from inventory.tables.schema import ALIASES, FUNCTION_FACTS

URN = "urn:fss:cn-north-4:p:function:default:f:v1"
ALIAS = "urn:fss:cn-north-4:p:function:default:f:!prod"
WANTED = {
    "text": st.text(max_size=5),
    "time": st.just("2026-01-02T03:04:05Z"),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
}


def facts(item, zone=None):
    row = function_facts_row(URN, keep_fields(item, ITEM_FIELDS), zone)
    return dict(zip((column.name for column in FUNCTION_FACTS.columns), row, strict=True))


def alias(item):
    row = alias_row(ALIAS, keep_fields(item, ALIAS_FIELDS))
    return dict(zip((column.name for column in ALIASES.columns), row, strict=True))


def test_identity_is_that_of_the_urn():
    row = facts({"package": "other", "func_name": "g", "version": "v9"})
    names = ("function_urn", "region", "project_id", "package", "function_name", "qualifier", "version")
    assert [row[name] for name in names] == [URN, "cn-north-4", "p", "default", "f", "v1", "v9"]


@given(st.fixed_dictionaries({field.name: WANTED[field.kind] for field in FUNCTION_FIELDS}))
def test_documented_types_are_kept_as_they_are(values):
    nested = {field.name: values[field.name] for field in FUNCTION_FIELDS if field.parent}
    row = facts({**{name: value for name, value in values.items() if name not in nested}, "strategy_config": nested})
    assert row["extra"] is None
    assert row["last_modified_raw"] == values["last_modified"]
    assert row["last_modified"] == 1_767_323_045_000_000
    assert {name: row[name] for name in values if name != "last_modified"} == {
        name: value for name, value in values.items() if name != "last_modified"
    }


def test_a_missing_field_is_null_and_an_empty_text_is_not():
    assert facts({})["xrole"] is None
    assert facts({"xrole": ""})["xrole"] == ""
    assert facts({"xrole": None})["extra"] is None


@pytest.mark.parametrize(
    ("item", "name", "value", "extra"),
    [
        ({"timeout": "30"}, "timeout", 30, {"timeout": "30"}),
        ({"timeout": 2.5}, "timeout", None, {"timeout": 2.5}),
        ({"timeout": 2**70}, "timeout", None, {"timeout": 2**70}),
        ({"timeout": True}, "timeout", None, {"timeout": True}),
        ({"runtime": {"name": "x"}}, "runtime", '{"name":"x"}', {"runtime": {"name": "x"}}),
        ({"long_time": "yes"}, "long_time", None, {"long_time": "yes"}),
        ({"strategy_config": {"concurrency": "0"}}, "concurrency", 0, {"concurrency": "0"}),
        ({"strategy_config": "secret"}, "concurrency", None, None),
        ({"strategy_config": {"concurrency": 0, "token": "secret"}}, "concurrency", 0, None),
        ({"last_modified": 5}, "last_modified_raw", "5", {"last_modified": 5}),
    ],
)
def test_values_of_another_type_stay_in_extra(item, name, value, extra):
    row = facts(item)
    assert row[name] == value
    assert (row["extra"] and json.loads(row["extra"])) == extra


def test_a_time_without_zone_is_read_in_the_zone_of_the_run():
    item = {"last_modified": "2026-01-02 03:04:05"}
    assert facts(item)["last_modified"] is None
    assert facts(item, UTC)["last_modified"] == 1_767_323_045_000_000


@given(
    st.dictionaries(st.text(max_size=8), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
)
def test_no_other_field_is_kept(item):
    allowed = {field.parent or field.name for field in ITEM_FIELDS}
    secret = {name: "never" for name in item if name not in allowed}
    assert keep_fields(secret, ITEM_FIELDS) == "{}"


def test_an_alias_has_its_version_and_weights():
    row = alias({"name": "prod", "version": "v1", "additional_version_weights": {"v2": 5}, "description": "secret"})
    assert (row["alias"], row["version"], row["additional_version_weights"]) == ("prod", "v1", '{"v2":5}')
    assert row["extra"] is None
    assert alias({"version": 1})["extra"] == '{"version":1}'
    assert alias({"additional_version_weights": None})["additional_version_weights"] is None
