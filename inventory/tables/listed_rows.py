"""Flattens what the service's lists say: one row per function, version or alias."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inventory.cloud.listed_fields import ALIAS_FIELDS, ITEM_FIELDS, read_fields
from inventory.exact_json import json_text
from inventory.tables.flatten import read_time
from inventory.tables.listing_schema import ALIASES, FUNCTION_FACTS
from inventory.urn import split_urn

if TYPE_CHECKING:
    from datetime import tzinfo

    from inventory.cloud.listed_fields import ListedField
    from inventory.tables.column import Table
    from inventory.tables.flatten import Row


def function_facts_row(function_urn: str, kept: str, naive_zone: tzinfo | None = None) -> Row:
    """Makes a row of ``function_facts``.

    Args:
        function_urn: URN with version.
        kept: what :func:`inventory.cloud.listed_fields.keep_fields` kept.
        naive_zone: of times without a zone; None: they are not read.

    Raises:
        ValueError: ``kept`` is not a JSON object.
    """
    return _row(FUNCTION_FACTS, function_urn, kept, ITEM_FIELDS, naive_zone)


def alias_row(function_urn: str, kept: str, naive_zone: tzinfo | None = None) -> Row:
    """Makes a row of ``aliases``; arguments and errors as :func:`function_facts_row`."""
    return _row(ALIASES, function_urn, kept, ALIAS_FIELDS, naive_zone)


def _row(table: Table, function_urn: str, kept: str, fields: tuple[ListedField, ...], naive_zone: tzinfo | None) -> Row:
    values, extra = read_fields(kept, fields)
    urn = split_urn(function_urn)
    cells: dict[str, Any] = {
        **urn._asdict(),
        **values,
        "function_urn": function_urn,
        "alias": urn.qualifier,
        "last_modified": read_time(values["last_modified"], naive_zone),
        "last_modified_raw": values["last_modified"],
        "extra": json_text(extra) if extra else None,
    }
    return tuple(cells[column.name] for column in table.columns)
