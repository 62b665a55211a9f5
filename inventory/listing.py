"""What the lists of the API say: the functions of a project, the versions and aliases of one function.

Owns the shapes of these answers, of which nothing but names is kept: an item also holds the function's environment
variables, which may be secrets. Pure; knows no connection.

Source: api-facts.md section 5.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from inventory.errors import UrnError
from inventory.models import read_json
from inventory.urn import parse

MAX_ITEMS: Final = 400
"""Functions a page, at most."""


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
