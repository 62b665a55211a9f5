"""What a cloud holds, whatever it is made of: the questions that the service asks it.

Owns the interface of the states. Must not know HTTP; the two states live in ``generated`` and ``state_file``.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from inventory.emulator.responses import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inventory.urn import FunctionUrn

LATEST = "latest"
"""The version that every function has, and that a URN without a qualifier means."""


class Scope(NamedTuple):
    """One project of one region: what a token, an endpoint and a throttle belong to."""

    region: str
    project_id: str


class Missing(Enum):
    """Why there is no config to show."""

    CONFIG = "config"
    FUNCTION = "function"
    VERSION = "version"
    ALIAS = "alias"


class Qualifiers(NamedTuple):
    """What a function has beside itself: versions without ``latest``, aliases without "!"."""

    versions: Sequence[str]
    aliases: Sequence[str]


Answer: TypeAlias = dict[str, Any] | Missing | Reply
"""A config as the service encodes it, the reason for its absence, or an exact answer that a state file asks for."""


class Cloud(Protocol):
    """A state that the emulator serves."""

    @property
    def scopes(self) -> Sequence[Scope]:
        """Every project that holds functions."""

    def answer(self, urn: FunctionUrn) -> Answer:
        """What the service says about one URN."""

    def urns(self, limit: int | None = None) -> Iterator[str]:
        """A request list to ask for, lazily, at most ``limit`` URNs."""

    def count(self, scope: Scope) -> int:
        """How many functions a project has."""

    def functions_of(self, scope: Scope, offset: int, limit: int) -> Sequence[FunctionUrn]:
        """A page of the functions of a project, without qualifiers."""

    def qualifiers_of(self, urn: FunctionUrn) -> Qualifiers | None:
        """The versions and aliases of a function; None where there is no such function."""
