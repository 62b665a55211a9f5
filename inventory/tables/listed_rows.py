"""Flattens what the service's lists say: one row per item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from inventory.cloud.listed_fields import ALIAS_FIELDS, ITEM_FIELDS, read_fields
from inventory.exact_json import json_text
from inventory.tables.flatten import read_time
from inventory.tables.schema import ALIASES, FUNCTION_FACTS, TABLES
from inventory.urn import split_urn

if TYPE_CHECKING:
    from datetime import tzinfo

    from inventory.cloud.listed_fields import ListedField
    from inventory.cloud.project_reports import ProjectReport
    from inventory.tables.column import Table
    from inventory.tables.flatten import Row

_SEPARATOR: Final = "\t"
"""Sorts before all characters of regions and project ids."""


def function_facts_row(function_urn: str, kept: str, naive_zone: tzinfo | None = None) -> Row:
    """Makes a row of ``function_facts``.

    Args:
        function_urn: URN with version.
        kept: what :func:`inventory.cloud.listed_fields.keep_fields` kept.
        naive_zone: of times without a zone; None: they are not read.

    Raises:
        ValueError: ``kept`` is not a JSON object.
    """
    return _row(FUNCTION_FACTS, _urn_cells(function_urn), kept, ITEM_FIELDS, naive_zone)


def alias_row(function_urn: str, kept: str, naive_zone: tzinfo | None = None) -> Row:
    """Makes a row of ``aliases``; arguments and errors as :func:`function_facts_row`."""
    return _row(ALIASES, _urn_cells(function_urn), kept, ALIAS_FIELDS, naive_zone)


def report_row(report: ProjectReport, name: str, kept: str, naive_zone: tzinfo | None = None) -> Row:
    """Makes a row of a report; ``name`` is what :func:`report_item_name` returned.

    Raises:
        ValueError: ``kept`` is not a JSON object, or ``name`` is none of a report.
    """
    region, project_id, item = name.split(_SEPARATOR, 2)
    table = TABLES[report.table]
    cells = _urn_cells(item) if "function_urn" in table.sorted_by else {table.sorted_by[-1]: item}
    return _row(table, {**cells, "region": region, "project_id": project_id}, kept, report.fields, naive_zone)


def report_item_name(region: str, project_id: str, item: str) -> str:
    """The name of an item in the ledger; names sort as the rows of the table."""
    return _SEPARATOR.join((region, project_id, item))


def _urn_cells(function_urn: str) -> dict[str, Any]:
    urn = split_urn(function_urn)
    return {**urn._asdict(), "function_urn": function_urn, "alias": urn.qualifier}


def _row(
    table: Table, identity: dict[str, Any], kept: str, fields: tuple[ListedField, ...], naive_zone: tzinfo | None
) -> Row:
    values, extra = read_fields(kept, fields)
    changed = values.get("last_modified")
    cells: dict[str, Any] = {
        **identity,
        **values,
        "last_modified": read_time(changed, naive_zone),
        "last_modified_raw": changed,
        "extra": json_text(extra) if extra else None,
    }
    return tuple(cells[column.name] for column in table.columns)
