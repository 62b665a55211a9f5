"""Settings of one scope, with the overrides of its account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inventory.settings import ExportSettings


@dataclass(frozen=True)
class ScopeSettings:
    """What holds for one (account, region, project).

    Attributes:
        region: of the scope.
        project_id: of the scope.
        endpoint: base URL of FunctionGraph.
        options: the options of the run, with the overrides of the account.
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
        """Calls per second; 0 for no cap."""
        return self.options.pace

    @property
    def max_workers(self) -> int:
        """Calls at a time."""
        return self.options.max_workers


def resolve_scope(settings: ExportSettings, region: str, project_id: str) -> ScopeSettings:
    """Resolves the settings of one scope.

    Raises:
        UrnError: the endpoint is made from the region, and the region cannot be part of a host name.
    """
    options = settings.for_scope(region, project_id)
    return ScopeSettings(region, project_id, options.endpoint_for(region), options)
