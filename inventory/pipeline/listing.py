"""Results of a discovery: the URNs of each project, calls, coverage."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from inventory.sources.tabular import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from inventory.ledger.records import AnswerCount
    from inventory.runs.listing_coverage import FailedReports, ListingCoverage


class Listing:
    """The URNs of one project, as a source of entries.

    Attributes:
        name: region and project.
        sha256: of a file with one URN per line.
    """

    def __init__(self, name: str, urns: Sequence[str]) -> None:
        self.name = name
        self.urns = urns
        self.entries = len(urns)
        self.sha256 = hashlib.sha256("".join(f"{urn}\n" for urn in urns).encode()).hexdigest()

    def read(self, check_cancelled: Callable[[], None]) -> Iterator[Entry]:  # noqa: ARG002 - never waits
        """The entries."""
        return (Entry(line, urn) for line, urn in enumerate(self.urns, 1))


class Discovered(NamedTuple):
    """The result of a discovery.

    Attributes:
        began: time of the first call, in the manifest's format.
        failed_reports: by table, the projects whose report failed; a table without report is absent.
    """

    listings: list[Listing]
    calls: list[AnswerCount]
    began: str
    coverage: ListingCoverage
    failed_reports: FailedReports = MappingProxyType({})

    def urns(self) -> list[str]:
        """All URNs, sorted."""
        return sorted({urn for listing in self.listings for urn in listing.urns})
