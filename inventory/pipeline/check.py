"""Checks with two calls per scope whether an account is ready for an export."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from inventory.cloud.iam import list_projects
from inventory.cloud.transport import open_session
from inventory.display.formatting import duration
from inventory.errors import (
    BlockedError,
    CallConnectionError,
    CallError,
    CallTimeoutError,
    CertificateRefusedError,
    CredentialRefusedError,
    ForbiddenError,
    InventoryError,
    NotConfiguredError,
    NotFoundError,
    RefusedError,
    UrnError,
    WrongEndpointError,
)
from inventory.pipeline.open_scope import open_scope
from inventory.scheduling.circuit_breaker import is_from_service

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from inventory.cloud.accounts import CredentialProvider
    from inventory.cloud.transport import HttpSession
    from inventory.pipeline.scope_settings import ScopeSettings
    from inventory.settings import ExportSettings

T = TypeVar("T")

MAX_SKEW_SECONDS: Final = 15 * 60
"""Maximum clock skew of a signed call. Source: api-facts.md section 3.3."""
_NOT_THERE: Final = "inventory-check"


STEPS: Final = ("endpoint", "TLS", "clock", "credential", "project", "list", "read")
"""Names of the checks, in their order."""


class Step(NamedTuple):
    """One check.

    Attributes:
        ok: the result; None if unknown.
        message: the finding, with advice after a failure.
    """

    name: str
    ok: bool | None
    message: str = ""


class Checkup(NamedTuple):
    """The checks of one scope."""

    region: str
    project_id: str
    endpoint: str
    steps: list[Step]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not any(step.ok is False for step in self.steps)

    @property
    def scope(self) -> str:
        """Region and project."""
        return f"{self.region}/{self.project_id}"

    def as_object(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {**self._asdict(), "ok": self.ok, "steps": [step._asdict() for step in self.steps]}


async def check_scopes(
    scopes: Sequence[tuple[str, str]], settings: ExportSettings, account: CredentialProvider
) -> list[Checkup]:
    """Checks the scopes one by one; errors of calls become results."""
    async with open_session(settings.timeout, settings.ca_bundle, settings.transport) as session:
        return [await _check(region, project_id, session, settings, account) for region, project_id in scopes]


def without_project(region: str, iam_endpoint: str, account: str | None, error: InventoryError) -> Checkup:
    """The result for a region without projects."""
    message = str(error) if account is None else f"account {account!r}: {error}"
    return Checkup(region, "?", iam_endpoint, [Step("project", ok=False, message=message)])


async def _check(
    region: str, project_id: str, session: HttpSession, settings: ExportSettings, account: CredentialProvider
) -> Checkup:
    try:
        scope_settings, credential, client = open_scope(session, settings, account, region, project_id)
    except UrnError as error:
        return Checkup(region, project_id, "?", [Step("endpoint", ok=False, message=str(error))])
    endpoint = scope_settings.endpoint
    checkup = Checkup(region, project_id, endpoint, [])
    try:
        await credential.prepare()
        if credential.lockout is not None:
            await credential.lockout.acquire()
    except CallError as error:
        checkup.steps.append(_refused(error))
        return checkup
    listed, list_error = await _tried(lambda: client.list_functions(0, 1))
    if credential.lockout is not None:
        is_refused = isinstance(list_error, CredentialRefusedError)
        credential.lockout.release(list_error if is_refused else None, accepted=list_error is None)
    checkup.steps.extend(_connection(endpoint, list_error))
    if not checkup.ok:
        return checkup
    checkup.steps.append(_clock(client.date))
    if isinstance(list_error, RefusedError):
        checkup.steps.append(_refused(list_error))
        return checkup
    is_accepted = list_error is None or is_from_service(list_error)
    checkup.steps.append(Step("credential", ok=True if is_accepted else None))
    checkup.steps.append(await _project(scope_settings, session, account))
    checkup.steps.append(_permission("list", list_error))
    first = listed.urns[0] if listed and listed.urns else f"urn:fss:{region}:{project_id}:function:default:{_NOT_THERE}"
    _, read_error = await _tried(lambda: client.show_async_invoke_config(first))
    found = isinstance(read_error, NotFoundError | NotConfiguredError)
    checkup.steps.append(_permission("read", None if found else read_error))
    return checkup


async def _tried(call: Callable[[], Awaitable[T]]) -> tuple[T | None, CallError | None]:
    try:
        return await call(), None
    except CallError as error:
        return None, error


def _refused(error: CallError) -> Step:
    return Step("credential", ok=False, message=f"{error}; {_ADVICE[RefusedError]}")


def _connection(endpoint: str, error: CallError | None) -> list[Step]:
    secure = urlsplit(endpoint).scheme == "https"
    if isinstance(error, CertificateRefusedError):  # the message contains the advice
        return [Step("endpoint", ok=True), Step("TLS", ok=False, message=str(error))]
    if isinstance(error, BlockedError):
        return [Step("endpoint", ok=False, message=str(error))]
    if isinstance(error, CallConnectionError | CallTimeoutError):
        if secure and any(word in str(error).lower() for word in ("ssl", "tls")):
            advice = "see that the endpoint speaks https at this port"
            return [Step("endpoint", ok=True), Step("TLS", ok=False, message=f"{error}; {advice}")]
        return [Step("endpoint", ok=False, message=f"{error}; {_ADVICE[CallConnectionError]}")]
    if isinstance(error, WrongEndpointError):
        return [Step("endpoint", ok=False, message=f"{error}; {_ADVICE[WrongEndpointError]}")]
    is_vendor = error is None or error.error_code is not None
    endpoint_step = Step("endpoint", ok=True if is_vendor else None, message="" if is_vendor else f"{error}")
    return [endpoint_step, Step("TLS", ok=True) if secure else Step("TLS", ok=None, message="plain http")]


def _clock(date: str | None) -> Step:
    try:
        skew = time.time() - parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError):
        return Step("clock", ok=None, message="the answer has no date")
    seconds = round(skew)
    direction = "ahead" if seconds > 0 else "behind"
    message = f"{duration(abs(seconds))} {direction}" if seconds else ""
    if abs(skew) > MAX_SKEW_SECONDS:
        return Step("clock", ok=False, message=f"{message}: set the clock of this machine, signed calls are refused")
    return Step("clock", ok=True, message=message)


async def _project(scope: ScopeSettings, session: HttpSession, account: CredentialProvider) -> Step:
    try:
        projects = await list_projects(session, scope.iam_endpoint, account.iam_credential(session, scope.region))
    except (CallError, UrnError) as error:
        return Step("project", ok=None, message=str(error))
    if scope.project_id in projects:
        return Step("project", ok=True)
    return Step("project", ok=False, message="IAM does not show it to this account: see the id and the region")


def _permission(what: str, error: CallError | None) -> Step:
    if error is None:
        return Step(what, ok=True)
    advice = _ADVICE[ForbiddenError] if isinstance(error, ForbiddenError | RefusedError) else "try again"
    return Step(what, ok=False, message=f"{error}; {advice}")


_ADVICE: Final[dict[type[CallError], str]] = {
    CallConnectionError: "see that --endpoint is right and reachable from here",
    WrongEndpointError: "see that --endpoint is FunctionGraph's",
    RefusedError: "get a credential of this account and project",
    ForbiddenError: "have functiongraph:function:list and functiongraph:function:getConfig granted",
}
