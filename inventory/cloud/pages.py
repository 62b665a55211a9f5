"""What the lists of the API say: the functions of a project; the versions, aliases and configs of one function.

Owns the shapes of these answers. Of functions nothing but names is kept: an item also holds the function's environment
variables, which may be secrets. Pure; knows no connection.

Source: api-facts.md section 5.
"""

from __future__ import annotations

import codecs
from typing import Any, Final, NamedTuple

import msgspec

from inventory.errors import UrnError
from inventory.exact_json import read_json
from inventory.urn import parse

MAX_ITEMS: Final = 400
"""Functions a page, at most."""
MAX_CONFIGS: Final = 100
"""Configs a page, at most."""


class Operation:
    """Names of the API operations, as the ledger and the manifest record them."""

    SHOW_CONFIG: Final = "ShowFunctionAsyncInvokeConfig"
    LIST_CONFIGS: Final = "ListFunctionAsyncInvokeConfig"
    LIST_FUNCTIONS: Final = "ListFunctions"
    LIST_VERSIONS: Final = "ListFunctionVersions"
    LIST_ALIASES: Final = "ListVersionAliases"


class FunctionPage(NamedTuple):
    """A page of a project's functions.

    Attributes:
        urns: as they are listed: of 7 fields, without a qualifier.
        next_marker: the offset that the service names for the next page; None where it names none.
        total: how many functions the project has; None where it is not said.
    """

    urns: list[str]
    next_marker: int | None
    total: int | None


class ConfigPage(NamedTuple):
    """A page of the async-invoke configs of a function's versions.

    Attributes:
        configs: each as it was sent, with the URN that it names.
        next_marker: the offset that the service names for the next page; None where it names none, or 0.
        request_id: the id that the server gave the call.
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
    """Reads an answer of ``ListFunctionAsyncInvokeConfig``; a null list is an empty one.

    Raises:
        ValueError: it is none.
    """
    read_json(body)  # texts that are no UTF-8 are found here: what is skipped below is not looked into
    try:
        sent = msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8), type=_Configs)
        items = [
            (msgspec.json.decode(raw, type=_Named).func_urn, bytes(raw)) for raw in sent.async_invoke_configs or ()
        ]
    except msgspec.DecodeError as error:
        raise ValueError(f"no list of configs: {error}") from None
    following = _number(sent.page_info.get("next_marker")) if isinstance(sent.page_info, dict) else None
    return ConfigPage([(urn, item) for urn, item in items if isinstance(urn, str)], following or None)


def read_functions(body: bytes) -> FunctionPage:
    """Reads an answer of ``ListFunctions``; a null list is an empty one.

    Raises:
        ValueError: it is none.
    """
    sent = read_json(body)
    if not isinstance(sent, dict) or "functions" not in sent:
        raise ValueError("no object with functions")
    urns = [_plain(_text(item, "func_urn")) for item in _list(sent["functions"])]
    return FunctionPage(urns, _number(sent.get("next_marker")), _number(sent.get("count")))


def read_versions(body: bytes) -> list[str]:
    """Reads an answer of ``ListFunctionVersions``.

    Raises:
        ValueError: it is none.
    """
    sent = read_json(body)
    if not isinstance(sent, dict) or "versions" not in sent:
        raise ValueError("no object with versions")
    names = [_text(item, "version") for item in _list(sent["versions"])]
    total = _number(sent.get("count"))
    if total is not None and total > len(names):
        raise ValueError(f"{len(names)} of {total} versions")  # the API has no second page to ask for
    return names


def read_aliases(body: bytes) -> list[str]:
    """Reads an answer of ``ListVersionAliases``: a bare array.

    Raises:
        ValueError: it is none.
    """
    return [_text(item, "name") for item in _list(read_json(body))]


def _list(sent: Any) -> list[Any]:  # noqa: ANN401 - any JSON value
    if sent is None:
        return []
    if not isinstance(sent, list):
        raise ValueError("no list")  # noqa: TRY004 - what came is wrong, not what we did
    return sent


def _text(item: Any, name: str) -> str:  # noqa: ANN401 - any JSON value
    found = item.get(name) if isinstance(item, dict) else None
    if not isinstance(found, str) or not found:
        raise ValueError(f"an item without {name}")
    return found


def _plain(text: str) -> str:
    """A listed URN without its qualifier, where it has one."""
    try:
        return str(parse(text)._replace(qualifier=None, qualifier_type=None))
    except UrnError as error:
        raise ValueError(f"an item whose func_urn is none: {error}") from None


def _number(sent: Any) -> int | None:  # noqa: ANN401 - any JSON value
    """A whole number, also as text."""
    try:
        return None if sent is None or isinstance(sent, bool) else int(sent)
    except (TypeError, ValueError):
        return None
