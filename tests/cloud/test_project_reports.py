"""Readers of reports about projects."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from inventory.cloud.project_reports import REPORTS
from inventory.ledger.schema import ListedTable
from inventory.settings import REPORT_NAMES, Report
from inventory.tables import schema
from inventory.tables.listed_rows import report_item_name, report_row

F = "urn:fss:r:p:function:default:f"


def read(name, document):
    return REPORTS[name].read(json.dumps(document).encode())


def rows(name, document):
    report = REPORTS[name]
    columns = [column.name for column in schema.TABLES[report.table].columns]
    made = [report_row(report, report_item_name("r", "p", item.name), item.kept) for item in read(name, document).items]
    return [dict(zip(columns, row, strict=True)) for row in made]


def test_each_report_is_an_option_a_table_and_a_table_of_the_ledger():
    assert tuple(REPORTS) == REPORT_NAMES == get_args(Report)
    for name, report in REPORTS.items():
        assert ListedTable(report.table) in schema.TABLES
        assert schema.LISTED_TABLES[report.table] == f"--all --with {name}"


@pytest.mark.parametrize(
    ("key", "function_urn", "qualifier"),
    [(F, f"{F}:latest", "latest"), (f"{F}:v1", f"{F}:v1", "v1"), (f"{F}:!prod", f"{F}:!prod", "prod")],
)
def test_failing_functions_have_the_urn_of_the_listing(key, function_urn, qualifier):
    (row,) = rows("failures", {"values": [{"key": key, "value": 3, "owner": "secret"}], "count": 1, "next_marker": 1})
    assert row == {
        "function_urn": function_urn,
        "region": "r",
        "project_id": "p",
        "package": "default",
        "function_name": "f",
        "qualifier": qualifier,
        "fail_count": 3,
        "extra": None,
    }


@pytest.mark.parametrize(
    ("item", "qualified"),
    [
        ({"qualifier_type": "version", "qualifier_name": "latest"}, ":latest"),
        ({"qualifier_type": "version", "qualifier_name": "v1"}, ":v1"),
        ({"qualifier_type": "alias", "qualifier_name": "prod"}, ":!prod"),
        ({"qualifier_type": "other", "qualifier_name": "x"}, ":x"),
        ({}, ":latest"),
        ({"qualifier_name": "a:b"}, ":latest"),
        ({"qualifier_name": 7}, ":latest"),
    ],
)
def test_reserved_instances_have_the_urn_of_version_or_alias(item, qualified):
    (row,) = rows("reserved", {"reserved_instances": [{"function_urn": F, "min_count": 2, **item}]})
    assert row["function_urn"] == F + qualified
    assert row["min_count"] == 2


def test_policies_keep_their_numbers_and_lose_their_names():
    cron = {"name": "secret", "cron": "0 0 8 * * ?", "count": 4, "start_time": 1, "expired_time": 2, "x": "secret"}
    metric = {"name": "secret", "type": "Concurrency", "threshold": 70, "min": {"a": "secret"}}
    config = {"cron_configs": [cron, "secret"], "metric_configs": [metric], "other": "secret"}
    (row,) = rows("reserved", {"reserved_instances": [{"function_urn": F, "tactics_config": config}]})
    assert json.loads(row["cron_configs"]) == [{"cron": "0 0 8 * * ?", "count": 4, "start_time": 1, "expired_time": 2}]
    assert json.loads(row["metric_configs"]) == [{"type": "Concurrency", "threshold": 70}]
    assert "secret" not in str(row)


@pytest.mark.parametrize("config", [None, "secret", ["secret"], {"cron_configs": "secret", "metric_configs": None}])
def test_policies_of_another_form_are_dropped(config):
    (row,) = rows("reserved", {"reserved_instances": [{"function_urn": F, "tactics_config": config}]})
    assert (row["cron_configs"], row["metric_configs"], row["extra"]) == (None, None, None)


def test_values_of_another_type_stay_in_extra():
    (row,) = rows("quotas", {"quotas": {"resources": [{"type": "t", "quota": "no limit", "used": 2.5, "unit": 1}]}})
    assert (row["type"], row["quota"], row["used"], row["unit"]) == ("t", None, None, "1")
    assert json.loads(row["extra"]) == {"quota": "no limit", "used": 2.5, "unit": 1}
    (row,) = rows("failures", {"values": [{"key": F, "value": "9"}]})
    assert (row["fail_count"], row["extra"]) == (9, '{"value":"9"}')


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("failures", {"values": None}),
        ("reserved", {"reserved_instances": None, "page_info": None}),
        ("quotas", {"quotas": {"resources": None}}),
    ],
)
def test_a_null_list_is_empty(name, document):
    assert read(name, document) == ([], None)


@pytest.mark.parametrize(
    ("name", "document"),
    [
        *((name, document) for name in REPORTS for document in ({}, [], 7, None, {"quotas": []})),
        ("failures", {"values": {}}),
        ("failures", {"values": ["x"]}),
        ("failures", {"values": [{"value": 1}]}),
        ("failures", {"values": [{"key": "not-a-urn"}]}),
        ("reserved", {"reserved_instances": [{"function_urn": 7}]}),
        ("quotas", {"quotas": {}}),
        ("quotas", {"quotas": {"resources": [{"quota": 1}]}}),
    ],
)
def test_another_form_is_an_error(name, document):
    with pytest.raises(ValueError, match=r"."):
        read(name, document)


@pytest.mark.parametrize(("marker", "expected"), [(500, 500), ("500", 500), (True, None), (None, None), (5.5, None)])
def test_the_next_page_is_a_number(marker, expected):
    document = {"reserved_instances": [], "page_info": {"next_marker": marker}}
    assert read("reserved", document).next_marker == expected


def test_names_sort_as_the_rows():
    scopes = [("cn-north", "p"), ("cn-north-4", "p"), ("cn-north-4", "p1"), ("cn-north-4a", "a")]
    assert sorted(report_item_name(*scope, "x") for scope in scopes) == [report_item_name(*s, "x") for s in scopes]
