"""The tables of a run once more, from its ledger and without a call: for another schema, format, zone or size of files.

Owns what becomes of a run's folder meanwhile: all is as it was until the new tables are whole, then the manifest goes,
the tables get their names, and the manifest comes back with the same facts of the run. Asks nobody and knows no
credential, not even a store's: what is there of such a run stays until --resume.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from inventory.errors import ExitCode, InterruptedRunError, Status, UsageError
from inventory.ledger.writer import Ledger
from inventory.pipeline.build_tables import build_tables
from inventory.pipeline.scope_settings import resolve_scope
from inventory.runs import finish as ending
from inventory.runs import manifest
from inventory.runs.facts import RunEnd, RunFacts, record_end, save_table_options
from inventory.runs.finish import Result
from inventory.runs.folder import RunFolder
from inventory.settings_file import check_settings, describe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inventory.progress import ProgressObserver
    from inventory.settings import ExportSettings

_SHAPING: Final = ("format", "naive-timezone", "rows-per-file")


def rebuild_tables(
    path: Path, shape: dict[str, Any], observer: ProgressObserver, *, drop_bodies: bool = False
) -> Result:
    """Builds the tables of the run in a folder again.

    Args:
        path: the folder.
        shape: new ``format`` (added to the run's formats), ``naive_timezone``, ``rows_per_file``; others stay.
        observer: is told how far it is, and may stop it.
        drop_bodies: whether the ledger may forget afterwards what tables are made from.

    Raises:
        UsageError: there is no run, its list was not read to its end, or its bodies are dropped.
        OutputError: the ledger is damaged or in use, or the tables cannot be written.
        InterruptedRunError: a signal came, and the message says what that left.
    """
    folder = RunFolder(path)
    folder.check_run()
    with Ledger(folder.ledger) as ledger:
        with _said("; the tables are as they were"):
            ledger.check(observer.check_cancelled)
        facts = RunFacts(ledger)
        output, before = facts.output(path), facts.latest_settings()
        if before is None:
            raise UsageError(f"the list of the run in {path} was never read to its end: export it again with --resume")
        if drop_bodies and not shape and facts.bodies_dropped and folder.is_whole():
            with _said("; the tables are as they were"):
                ledger.drop_bodies(observer.check_cancelled)  # it may have been ended before the file was smaller
            return Result(output, manifest.read(folder.manifest), ExitCode.ANSWERED, nothing_to_do=True)
        ending.check_bodies(ledger, path)
        settings = facts.merge_formats(check_settings(msgspec.structs.replace(before, **shape)))
        end = ending.last_end(ledger, folder)

        def before_names() -> None:
            save_table_options(ledger, settings)
            record_end(ledger, end)
            folder.remove_manifest()

        with _said("; the tables are as they were"):
            tables, counts = build_tables(ledger, path, settings, observer, before_names=before_names)
        end = end or _reckoned(ledger, settings, counts)
        described = describe(settings)
        end = end._replace(settings={**end.settings, **{name: described[name] for name in _SHAPING}})
        result = ending.write_manifest(ledger, output, end, tables, counts)
        if drop_bodies:
            with _said("; the tables are whole, and --drop-bodies goes on with the bodies"):
                result = _without_bodies(ledger, result, observer)
        return result._replace(exit_code=ExitCode.ANSWERED)  # the tables were asked for, and are there


@contextmanager
def _said(words: str) -> Iterator[None]:
    """Adds to the words of a stop what it left."""
    try:
        yield
    except InterruptedRunError as error:
        error.message += words
        raise


def _reckoned(ledger: Ledger, settings: ExportSettings, counts: manifest.Counts) -> RunEnd:
    """How a run ended that could not say so itself."""
    moment = ledger.last_finished()
    finished = None if moment is None else manifest.text_of(datetime.fromtimestamp(moment / 1e6, UTC))
    scopes = ledger.scopes()
    reports = {
        (region, project_id): manifest.ScopeReport(
            resolve_scope(settings, region, project_id).endpoint, None, None, None
        )
        for region, project_id, _ in scopes
    }
    return RunEnd(
        finished or RunFacts(ledger).started or "",
        manifest.exit_code_of(counts, ()),
        manifest.describe_scopes(scopes, ledger.answers(), reports),
        describe(settings),
    )


def _without_bodies(ledger: Ledger, result: Result, observer: ProgressObserver) -> Result:
    """Drops bodies also where URNs failed: who asks for it here knows that.

    Not where the run is not at its end, or where its tables have to go up into a store with --resume.
    """
    if result.manifest["counts"]["status"][Status.NOT_ATTEMPTED] or result.output.url is not None:
        return ending.drop_bodies(ledger, result, observer)
    ledger.drop_bodies(observer.check_cancelled)
    failed = result.manifest["counts"]["status"][Status.FAILED]
    note = f"the bodies are dropped: the {failed:,} URNs that failed cannot be asked again in this folder"
    return result._replace(note=note) if failed else result
