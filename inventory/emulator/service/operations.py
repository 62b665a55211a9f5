"""Calls the emulated service's operation for a route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inventory.emulator.gateway.routes import Operation
from inventory.emulator.service import async_config, listings, project_reports

if TYPE_CHECKING:
    from inventory.emulator.gateway.routes import Route
    from inventory.emulator.responses import Reply
    from inventory.emulator.state.interface import Cloud, Scope
    from inventory.urn import FunctionUrn


def answer(  # noqa: PLR0911 - one return for each operation
    cloud: Cloud, route: Route, scope: Scope, urn: FunctionUrn | None, *, lists_aliases: bool, now: float
) -> Reply:
    """The answer of the service; ``urn`` is None if the path has no valid one, ``now``: seconds since 1970."""
    match route.operation:
        case Operation.LIST_FUNCTIONS:
            return listings.list_functions(cloud, scope, route.query)
        case Operation.LIST_CONFIGS:
            return listings.list_async_invoke_configs(cloud, urn, route.query, aliases=lists_aliases)
        case Operation.LIST_VERSIONS:
            return listings.list_versions(cloud, urn)
        case Operation.LIST_ALIASES:
            return listings.list_aliases(cloud, urn)
        case Operation.LIST_TOP_FUNCTIONS:
            return project_reports.list_top_functions(cloud, scope, route.query, now)
        case Operation.LIST_RESERVED_CONFIGS:
            return project_reports.list_reserved_instance_configs(cloud, scope, route.query)
        case Operation.LIST_RESERVED_INSTANCES:
            return project_reports.list_reserved_instances(cloud, scope, route.query)
        case Operation.LIST_QUOTAS:
            return project_reports.list_quotas(cloud, scope)
    return async_config.show_async_invoke_config(cloud, urn)
