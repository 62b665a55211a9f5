"""Who is let in: plain tokens, tokens that IAM gave, and signed calls.

Owns the order in which a credential is judged, and the sentences of a refusal. Must not know what the cloud holds, nor
aiohttp.

Source: api-facts.md sections 3.2, 3.3 and 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from inventory.emulator.gateway import signature
from inventory.emulator.responses import Reply, gateway_error, service_error

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from inventory.emulator.gateway.iam import Iam
    from inventory.emulator.gateway.signature import Keys


class Call(NamedTuple):
    """A call as it came: ``raw_path`` holds the query, ``headers`` are looked up without regard to case."""

    method: str
    raw_path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Door:
    """What opens a gateway.

    Attributes:
        token: the plain token that is accepted; None accepts any, if there are neither keys nor users.
        expired: plain tokens that were good once.
        keys: access keys; None lets signed calls in unchecked where any token is.
        iam: who gave out tokens, and for which project.
        now: seconds since 1970.
    """

    token: str | None
    expired: Collection[str]
    keys: Keys | None
    iam: Iam
    now: Callable[[], float]

    def refuse(self, call: Call, project_id: str | None, request_id: str) -> Reply | None:
        """The answer to a call that may not come in; None lets it pass.

        Args:
            call: the call.
            project_id: the project that it asks about; None for IAM's own calls.
            request_id: of the call.
        """
        token = call.headers.get("X-Auth-Token", "")
        if not token and call.headers.get("Authorization", "").startswith(f"{signature.ALGORITHM} "):
            return self._refuse_signed(call, request_id)
        if token in self.iam.given:
            return self._refuse_given(token, project_id, request_id)
        if not token:
            return _not_authentic("x-auth-token not found", request_id)
        if token in self.expired:
            return _must_be_updated(request_id)
        if token == self.token or (self.token is None and self._is_open):
            return None
        return _not_authentic("decrypt token fail", request_id)

    @property
    def _is_open(self) -> bool:
        return self.keys is None and not self.iam.has_users

    def _refuse_signed(self, call: Call, request_id: str) -> Reply | None:
        if self.keys is not None:
            reason = self.keys.refuse(*call)
            return None if reason is None else _not_authentic(reason, request_id)
        return None if self.token is None and self._is_open else _not_authentic("ak not exist", request_id)

    def _refuse_given(self, token: str, project_id: str | None, request_id: str) -> Reply | None:
        given = self.iam.given[token]
        if self.now() >= given.ends or token in self.expired:
            return _must_be_updated(request_id)
        if project_id is None or given.project_id == project_id:
            return None
        if self.iam.region_of(given.project_id) != self.iam.region_of(project_id):
            return _must_be_updated(request_id)
        return service_error(403, "FSS.0403", "invalid token")


def _must_be_updated(request_id: str) -> Reply:
    return gateway_error(401, "APIGW.0307", "The token must be updated", request_id)


def _not_authentic(detail: str, request_id: str) -> Reply:
    return gateway_error(401, "APIGW.0301", f"Incorrect IAM authentication information: {detail}", request_id)
