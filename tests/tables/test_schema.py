from __future__ import annotations

import subprocess
import sys

import pytest

from inventory.errors import UsageError
from inventory.tables import dictionary, schema
from inventory.tables.destinations import PARAMETERS

COLUMNS = {
    "functions": (
        "function_urn, region, project_id, package, function_name, qualifier, qualifier_type, status, error_kind, "
        "http_status, error_code, error_msg, answered_urn, max_async_event_age_in_seconds, max_async_retry_attempts, "
        "enable_async_status_log, on_success_destination, on_failure_destination, created_time, created_time_raw, "
        "last_modified, last_modified_raw, extra, function_exists"
    ),
    "destinations": (
        "function_urn, region, project_id, function_name, qualifier, event, destination, param, param_valid, "
        "obs_bucket, obs_prefix, obs_expires_days, smn_topic_urn, dis_stream_name, target_function_urn, extra"
    ),
    "calls": "function_urn, operation, attempts, throttled, request_id, duration_ms, finished_at",
    "rejects": "source, line, text, reason",
    "scopes": (
        "region, project_id, account, project_name, endpoint, urns, configured, not_configured, not_found, failed, "
        "not_attempted, calls, refused, limit_calls, limit_seconds, limit_used, shared_limit_calls, "
        "shared_limit_seconds, shared_limit_used, stopped"
    ),
    "function_facts": (
        "function_urn, region, project_id, package, function_name, qualifier, version, runtime, timeout, memory_size, "
        "cpu, gpu_memory, concurrency, concurrent_num, xrole, app_xrole, fail_count, domain_id, namespace, "
        "project_name, enterprise_project_id, func_vpc_id, log_group_id, log_stream_id, type, is_bridge_function, "
        "long_time, initializer_timeout, last_modified, last_modified_raw, digest, code_size, code_type, image_name, "
        "resource_id, extra"
    ),
    "aliases": "function_urn, alias, version, additional_version_weights, last_modified, last_modified_raw, extra",
    "failing_functions": ("function_urn, region, project_id, package, function_name, qualifier, fail_count, extra"),
    "reserved_instances": (
        "function_urn, region, project_id, package, function_name, qualifier, qualifier_type, qualifier_name, "
        "min_count, idle_mode, cron_configs, metric_configs, extra"
    ),
    "quotas": "region, project_id, type, quota, used, unit, extra",
}


def test_the_tables_are_the_contracts():
    assert {name: ", ".join(c.name for c in table.columns) for name, table in schema.TABLES.items()} == COLUMNS


@pytest.mark.parametrize("table", schema.TABLES.values(), ids=lambda table: table.name)
def test_the_tables_are_sorted_as_the_contract_says(table):
    expected = {
        "functions": ("function_urn",),
        "destinations": ("function_urn", "event"),
        "rejects": ("source", "line"),
        "scopes": ("region", "project_id"),
        "failing_functions": ("region", "project_id", "function_urn"),
        "reserved_instances": ("region", "project_id", "function_urn"),
        "quotas": ("region", "project_id", "type"),
    }
    assert table.sorted_by == expected.get(table.name, ("function_urn",))


def test_types_of_columns():
    typed = {
        (name, column.name): column.type
        for name, table in schema.TABLES.items()
        for column in table.columns
        if column.type != "string"
    }
    assert typed == {
        ("functions", "http_status"): "int64",
        ("functions", "max_async_event_age_in_seconds"): "int64",
        ("functions", "max_async_retry_attempts"): "int64",
        ("functions", "enable_async_status_log"): "bool",
        ("functions", "created_time"): "timestamp[us, tz=UTC]",
        ("functions", "last_modified"): "timestamp[us, tz=UTC]",
        ("functions", "function_exists"): "bool",
        ("destinations", "param_valid"): "bool",
        ("destinations", "obs_expires_days"): "int64",
        ("calls", "attempts"): "int64",
        ("calls", "throttled"): "int64",
        ("calls", "duration_ms"): "double",
        ("calls", "finished_at"): "timestamp[us, tz=UTC]",
        ("rejects", "line"): "int64",
        **{
            ("scopes", name): "int64"
            for name in ("urns", "configured", "not_configured", "not_found", "failed", "not_attempted", "calls")
        },
        **{("scopes", name): "int64" for name in ("refused", "limit_calls", "shared_limit_calls")},
        **{("scopes", f"{name}_seconds"): "double" for name in ("limit", "shared_limit")},
        **{("scopes", f"{name}_used"): "double" for name in ("limit", "shared_limit")},
        **{
            ("function_facts", name): "int64"
            for name in ("timeout", "memory_size", "cpu", "gpu_memory", "concurrency", "concurrent_num", "fail_count")
        },
        ("function_facts", "initializer_timeout"): "int64",
        ("function_facts", "code_size"): "int64",
        ("function_facts", "is_bridge_function"): "bool",
        ("function_facts", "long_time"): "bool",
        ("function_facts", "last_modified"): "timestamp[us, tz=UTC]",
        ("aliases", "last_modified"): "timestamp[us, tz=UTC]",
        ("failing_functions", "fail_count"): "int64",
        ("reserved_instances", "min_count"): "int64",
        ("reserved_instances", "idle_mode"): "bool",
        ("quotas", "quota"): "int64",
        ("quotas", "used"): "int64",
    }


@pytest.mark.parametrize("table", schema.TABLES.values(), ids=lambda table: table.name)
def test_every_column_is_explained(table):
    assert all(column.meaning and column.source for column in table.columns)
    assert len({column.name for column in table.columns}) == len(table.columns)


def test_every_column_of_a_settled_urn_has_a_value():
    tables = (schema.FUNCTIONS, schema.DESTINATIONS, schema.CALLS)
    assert all(column.value for table in tables for column in table.columns)


def test_every_parameter_of_a_destination_has_its_column():
    expected = {column: f"param: {name}" for side in PARAMETERS.values() for name, (column, _) in side.items()}
    columns = schema.DESTINATIONS.columns
    assert {column.name: column.source for column in columns if column.source.startswith("param: ")} == expected


@pytest.mark.parametrize(
    ("name", "unit"), [("max_async_event_age_in_seconds", "s"), ("obs_expires_days", "d"), ("duration_ms", "ms")]
)
def test_quantities_have_their_unit(name, unit):
    assert [c.unit for table in schema.TABLES.values() for c in table.columns if c.name == name] == [unit]


def test_a_table_is_found_by_its_name():
    assert schema.find_table("calls") is schema.CALLS


def test_an_unknown_table_is_a_usage_error_that_names_the_known():
    with pytest.raises(UsageError, match="functions, destinations, calls, rejects"):
        schema.find_table("function")


def test_markdown_has_a_line_for_each_column():
    text = dictionary.to_markdown(tuple(schema.TABLES.values()))
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(lines) == 142
    assert all(line.count("|") == 6 for line in lines)
    assert "| `duration_ms` | double | ms | how long the last call took | inventory |" in lines


def test_objects_say_the_same_as_the_columns():
    (rejects,) = dictionary.to_json_objects((schema.REJECTS,))
    assert rejects["name"] == "rejects"
    assert rejects["sorted_by"] == ("source", "line")
    assert [column["name"] for column in rejects["columns"]] == ["source", "line", "text", "reason"]
    assert rejects["columns"][1]["type"] == "int64"


def test_asking_for_the_dictionary_loads_no_arrow():
    code = "import sys; import inventory.tables.schema; print({'pyarrow', 'numpy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
