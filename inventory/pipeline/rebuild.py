"""Rebuilds the tables of a run from its ledger, without calls."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from inventory.display.formatting import format_count
from inventory.errors import ExitCode, InterruptedRunError, Status, UsageError
from inventory.pipeline.build_tables import build_tables
from inventory.pipeline.load import restore_counts
from inventory.pipeline.scope_table import describe_recorded
from inventory.runs import finish as ending
from inventory.runs import manifest, manifest_reader
from inventory.runs.facts import TABLE_OPTION_NAMES, RunEnd, RunFacts, record_end, save_table_options
from inventory.runs.finish import Result
from inventory.runs.folder import RunFolder
from inventory.runs.shard_status import open_ledger
from inventory.settings_sources.checks import check_settings
from inventory.settings_sources.combine import describe, described_part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inventory.ledger.writer import Ledger
    from inventory.progress import ProgressObserver
    from inventory.settings import ExportSettings


def rebuild_tables(
    path: Path, shape: dict[str, Any], observer: ProgressObserver, *, drop_bodies: bool = False
) -> Result:
    """Rebuilds the tables; the old ones remain until the new ones are complete.

    ``shape`` has new ``format`` (added to the run's formats), ``naive_timezone``, ``rows_per_file``.

    Raises:
        UsageError: there is no run, its list is incomplete, or its bodies are dropped.
        OutputError: the ledger is damaged or in use, or the tables cannot be written.
        InterruptedRunError: the run was cancelled; the message says what is complete.
    """
    folder = RunFolder(path)
    folder.check_run()
    with open_ledger(folder) as ledger:
        with _add_to_interruption("; the tables are as they were"):
            ledger.check(observer.check_cancelled)
        facts = RunFacts(ledger)
        output, before = facts.output(path), facts.latest_settings()
        if before is None:
            raise UsageError(f"the list of the run in {path} was not read completely: export it again with --resume")
        if drop_bodies and not shape and facts.bodies_dropped and folder.is_whole():
            with _add_to_interruption("; the tables are as they were"):
                ledger.drop_bodies(observer.check_cancelled)  # an interrupted drop may leave the file large
            return Result(output, manifest_reader.read(folder.manifest), ExitCode.ANSWERED, nothing_to_do=True)
        ending.check_bodies(ledger, path)
        settings = facts.merge_formats(check_settings(msgspec.structs.replace(before, **shape)))
        end = ending.last_end(ledger, folder)
        check_places = partial(folder.check_places, settings.format, in_parts=settings.rows_per_file > 0)
        check_places()

        def before_names() -> None:
            check_places()  # another program may write into the folder meanwhile
            save_table_options(ledger, settings)
            record_end(ledger, end)
            folder.remove_manifest()

        restore_counts(ledger)
        ends = describe_recorded(ledger, settings) if end is None else end.scopes
        with _add_to_interruption("; the tables are as they were"):
            tables, counts = build_tables(ledger, path, settings, ends, observer, before_names=before_names)
        end = end or _reconstruct_end(ledger, settings, ends, counts)
        end = end._replace(settings={**end.settings, **described_part(settings, TABLE_OPTION_NAMES)})
        result = ending.write_manifest(ledger, output, end, tables, counts)
        if drop_bodies:
            with _add_to_interruption("; the tables are whole, and --drop-bodies continues with the bodies"):
                result = _drop_bodies(ledger, result, observer)
        return result._replace(exit_code=ExitCode.ANSWERED)  # of the rebuild, not of the run


@contextmanager
def _add_to_interruption(result: str) -> Iterator[None]:
    try:
        yield
    except InterruptedRunError as error:
        error.message += result
        raise


def _reconstruct_end(
    ledger: Ledger, settings: ExportSettings, ends: list[dict[str, Any]], counts: manifest.Counts
) -> RunEnd:
    """The end of a run that was killed before it recorded one."""
    last = ledger.last_finished()
    finished = None if last is None else manifest_reader.text_of(datetime.fromtimestamp(last / 1e6, UTC))
    return RunEnd(
        finished or RunFacts(ledger).started or "",
        manifest.exit_code_of(counts.status, ()),
        ends,
        describe(settings),
    )


def _drop_bodies(ledger: Ledger, result: Result, observer: ProgressObserver) -> Result:
    """Drops bodies also after failures, unless --resume needs them (unfinished run, upload)."""
    if result.manifest["counts"]["status"][Status.NOT_ATTEMPTED] or result.output.url is not None:
        return ending.drop_bodies(ledger, result, observer)
    ledger.drop_bodies(observer.check_cancelled)
    failed = result.manifest["counts"]["status"][Status.FAILED]
    note = f"the bodies are dropped: the {format_count(failed, 'URN')} that failed cannot be asked again in this folder"
    return result._replace(note=note) if failed else result
