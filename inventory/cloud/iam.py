"""IAM tokens from user name and password, and the list of projects."""

from __future__ import annotations

import asyncio
import math
import time
from datetime import UTC, datetime
from functools import cached_property, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from yarl import URL

from inventory.cloud.credentials import is_header_safe
from inventory.cloud.iam_client import IamRequest, get_iam_client
from inventory.errors import BadAnswerError, CallError, CredentialRefusedError
from inventory.redaction import Redactor
from inventory.scheduling.lockout import Lockout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inventory.cloud.credentials import Credential
    from inventory.cloud.iam_client import IamClient
    from inventory.cloud.transport import HttpSession

_MARGIN_SECONDS: Final = 300.0
"""Renewal starts this long before expiry; for short lifetimes, in the last tenth."""
_TRIES: Final = 3
_EARLY_TRIES: Final = 5
_MAX_PAGES: Final = 1000


class IamUser:
    """A user name and password in a domain (account).

    Attributes:
        lockout: lets one project at a time try the password, so that IAM does not lock the user.
        is_known: the password was accepted once.
        is_doubted: the password was already checked with a domain token.
    """

    def __init__(self, name: str, password: str, domain: str) -> None:
        self.name = name
        self.domain = domain
        self._password = password
        self.redactor = Redactor(password)
        self.lockout = Lockout()
        self.is_known = False
        self.is_doubted = False

    def __repr__(self) -> str:
        return f"IamUser({self.name!r} of {self.domain!r})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a password cannot be pickled")

    def identity(self) -> dict[str, Any]:
        """Returns the ``identity`` of a token request, including the password."""
        user = {"name": self.name, "password": self._password, "domain": {"name": self.domain}}
        return {"methods": ["password"], "password": {"user": user}}


