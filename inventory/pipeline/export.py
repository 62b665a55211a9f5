"""The flow of an export, on one screen: sources → ledger → pool → client → ledger → flatten → tables → manifest.

Owns the order of the stages and what a run gives back. How each stage works is its own module's.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from inventory.certificates import with_ca_bundle
from inventory.cloud.accounts import find_credentials
from inventory.cloud.transport import HEADERS
from inventory.errors import ExitCode, OutputError, UsageError
from inventory.ledger.writer import Ledger
from inventory.pipeline import load as intake
from inventory.pipeline.build_tables import build_tables
from inventory.pipeline.discover import Discovery, discover
from inventory.pipeline.fetch import fetch_configs
from inventory.pipeline.scope_settings import resolve_scope
from inventory.runs import finish as ending
from inventory.runs import manifest
from inventory.runs.facts import RunEnd, RunFacts, record_end, record_output, save_table_options
from inventory.runs.finish import Result
from inventory.runs.folder import RunFolder
from inventory.runs.upload import Upload
from inventory.scheduling.threads import run_cancellable, run_in_thread
from inventory.settings_file import describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inventory.cloud.accounts import CredentialProvider
    from inventory.pipeline.discover import Discovered
    from inventory.pipeline.fetch import ScopeEnd
    from inventory.progress import ProgressObserver
    from inventory.runs.folder import Mode
    from inventory.runs.output import Output
    from inventory.settings import ExportSettings
    from inventory.sources.files import Source
    from inventory.sources.memory import MemorySource
    from inventory.tables.writer import TableFile


async def export(
    sources: Sequence[Source | MemorySource] | Discovery,
    output: Output,
    settings: ExportSettings,
    *,
    mode: Mode,
    environment: Mapping[str, str],
    observer: ProgressObserver,
) -> Result:
    """Runs one export, from a list of URNs, or from a search for all functions, to whole tables.

    Raises:
        InventoryError: it could not be finished; its ``exit_code`` says how, and what was answered is kept.
    """
    began = time.monotonic()
    check = partial(observer.check_cancelled, resumable=mode == "resume")
    account = await run_cancellable(check, find_credentials, settings, environment, HEADERS)
    delivery = Upload(output.url, output.folder, with_ca_bundle(environment, settings.ca_bundle))
    folder = RunFolder(output.folder)
    await run_cancellable(check, delivery.prepare, mode)
    folder.prepare(mode)
    with folder.unless_empty(), Ledger(folder.ledger, check, replace=mode == "overwrite") as ledger:
        # sources ──► ledger
        found = await _take_in(sources, ledger, folder, settings, mode, account, observer)
        settings = RunFacts(ledger).merge_formats(settings)
        record_output(ledger, output)
        if _is_complete(folder, ledger, settings):
            done = manifest.read(folder.manifest)
            sent = await run_cancellable(observer.check_cancelled, delivery.complete, done["tables"], observer)
            result = Result(output, done, ExitCode(done["exit_code"]), nothing_to_do=not sent)
        else:
            ending.check_bodies(ledger, folder.path)
            save_table_options(ledger, settings)
            folder.remove_manifest()
            record_end(ledger, None)
            # ledger ──► pool ── client ──► ledger
            scopes = await fetch_configs(
                ledger, settings, account, observer, found.throttles if found else {}, began=began
            )
            # ledger ──► flatten ──► tables
            tables, counts = await run_in_thread(build_tables, ledger, folder.path, settings, observer)
            # tables ──► manifest
            result = await run_in_thread(_write_manifest, ledger, output, settings, scopes, tables, counts)
            # tables, manifest ──► object store, where there is one
            await run_cancellable(observer.check_cancelled, delivery.complete, result.manifest["tables"], observer)
        return await run_in_thread(ending.drop_bodies, ledger, result, observer) if settings.drop_bodies else result


async def _take_in(
    sources: Sequence[Source | MemorySource] | Discovery,
    ledger: Ledger,
    folder: RunFolder,
    settings: ExportSettings,
    mode: Mode,
    account: CredentialProvider,
    observer: ProgressObserver,
) -> Discovered | None:
    """Loads the list, which may have to be found first, or holds it against the one that a resumed run began with."""
    if mode == "resume":
        await run_in_thread(ledger.check, observer.check_cancelled)
    if mode == "resume" and RunFacts(ledger).is_loaded:
        if isinstance(sources, Discovery):
            raise UsageError("--resume goes on with the list that was found: leave --all out")
        await run_in_thread(intake.check_same_run, sources, ledger, settings, observer.check_cancelled)
        ending.check_bodies(ledger, folder.path, again=True)
        ledger.requeue_failures()
        return None
    if mode == "new" and RunFacts(ledger).is_loaded:  # while we waited for the file, another had it
        raise OutputError(f"another inventory process has made a run in {folder.path}; give another --output")
    keep = False
    try:
        if not sources:
            raise UsageError("the list of this run was never read to its end: name it again, or give --all again")
        found: Discovered | None = None
        if isinstance(sources, Discovery):
            found, sources = await discover(sources, settings, account, observer), ()
        await run_in_thread(intake.load, sources, ledger, settings, observer, found)
        keep = True
    except OutputError:
        keep = True  # --resume, to which a full disk leads, finds what it goes on with
        raise
    finally:
        # Nothing was asked: whatever went wrong, also in a caller's own iterable, no trace is left that would stand in
        # the way of the next try.
        if folder.fresh and not keep:
            folder.remove_all()
    folder.remove_results()
    return found


def _is_complete(folder: RunFolder, ledger: Ledger, settings: ExportSettings) -> bool:
    """Whether every URN is answered, and the tables are there as the settings ask for them."""
    if not folder.manifest.exists() or ledger.count_settled() < ledger.count_urns():
        return False
    done = manifest.read(folder.manifest)
    if not ending.is_manifest_of(ledger, done):
        return False
    written = {table["format"] for table in done["tables"]}
    was = done["settings"]
    as_asked = (was["naive-timezone"], was.get("rows-per-file", 0)) == (settings.naive_timezone, settings.rows_per_file)
    return as_asked and written.issuperset(settings.format) and folder.holds(done["tables"])


def _write_manifest(
    ledger: Ledger,
    output: Output,
    settings: ExportSettings,
    scopes: dict[tuple[str, str], ScopeEnd],
    tables: list[TableFile],
    counts: manifest.Counts,
) -> Result:
    """Writes the manifest: its presence says that the tables are whole."""
    reports = {
        key: manifest.ScopeReport(
            resolve_scope(settings, *key).endpoint,
            scope.limit,
            scope.used,
            scope.stopped,
        )
        for key, scope in scopes.items()
    }
    ended = RunEnd(
        manifest.now(),
        manifest.exit_code_of(counts, (scope.exit_code for scope in scopes.values() if scope.exit_code is not None)),
        manifest.describe_scopes(ledger.scopes(), ledger.answers(), reports),
        describe(settings),
    )
    return ending.write_manifest(ledger, output, ended, tables, counts)
