"""The flow of an export in shards: plan, deliveries, tables, manifest."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from inventory.certificates import with_ca_bundle
from inventory.cloud.accounts import CredentialProvider, MissingCredentials, find_credentials
from inventory.cloud.request_head import HEADERS
from inventory.errors import ExitCode, UsageError
from inventory.ledger.chained import ChainedLedger
from inventory.ledger.reader import LedgerView
from inventory.pipeline.build_tables import build_tables
from inventory.pipeline.discover import Discovery
from inventory.pipeline.export import begin_session, confirm_complete, is_complete
from inventory.pipeline.load import load_sources
from inventory.pipeline.project_reports import discover_all
from inventory.pipeline.scope_table import describe_shards
from inventory.runs import finish, manifest, manifest_reader
from inventory.runs.facts import RunEnd, RunFacts, record_output
from inventory.runs.folder import RunFolder
from inventory.runs.shard_plan import Place, Plan, publish_plan, read_plan
from inventory.runs.upload import Upload
from inventory.scheduling.limits import Limits
from inventory.scheduling.threads import run_cancellable, run_in_thread
from inventory.settings_sources.combine import describe
from inventory.sharding.coordinator import Coordinator
from inventory.sharding.engines import find_engine
from inventory.sharding.plan import Sharding, make_plan
from inventory.storage.folder_store import FolderStore, open_store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from inventory.progress import ProgressObserver
    from inventory.runs.finish import Result
    from inventory.runs.folder import Mode
    from inventory.runs.output import Output
    from inventory.settings import ExportSettings
    from inventory.sources.files import Source

_SHARDING: Final = "sharding"
_SEVERE: Final = (ExitCode.CREDENTIALS, ExitCode.OUTPUT, ExitCode.STOPPED)


async def export_in_shards(
    sources: Sequence[Source] | Discovery,
    output: Output,
    settings: ExportSettings,
    sharding: Sharding,
    *,
    mode: Mode,
    environment: Mapping[str, str],
    observer: ProgressObserver,
) -> Result | Plan:
    """Runs one export in several processes; without an engine, returns its plan.

    Raises:
        InventoryError: the export could not finish; the ledgers of the shards keep the outcomes.
    """
    began = time.monotonic()
    check = partial(observer.check_cancelled, resumable=mode == "resume")
    folder, tls_environment = RunFolder(output.folder), with_ca_bundle(environment, settings.ca_bundle)
    place, upload = open_store(str(output), tls_environment), Upload(output.url, output.folder, tls_environment)
    await run_cancellable(check, upload.prepare, mode)
    if mode != "resume":
        folder.check_places(settings.format, in_parts=settings.rows_per_file > 0)
    folder.prepare(mode)
    with folder.unless_empty(), ChainedLedger(folder.ledger, check, replace=mode == "overwrite") as ledger:
        # sources ──► ledger ──► plan, and a list for each shard
        account: CredentialProvider = MissingCredentials("")  # only a listing needs one here
        if isinstance(sources, Discovery):
            account = await run_cancellable(check, find_credentials, settings, environment, HEADERS)
        limits = Limits(settings.quota_share)
        list_functions = partial(discover_all, settings=settings, account=account, observer=observer, limits=limits)
        await load_sources(sources, ledger, folder, settings, mode, observer, list_functions)
        settings = RunFacts(ledger).merge_formats(settings)
        record_output(ledger, output)
        ledger.set_fact(_SHARDING, sharding._asdict())
        plan = await run_in_thread(_plan, ledger, folder, place, settings, sharding.urns_per_shard, observer)
        if sharding.engine is None:
            return plan
        # shards ──► deliveries
        coordinator = await _collected(plan, place, ledger, folder, observer)
        if coordinator.is_complete and _is_gathered(folder, ledger, settings, coordinator):
            return await confirm_complete(folder, output, upload, observer)
        begin_session(folder, ledger, settings)
        deadline = math.inf if settings.max_time is None else began + settings.max_time
        async with find_engine(sharding.engine)(str(place), plan, sharding, environment) as pool:
            await coordinator.run(pool, sharding.endpoint_share, deadline)
        # deliveries ──► chained ledgers ──► tables, manifest ──► object store
        return await _finish(ledger, output, settings, coordinator, sharding.engine, upload)


async def gather(output: Output, environment: Mapping[str, str], observer: ProgressObserver) -> Result:
    """Builds tables and manifest from what the shards have delivered.

    Raises:
        InventoryError: there is no plan, a shard is running, or the tables cannot be written.
    """
    folder = RunFolder(output.folder)
    folder.check_run()
    with ChainedLedger(folder.ledger, observer.check_cancelled) as ledger:
        output, settings = RunFacts(ledger).output(output.folder), RunFacts(ledger).latest_settings()
        if settings is None:
            raise UsageError(f"the list of the run in {output} was not read completely: export it again with --resume")
        tls_environment = with_ca_bundle(environment, settings.ca_bundle)
        place, upload = open_store(str(output), tls_environment), Upload(output.url, output.folder, tls_environment)
        plan = await run_in_thread(read_plan, place)
        coordinator = await _collected(plan, place, ledger, folder, observer)
        if _is_gathered(folder, ledger, settings, coordinator):
            return await confirm_complete(folder, output, upload, observer)
        begin_session(folder, ledger, settings)
        return await _finish(ledger, output, settings, coordinator, "by hand", upload)


def recorded_sharding(folder: Path) -> Sharding | None:
    """How the run in a folder was divided last; None: it was not."""
    run = RunFolder(folder)
    if not run.is_in_shards:
        return None
    with LedgerView(run.ledger, facts_alone=True) as ledger:
        return Sharding(**(ledger.fact(_SHARDING) or {}))


def _plan(
    ledger: ChainedLedger,
    folder: RunFolder,
    place: Place,
    settings: ExportSettings,
    urns_per_shard: int,
    observer: ProgressObserver,
) -> Plan:
    """Makes the plan, or takes that of an earlier session with the settings of this one."""
    if not folder.is_in_shards and ledger.count_settled():
        raise UsageError(f"the run in {folder.path} has one process: continue it without --engine")
    is_new = not folder.is_in_shards
    if is_new:
        plan = make_plan(ledger, folder.path, settings, urns_per_shard, observer.check_cancelled)
    else:
        plan = msgspec.structs.replace(read_plan(FolderStore(folder.path)), settings=describe(settings))
    return publish_plan(place, folder.path, plan, is_new=is_new)


async def _collected(
    plan: Plan, place: Place, ledger: ChainedLedger, folder: RunFolder, observer: ProgressObserver
) -> Coordinator:
    coordinator = Coordinator(plan, place, folder.path, observer, has_bodies=not RunFacts(ledger).bodies_dropped)
    await coordinator.collect()
    ledger.attach(coordinator.ledgers())
    return coordinator


def _is_gathered(folder: RunFolder, ledger: ChainedLedger, settings: ExportSettings, coordinator: Coordinator) -> bool:
    if not is_complete(folder, ledger, settings):
        return False
    shards = manifest_reader.read(folder.manifest)["shards"]
    return shards is not None and bool(shards["attempts"] == coordinator.attempts)


async def _finish(
    ledger: ChainedLedger,
    output: Output,
    settings: ExportSettings,
    coordinator: Coordinator,
    engine: str,
    upload: Upload,
) -> Result:
    observer, plan, delivered = coordinator.observer, coordinator.plan, coordinator.delivered
    ledger.attach(coordinator.ledgers())
    ends = [own.end for own in delivered.values() if own.end is not None]
    scopes = describe_shards(ledger, settings, (block for end in ends for block in end.scopes))
    tables, counts = await run_in_thread(build_tables, ledger, output.folder, settings, scopes, observer)
    stops = [ExitCode(end.exit_code) for end in ends if end.exit_code in _SEVERE]
    code = manifest.exit_code_of(counts.status, stops)
    if coordinator.failed:
        codes = {*stops, *(end.code for end in coordinator.failed.values())}
        code = next((severe for severe in _SEVERE if severe in codes), ExitCode.BUG)
    shards = {"number": len(plan.shards), "attempts": coordinator.attempts, "engine": engine, "versions": plan.versions}
    end = RunEnd(manifest.now(), code, scopes, describe(settings), shards)
    result = await run_in_thread(finish.write_manifest, ledger, output, end, tables, counts)
    await run_cancellable(observer.check_cancelled, upload.complete, result.manifest["tables"], observer)
    if settings.drop_bodies:
        result = await run_in_thread(finish.drop_bodies, ledger, result, observer)
    failures = [f"shard {number} failed: {end.message}" for number, end in sorted(coordinator.failed.items())]
    more = [f"{len(failures) - 1} more shards failed"] if len(failures) > 1 else []
    return result._replace(note="; ".join(filter(None, [result.note, *failures[:1], *more])))
