"""IAM: tokens from a user's name and password, and the projects of an account.

Owns IAM's two calls and the keeping of a token: one per project, renewed shortly before it ends, never twice at once.
Knows no FunctionGraph.

Source: api-facts.md section 6 (KeystoneCreateUserTokenByPassword, KeystoneListProjects; vendor pages read 2026-08).
"""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_incrementing
from yarl import URL

from inventory.answer import read_vendor
from inventory.certificates import refusal_of
from inventory.errors import (
    BadAnswerError,
    CallConnectionError,
    CallError,
    CallTimeoutError,
    CredentialRefusedError,
    ServerError,
    WrongEndpointError,
)
from inventory.gate import Trial
from inventory.models import read_json
from inventory.proxies import AUTHENTICATION_REQUIRED, proxy_for
from inventory.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inventory.auth import Credential

_MARGIN_SECONDS: Final = 300.0
"""A token is renewed so long before its end, or in the last tenth of a shorter life."""
_TRIES: Final = 3
_WAIT_SECONDS: Final = 1.0
_MAX_BODY: Final = 1024 * 1024


class User:
    """A name and a password, in the domain (account) that they belong to.

    Attributes:
        trial: keeps projects from trying a wrong password until the user is locked.
        is_known: whether the password was accepted once.
        is_doubted: whether it was asked already if a refusal was the password's or the project's.
    """

    def __init__(self, name: str, password: str, domain: str) -> None:
        self.name = name
        self.domain = domain
        self._password = password
        self.redactor = Redactor(password)
        self.trial = Trial()
        self.is_known = False
        self.is_doubted = False

    def __repr__(self) -> str:
        return f"User({self.name!r} of {self.domain!r})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a password is not pickled: the other side reads its own")

    def identity(self) -> dict[str, Any]:
        """The part of a token request that says who asks. It holds the password."""
        user = {"name": self.name, "password": self._password, "domain": {"name": self.domain}}
        return {"methods": ["password"], "password": {"user": user}}


class IamToken:
    """The token of a project or of the domain: got from IAM when it is needed, kept until shortly before its end."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: str,
        user: User,
        scope: Mapping[str, Mapping[str, str]],
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._user = user
        self._scope = dict(scope)
        self._now = now
        self._sleep = sleep
        self._lock = asyncio.Lock()
        self._headers: dict[str, str] = {}
        self._renew_at = 0.0
        self.redactor = user.redactor
        self.trial = None
        self.generation = 0

    def __repr__(self) -> str:
        return f"IamToken({self._user!r}, {self._scope})"

    async def ready(self) -> None:
        """Gets the token where there is none, or where it ends soon.

        Raises:
            CallError: IAM gives none.
        """
        if self._now() < self._renew_at:
            return
        async with self._lock:
            if self._now() >= self._renew_at:
                await self._get()

    def headers(self, _url: str) -> Mapping[str, str]:
        """The token's header."""
        return self._headers

    async def renew(self, generation: int) -> bool:
        """Gets another token, if nobody did since.

        Raises:
            CallError: IAM gives none.
        """
        async with self._lock:
            if generation == self.generation:
                await self._get()
        return True

    async def _get(self) -> None:
        """Gets a token. Until a password was accepted once, the projects try it one after the other, and not often."""
        await self._user.trial.enter()
        refusal: CallError | None = None
        try:
            token, sent = await self._ask(self._scope)
            self._user.is_known = True
        except CredentialRefusedError as error:
            refusal = error
            self._user.is_known = self._user.is_known or await self._is_password_right()
            raise
        finally:
            self._user.trial.leave(refusal, accepted=self._user.is_known)
        life = self._life_of(sent)
        self._renew_at = self._now() + life - min(_MARGIN_SECONDS, life / 10)
        self._headers = {"X-Auth-Token": token}
        self.generation += 1

    async def _ask(self, scope: Mapping[str, Mapping[str, str]]) -> tuple[str, Any]:
        body = {"auth": {"identity": self._user.identity(), "scope": scope}}
        url = URL(f"{self._endpoint}/v3/auth/tokens?nocatalog=true")
        headers, sent = await _call(self._session, "POST", url, {}, self._user.redactor, body=body, sleep=self._sleep)
        token = headers.get("X-Subject-Token", "")
        if not token:
            raise BadAnswerError(f"IAM at {self._endpoint} gave no token")
        self._user.redactor.add(token)
        return token, sent

    async def _is_password_right(self) -> bool:
        """Whether only the project was refused: IAM says the same of both. The domain is asked, once a run."""
        if self._user.is_doubted or "project" not in self._scope:
            return False
        self._user.is_doubted = True
        try:
            await self._ask({"domain": {"name": self._user.domain}})
        except CallError:
            return False
        return True

    def _life_of(self, sent: object) -> float:
        """Seconds that a token lives, by IAM's own clock where it says when it began: ours may be hours off."""
        issued, ends = _time_of(sent, "issued_at"), _time_of(sent, "expires_at")
        life = 0.0 if ends is None else ends - (self._now() if issued is None else issued)
        return life if life > 0 else 2 * _MARGIN_SECONDS


