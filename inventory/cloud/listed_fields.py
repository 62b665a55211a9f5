"""Fields of list items that are kept; all others may be secret and are dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from inventory.cloud.models import read_bool, read_int, read_text
from inventory.exact_json import json_text, read_json

if TYPE_CHECKING:
    from collections.abc import Callable

Json: TypeAlias = dict[str, Any]
Kind: TypeAlias = Literal["text", "integer", "boolean", "time", "json"]


class ListedField(NamedTuple):
    """A field that is kept, and the column that it becomes.

    Attributes:
        parent: the object that contains it.
        column: name of the column, where it is not the field's.
        items: of an array of objects: the fields of each that are kept.
    """

    name: str
    kind: Kind
    unit: str | None
    meaning: str
    parent: str | None = None
    column: str | None = None
    items: tuple[str, ...] = ()


FUNCTION_FIELDS: Final = (
    ListedField("runtime", "text", None, "environment that runs the code"),
    ListedField("timeout", "integer", "s", "longest execution"),
    ListedField("memory_size", "integer", "MB", "memory of an instance"),
    ListedField("cpu", "integer", "millicores", "CPU of an instance"),
    ListedField("gpu_memory", "integer", "MB", "GPU memory of an instance"),
    ListedField("concurrency", "integer", "instances", "most instances; 0: disabled, -1: no limit", "strategy_config"),
    ListedField("concurrent_num", "integer", "requests", "requests at a time in one instance", "strategy_config"),
    ListedField("xrole", "text", None, "agency of the function's configuration"),
    ListedField("app_xrole", "text", None, "agency of the function's execution"),
    ListedField("fail_count", "integer", "executions", "failed executions of the last day"),
    ListedField("domain_id", "text", None, "account that owns the function"),
    ListedField("namespace", "text", None, "namespace of the function"),
    ListedField("project_name", "text", None, "name of the project"),
    ListedField("enterprise_project_id", "text", None, "enterprise project"),
    ListedField("func_vpc_id", "text", None, "VPC access of the function"),
    ListedField("log_group_id", "text", None, "log group"),
    ListedField("log_stream_id", "text", None, "log stream"),
    ListedField("type", "text", None, "version of the function's API: v1 or v2"),
    ListedField("is_bridge_function", "boolean", None, "whether the function connects others"),
    ListedField("long_time", "boolean", None, "whether executions may last long"),
    ListedField("initializer_timeout", "integer", "s", "longest initialization"),
    ListedField("last_modified", "time", "UTC", "when the function last changed; null without a zone"),
    ListedField("digest", "text", None, "digest of the code"),
    ListedField("code_size", "integer", "bytes", "size of the code"),
    ListedField("code_type", "text", None, "how the code was given"),
    ListedField("image_name", "text", None, "container image"),
    ListedField("resource_id", "text", None, "id of the resource"),
)
"""Of items of ``ListFunctions`` and ``ListFunctionVersions``; ``version`` is read beside them.

Source: models ListFunctionResult and ListFunctionVersionResult of the vendor's SDK 3.1.219; api-facts.md section 10.
"""

ALIAS_FIELDS: Final = (
    ListedField("version", "text", None, "version that the alias points to"),
    ListedField(
        "additional_version_weights", "json", None, "further versions and their shares of the calls in percent"
    ),
    ListedField("last_modified", "time", "UTC", "when the alias last changed; null without a zone"),
)
"""Of items of ``ListVersionAliases``. Source: model ListVersionAliasResult of the vendor's SDK."""

_VERSION: Final = ListedField("version", "text", None, "version that the item names")
ITEM_FIELDS: Final = (_VERSION, *FUNCTION_FIELDS)


FAILURE_FIELDS: Final = (
    ListedField(
        "value", "integer", "executions", "failed executions of the day before the listing", column="fail_count"
    ),
)
"""Of items of ``ListFunctionAsMetric``. Source: model FunctionMetric of the vendor's SDK."""

RESERVED_FIELDS: Final = (
    ListedField("qualifier_type", "text", None, "version or alias"),
    ListedField("qualifier_name", "text", None, "version or alias that the instances are reserved for"),
    ListedField("min_count", "integer", "instances", "reserved instances"),
    ListedField("idle_mode", "boolean", None, "whether the CPU of idle instances is frozen"),
    ListedField(
        "cron_configs",
        "json",
        None,
        "scheduled changes of the number: cron, count, start_time, expired_time (Unix seconds)",
        "tactics_config",
        items=("cron", "count", "start_time", "expired_time"),
    ),
    ListedField(
        "metric_configs",
        "json",
        None,
        "changes of the number by load: type, threshold, min",
        "tactics_config",
        items=("type", "threshold", "min"),
    ),
)
"""Of items of ``ListReservedInstanceConfigs``.

Source: models ReservedInstanceConfigs, CronConfig and MetricConfig of the vendor's SDK.
"""

QUOTA_FIELDS: Final = (
    ListedField("quota", "integer", None, "the limit"),
    ListedField("used", "integer", None, "how much of it is used"),
    ListedField("unit", "text", None, "unit of both, as the service names it"),
)
"""Of items of ``ListQuotas``; ``type`` is their name. Source: model Resources of the vendor's SDK."""


class ListedItem(NamedTuple):
    """An item of a list: what it is called, and the JSON of the fields that are kept."""

    name: str
    kept: str


class Facts(NamedTuple):
    """The values of the kept fields by name, and those of another type than documented."""

    values: dict[str, Any]
    extra: Json


def keep_fields(item: Json, fields: tuple[ListedField, ...]) -> str:
    """Returns the JSON of the fields that are kept."""
    kept: Json = {}
    for field in fields:
        source = item if field.parent is None else item.get(field.parent)
        if isinstance(source, dict) and field.name in source:
            target = kept if field.parent is None else kept.setdefault(field.parent, {})
            value = source[field.name]
            target[field.name] = _keep_items(value, field.items) if field.items else value
    return json_text(kept)


def _keep_items(value: object, names: tuple[str, ...]) -> list[Json] | None:
    if not isinstance(value, list):
        return None
    return [
        {name: item[name] for name in names if name in item and not isinstance(item[name], dict | list)}
        for item in value
        if isinstance(item, dict)
    ]


def read_fields(kept: str, fields: tuple[ListedField, ...]) -> Facts:
    """Reads the result of :func:`keep_fields`; a value of another type than documented stays in ``extra``.

    Raises:
        ValueError: it is not a JSON object.
    """
    document = read_json(kept.encode())
    if not isinstance(document, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - invalid data, not an invalid argument
    values: dict[str, Any] = {}
    extra: Json = {}
    for field in fields:
        source = document if field.parent is None else document.get(field.parent, {})
        values[field.column or field.name] = _READERS[field.kind](source, field.name, extra)
    return Facts(values, extra)


def _read_json(document: Json, name: str, _extra: Json) -> str | None:
    value = document.get(name)
    return None if value is None else json_text(value)


_READERS: Final[dict[Kind, Callable[[Json, str, Json], Any]]] = {
    "text": read_text,
    "time": read_text,
    "integer": read_int,
    "boolean": read_bool,
    "json": _read_json,
}
