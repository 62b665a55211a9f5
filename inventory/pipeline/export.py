"""The flow of an export: sources, ledger, calls, ledger, tables, manifest, upload."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from inventory.certificates import with_ca_bundle
from inventory.cloud.accounts import find_credentials
from inventory.cloud.transport import HEADERS
from inventory.errors import ExitCode, OutputError, UsageError
from inventory.ledger.writer import Ledger
from inventory.pipeline import load
from inventory.pipeline.build_tables import build_tables
from inventory.pipeline.discover import Discovery, discover
from inventory.pipeline.fetch import fetch_configs
from inventory.pipeline.scope_settings import resolve_scope
from inventory.runs import finish, manifest
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
    """Runs one export.

    Raises:
        InventoryError: the export could not finish; the ledger keeps the outcomes.
    """
    began = time.monotonic()
    check = partial(observer.check_cancelled, resumable=mode == "resume")
    account = await run_cancellable(check, find_credentials, settings, environment, HEADERS)
    upload = Upload(output.url, output.folder, with_ca_bundle(environment, settings.ca_bundle))
    folder = RunFolder(output.folder)
    await run_cancellable(check, upload.prepare, mode)
    folder.prepare(mode)
    with folder.unless_empty(), Ledger(folder.ledger, check, replace=mode == "overwrite") as ledger:
        # sources ──► ledger
        discovered = await _load_sources(sources, ledger, folder, settings, mode, account, observer)
        settings = RunFacts(ledger).merge_formats(settings)
        record_output(ledger, output)
        if _is_complete(folder, ledger, settings):
            done = manifest.read(folder.manifest)
            sent = await run_cancellable(observer.check_cancelled, upload.complete, done["tables"], observer)
            result = Result(output, done, ExitCode(done["exit_code"]), nothing_to_do=not sent)
        else:
            finish.check_bodies(ledger, folder.path)
            save_table_options(ledger, settings)
            folder.remove_manifest()
            record_end(ledger, None)
            # ledger ──► worker pool ── client ──► ledger
            scopes = await fetch_configs(
                ledger, settings, account, observer, discovered.throttles if discovered else {}, began=began
            )
            # ledger ──► flatten ──► tables
            tables, counts = await run_in_thread(build_tables, ledger, folder.path, settings, observer)
            # tables ──► manifest
            result = await run_in_thread(_write_manifest, ledger, output, settings, scopes, tables, counts)
            # tables, manifest ──► object store
            await run_cancellable(observer.check_cancelled, upload.complete, result.manifest["tables"], observer)
        return await run_in_thread(finish.drop_bodies, ledger, result, observer) if settings.drop_bodies else result


async def _load_sources(
    sources: Sequence[Source | MemorySource] | Discovery,
    ledger: Ledger,
    folder: RunFolder,
    settings: ExportSettings,
    mode: Mode,
    account: CredentialProvider,
    observer: ProgressObserver,
) -> Discovered | None:
    """Loads the list into the ledger; a resumed run only verifies it."""
    if mode == "resume":
        await run_in_thread(ledger.check, observer.check_cancelled)
    if mode == "resume" and RunFacts(ledger).is_loaded:
        if isinstance(sources, Discovery):
            raise UsageError("--resume goes on with the list that was found: leave --all out")
        await run_in_thread(load.check_same_run, sources, ledger, settings, observer.check_cancelled)
        finish.check_bodies(ledger, folder.path, again=True)
        ledger.requeue_failures()
        return None
    if mode == "new" and RunFacts(ledger).is_loaded:  # it ran while this process waited
        raise OutputError(f"another inventory process has made a run in {folder.path}; give another --output")
    keep = False
    try:
        if not sources:
            raise UsageError("the list of this run was never read to its end: name it again, or give --all again")
        discovered: Discovered | None = None
        if isinstance(sources, Discovery):
            discovered, sources = await discover(sources, settings, account, observer), ()
        await run_in_thread(load.load, sources, ledger, settings, observer, discovered)
        keep = True
    except OutputError:
        keep = True  # --resume continues after a full disk
        raise
    finally:
        # Without calls, nothing may block the next export.
        if folder.fresh and not keep:
            folder.remove_all()
    folder.remove_results()
    return discovered


def _is_complete(folder: RunFolder, ledger: Ledger, settings: ExportSettings) -> bool:
    """Whether every URN has an outcome and the tables match the settings."""
    if not folder.manifest.exists() or ledger.count_settled() < ledger.count_urns():
        return False
    done = manifest.read(folder.manifest)
    if not finish.is_manifest_of(ledger, done):
        return False
    written = {table["format"] for table in done["tables"]}
    before = done["settings"]
    options = before["naive-timezone"], before.get("rows-per-file", 0)
    is_same = options == (settings.naive_timezone, settings.rows_per_file)
    return is_same and written.issuperset(settings.format) and folder.holds(done["tables"])


def _write_manifest(
    ledger: Ledger,
    output: Output,
    settings: ExportSettings,
    scopes: dict[tuple[str, str], ScopeEnd],
    tables: list[TableFile],
    counts: manifest.Counts,
) -> Result:
    """Writes the manifest last, as the mark of complete tables."""
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
    return finish.write_manifest(ledger, output, ended, tables, counts)