class IamTokenCredential:
    """The IAM token of a project or domain, cached until shortly before its expiry.

    If an early renewal fails, the token remains in use and one caller tries again later.

    Source: api-facts.md section 6 (KeystoneCreateUserTokenByPassword; vendor page read 2026-08).
    """

    def __init__(
        self,
        session: HttpSession,
        endpoint: str,
        user: IamUser,
        scope: Mapping[str, Mapping[str, str]],
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._iam_arguments = (endpoint, session)
        self._sleep = sleep
        self._user = user
        self._scope = dict(scope)
        self._now = now
        self._lock = asyncio.Lock()
        self._headers: dict[str, str] = {}
        self._renew_at = self._expires_at = -math.inf
        self._retry_interval = 0.0
        self._completed = 0
        self._last_error: CallError | None = None
        self.redactor = Redactor(parent=user.redactor)
        self.lockout = None
        self.generation = 0

    def __repr__(self) -> str:
        return f"IamTokenCredential({self._user!r}, {self._scope})"

    @cached_property
    def _iam(self) -> IamClient:
        return get_iam_client(*self._iam_arguments, sleep=self._sleep)

    @property
    def is_ready(self) -> bool:
        """Whether the token does not expire soon."""
        return self._now() < self._renew_at

    async def prepare(self) -> None:
        """Gets a token if there is none or if it expires soon.

        Raises:
            CallError: IAM returned no token.
        """
        if self._now() < self._renew_at:
            return
        if self._now() < self._expires_at:
            if not self._lock.locked():
                await self._renew_early()
            return
        await self._get_shared(lambda: self._now() >= self._renew_at)

    def headers(self, _url: str) -> Mapping[str, str]:
        """Returns the token header."""
        return self._headers

    async def renew(self, generation: int) -> bool:
        """Gets another token, unless there is a newer one.

        Raises:
            CallError: IAM returned no token.
        """
        if generation == self.generation:
            self._renew_at = self._expires_at = -math.inf
        await self._get_shared(lambda: generation == self.generation)
        return True

    async def _renew_early(self) -> None:
        async with self._lock:
            try:
                if not self._iam.paused_for:
                    await self._get(tries=1)
                    return
            except CallError as error:
                if isinstance(error, CredentialRefusedError):
                    self._renew_at = self._expires_at
                    return
            self._renew_at = min(self._expires_at, self._now() + max(self._retry_interval, self._iam.paused_for))

    async def _get_shared(self, is_needed: Callable[[], bool]) -> None:
        completed = self._completed
        async with self._lock:
            if not is_needed():
                return
            if self._completed != completed and self._last_error is not None:
                raise self._last_error
            await self._get(_TRIES)

    async def _get(self, tries: int) -> None:
        self._last_error = None
        try:
            token, content = await self._iam.run(self._request_serialized, tries)
        except CallError as error:
            self._last_error = error
            raise
        finally:
            self._completed += 1
        life = self._lifetime(content)
        seconds = 2 * _MARGIN_SECONDS if life is None else life
        margin = min(_MARGIN_SECONDS, seconds / 10)
        self._renew_at = self._now() + seconds - margin
        self._expires_at = math.inf if life is None else self._now() + life
        self._retry_interval = margin / _EARLY_TRIES
        self._headers = {"X-Auth-Token": token}
        self.generation += 1

    async def _request_serialized(self) -> tuple[str, Any]:
        """Until the password is accepted, one project at a time tries it."""
        user = self._user
        await user.lockout.acquire()
        refusal: CallError | None = None
        try:
            return await self._request_token(self._scope)
        except CredentialRefusedError as error:
            refusal = error
            user.is_known = user.is_known or await self._is_password_right()
            raise
        except BadAnswerError as error:  # the password may be wrong
            refusal = error
            raise
        finally:
            user.lockout.release(refusal, accepted=user.is_known)

    async def _request_token(self, scope: Mapping[str, Mapping[str, str]]) -> tuple[str, Any]:
        user = self._user
        body = {"auth": {"identity": user.identity(), "scope": scope}}
        request = IamRequest("POST", "/v3/auth/tokens?nocatalog=true", lambda _url: {}, self.redactor, body)
        response = await self._iam.send(request)
        token = response.headers.get("X-Subject-Token", "").strip()
        if token:
            self.redactor.renew(token)
        if response.status == HTTPStatus.CREATED:
            user.is_known = True
        content = self._iam.read(request, response)
        if not token or not is_header_safe(token):
            raise BadAnswerError(f"IAM at {self._iam.origin} returned no token")
        user.is_known = True
        return token, content

    async def _is_password_right(self) -> bool:
        """Requests a domain token: IAM refuses a wrong password and a wrong project alike."""
        if self._user.is_doubted or "project" not in self._scope:
            return False
        self._user.is_doubted = True
        try:
            await self._request_token({"domain": {"name": self._user.domain}})
        except CallError:
            return self._user.is_known
        return True

    def _lifetime(self, content: object) -> float | None:
        """Returns seconds by IAM's clock, because the local clock may be wrong; None if unknown."""
        issued, ends = _time_of(content, "issued_at"), _time_of(content, "expires_at")
        life = 0.0 if ends is None else ends - (self._now() if issued is None else issued)
        return life if life > 0 else None


async def list_projects(session: HttpSession, endpoint: str, credential: Credential) -> dict[str, str]:
    """Returns the names of the visible projects by id.

    A region's default project has the region's name, a sub-project ``<region>_<name>``.

    Raises:
        CallError: IAM did not return all of them.

    Source: api-facts.md section 6 (KeystoneListProjects; vendor page read 2026-08).
    """
    iam = get_iam_client(endpoint, session)
    projects_by_id: dict[str, str] = {}
    target: str | None = "/v3/projects?enabled=true"
    seen: set[str] = set()
    while target is not None:
        if target in seen or len(seen) >= _MAX_PAGES:
            raise BadAnswerError(f"IAM at {iam.origin} returned repeated or too many pages of projects")
        seen.add(target)
        await credential.prepare()
        request = IamRequest("GET", target, credential.headers, credential.redactor)
        content = await iam.run(partial(iam.fetch, request), _TRIES)
        projects = content.get("projects") if isinstance(content, dict) else None
        if not isinstance(projects, list):
            raise BadAnswerError(f"IAM at {endpoint} did not return a list of projects")
        for project in projects:
            if not isinstance(project, dict):
                continue
            project_id, name = project.get("id"), project.get("name")
            if isinstance(project_id, str) and project_id:
                projects_by_id[project_id] = str(name or "")
            elif name:
                raise BadAnswerError(f"IAM at {endpoint} returned the project {name!r:.100} without an id")
        target = _next_target(content.get("links"), target, endpoint)
    return projects_by_id


def _next_target(links: object, target: str, endpoint: str) -> str | None:
    """Ignores scheme and host of the link: another host must not receive the credential."""
    link = links.get("next") if isinstance(links, dict) else links
    if link is False or link in (None, "", []):
        return None
    base = URL(endpoint).raw_path.rstrip("/")
    try:
        url = URL(f"{endpoint}{target}", encoded=True).join(URL(str(link)))
        if not isinstance(link, str) or url.scheme not in ("http", "https") or not url.raw_path.startswith("/"):
            raise ValueError  # noqa: TRY301 - same handling as yarl's error
    except ValueError:
        raise BadAnswerError(f"IAM at {endpoint} returned an invalid link to the next page of projects") from None
    path = url.raw_path.removeprefix(base) if url.raw_path.startswith(f"{base}/") else url.raw_path
    return f"{path}?{url.raw_query_string}" if url.raw_query_string else path


def _time_of(content: object, name: str) -> float | None:
    token = content.get("token") if isinstance(content, dict) else None
    text = token.get(name) if isinstance(token, dict) else None
    try:
        time = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    if time is None:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