async def list_projects(session: aiohttp.ClientSession, endpoint: str, credential: Credential) -> dict[str, str]:
    """The names of the projects that a credential sees, by id.

    The default project of a region is named like the region, a sub-project ``<region>_<name>``.

    Raises:
        CallError: IAM does not tell.
    """
    found: dict[str, str] = {}
    url: URL | None = URL(f"{endpoint}/v3/projects?{urlencode({'enabled': 'true'})}")
    while url is not None:
        await credential.ready()
        _, sent = await _call(session, "GET", url, credential.headers(str(url)), credential.redactor)
        projects = sent.get("projects") if isinstance(sent, dict) else None
        if not isinstance(projects, list):
            raise BadAnswerError(f"IAM at {endpoint} did not answer with a list of projects")
        for project in projects:
            if isinstance(project, dict) and isinstance(project.get("id"), str):
                found[project["id"]] = str(project.get("name") or "")
        links = sent.get("links")
        following = links.get("next") if isinstance(links, dict) else None
        url = _same_host(following, url) if isinstance(following, str) and following else None
    return found


def _same_host(following: str, url: URL) -> URL | None:
    """The next page; one on another host is not asked, for it would be given the credential."""
    found = URL(following)
    return found if found.origin() == url.origin() and found != url else None


async def _call(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    headers: Mapping[str, str],
    redactor: Redactor,
    *,
    body: Any = None,  # noqa: ANN401 - JSON
    sleep: Callable[[float], Any] = asyncio.sleep,
) -> tuple[Mapping[str, str], Any]:
    """One call of IAM, again where that may help; its headers and its JSON."""
    again = AsyncRetrying(
        sleep=sleep,
        stop=stop_after_attempt(_TRIES),
        wait=wait_incrementing(_WAIT_SECONDS, _WAIT_SECONDS),
        retry=retry_if_exception(lambda error: getattr(error, "retryable", False)),
        reraise=True,
    )
    return await again(_call_once, session, method, url, headers, redactor, body)


async def _call_once(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    headers: Mapping[str, str],
    redactor: Redactor,
    body: Any,  # noqa: ANN401 - JSON
) -> tuple[Mapping[str, str], Any]:
    place = f"IAM at {url.origin()}"
    data = None if body is None else json.dumps(body).encode()
    proxy = proxy_for(str(url.origin()))
    options = {} if proxy is None else proxy.options(url.scheme)
    sent_headers = headers if proxy is None else {**headers, **proxy.request_headers(url.scheme)}
    try:
        async with session.request(
            method, url, headers=sent_headers, data=data, allow_redirects=False, **options
        ) as response:
            if proxy is not None and response.status == AUTHENTICATION_REQUIRED:
                raise CallConnectionError(f"{place}: the proxy said {response.status}")
            sent = await response.content.read(_MAX_BODY)
            if response.status in (200, 201):
                return response.headers, read_json(sent)
            raise _error_of(response.status, sent, place, redactor)
    except TimeoutError:
        raise CallTimeoutError(f"{place}: no whole answer in time") from None
    except aiohttp.ClientHttpProxyError as error:  # its own words hold the proxy's URL
        raise CallConnectionError(redactor.redact(f"{place}: the proxy said {error.status}")) from None
    except (aiohttp.ClientError, OSError) as error:
        refused = refusal_of(error, place)
        if refused is not None:
            raise refused from None
        raise CallConnectionError(redactor.redact(f"{place}: {error}")) from None
    except ValueError:
        raise BadAnswerError(f"{place}: an answer that is no JSON") from None


def _error_of(status: int, body: bytes, place: str, redactor: Redactor) -> CallError:
    vendor = read_vendor(body)
    words = redactor.redact(f"{place} said {status}: {vendor.msg or 'no reason'}")[:500]
    code = None if vendor.code is None else redactor.redact(vendor.code)
    if status in (400, 401, 403):
        return CredentialRefusedError(words, error_code=code)
    if status == 429 or status >= 500:  # noqa: PLR2004
        return ServerError(words, error_code=code)
    return WrongEndpointError(words, error_code=code)


def _time_of(sent: object, name: str) -> float | None:
    token = sent.get("token") if isinstance(sent, dict) else None
    told = token.get(name) if isinstance(token, dict) else None
    try:
        return datetime.fromisoformat(str(told)).timestamp() if told else None
    except ValueError:
        return None
