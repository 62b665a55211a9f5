"""IAM: tokens from a user's name and password, and the projects of an account.

Owns IAM's two calls and the keeping of a token: one per project, renewed shortly before it ends, never twice at once.
Knows no FunctionGraph. How a call is made is :mod:`inventory.cloud.iam_client`'s.

Source: api-facts.md section 6 (KeystoneCreateUserTokenByPassword, KeystoneListProjects; vendor pages read 2026-08).
"""

from __future__ import annotations

import asyncio
import math
import time
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from yarl import URL

from inventory.cloud.credentials import is_one_word
from inventory.cloud.iam_client import IamRequest, get_iam_client
from inventory.errors import BadAnswerError, CallError, CredentialRefusedError
from inventory.redaction import Redactor
from inventory.scheduling.lockout import Lockout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp

    from inventory.cloud.credentials import Credential
    from inventory.cloud.iam_client import IamClient

CREATED: Final = 201
"""The status with which IAM gives a token: the password is right, whatever becomes of the body."""
_MARGIN_SECONDS: Final = 300.0
"""A token is renewed so long before its end, or in the last tenth of a shorter life."""
_TRIES: Final = 3
_EARLY_TRIES: Final = 5
"""How often a token that is still good is renewed in that time, if the renewal fails."""
_MAX_PAGES: Final = 1000
"""Pages of a list of projects."""


class IamUser:
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
        self.lockout = Lockout()
        self.is_known = False
        self.is_doubted = False

    def __repr__(self) -> str:
        return f"IamUser({self.name!r} of {self.domain!r})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a password is not pickled: the other side reads its own")

    def identity(self) -> dict[str, Any]:
        """The part of a token request that says who asks. It holds the password."""
        user = {"name": self.name, "password": self._password, "domain": {"name": self.domain}}
        return {"methods": ["password"], "password": {"user": user}}


class IamTokenCredential:
    """The token of a project or of the domain: got from IAM when it is needed, kept until shortly before its end.

    A renewal before that end that fails leaves the token as it is, and is tried again later, by one caller.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: str,
        user: IamUser,
        scope: Mapping[str, Mapping[str, str]],
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._place = (endpoint, session)
        self._sleep = sleep
        self._user = user
        self._scope = dict(scope)
        self._now = now
        self._lock = asyncio.Lock()
        self._headers: dict[str, str] = {}
        self._renew_at = self._ends = -math.inf
        self._between = 0.0
        self._rounds = 0
        self._failed: CallError | None = None
        self.redactor = Redactor(beside=user.redactor)
        self.lockout = None
        self.generation = 0

    def __repr__(self) -> str:
        return f"IamTokenCredential({self._user!r}, {self._scope})"

    @cached_property
    def _iam(self) -> IamClient:
        return get_iam_client(*self._place, sleep=self._sleep)

    async def prepare(self) -> None:
        """Gets the token where there is none, or where it ends soon.

        Raises:
            CallError: IAM gives none.
        """
        if self._now() < self._renew_at:
            return
        if self._now() < self._ends:
            if not self._lock.locked():
                await self._renew_early()
            return
        await self._get_once_for_all(lambda: self._now() >= self._renew_at)

    def headers(self, _url: str) -> Mapping[str, str]:
        """The token's header."""
        return self._headers

    async def renew(self, generation: int) -> bool:
        """Gets another token, unless there is a newer one.

        Raises:
            CallError: IAM gives none.
        """
        if generation == self.generation:
            self._renew_at = self._ends = -math.inf
        await self._get_once_for_all(lambda: generation == self.generation)
        return True

    async def _renew_early(self) -> None:
        """Renews a token that is still good, if IAM answers at once. A refusal is not repeated before its end."""
        async with self._lock:
            try:
                if not self._iam.paused_for:
                    await self._get(tries=1)
                    return
            except CallError as error:
                if isinstance(error, CredentialRefusedError):
                    self._renew_at = self._ends
                    return
            self._renew_at = min(self._ends, self._now() + max(self._between, self._iam.paused_for))

    async def _get_once_for_all(self, is_needed: Callable[[], bool]) -> None:
        """Gets a token where there is none that is good; who waited meanwhile shares what came of it."""
        rounds = self._rounds
        async with self._lock:
            if not is_needed():
                return
            if self._rounds != rounds and self._failed is not None:
                raise self._failed
            await self._get(_TRIES)

    async def _get(self, tries: int) -> None:
        self._failed = None
        try:
            token, content = await self._iam.run(self._ask_in_turn, tries)
        except CallError as error:
            self._failed = error
            raise
        finally:
            self._rounds += 1
        life = self._life_of(content)
        seconds = 2 * _MARGIN_SECONDS if life is None else life
        margin = min(_MARGIN_SECONDS, seconds / 10)
        self._renew_at = self._now() + seconds - margin
        self._ends = math.inf if life is None else self._now() + life
        self._between = margin / _EARLY_TRIES
        self._headers = {"X-Auth-Token": token}
        self.generation += 1

    async def _ask_in_turn(self) -> tuple[str, Any]:
        """Until a password was accepted once, the projects try it one after the other, and not often."""
        user = self._user
        await user.lockout.acquire()
        refusal: CallError | None = None
        try:
            return await self._ask(self._scope)
        except CredentialRefusedError as error:
            refusal = error
            user.is_known = user.is_known or await self._is_password_right()
            raise
        except BadAnswerError as error:  # for all that can be read of it, the password may be wrong
            refusal = error
            raise
        finally:
            user.lockout.release(refusal, accepted=user.is_known)

    async def _ask(self, scope: Mapping[str, Mapping[str, str]]) -> tuple[str, Any]:
        user = self._user
        body = {"auth": {"identity": user.identity(), "scope": scope}}
        call = IamRequest("POST", "/v3/auth/tokens?nocatalog=true", lambda _url: {}, self.redactor, body)
        reply = await self._iam.exchange(call)
        token = reply.headers.get("X-Subject-Token", "").strip()
        if token:
            self.redactor.renew(token)
        if reply.status == CREATED:
            user.is_known = True
        content = self._iam.read(call, reply)
        if not token or not is_one_word(token):
            raise BadAnswerError(f"IAM at {self._iam.origin} gave no token")
        user.is_known = True
        return token, content

    async def _is_password_right(self) -> bool:
        """Whether only the project was refused: IAM says the same of both. The domain is asked, once a run."""
        if self._user.is_doubted or "project" not in self._scope:
            return False
        self._user.is_doubted = True
        try:
            await self._ask({"domain": {"name": self._user.domain}})
        except CallError:
            return self._user.is_known
        return True

    def _life_of(self, content: object) -> float | None:
        """Seconds that a token lives, by IAM's own clock where it says when it began: ours may be hours off.

        None where it cannot be told.
        """
        issued, ends = _time_of(content, "issued_at"), _time_of(content, "expires_at")
        life = 0.0 if ends is None else ends - (self._now() if issued is None else issued)
        return life if life > 0 else None


