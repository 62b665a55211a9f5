"""Settings of one scope, with the overrides of its account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inventory.settings import ExportSettings


@dataclass(frozen=True)
class ScopeSettings:
    """Settings of one (account, region, project).

    Attributes:
        endpoint: base URL of FunctionGraph.
        options: with the overrides of the account.
    """

    region: str
    project_id: str
    endpoint: str
    options: ExportSettings

    @property
    def iam_endpoint(self) -> str:
        """Base URL of IAM.

        Raises:
            UrnError: the region cannot be part of a host name.
        """
        return self.options.iam_endpoint_for(self.region)

    @property
    def max_per_second(self) -> float:
        """Calls per second; 0: no cap."""
        return self.options.pace

    @property
    def max_workers(self) -> int:
        """Concurrent calls."""
        return self.options.max_workers


def resolve_scope(settings: ExportSettings, region: str, project_id: str) -> ScopeSettings:
    """Resolves the settings of one scope.

    Raises:
        UrnError: the region cannot be part of the endpoint's host name.
    """
    options = settings.for_scope(region, project_id)
    return ScopeSettings(region, project_id, options.endpoint_for(region), options)
