"""Reports about a whole project: requests, and readers of their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.cloud.listed_fields import FAILURE_FIELDS, QUOTA_FIELDS, RESERVED_FIELDS, ListedItem, keep_fields
from inventory.cloud.models import parse_int
from inventory.cloud.pages import Operation
from inventory.errors import UrnError
from inventory.exact_json import read_json
from inventory.urn import LATEST, check_field, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory.cloud.listed_fields import ListedField
    from inventory.urn import FunctionUrn


class ReportPage(NamedTuple):
    """A page of a report; items are named by URN or type, ``next_marker`` is the offset of the next page or None."""

    items: list[ListedItem]
    next_marker: int | None = None


class ProjectReport(NamedTuple):
    """A report about a project, which is one table.

    Attributes:
        table: name of the table.
        operation: of the API.
        path: below ``/v2/{project_id}/fgs``; ``{marker}`` is the offset of a page.
        read: reads an answer; raises ValueError.
        fields: what is kept of an item.
    """

    table: str
    operation: str
    path: str
    read: Callable[[bytes], ReportPage]
    fields: tuple[ListedField, ...]


def read_failing_functions(body: bytes) -> ReportPage:
    """Reads a response of ``ListFunctionAsMetric``, which is one page.

    Raises:
        ValueError: the body has another form.
    """
    items = _objects(_object(read_json(body)), "values")
    return ReportPage([ListedItem(_name(_urn(item, "key")), keep_fields(item, FAILURE_FIELDS)) for item in items])


def read_reserved_instances(body: bytes) -> ReportPage:
    """Reads a response of ``ListReservedInstanceConfigs``.

    Raises:
        ValueError: the body has another form.
    """
    document = _object(read_json(body))
    items = [
        ListedItem(_name(_qualified(_urn(item, "function_urn"), item)), keep_fields(item, RESERVED_FIELDS))
        for item in _objects(document, "reserved_instances")
    ]
    info = document.get("page_info")
    marker = info.get("next_marker") if isinstance(info, dict) else None
    return ReportPage(items, parse_int(marker)[0])


def read_quotas(body: bytes) -> ReportPage:
    """Reads a response of ``ListQuotas``, which is one page.

    Raises:
        ValueError: the body has another form.
    """
    items = _objects(_object(_object(read_json(body)).get("quotas")), "resources")
    for item in items:
        if not isinstance(item.get("type"), str) or not item["type"]:
            raise ValueError("a quota without type")
    return ReportPage([ListedItem(item["type"], keep_fields(item, QUOTA_FIELDS)) for item in items])


REPORTS: Final = {
    "failures": ProjectReport(
        "failing_functions",
        Operation.LIST_METRIC,
        "/function/report?type=failcount&limit=20",
        read_failing_functions,
        FAILURE_FIELDS,
    ),
    "reserved": ProjectReport(
        "reserved_instances",
        Operation.LIST_RESERVED,
        "/functions/reservedinstanceconfigs?limit=500&marker={marker}",
        read_reserved_instances,
        RESERVED_FIELDS,
    ),
    "quotas": ProjectReport("quotas", Operation.LIST_QUOTAS, "/quotas", read_quotas, QUOTA_FIELDS),
}
"""By the name of the option. Without a time span, ``ListFunctionAsMetric`` reports the last day.

Source: pages functiongraph_06_0150, functiongraph_06_0112_2 and functiongraph_06_0137 of the API reference.
"""


def _object(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004 - invalid data, not an invalid argument
    return value


def _objects(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a list; null is an empty list."""
    if name not in document:
        raise ValueError(f"no object with {name}")
    values = document[name]
    if values is None:
        return []
    if not isinstance(values, list):
        raise ValueError(f"{name} is no list")  # noqa: TRY004 - invalid data, not an invalid argument
    return [_object(value) for value in values]


def _urn(item: dict[str, Any], name: str) -> FunctionUrn:
    text = item.get(name)
    if not isinstance(text, str) or not text:
        raise ValueError(f"an item without {name}")
    try:
        return parse(text)
    except UrnError as error:
        raise ValueError(f"an item with an invalid {name}: {error}") from None


def _qualified(urn: FunctionUrn, item: dict[str, Any]) -> FunctionUrn:
    """The URN with the qualifier that the item names beside it."""
    name = item.get("qualifier_name")
    try:
        check_field(name if isinstance(name, str) else "", "qualifier_name")
    except UrnError:
        return urn
    is_alias = item.get("qualifier_type") == "alias"
    return urn._replace(qualifier=name, qualifier_type="alias" if is_alias else "version")


def _name(urn: FunctionUrn) -> str:
    """The URN as discovery lists it."""
    return str(urn if urn.qualifier else urn._replace(qualifier=LATEST, qualifier_type="version"))
