"""Columns of the tables that lists give: facts of functions, and aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inventory.cloud.listed_fields import ALIAS_FIELDS, FUNCTION_FIELDS
from inventory.tables.column import BOOLEAN, INTEGER, TEXT, TIME, Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inventory.cloud.listed_fields import ListedField

_URN = "function_urn"
_TYPES: Final = {"text": TEXT, "integer": INTEGER, "boolean": BOOLEAN, "time": TIME, "json": TEXT}


def _columns(fields: tuple[ListedField, ...], list_name: str) -> Iterator[Column]:
    for field in fields:
        source = f"{list_name}: {field.name if field.parent is None else f'{field.parent}.{field.name}'}"
        unit = "JSON" if field.kind == "json" else field.unit
        yield Column(field.name, _TYPES[field.kind], unit, field.meaning, source)
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
        Column(
            "extra",
            TEXT,
            "JSON",
            "values of another type than documented, of these columns only; null: none",
            "listing",
        ),
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
        Column(
            "extra",
            TEXT,
            "JSON",
            "values of another type than documented, of these columns only; null: none",
            "listing",
        ),
    ),
)
