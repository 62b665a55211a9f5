"""Opens a scope: settings, credential, client."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inventory.cloud.client import Client
from inventory.pipeline.scope import Scope
from inventory.pipeline.scope_settings import ScopeSettings, resolve_scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory.cloud.accounts import CredentialProvider
    from inventory.cloud.credentials import Credential
    from inventory.cloud.transport import HttpSession
    from inventory.scheduling.dispatcher import Dispatcher
    from inventory.scheduling.limits import Limits
    from inventory.settings import ExportSettings


class OpenScope(NamedTuple):
    """What the calls of one scope need."""

    settings: ScopeSettings
    credential: Credential
    client: Client

    def start(
        self,
        count_call: Callable[[str, int], None],
        limits: Limits,
        dispatcher: Dispatcher,
        *,
        was_accepted: bool = False,
        has_second_opinion: bool = False,
    ) -> Scope:
        """A new :class:`Scope`."""
        settings = self.settings
        key = settings.region, settings.project_id
        scope = Scope(
            self.client.show_async_invoke_config,
            self.credential,
            settings.options,
            count_call=count_call,
            was_accepted=was_accepted,
            has_second_opinion=has_second_opinion,
            dispatcher=dispatcher,
            throttle=limits.throttle(key, settings.max_per_second),
            endpoint=limits.endpoint(settings.endpoint, key),
        )
        scope.lane.limit = settings.max_workers
        return scope


def open_scope(
    session: HttpSession, settings: ExportSettings, account: CredentialProvider, region: str, project_id: str
) -> OpenScope:
    """Opens a scope without a call.

    Raises:
        UrnError: the region cannot be part of the endpoint's host name.
    """
    scope_settings = resolve_scope(settings, region, project_id)
    credential = account.credential(session, region, project_id)
    return OpenScope(scope_settings, credential, Client(session, scope_settings.endpoint, project_id, credential))
