"""The emulated IAM: tokens for user and password, projects of a domain.

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
    """A user of the emulated IAM."""

    name: str
    password: str
    domain: str


class IssuedToken(NamedTuple):
    """An issued token.

    Attributes:
        project_id: the project that it is valid for; None: a domain token, valid for IAM only.
        ends: end of its validity, in seconds since 1970.
    """

    project_id: str | None
    ends: float


class Iam:
    """The identity service of a cloud.

    Args:
        projects: the projects; the first of a region is its default project, others are sub-projects.
        lifetime: lifetime of a token in seconds.
        now: seconds since 1970.
    """

    def __init__(
        self, users: Sequence[User], projects: Sequence[Scope], *, lifetime: float, now: Callable[[], float]
    ) -> None:
        self._users = {(user.domain, user.name): user.password for user in users}
        self._lifetime = lifetime
        self._now = now
        self.tokens: dict[str, IssuedToken] = {}
        self.names: dict[str, str] = {}
        self._regions: dict[str, str] = {}
        for region, project_id in projects:
            default = region not in self.names.values()
            self.names[project_id] = region if default else f"{region}_{project_id[:8]}"
            self._regions[project_id] = region

    @property
    def has_users(self) -> bool:
        """Whether there are users."""
        return bool(self._users)

    def region_of(self, project_id: str | None) -> str | None:
        """The region of a project; None for the domain and for unknown projects."""
        return self._regions.get(project_id or "")

    def answer(self, method: str, raw_path: str, body: bytes) -> Reply | None:
        """The answer to a call of IAM; None for other paths."""
        path, _, query = raw_path.partition("?")
        if (method, path) == ("GET", PROJECTS_PATH):
            return self.list_projects(dict(parse_qsl(query)))
        return self.create_token(body) if (method, path) == ("POST", TOKENS_PATH) else None

    def create_token(self, body: bytes) -> Reply:
        """``KeystoneCreateUserTokenByPassword``."""
        try:
            document = msgspec.json.decode(body)
            identity, scope = document["auth"]["identity"], document["auth"].get("scope") or {}
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
        self.tokens[token] = IssuedToken(project_id, ends)
        text = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
        content = {"token": {"expires_at": text, "methods": ["password"], "user": {"name": user["name"]}}}
        return Reply(201, msgspec.json.encode(content), {**JSON_HEADERS, "X-Subject-Token": token})

    def list_projects(self, query: Mapping[str, str]) -> Reply:
        """``KeystoneListProjects``; ``name`` matches exactly."""
        wanted = query.get("name")
        projects: list[dict[str, Any]] = [
            {"id": project_id, "name": name, "enabled": True, "is_domain": False}
            for project_id, name in self.names.items()
            if wanted is None or name == wanted
        ]
        return Reply(200, msgspec.json.encode({"projects": projects, "links": {"next": None, "previous": None}}))


def _error(status: int, title: str, message: str) -> Reply:
    return Reply(status, msgspec.json.encode({"error": {"code": status, "message": message, "title": title}}))
