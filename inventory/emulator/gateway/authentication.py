"""Authentication: plain tokens, IAM tokens, signed calls.

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
    """A received call; ``raw_path`` includes the query, ``headers`` ignores case."""

    method: str
    raw_path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Authenticator:
    """Checks the credential of a call.

    Attributes:
        token: the accepted token; None accepts any if there are neither keys nor users.
        keys: access keys; None accepts signed calls without a check where any token is accepted.
        iam: the emulated IAM, with its tokens.
        now: seconds since 1970.
    """

    token: str | None
    expired: Collection[str]
    keys: Keys | None
    iam: Iam
    now: Callable[[], float]

    def check(self, call: Call, project_id: str | None, request_id: str) -> Reply | None:
        """The refusal of a call, or None. ``project_id`` is None for calls of IAM."""
        token = call.headers.get("X-Auth-Token", "")
        if not token and call.headers.get("Authorization", "").startswith(f"{signature.ALGORITHM} "):
            return self._check_signature(call, request_id)
        if token in self.iam.tokens:
            return self._check_iam_token(token, project_id, request_id)
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

    def _check_signature(self, call: Call, request_id: str) -> Reply | None:
        if self.keys is not None:
            reason = self.keys.check(*call)
            return None if reason is None else _not_authentic(reason, request_id)
        return None if self.token is None and self._is_open else _not_authentic("ak not exist", request_id)

    def _check_iam_token(self, token: str, project_id: str | None, request_id: str) -> Reply | None:
        issued = self.iam.tokens[token]
        if self.now() >= issued.ends or token in self.expired:
            return _must_be_updated(request_id)
        if project_id is None or issued.project_id == project_id:
            return None
        if self.iam.region_of(issued.project_id) != self.iam.region_of(project_id):
            return _must_be_updated(request_id)
        return service_error(403, "FSS.0403", "invalid token")


def _must_be_updated(request_id: str) -> Reply:
    return gateway_error(401, "APIGW.0307", "The token must be updated", request_id)


def _not_authentic(detail: str, request_id: str) -> Reply:
    return gateway_error(401, "APIGW.0301", f"Incorrect IAM authentication information: {detail}", request_id)
