"""Coverage of a listing (``--all``): which URNs it would contain if they existed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.urn import split_urn

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_LATEST: Final = "latest"


class ListingCoverage(NamedTuple):
    """What the service listed completely. A user's own list covers nothing.

    Attributes:
        projects: as ``region/project_id``.
        versions: all versions of the functions, not only ``latest``.
        aliases: all aliases of the functions.
    """

    projects: AbstractSet[str] = frozenset()
    versions: bool = False
    aliases: bool = False

    def covers(self, urn: str) -> bool:
        """Tells whether the listing would contain the URN. A listing has no URN without a qualifier.

        Raises:
            ValueError: the text is not a full function URN.
        """
        parts = split_urn(urn)
        if f"{parts.region}/{parts.project_id}" not in self.projects or parts.qualifier is None:
            return False
        if parts.qualifier_type == "alias":
            return self.aliases
        return self.versions or parts.qualifier == _LATEST


def to_block(coverage: ListingCoverage | None) -> dict[str, Any] | None:
    """Makes the block ``input.listed`` of a manifest; None for a user's own list."""
    return None if coverage is None else {**coverage._asdict(), "projects": sorted(coverage.projects)}


def read_coverage(manifest: dict[str, Any]) -> ListingCoverage:
    """Reads the block ``input.listed`` of a manifest; without the block, nothing is covered."""
    block = manifest["input"].get("listed")
    if not isinstance(block, dict):
        return ListingCoverage()
    return ListingCoverage(frozenset(block["projects"]), block["versions"], block["aliases"])
