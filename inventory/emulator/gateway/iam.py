"""IAM next door: tokens for a name and a password, and the projects of a domain.

Owns users, the tokens that were given out and what each is good for. Must not know FunctionGraph, nor aiohttp.

Source: api-facts.md sections 3.4 and 6.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from inventory.emulator.responses import JSON_HEADERS, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inventory.emulator.state.interface import Scope

TOKENS_PATH = "/v3/auth/tokens"
PROJECTS_PATH = "/v3/projects"


class User(NamedTuple):
    """Who may ask for tokens."""

    name: str
    password: str
    domain: str


class Given(NamedTuple):
    """A token that was given out.

    Attributes:
        project_id: the only project that it is good for; None: the domain's, good for IAM alone.
        ends: seconds since 1970.
    """

    project_id: str | None
    ends: float


class Iam:
    """The identity service of a cloud.

    Args:
        users: who may ask.
        projects: the projects of the cloud: the first of a region is its default one, others are sub-projects.
        lifetime: of a token, in seconds.
        now: seconds since 1970.
    """

    def __init__(
        self, users: Sequence[User], projects: Sequence[Scope], *, lifetime: float, now: Callable[[], float]
    ) -> None:
        self._users = {(user.domain, user.name): user.password for user in users}
        self._lifetime = lifetime
        self._now = now
        self.given: dict[str, Given] = {}
        self.names: dict[str, str] = {}
        self._regions: dict[str, str] = {}
        for region, project_id in projects:
            default = region not in self.names.values()
            self.names[project_id] = region if default else f"{region}_{project_id[:8]}"
            self._regions[project_id] = region

    @property
    def has_users(self) -> bool:
        """Whether anybody may ask for a token."""
        return bool(self._users)

    def region_of(self, project_id: str | None) -> str | None:
        """The region of a project; None for the domain, and for a project that is not here."""
        return self._regions.get(project_id or "")

    def answer(self, method: str, raw_path: str, body: bytes) -> Reply | None:
        """The answer to a call of IAM; None where it is none."""
        path, _, query = raw_path.partition("?")
        if (method, path) == ("GET", PROJECTS_PATH):
            return self.list_projects(dict(parse_qsl(query)))
        return self.create_token(body) if (method, path) == ("POST", TOKENS_PATH) else None

    def create_token(self, body: bytes) -> Reply:
        """``KeystoneCreateUserTokenByPassword``."""
        try:
            sent = msgspec.json.decode(body)
            identity, scope = sent["auth"]["identity"], sent["auth"].get("scope") or {}
            user = identity["password"]["user"]
            known = self._users.get((user["domain"]["name"], user["name"]))
            password = user["password"]
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            return _error(400, "Bad Request", "Expecting to find valid JSON in request body.")
        if known is None or password != known:
            return _error(401, "Unauthorized", "The username or password is wrong.")
        project = scope.get("project") or {}
        project_id = project.get("id") or next(
            (known_id for known_id, name in self.names.items() if name == project.get("name")), None
        )
        if project and project_id not in self.names:
            return _error(401, "Unauthorized", "The token's scope is no project of this user.")
        token = f"MII{secrets.token_urlsafe(1500)}"
        ends = self._now() + self._lifetime
        self.given[token] = Given(project_id, ends)
        text = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
        content = {"token": {"expires_at": text, "methods": ["password"], "user": {"name": user["name"]}}}
        return Reply(201, msgspec.json.encode(content), {**JSON_HEADERS, "X-Subject-Token": token})

    def list_projects(self, query: Mapping[str, str]) -> Reply:
        """``KeystoneListProjects``; ``name`` finds the project of just that name."""
        wanted = query.get("name")
        projects: list[dict[str, Any]] = [
            {"id": project_id, "name": name, "enabled": True, "is_domain": False}
            for project_id, name in self.names.items()
            if wanted is None or name == wanted
        ]
        return Reply(200, msgspec.json.encode({"projects": projects, "links": {"next": None, "previous": None}}))


def _error(status: int, title: str, message: str) -> Reply:
    return Reply(status, msgspec.json.encode({"error": {"code": status, "message": message, "title": title}}))
