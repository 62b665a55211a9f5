"""The interface between the emulated service and its functions."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from inventory.emulator.responses import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inventory.urn import FunctionUrn

LATEST = "latest"
"""The version that every function has; the default of a URN without a qualifier."""


class Scope(NamedTuple):
    """A project of a region."""

    region: str
    project_id: str


class Missing(Enum):
    """Why there is no config."""

    CONFIG = "config"
    FUNCTION = "function"
    VERSION = "version"
    ALIAS = "alias"


class Qualifiers(NamedTuple):
    """Versions (without ``latest``) and aliases (without "!") of a function."""

    versions: Sequence[str]
    aliases: Sequence[str]


Answer: TypeAlias = dict[str, Any] | Missing | Reply
"""A config, the reason for its absence, or an exact answer of a state file."""


class Cloud(Protocol):
    """The functions that an emulator serves."""

    @property
    def scopes(self) -> Sequence[Scope]:
        """All projects with functions."""

    def answer(self, urn: FunctionUrn) -> Answer:
        """The answer of the service for one URN."""

    def urns(self, limit: int | None = None) -> Iterator[str]:
        """URNs of the cloud, lazily, at most ``limit``."""

    def count(self, scope: Scope) -> int:
        """Number of functions in a project."""

    def functions_of(self, scope: Scope, offset: int, limit: int) -> Sequence[FunctionUrn]:
        """A page of the functions of a project, without qualifiers."""

    def qualifiers_of(self, urn: FunctionUrn) -> Qualifiers | None:
        """The versions and aliases of a function; None if it does not exist."""

    def facts(self, urn: FunctionUrn) -> dict[str, Any]:
        """Fields that replace generated ones in the list item of a version or alias; ``urn`` has a qualifier."""
