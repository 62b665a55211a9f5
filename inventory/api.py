"""The Python door: the command line's words as functions.

Owns what ``import inventory`` offers. Knows no option of typer and no display.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from inventory import pipeline
from inventory.errors import UsageError
from inventory.intake import began_with
from inventory.output import chosen_output, claimed
from inventory.settings import combine
from inventory.snapshot import Snapshot, open_snapshot
from inventory.sources import Source
from inventory.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.folder import Mode

__all__ = ["Options", "Snapshot", "export", "export_async", "open_snapshot"]


class Options(TypedDict, total=False):
    """The options of :func:`export`: those of ``inventory export``, with underscores."""

    column: str
    endpoint: str
    iam_endpoint: str
    drop_bodies: bool
    format: tuple[str, ...]
    max_per_second: float
    max_workers: int
    naive_timezone: str
    attempts: int
    project_id: str
    region: str
    rows_per_file: int
    settings: str | Path
    timeout: float
    token_file: str


async def export_async(
    source: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    work_dir: str | Path | None = None,
    mode: Mode = "new",
    **options: Unpack[Options],
) -> Snapshot:
    """Exports the async-invoke configuration of every URN of the lists, and opens the tables.

    Args:
        source: one list of URNs or several, as files.
        output: the run's folder, or ``s3://bucket/prefix`` or ``obs://...``; without it ``output/<UTC timestamp>``.
        work_dir: the folder of the ledger, where the output is a URL.
        mode: ``new``, ``resume`` or ``overwrite``.
        options: as on the command line. A token comes from ``token_file`` or ``HW_AUTH_TOKEN``.

    Returns:
        The tables; ``manifest["exit_code"]`` says whether every URN was answered.

    Raises:
        InventoryError: the run could not be finished; what was answered is kept.
    """
    given = dict(options)
    path = given.pop("settings", None)
    resume = mode == "resume"
    place = chosen_output(
        None if output is None else str(output), None if work_dir is None else Path(work_dir), os.environ, resume=resume
    )
    before = began_with(place.folder) if resume and output is not None else None
    settings = combine(None if path is None else Path(str(path)), given, before)
    names = [source] if isinstance(source, str | Path) else source
    sources = [Source(str(name), settings.column) for name in names]
    if not sources and mode != "resume":
        raise UsageError("no list of URNs: name a file")
    with claimed(place) as ours:
        await pipeline.export(sources, ours, settings, mode=mode, environment=os.environ, watch=Watch())
    return open_snapshot(str(ours))


def export(
    source: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    work_dir: str | Path | None = None,
    mode: Mode = "new",
    **options: Unpack[Options],
) -> Snapshot:
    """The same as :func:`export_async`, for code that is not asynchronous.

    Raises:
        UsageError: an event loop runs already, as in a notebook: ``await inventory.export_async(...)`` there.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(export_async(source, output, work_dir=work_dir, mode=mode, **options))
    raise UsageError("an event loop runs already: use 'await inventory.export_async(...)' here")
