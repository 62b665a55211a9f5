"""Fetches shards: each a run without tables, then a delivery."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from inventory.cloud.accounts import find_credentials
from inventory.cloud.request_head import HEADERS
from inventory.errors import ExitCode, LedgerUnusableError, OutputError, UsageError
from inventory.ledger.database import ledger_files
from inventory.ledger.writer import Ledger
from inventory.pipeline.fetch import fetch_configs
from inventory.pipeline.load import load_checked, restore_counts
from inventory.pipeline.scope_table import describe_ends
from inventory.runs import delivery, finish, manifest
from inventory.runs.facts import RunEnd, RunFacts, record_end
from inventory.runs.folder import RunFolder
from inventory.runs.output import default_work_dir
from inventory.runs.shard_files import shard_path
from inventory.runs.shard_plan import VERSIONS, Place, Plan, Shard
from inventory.runs.shard_progress import ShardReporter
from inventory.scheduling.limits import Limits
from inventory.scheduling.threads import run_cancellable, run_in_thread
from inventory.settings_sources.combine import describe
from inventory.sharding.plan import credential_of
from inventory.storage.folder_store import FolderStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from inventory.progress import ProgressObserver
    from inventory.settings import ExportSettings


class ShardOptions(NamedTuple):
    """How this process fetches shards.

    Attributes:
        work_dir: folder on a local disk for ledgers; None: the place, or the default folder of its URL.
        endpoint_share: of the limits that all processes of an endpoint share.
        max_time: seconds for a shard; None: as in the plan.
    """

    work_dir: Path | None = None
    endpoint_share: float = 1.0
    max_time: float | None = None


async def run_shards(
    place: Place,
    plan: Plan,
    numbers: Sequence[int],
    options: ShardOptions,
    *,
    environment: Mapping[str, str],
    observer: ProgressObserver,
) -> ExitCode:
    """Fetches shards one after the other and delivers each, however it ends; returns the most severe exit code.

    After a refused credential, its other shards are not fetched.

    Raises:
        InventoryError: a shard could not finish; its ledger keeps the outcomes, the other shards are not fetched.
    """
    plan.check_versions("this process", VERSIONS)
    settings, codes, refused = plan.export_settings(), {ExitCode.ANSWERED}, set()
    if options.max_time is not None:
        settings = msgspec.structs.replace(settings, max_time=options.max_time)
    for number in numbers:
        if number >= len(plan.shards):
            raise UsageError(f"{place} has {len(plan.shards)} shards, counted from 0: there is no shard {number}")
        shard = plan.shards[number]
        credential = credential_of(settings, shard.account)
        if credential not in refused:
            code, is_lost = await _run_shard(place, shard, plan.run, settings, options, environment, observer)
            codes.add(code)
            refused |= {credential} if is_lost else set()
    return next((code for code in (ExitCode.CREDENTIALS, ExitCode.STOPPED) if code in codes), max(codes))


async def _run_shard(
    place: Place,
    shard: Shard,
    run: str,
    settings: ExportSettings,
    options: ShardOptions,
    environment: Mapping[str, str],
    observer: ProgressObserver,
) -> tuple[ExitCode, bool]:
    began = time.monotonic()
    account = await run_cancellable(observer.check_cancelled, find_credentials, settings, environment, HEADERS)
    default = place.folder if isinstance(place, FolderStore) else default_work_dir(place.url, environment)
    path = (options.work_dir or default) / delivery.work_path(shard.number)
    folder = RunFolder(path.parent)
    folder.prepare("resume" if path.exists() else "new")
    await run_in_thread(delivery.fetch_earlier, place, shard, run, path)
    is_ours = False
    try:
        with _open(path, place, shard, run, settings, observer) as ledger:
            is_ours = True
            limits = Limits(settings.quota_share, RunFacts(ledger).limits, endpoint_share=options.endpoint_share)
            reporter = ShardReporter(place, shard.number, observer)
            try:
                ends = await fetch_configs(ledger, settings, account, reporter, limits, began=began)
            finally:
                await run_in_thread(reporter.close)
            await run_in_thread(ledger.sort_outcomes)
            stops = (end.exit_code for end in ends.values() if end.exit_code is not None)
            code = manifest.exit_code_of(finish.count_statuses(ledger), stops)
            record_end(ledger, RunEnd(manifest.now(), code, describe_ends(ledger, settings, ends), describe(settings)))
            is_lost = delivery.is_refused(ledger)
    except BaseException:
        with suppress(OutputError):  # the caller needs the first error
            if is_ours:
                await run_in_thread(delivery.deliver, place, shard, path)
        raise
    await run_in_thread(delivery.deliver, place, shard, path, observer.check_cancelled)
    return code, is_lost


@contextmanager
def _open(
    path: Path, place: Place, shard: Shard, run: str, settings: ExportSettings, observer: ProgressObserver
) -> Iterator[Ledger]:
    """Opens the ledger with the shard's list; a damaged one, or one of another list or run, starts again."""
    with Ledger(path, observer.check_cancelled, replace=True) as ledger:
        if delivery.is_ledger_of(ledger, shard, run) and _is_undamaged(ledger, observer):
            restore_counts(ledger)
            if RunFacts(ledger).ended is not None:  # an earlier session came to its end
                ledger.requeue_failures()
            yield _begin(ledger, place, shard, run)
            return
    for file in ledger_files(path):
        file.unlink(missing_ok=True)
    source = place.folder / shard.list_path if isinstance(place, FolderStore) else path.with_name("list.jsonl")
    if not isinstance(place, FolderStore):
        delivery.fetch(place, shard.list_path, source)
    with Ledger(path, observer.check_cancelled) as ledger:
        scopes = [scope[:2] for scope in shard.scopes]
        load_checked(source, shard.sha256, scopes, ledger, settings, observer.check_cancelled)
        yield _begin(ledger, place, shard, run)


def _is_undamaged(ledger: Ledger, observer: ProgressObserver) -> bool:
    try:
        ledger.check(observer.check_cancelled)
    except LedgerUnusableError:
        return False
    return True


def _begin(ledger: Ledger, place: Place, shard: Shard, run: str) -> Ledger:
    if delivery.is_in_place(place, ledger.path, shard.number):
        place.remove(shard_path(shard.number, ".json"))  # its checksum is not true any more
    ledger.set_fact(delivery.RUN, run)
    ledger.set_fact(delivery.ATTEMPTS, (ledger.fact(delivery.ATTEMPTS) or 0) + 1)
    record_end(ledger, None)
    return ledger
