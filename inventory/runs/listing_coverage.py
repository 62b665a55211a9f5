"""Coverage of a listing (``--all``): which URNs it would contain if they existed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from inventory.display.formatting import format_count, shorten
from inventory.urn import LATEST, split_urn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet


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
        return self.versions or parts.qualifier == LATEST


class FailedReport(NamedTuple):
    """A report about a project that failed.

    Attributes:
        project: as ``region/project_id``.
        error_kind: as of a URN, or ``not_found``.
        http_status: of the last answer; None without an answer.
        message: what the service says, or what happened.
    """

    project: str
    error_kind: str
    http_status: int | None
    message: str


FailedReports: TypeAlias = "Mapping[str, Sequence[FailedReport]]"
"""By table; a report that did not fail has an empty list."""


def to_block(coverage: ListingCoverage, reports: FailedReports) -> dict[str, Any]:
    """Makes the block ``input.listed`` of a manifest."""
    failed = {table: [failure._asdict() for failure in failures] for table, failures in reports.items()}
    return {**coverage._asdict(), "projects": sorted(coverage.projects), "failed_reports": failed}


def describe_failed_reports(manifest: dict[str, Any]) -> list[str]:
    """One sentence for each table of a manifest that lacks the rows of some project."""
    listed = manifest["input"].get("listed") or {}
    return [
        f"table {table} lacks {format_count(len(failures), 'project')}, such as {failures[0]['project']}: "
        f"{failures[0]['error_kind']}: {shorten(failures[0]['message'])} (all: input.listed.failed_reports in the "
        "manifest)"
        for table, failures in listed.get("failed_reports", {}).items()
        if failures
    ]


def read_coverage(manifest: dict[str, Any]) -> ListingCoverage:
    """Reads the block ``input.listed`` of a manifest; without the block, nothing is covered."""
    block = manifest["input"].get("listed")
    if not isinstance(block, dict):
        return ListingCoverage()
    return ListingCoverage(frozenset(block["projects"]), block["versions"], block["aliases"])
