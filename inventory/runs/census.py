"""What the service listed in full to a run (``--all``), so that a URN which is not on that list is gone.

Owns the block ``input.listed`` of the manifest, and what it allows to conclude. A list that was made by hand says
nothing of what is not on it, and has no such block. Knows no ledger and no run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.urn import split_urn

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_LATEST: Final = "latest"


class Census(NamedTuple):
    """What was listed to its end.

    Attributes:
        projects: as ``region/project_id``.
        versions: whether all versions of their functions were listed, beside ``latest``.
        aliases: whether all aliases were.
    """

    projects: AbstractSet[str] = frozenset()
    versions: bool = False
    aliases: bool = False

    def would_hold(self, urn: str) -> bool:
        """Whether a URN would be on the list if it were there; a URN without a qualifier is never listed.

        Raises:
            ValueError: it is no full function URN.
        """
        parts = split_urn(urn)
        if f"{parts.region}/{parts.project_id}" not in self.projects or parts.qualifier is None:
            return False
        if parts.qualifier_type == "alias":
            return self.aliases
        return self.versions or parts.qualifier == _LATEST


def block_of(census: Census | None) -> dict[str, Any] | None:
    """The block of a manifest; None where a hand made the list."""
    return None if census is None else {**census._asdict(), "projects": sorted(census.projects)}


def census_of(manifest: dict[str, Any]) -> Census:
    """What a manifest says was listed in full; nothing where it does not say."""
    block = manifest["input"].get("listed")
    if not isinstance(block, dict):
        return Census()
    return Census(frozenset(block["projects"]), block["versions"], block["aliases"])
