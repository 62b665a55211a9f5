"""List operations of the emulated service; each has its own paging.

Source: api-facts.md section 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from inventory.emulator import responses
from inventory.emulator.responses import Reply
from inventory.emulator.service import list_items
from inventory.emulator.service.async_config import INVALID_URN, MISSING_FUNCTION
from inventory.emulator.state.interface import LATEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inventory.emulator.state.interface import Cloud, Qualifiers, Scope
    from inventory.urn import FunctionUrn, QualifierType

MAX_FUNCTIONS: Final = 400
DEFAULT_CONFIGS: Final = 10
MAX_CONFIGS: Final = 100


def list_functions(cloud: Cloud, scope: Scope, query: Mapping[str, str]) -> Reply:
    """``ListFunctions``: ``marker`` is an offset; on the last page ``next_marker`` is ``count``, not 0."""
    marker, maxitems = _parse_int(query.get("marker", "0")), _parse_int(query.get("maxitems", str(MAX_FUNCTIONS)))
    if marker is None or maxitems is None or marker < 0 or not 0 < maxitems <= MAX_FUNCTIONS:
        return _invalid_parameter("marker or maxitems")
    count = cloud.count(scope)
    page = cloud.functions_of(scope, marker, maxitems)
    body = {
        "functions": [listed_function(cloud, urn) for urn in page],
        "next_marker": min(count, marker + len(page)),
        "count": count,
    }
    return Reply(200, msgspec.json.encode(body))


def listed_function(cloud: Cloud, urn: FunctionUrn) -> dict[str, Any]:
    """The item of ``ListFunctions`` for a function."""
    latest = _with_version(urn, LATEST)
    return list_items.function_item(latest, cloud.answer(latest)) | cloud.facts(latest)


def list_versions(cloud: Cloud, urn: FunctionUrn | None) -> Reply:
    """``ListFunctionVersions``: one page in practice; each item has the function's URN of 7 fields."""
    listed = _find(cloud, urn)
    if isinstance(listed, Reply):
        return listed
    urn, qualifiers = listed
    urns = [_with_version(urn, name) for name in (LATEST, *qualifiers.versions)]
    versions = [
        list_items.version_item(version, cloud.answer(version), len(urns) - place) | cloud.facts(version)
        for place, version in enumerate(urns, 1)
    ]
    body = {"versions": versions, "next_marker": len(urns), "count": len(urns)}
    return Reply(200, msgspec.json.encode(body))


def list_aliases(cloud: Cloud, urn: FunctionUrn | None) -> Reply:
    """``ListVersionAliases``: a bare array."""
    listed = _find(cloud, urn)
    if isinstance(listed, Reply):
        return listed
    urn, qualifiers = listed
    urns = [urn._replace(qualifier=name, qualifier_type="alias") for name in qualifiers.aliases]
    aliases = [list_items.alias_item(alias, qualifiers.versions) | cloud.facts(alias) for alias in urns]
    return Reply(200, msgspec.json.encode(aliases))


def list_async_invoke_configs(
    cloud: Cloud, urn: FunctionUrn | None, query: Mapping[str, str], *, aliases: bool
) -> Reply:
    """``ListFunctionAsyncInvokeConfig``: the configured versions of a function; null if there are none."""
    listed = _find(cloud, urn)
    if isinstance(listed, Reply):
        return listed
    urn, qualifiers = listed
    marker, limit = _parse_int(query.get("marker") or "0"), _parse_int(query.get("limit") or "0")
    if marker is None or limit is None or marker < 0 or limit < 0:
        return _invalid_parameter("marker or limit")
    names: list[tuple[str, QualifierType]] = [(name, "version") for name in (LATEST, *qualifiers.versions)]
    if aliases:
        names += [(name, "alias") for name in qualifiers.aliases]
    answers = [cloud.answer(urn._replace(qualifier=name, qualifier_type=kind)) for name, kind in names]
    configs = [answer for answer in answers if isinstance(answer, dict)]
    page = configs[marker : marker + min(limit or DEFAULT_CONFIGS, MAX_CONFIGS)]
    following = marker + len(page)
    body = {
        "async_invoke_configs": page or None,
        "count": len(configs),
        "page_info": {
            "next_marker": following if following < len(configs) else 0,
            "previous_marker": marker,
            "current_count": len(page),
        },
    }
    return Reply(200, msgspec.json.encode(body))


def _find(cloud: Cloud, urn: FunctionUrn | None) -> tuple[FunctionUrn, Qualifiers] | Reply:
    if urn is None:
        return INVALID_URN
    qualifiers = cloud.qualifiers_of(urn)
    return MISSING_FUNCTION if qualifiers is None else (urn, qualifiers)


def _with_version(urn: FunctionUrn, version: str) -> FunctionUrn:
    return urn._replace(qualifier=version, qualifier_type="version")


def _parse_int(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _invalid_parameter(names: str) -> Reply:
    return responses.service_error(400, "FSS.0400", f"Invalid parameter: {names}.")
