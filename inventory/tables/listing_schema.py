"""Columns of the tables that lists give: function facts, aliases, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inventory.cloud.listed_fields import ALIAS_FIELDS, FAILURE_FIELDS, FUNCTION_FIELDS, QUOTA_FIELDS, RESERVED_FIELDS
from inventory.tables.column import BOOLEAN, INTEGER, TEXT, TIME, Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inventory.cloud.listed_fields import ListedField

_URN = "function_urn"
_TYPES: Final = {"text": TEXT, "integer": INTEGER, "boolean": BOOLEAN, "time": TIME, "json": TEXT}

_EXTRA: Final = Column(
    "extra", TEXT, "JSON", "values of another type than documented, of these columns only; null: none", "listing"
)


def _columns(fields: tuple[ListedField, ...], list_name: str) -> Iterator[Column]:
    for field in fields:
        source = f"{list_name}: {field.name if field.parent is None else f'{field.parent}.{field.name}'}"
        unit = "JSON" if field.kind == "json" else field.unit
        yield Column(field.column or field.name, _TYPES[field.kind], unit, field.meaning, source)
        if field.kind == "time":
            yield Column(f"{field.name}_raw", TEXT, None, "the same, as the cloud wrote it", source)


FUNCTION_FACTS: Final = Table(
    "function_facts",
    "a function that the service listed; with --versions also one for each of its versions",
    ("function_urn",),
    (
        Column("function_urn", TEXT, None, "URN with version, as the listing gives it to the export", "ListFunctions"),
        Column("region", TEXT, None, "region of the URN", _URN),
        Column("project_id", TEXT, None, "project of the URN", _URN),
        Column("package", TEXT, None, "package (application) of the URN", _URN),
        Column("function_name", TEXT, None, "function of the URN", _URN),
        Column("qualifier", TEXT, None, "version of the URN", _URN),
        Column("version", TEXT, None, "version that the item names", "ListFunctions: version"),
        *_columns(FUNCTION_FIELDS, "ListFunctions"),
        _EXTRA,
    ),
)

ALIASES: Final = Table(
    "aliases",
    "an alias that the service listed",
    ("function_urn",),
    (
        Column(
            "function_urn", TEXT, None, "URN with alias, as the listing gives it to the export", "ListVersionAliases"
        ),
        Column("alias", TEXT, None, "name of the alias", "ListVersionAliases: name"),
        *_columns(ALIAS_FIELDS, "ListVersionAliases"),
        _EXTRA,
    ),
)

_SCOPE: Final = (
    Column("region", TEXT, None, "region of the report", "--region"),
    Column("project_id", TEXT, None, "project of the report", "--project-id"),
)


def _function_columns(operation: str, field: str) -> tuple[Column, ...]:
    meaning = "URN of the function as the listing gives it; latest where the service names no version"
    return (
        Column("function_urn", TEXT, None, meaning, f"{operation}: {field}"),
        *_SCOPE,
        Column("package", TEXT, None, "package (application) of the URN", _URN),
        Column("function_name", TEXT, None, "function of the URN", _URN),
        Column("qualifier", TEXT, None, "version or alias of the URN", _URN),
    )


FAILING_FUNCTIONS: Final = Table(
    "failing_functions",
    "one of the up to 20 functions of a project with the most failures of the last day",
    ("region", "project_id", "function_urn"),
    (
        *_function_columns("ListFunctionAsMetric", "key"),
        *_columns(FAILURE_FIELDS, "ListFunctionAsMetric"),
        _EXTRA,
    ),
)

RESERVED_INSTANCES: Final = Table(
    "reserved_instances",
    "a version or alias with reserved instances",
    ("region", "project_id", "function_urn"),
    (
        *_function_columns("ListReservedInstanceConfigs", "function_urn"),
        *_columns(RESERVED_FIELDS, "ListReservedInstanceConfigs"),
        _EXTRA,
    ),
)

QUOTAS: Final = Table(
    "quotas",
    "a quota of a project",
    ("region", "project_id", "type"),
    (
        *_SCOPE,
        Column("type", TEXT, None, "what is limited, such as fgs_func_num", "ListQuotas: type"),
        *_columns(QUOTA_FIELDS, "ListQuotas"),
        _EXTRA,
    ),
)
