"""Operations about a whole project: top functions, reserved instances, quotas.

Source: models ``ListFunctionAsMetricResponse``, ``ListReservedInstanceConfigsResponse``,
``ListFunctionReservedInstancesResponse`` and ``ListQuotasResponse`` of the vendor's SDK; pages functiongraph_06_0150,
functiongraph_06_0112_2, functiongraph_06_0112_3 and functiongraph_06_0137 of the API reference.
"""

from __future__ import annotations

import math
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Final

import msgspec

from inventory.emulator import responses
from inventory.emulator.responses import Reply
from inventory.emulator.service import listings
from inventory.emulator.service.list_items import fact_dice
from inventory.emulator.state.interface import LATEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inventory.emulator.state.interface import Cloud, Scope
    from inventory.urn import FunctionUrn

_REPORTED: Final = 10_000
"""Functions of a project that a report looks at: each costs some 50 microseconds."""
_TOP, _MAX_TOP, _TOP_STEP = 10, 20, 5
_DAY: Final = 86_400
_DIGITS: Final = 18
_MILLISECONDS: Final = 100_000_000_000
"""Times from this number on are in milliseconds; the vendor documents "Unix timestamp" without a unit."""
_QUOTAS: Final = (
    ("fgs_func_scale_down_timeout", 60),
    ("fgs_func_occurs", 100),
    ("fgs_func_pat_idle_time", 100),
    ("fgs_workflow_num", 512),
    ("fgs_on_demand_instance_limit", 400),
    ("fgs_func_qos_limit", 1000),
)


def list_top_functions(cloud: Cloud, scope: Scope, query: Mapping[str, str], now: float) -> Reply:
    """``ListFunctionAsMetric`` for ``failcount``: the failures of a day, in proportion to the time span."""
    end = _parse(query.get("end_time") or str(int(now)))
    if end is None:
        return _invalid("end_time")
    day = _DAY if end < _MILLISECONDS else 1000 * _DAY
    start = _parse(query.get("start_time") or str(end - day))
    limit = _parse(query.get("limit") or str(_TOP))
    if query.get("type", "failcount") != "failcount" or start is None or start > end:
        return _invalid("type or start_time")
    if not limit or limit % _TOP_STEP:
        return _invalid("limit")
    counts = ((round(item["fail_count"] * (end - start) / day), item["func_urn"]) for item in _failing(cloud, scope))
    top = nsmallest(min(limit, _MAX_TOP), ((-count, urn) for count, urn in counts if count))
    values = [{"key": urn, "value": -count} for count, urn in top]
    return _ok({"values": values, "next_marker": len(values), "count": len(values)})


def list_reserved_instance_configs(cloud: Cloud, scope: Scope, query: Mapping[str, str]) -> Reply:
    """``ListReservedInstanceConfigs``: ``next_marker`` on the last page is the count, not 0."""
    return _page(_reserved(cloud, scope), "function_urn", "reserved_instances", query, (100, 500))


def list_reserved_instances(cloud: Cloud, scope: Scope, query: Mapping[str, str]) -> Reply:
    """``ListFunctionReservedInstances``: the number of instances of each version or alias with a reservation."""
    items = [
        {"func_urn": f"{item['function_urn']}:{'!' * (item['qualifier_type'] == 'alias')}{item['qualifier_name']}"}
        | {"count": item["min_count"]}
        for item in _reserved(cloud, scope)
    ]
    return _page(items, "func_urn", "reservedinstances", {**query, "function_urn": query.get("urn", "")}, (400, 400))


def list_quotas(cloud: Cloud, scope: Scope) -> Reply:
    """``ListQuotas``: the number of functions is the real one, all other numbers are generated."""
    count = cloud.count(scope)
    dice = fact_dice(f"quotas of {scope.project_id}")
    quota = max(400, math.ceil(count / 100) * 100)
    resources: list[dict[str, Any]] = [{"quota": quota, "used": count, "type": "fgs_func_num"}]
    resources += [{"quota": quota, "used": dice.below(quota + 1), "type": kind} for kind, quota in _QUOTAS]
    code_size = {"quota": 10_240, "used": dice.below(10_241), "type": "fgs_func_code_size", "unit": "MB"}
    resources.append(code_size)
    return _ok({"quotas": {"resources": resources}})


def _failing(cloud: Cloud, scope: Scope) -> Iterator[dict[str, Any]]:
    for urn in cloud.functions_of(scope, 0, _REPORTED):
        item = listings.listed_function(cloud, urn)
        if type(item["fail_count"]) is int and item["fail_count"] > 0:
            yield item


def _reserved(cloud: Cloud, scope: Scope) -> list[dict[str, Any]]:
    urns = cloud.functions_of(scope, 0, _REPORTED)
    return [config for urn in urns if (config := _reserved_config(cloud, urn)) is not None]


def _reserved_config(cloud: Cloud, urn: FunctionUrn) -> dict[str, Any] | None:
    """The reservation of one function in 20: for latest, or for an alias if it has one."""
    dice = fact_dice(f"reserved instances of {urn}")
    if dice.below(20):
        return None
    qualifiers = cloud.qualifiers_of(urn)
    aliases = qualifiers.aliases if qualifiers else ()
    count = dice.pick((1, 1, 2, 5, 20))
    cron = {
        "name": "working-hours",
        "cron": "0 */10 8-18 ? * MON-FRI",
        "count": 2 * count,
        "start_time": 1_767_225_600,
        "expired_time": 1_798_761_600,
    }
    metric = {"name": "load", "type": "Concurrency", "threshold": 70, "min": count}
    return {
        "function_urn": str(urn),
        "qualifier_type": "alias" if aliases else "version",
        "qualifier_name": aliases[0] if aliases else LATEST,
        "min_count": count,
        "idle_mode": dice.below(3) == 0,
        "tactics_config": {
            "cron_configs": [] if dice.below(3) else [cron],
            "metric_configs": [] if dice.below(3) else [metric],
        },
    }


def _page(
    items: list[dict[str, Any]], urn_field: str, name: str, query: Mapping[str, str], sizes: tuple[int, int]
) -> Reply:
    """A page of ``items``; ``sizes``: default and maximum number of items."""
    marker, limit = _parse(query.get("marker") or "0"), _parse(query.get("limit") or "0")
    if marker is None or limit is None or marker < 0 or limit < 0:
        return _invalid("marker or limit")
    function = query.get("function_urn")
    if function:
        items = [item for item in items if f"{item[urn_field]}:".startswith(f"{function}:")]
    page = items[marker : marker + min(limit or sizes[0], sizes[1])]
    page_info = {"next_marker": marker + len(page), "previous_marker": marker, "current_count": len(page)}
    return _ok({name: page, "page_info": page_info, "count": len(items)})


def _parse(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


def _ok(document: dict[str, Any]) -> Reply:
    return Reply(200, msgspec.json.encode(document))


def _invalid(names: str) -> Reply:
    return responses.service_error(400, "FSS.0400", f"Invalid parameter: {names}.")
