"""Dry run: estimates the calls of an export without making them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from inventory.display.formatting import duration, format_count, format_number
from inventory.ledger.database import FILE_NAME
from inventory.ledger.writer import Ledger
from inventory.pipeline.load import load
from inventory.pipeline.scope_settings import resolve_scope
from inventory.printable import printable_lines
from inventory.progress import ProgressObserver
from inventory.storage.files import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inventory.settings import ExportSettings
    from inventory.sources.files import Source


@contextmanager
def _loaded(sources: Sequence[Source], settings: ExportSettings) -> Iterator[Ledger]:
    with temporary_folder() as folder, Ledger(folder / FILE_NAME) as ledger:
        load(sources, ledger, settings, ProgressObserver())
        yield ledger


def scopes_of(sources: Sequence[Source], settings: ExportSettings) -> list[tuple[str, str]]:
    """The scopes of the lists: (region, project id).

    Raises:
        SourceError: a list cannot be read.
    """
    with _loaded(sources, settings) as ledger:
        return [(scope.region, scope.project_id) for scope in ledger.scopes()]


def estimate(sources: Sequence[Source], settings: ExportSettings) -> str:
    """Text with the expected calls and time.

    Raises:
        SourceError: a list cannot be read.
    """
    with _loaded(sources, settings) as ledger:
        scopes, rejects = ledger.scopes(), ledger.count_rejects()
        entries = sum(source.entries for source in ledger.sources())
        urns = ledger.count_urns()
    own = {scope: resolve_scope(settings, scope.region, scope.project_id) for scope in scopes}
    pace = settings.pace
    counts = {
        "entries": entries,
        "URNs": urns,
        "duplicates": entries - urns - rejects,
        "rejects": rejects,
        "scopes": len(scopes),
        "calls": urns,
    }
    width = len(format_number(entries))
    lines = [f"{name:<10}  {format_number(count):>{width}}" for name, count in counts.items()]
    lines[-1] += " (and retries)"
    if pace:
        longest = max(
            (scope.urns / own[scope].max_per_second for scope in scopes if own[scope].max_per_second), default=0.0
        )
        lines.append(f"time        {duration(longest)} at {format_count(pace, 'call')} per second and scope")
    else:
        lines.append("time        as fast as the service answers: --max-per-second 0 lifts the cap")
    lines += [
        f"  {scope.region}/{scope.project_id}: {format_count(scope.urns, 'URN')} at {own[scope].endpoint}"
        for scope in scopes
    ]
    return printable_lines(lines)
