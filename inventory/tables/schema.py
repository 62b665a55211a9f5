"""The data dictionary: each column of each table."""

from __future__ import annotations

from typing import Final

from inventory.cloud.project_reports import REPORTS
from inventory.errors import UsageError
from inventory.tables.column import BOOLEAN, FLOAT, INTEGER, TEXT, TIME, Column, Table
from inventory.tables.listing_schema import ALIASES, FAILING_FUNCTIONS, FUNCTION_FACTS, QUOTAS, RESERVED_INSTANCES
from inventory.tables.scopes import SCOPES

__all__ = [
    "ALIASES",
    "BOOLEAN",
    "CALLS",
    "COMPARABLE",
    "DESTINATIONS",
    "FAILING_FUNCTIONS",
    "FLOAT",
    "FUNCTIONS",
    "FUNCTION_FACTS",
    "INTEGER",
    "LISTED_TABLES",
    "QUOTAS",
    "REJECTS",
    "REPORT_OPTIONS",
    "RESERVED_INSTANCES",
    "SCOPES",
    "TABLES",
    "TEXT",
    "TIME",
    "VERSION",
    "Column",
    "Table",
    "find_table",
]

VERSION: Final = 3
"""Increases with each added, removed or redefined column."""
COMPARABLE: Final = (2, VERSION)
"""Versions with the same columns in ``functions`` and ``destinations``."""

_CONFIG = "answer: "
_URN = "function_urn"
_OURS = "inventory"

_FUNCTION_URN = Column(
    "function_urn",
    TEXT,
    None,
    "the function URN asked for, in its full form",
    "input",
    "function_urn",
)
_IDENTITY = (
    _FUNCTION_URN,
    Column("region", TEXT, None, "region of the URN", _URN, "urn.region"),
    Column("project_id", TEXT, None, "project of the URN", _URN, "urn.project_id"),
)
_FUNCTION_NAME = Column("function_name", TEXT, None, "function of the URN", _URN, "urn.function_name")
_QUALIFIER = Column(
    "qualifier",
    TEXT,
    None,
    "version or alias name (without !); null: the URN says none",
    _URN,
    "urn.qualifier",
)


def _parameter(name: str, type_: str, unit: str | None, meaning: str, parameter: str) -> Column:
    return Column(name, type_, unit, meaning, f"param: {parameter}", name)


FUNCTIONS: Final = Table(
    "functions",
    "one distinct URN asked for",
    ("function_urn",),
    (
        *_IDENTITY,
        Column("package", TEXT, None, "package (application) of the URN", _URN, "urn.package"),
        _FUNCTION_NAME,
        _QUALIFIER,
        Column(
            "qualifier_type",
            TEXT,
            None,
            "version, alias, or null without a qualifier",
            _URN,
            "urn.qualifier_type",
        ),
        Column(
            "status",
            TEXT,
            None,
            "configured, not_configured, not_found, failed or not_attempted",
            _OURS,
            "outcome.status",
        ),
        Column(
            "error_kind",
            TEXT,
            None,
            "why the status is failed; null otherwise",
            _OURS,
            "outcome.error_kind",
        ),
        Column(
            "http_status",
            INTEGER,
            None,
            "HTTP status of the last answer; null: no answer came",
            "answer",
            "outcome.http_status",
        ),
        Column(
            "error_code",
            TEXT,
            None,
            "the vendor's error code (FSS., APIGW., APIG.)",
            _CONFIG + "error_code",
            "outcome.error_code",
        ),
        Column(
            "error_msg",
            TEXT,
            None,
            "the vendor's error text, redacted",
            _CONFIG + "error_msg",
            "outcome.error_msg",
        ),
        Column(
            "answered_urn",
            TEXT,
            None,
            "the URN that the answer names",
            _CONFIG + "func_urn",
            "config.func_urn",
        ),
        Column(
            "max_async_event_age_in_seconds",
            INTEGER,
            "s",
            "how long an event may wait before it is dropped",
            _CONFIG + "max_async_event_age_in_seconds",
            "config.max_async_event_age_in_seconds",
        ),
        Column(
            "max_async_retry_attempts",
            INTEGER,
            "retries",
            "how often a failed call is retried",
            _CONFIG + "max_async_retry_attempts",
            "config.max_async_retry_attempts",
        ),
        Column(
            "enable_async_status_log",
            BOOLEAN,
            None,
            "whether the state of async calls is kept; null: not said",
            _CONFIG + "enable_async_status_log",
            "config.enable_async_status_log",
        ),
        Column(
            "on_success_destination",
            TEXT,
            None,
            "destination type of a success; null: none is set",
            _CONFIG + "destination_config.on_success.destination",
            "on_success_destination",
        ),
        Column(
            "on_failure_destination",
            TEXT,
            None,
            "destination type of a failure; null: none is set",
            _CONFIG + "destination_config.on_failure.destination",
            "on_failure_destination",
        ),
        Column(
            "created_time",
            TIME,
            "UTC",
            "when the config was made; null without a zone",
            "created_time_raw",
            "created_time",
        ),
        Column(
            "created_time_raw",
            TEXT,
            None,
            "the same, as the cloud wrote it",
            _CONFIG + "created_time",
            "config.created_time",
        ),
        Column(
            "last_modified",
            TIME,
            "UTC",
            "when the config last changed; null without a zone",
            "last_modified_raw",
            "last_modified",
        ),
        Column(
            "last_modified_raw",
            TEXT,
            None,
            "the same, as the cloud wrote it",
            _CONFIG + "last_modified",
            "config.last_modified",
        ),
        Column(
            "extra",
            TEXT,
            "JSON",
            "fields that the schema does not know, and values of another type than documented, as sent (a key that "
            "came twice: its last value; the earlier ones are in repeated_keys); null: none",
            "answer",
            "extra_text",
        ),
        Column(
            "function_exists",
            BOOLEAN,
            None,
            "whether the function is there: the service listed it (--all), has a config of it, or says it is gone; "
            "null: not known",
            _OURS,
            "function_exists",
        ),
    ),
)

