"""Names of the API operations, and readers of list responses."""

from __future__ import annotations

import codecs
from typing import Any, Final, NamedTuple

import msgspec

from inventory.cloud.listed_fields import ALIAS_FIELDS, ITEM_FIELDS, ListedItem, keep_fields
from inventory.errors import UrnError
from inventory.exact_json import read_json
from inventory.urn import parse

MAX_ITEMS: Final = 400
"""Maximum number of functions in a page."""
MAX_CONFIGS: Final = 100
"""Maximum number of configs in a page."""


class Operation:
    """Names of the API operations, as the ledger and the manifest record them."""

    SHOW_CONFIG: Final = "ShowFunctionAsyncInvokeConfig"
    LIST_CONFIGS: Final = "ListFunctionAsyncInvokeConfig"
    LIST_FUNCTIONS: Final = "ListFunctions"
    LIST_VERSIONS: Final = "ListFunctionVersions"
    LIST_ALIASES: Final = "ListVersionAliases"
    LIST_METRIC: Final = "ListFunctionAsMetric"
    LIST_RESERVED: Final = "ListReservedInstanceConfigs"
    LIST_QUOTAS: Final = "ListQuotas"


class FunctionPage(NamedTuple):
    """A page of a project's functions.

    Attributes:
        functions: unqualified URNs of 7 fields, and their facts.
        next_marker: offset of the next page, or None.
        total: number of functions of the project, or None.
    """

    functions: list[ListedItem]
    next_marker: int | None
    total: int | None

    @property
    def urns(self) -> list[str]:
        """The URNs of the functions."""
        return [function.name for function in self.functions]


class ConfigPage(NamedTuple):
    """A page of configs of a function's versions.

    Attributes:
        configs: URN and raw JSON of each config.
        next_marker: offset of the next page, or None.
        request_id: request id of the response.
    """

    configs: list[tuple[str, bytes]]
    next_marker: int | None
    request_id: str | None = None


class _Configs(msgspec.Struct):
    async_invoke_configs: list[msgspec.Raw] | None
    page_info: Any = None


class _Named(msgspec.Struct):
    func_urn: Any = None


def read_configs(body: bytes) -> ConfigPage:
    """Reads a response of ``ListFunctionAsyncInvokeConfig``; a null list is an empty list.

    Raises:
        ValueError: the body has another form.
    """
    read_json(body)  # rejects invalid UTF-8 in parts that msgspec skips
    try:
        document = msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8), type=_Configs)
        items = [
            (msgspec.json.decode(raw, type=_Named).func_urn, bytes(raw)) for raw in document.async_invoke_configs or ()
        ]
    except msgspec.DecodeError as error:
        raise ValueError(f"not a list of configs: {error}") from None
    following = _to_int(document.page_info.get("next_marker")) if isinstance(document.page_info, dict) else None
    return ConfigPage([(urn, item) for urn, item in items if isinstance(urn, str)], following or None)


def read_functions(body: bytes) -> FunctionPage:
    """Reads a response of ``ListFunctions``; most fields are dropped, because environment variables may be secret.

    Raises:
        ValueError: the body has another form.
    """
    document = read_json(body)
    if not isinstance(document, dict) or "functions" not in document:
        raise ValueError("no object with functions")
    functions = [
        ListedItem(_without_qualifier(_text(item, "func_urn")), keep_fields(item, ITEM_FIELDS))
        for item in _list(document["functions"])
    ]
    return FunctionPage(functions, _to_int(document.get("next_marker")), _to_int(document.get("count")))


def read_versions(body: bytes) -> list[ListedItem]:
    """Reads a response of ``ListFunctionVersions``.

    Raises:
        ValueError: the body has another form, or the list is incomplete.
    """
    document = read_json(body)
    if not isinstance(document, dict) or "versions" not in document:
        raise ValueError("no object with versions")
    versions = [
        ListedItem(_text(item, "version"), keep_fields(item, ITEM_FIELDS)) for item in _list(document["versions"])
    ]
    total = _to_int(document.get("count"))
    if total is not None and total > len(versions):
        raise ValueError(f"{len(versions)} of {total} versions")  # the API has only one page
    return versions


def read_aliases(body: bytes) -> list[ListedItem]:
    """Reads a response of ``ListVersionAliases``, a bare array.

    Raises:
        ValueError: the body has another form.
    """
    return [ListedItem(_text(item, "name"), keep_fields(item, ALIAS_FIELDS)) for item in _list(read_json(body))]


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - any JSON value
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError("no list")  # noqa: TRY004 - invalid data, not an invalid argument
    return value


def _text(item: Any, name: str) -> str:  # noqa: ANN401 - any JSON value
    value = item.get(name) if isinstance(item, dict) else None
    if not isinstance(value, str) or not value:
        raise ValueError(f"an item without {name}")
    return value


def _without_qualifier(text: str) -> str:
    try:
        return str(parse(text)._replace(qualifier=None, qualifier_type=None))
    except UrnError as error:
        raise ValueError(f"an item with an invalid func_urn: {error}") from None


def _to_int(value: Any) -> int | None:  # noqa: ANN401 - any JSON value
    try:
        return None if value is None or isinstance(value, bool) else int(value)
    except (TypeError, ValueError):
        return None