async def list_projects(session: aiohttp.ClientSession, endpoint: str, credential: Credential) -> dict[str, str]:
    """The names of the projects that a credential sees, by id.

    The default project of a region is named like the region, a sub-project ``<region>_<name>``.

    Raises:
        CallError: IAM does not tell all of them.
    """
    iam = get_iam_client(endpoint, session)
    found: dict[str, str] = {}
    target: str | None = "/v3/projects?enabled=true"
    seen: set[str] = set()
    while target is not None:
        if target in seen or len(seen) >= _MAX_PAGES:
            raise BadAnswerError(f"IAM at {iam.origin} lists its projects without an end")
        seen.add(target)
        await credential.prepare()
        call = IamRequest("GET", target, credential.headers, credential.redactor)
        content = await iam.run(partial(iam.fetch, call), _TRIES)
        projects = content.get("projects") if isinstance(content, dict) else None
        if not isinstance(projects, list):
            raise BadAnswerError(f"IAM at {endpoint} did not answer with a list of projects")
        for project in projects:
            if not isinstance(project, dict):
                continue
            project_id, name = project.get("id"), project.get("name")
            if isinstance(project_id, str) and project_id:
                found[project_id] = str(name or "")
            elif name:
                raise BadAnswerError(f"IAM at {endpoint} lists the project {name!r:.100} without an id")
        target = _following(content.get("links"), target, endpoint)
    return found


def _following(links: object, target: str, endpoint: str) -> str | None:
    """Path and query of the next page behind the endpoint; None where there is none.

    Its scheme and host are not asked, for they would be given the credential: behind a proxy they are others.

    Raises:
        BadAnswerError: there is one that cannot be asked.
    """
    link = links.get("next") if isinstance(links, dict) else links
    if link in (None, "", []):
        return None
    base = URL(endpoint).raw_path.rstrip("/")
    try:
        url = URL(f"{endpoint}{target}", encoded=True).join(URL(str(link)))
        if not isinstance(link, str) or url.scheme not in ("http", "https") or not url.raw_path.startswith("/"):
            raise ValueError  # noqa: TRY301 - as what yarl raises
    except ValueError:
        raise BadAnswerError(f"IAM at {endpoint} names a next page of projects that cannot be asked") from None
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