DESTINATIONS: Final = Table(
    "destinations",
    "one destination that is set",
    ("function_urn", "event"),
    (
        *_IDENTITY,
        _FUNCTION_NAME,
        _QUALIFIER,
        Column("event", TEXT, None, "on_success or on_failure", _CONFIG + "destination_config", "event"),
        Column(
            "destination",
            TEXT,
            None,
            "destination type: OBS, SMN, DIS, FunctionGraph, or one that the documentation does not know",
            _CONFIG + "destination",
            "side.destination",
        ),
        Column(
            "param",
            TEXT,
            "JSON",
            "the destination's parameters, as sent",
            _CONFIG + "param",
            "side.param",
        ),
        Column(
            "param_valid",
            BOOLEAN,
            None,
            "whether param is a JSON object",
            "param",
            "param_valid",
        ),
        _parameter("obs_bucket", TEXT, None, "OBS: bucket", "bucket"),
        _parameter("obs_prefix", TEXT, None, "OBS: prefix of the objects", "prefix"),
        _parameter("obs_expires_days", INTEGER, "d", "OBS: days until an object expires; 0: never", "expires"),
        _parameter("smn_topic_urn", TEXT, None, "SMN: topic", "topic_urn"),
        _parameter("dis_stream_name", TEXT, None, "DIS: stream", "stream_name"),
        _parameter("target_function_urn", TEXT, None, "FunctionGraph: function that is called", "func_urn"),
        Column(
            "extra",
            TEXT,
            "JSON",
            "fields of the destination that the schema does not know, or of another type; null: none",
            "answer",
            "extra_text",
        ),
    ),
)

CALLS: Final = Table(
    "calls",
    "how a URN was settled: all that differs from run to run",
    ("function_urn",),
    (
        _FUNCTION_URN,
        Column("operation", TEXT, None, "the API operation that settled it", _OURS, "outcome.operation"),
        Column(
            "attempts",
            INTEGER,
            "calls",
            "calls that used up an attempt (a 429 does not, nor a call in an outage)",
            _OURS,
            "outcome.attempts",
        ),
        Column("throttled", INTEGER, "calls", "calls that were answered 429", _OURS, "outcome.throttled"),
        Column(
            "request_id",
            TEXT,
            None,
            "the vendor's id of the last call",
            "answer: X-Request-Id",
            "outcome.request_id",
        ),
        Column("duration_ms", FLOAT, "ms", "how long the last call took", _OURS, "outcome.duration_ms"),
        Column("finished_at", TIME, "UTC", "when its answer came", _OURS, "outcome.finished_at"),
    ),
)

REJECTS: Final = Table(
    "rejects",
    "an entry of the input that is not a function URN",
    ("source", "line"),
    (
        Column("source", TEXT, None, "the file of the entry; - is standard input", "input"),
        Column("line", INTEGER, None, "its line (in a Parquet file: its row), counted from 1", "input"),
        Column("text", TEXT, None, "its text, cut after 1,000 characters", "input"),
        Column("reason", TEXT, None, "why it is not a function URN", _OURS),
    ),
)

_LISTED: Final = (FUNCTION_FACTS, ALIASES, FAILING_FUNCTIONS, RESERVED_INSTANCES, QUOTAS)
TABLES: Final = {table.name: table for table in (FUNCTIONS, DESTINATIONS, CALLS, REJECTS, SCOPES, *_LISTED)}
REPORT_OPTIONS: Final = {report.table: option for option, report in REPORTS.items()}
"""The value of ``--with`` that gives a table."""
LISTED_TABLES: Final = {
    table.name: f"--all --with {REPORT_OPTIONS[table.name]}" if table.name in REPORT_OPTIONS else "--all"
    for table in _LISTED
}
"""The tables that only runs with a listing have, and the options that give them."""


def find_table(name: str) -> Table:
    """Finds a table by name.

    Raises:
        UsageError: there is none.
    """
    if name not in TABLES:
        raise UsageError(f"there is no table {name!r}; the tables are {', '.join(TABLES)}")
    return TABLES[name]
