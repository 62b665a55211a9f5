"""The flow of an export: sources, ledger, calls, ledger, tables, manifest, upload."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from inventory.certificates import with_ca_bundle
from inventory.cloud.accounts import find_credentials
from inventory.cloud.request_head import HEADERS
from inventory.errors import ExitCode, UsageError
from inventory.ledger.writer import Ledger
from inventory.pipeline.build_tables import build_tables
from inventory.pipeline.fetch import fetch_configs
from inventory.pipeline.load import load_sources
from inventory.pipeline.project_reports import discover_all
from inventory.pipeline.scope_table import describe_ends
from inventory.runs import finish, manifest, manifest_reader
from inventory.runs.facts import RunEnd, RunFacts, record_end, record_output, save_table_options
from inventory.runs.finish import Result
from inventory.runs.folder import RunFolder
from inventory.runs.upload import Upload
from inventory.scheduling.limits import Limits
from inventory.scheduling.threads import run_cancellable, run_in_thread
from inventory.settings_sources.combine import describe, described_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inventory.pipeline.discover import Discovery
    from inventory.pipeline.fetch import ScopeEnd
    from inventory.progress import ProgressObserver
    from inventory.runs.folder import Mode
    from inventory.runs.output import Output
    from inventory.settings import ExportSettings
    from inventory.sources.files import Source
    from inventory.sources.memory import MemorySource


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
    if mode != "resume":
        folder.check_places(settings.format, in_parts=settings.rows_per_file > 0)
    folder.prepare(mode)
    if mode == "resume" and folder.is_in_shards:
        raise UsageError(f"the run in {folder.path} is in shards: continue it with inventory export --resume")
    with folder.unless_empty(), Ledger(folder.ledger, check, replace=mode == "overwrite") as ledger:
        # sources ──► ledger
        limits = Limits(settings.quota_share, RunFacts(ledger).limits if mode == "resume" else None)
        list_functions = partial(discover_all, settings=settings, account=account, observer=observer, limits=limits)
        await load_sources(sources, ledger, folder, settings, mode, observer, list_functions)
        settings = RunFacts(ledger).merge_formats(settings)
        record_output(ledger, output)
        if is_complete(folder, ledger, settings):
            result = await confirm_complete(folder, output, upload, observer)
        else:
            begin_session(folder, ledger, settings)
            # ledger ──► worker pool ── client ──► ledger
            scopes = await fetch_configs(ledger, settings, account, observer, limits, began=began)
            # ledger ──► flatten ──► tables
            ends = describe_ends(ledger, settings, scopes)
            tables, counts = await run_in_thread(build_tables, ledger, folder.path, settings, ends, observer)
            # tables ──► manifest
            end = RunEnd(manifest.now(), _exit_code_of(scopes, counts), ends, describe(settings))
            result = await run_in_thread(finish.write_manifest, ledger, output, end, tables, counts)
            # tables, manifest ──► object store
            await run_cancellable(observer.check_cancelled, upload.complete, result.manifest["tables"], observer)
        return await run_in_thread(finish.drop_bodies, ledger, result, observer) if settings.drop_bodies else result


def is_complete(folder: RunFolder, ledger: Ledger, settings: ExportSettings) -> bool:
    """Whether every URN has an outcome and the tables match the settings."""
    if not folder.manifest.exists() or ledger.count_settled() < ledger.count_urns():
        return False
    done = manifest_reader.read(folder.manifest)
    if not finish.is_manifest_of(ledger, done):
        return False
    written = {table["format"] for table in done["tables"]}
    before = done["settings"]
    options = described_value(before, "naive_timezone"), described_value(before, "rows_per_file")
    is_same = options == (settings.naive_timezone, settings.rows_per_file)
    return is_same and written.issuperset(settings.format) and folder.holds(done["tables"])


async def confirm_complete(folder: RunFolder, output: Output, upload: Upload, observer: ProgressObserver) -> Result:
    """The result of a complete run; uploads what the object store lacks."""
    done = manifest_reader.read(folder.manifest)
    sent = await run_cancellable(observer.check_cancelled, upload.complete, done["tables"], observer)
    return Result(output, done, ExitCode(done["exit_code"]), nothing_to_do=not sent)


def begin_session(folder: RunFolder, ledger: Ledger, settings: ExportSettings) -> None:
    """Prepares folder and ledger for new outcomes.

    Raises:
        InventoryError: the bodies are dropped, or something else has the name of a table.
    """
    finish.check_bodies(ledger, folder.path)
    folder.check_places(settings.format, in_parts=settings.rows_per_file > 0)
    save_table_options(ledger, settings)
    folder.remove_manifest()
    record_end(ledger, None)


def _exit_code_of(scopes: dict[tuple[str, str], ScopeEnd], counts: manifest.Counts) -> ExitCode:
    return manifest.exit_code_of(
        counts.status, (scope.exit_code for scope in scopes.values() if scope.exit_code is not None)
    )
