"""Loads lists into the ledger as URNs, duplicates and rejects."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from inventory import urn as urns
from inventory.cloud.pages import Operation
from inventory.errors import OutputError, SettingsError, SourceError, UrnError, UsageError
from inventory.ledger.records import Reject, SourceRead
from inventory.ledger.writer import Ledger
from inventory.pipeline.discover import Discovery
from inventory.pipeline.scope_settings import resolve_scope
from inventory.runs import finish, manifest
from inventory.runs.facts import RunFacts, record_list, record_start
from inventory.runs.folder import RunFolder
from inventory.runs.listing_coverage import to_block
from inventory.scheduling.threads import run_in_thread
from inventory.settings_sources.combine import describe, restore
from inventory.storage.files import open_file

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from inventory.pipeline.listing import Discovered
    from inventory.progress import ProgressObserver
    from inventory.runs.folder import Mode
    from inventory.settings import ExportSettings
    from inventory.sources.files import Source
    from inventory.sources.memory import MemorySource

_BINDING: Final = ("region", "project-id", "column")
"""Settings that a resumed run must not change, in addition to the endpoint."""
_BLOCK: Final = 4096
_BLOCK_BYTES: Final = 512 * 1024
_TEXT_KEPT: Final = 1000


async def load_sources(
    sources: Sequence[Source | MemorySource] | Discovery,
    ledger: Ledger,
    folder: RunFolder,
    settings: ExportSettings,
    mode: Mode,
    observer: ProgressObserver,
    list_functions: Callable[..., Awaitable[Discovered]],
) -> None:
    """Loads the list into the ledger; a resumed run only verifies it.

    Raises:
        InventoryError: there is no complete list.
    """
    if mode == "resume":
        await run_in_thread(ledger.check, observer.check_cancelled)
    if mode == "resume" and RunFacts(ledger).is_loaded:
        if isinstance(sources, Discovery):
            raise UsageError("--resume continues with the list of the first session: omit --all")
        await run_in_thread(check_same_run, sources, ledger, settings, observer.check_cancelled)
        finish.check_bodies(ledger, folder.path, again=True)
        restore_counts(ledger)
        ledger.requeue_failures()
        return
    if mode == "new" and RunFacts(ledger).is_loaded:  # it ran while this process waited
        raise OutputError(f"another inventory process has made a run in {folder.path}; give another --output")
    keep = False
    try:
        if not sources:
            raise UsageError("the list of this run was not read completely: give it again, or --all")
        discovered: Discovered | None = None
        ledger.clear_listed_items()
        if isinstance(sources, Discovery):
            discovered, sources = await list_functions(sources, keep=ledger.add_listed_items), ()
        await run_in_thread(load, sources, ledger, settings, observer, discovered)
        keep = True
    except OutputError:
        keep = True  # --resume continues after a full disk
        raise
    finally:
        # Without calls, nothing may block the next export.
        if folder.fresh and not keep:
            folder.remove_all()
    folder.remove_results()
    folder.remove_shards()


def restore_counts(ledger: Ledger) -> None:
    """Counts the calls that a killed session did not count."""
    if RunFacts(ledger).ended is None:
        ledger.restore_counts(Operation.SHOW_CONFIG)


def load(
    sources: Sequence[Source | MemorySource],
    ledger: Ledger,
    settings: ExportSettings,
    observer: ProgressObserver,
    discovered: Discovered | None = None,
) -> None:
    """Reads all sources in one transaction: entries = URNs + duplicates + rejects.

    The earlier content of the ledger is replaced. ``discovered`` replaces ``sources``.

    Raises:
        SourceError: a list cannot be read completely.
    """
    scopes: dict[tuple[str, str], str | None] = {}
    found: list[str] = []
    rejects: list[Reject] = []
    entries = cleaned = 0
    with ledger.loading():
        record_start(ledger, manifest.now() if discovered is None else discovered.began)
        for source in sources if discovered is None else discovered.listings:
            for entry in source.read(check_cancelled=observer.on_wait):
                try:
                    if entry.reason is not None:
                        raise UrnError(entry.reason)  # noqa: TRY301 - one path for all rejects
                    urn = urns.parse(entry.text, region=settings.region, project_id=settings.project_id)
                    _check_scope(urn, scopes, settings)
                    found.append(entry.text if entry.text.startswith("urn:") else str(urn))
                except UrnError as error:
                    rejects.append(Reject(source.name, entry.line, entry.text[:_TEXT_KEPT], error.message))
                entries += 1
                cleaned += entry.cleaned
                if entries % _BLOCK == 0:
                    _flush(ledger, found, rejects)
                    observer.on_load(entries)
            _flush(ledger, found, rejects)
            ledger.add_source(SourceRead(source.name, source.sha256, source.entries))
        ledger.sort_urns(observer.on_wait)
        ledger.count_scopes(scope for scope, reason in scopes.items() if reason is None)
        ledger.add_calls(() if discovered is None else discovered.calls)
        record_list(ledger, settings, cleaned, discovered and to_block(discovered.coverage, discovered.failed_reports))
        observer.on_load(entries)


def load_checked(
    path: Path,
    sha256: str,
    scopes: Iterable[tuple[str, str]],
    ledger: Ledger,
    settings: ExportSettings,
    check_cancelled: Callable[[], None],
) -> None:
    """Loads a list of full URNs as JSON lines, which an earlier load has written; its digest replaces their checks.

    ``scopes`` are the regions and projects of its URNs.

    Raises:
        OutputError: it cannot be read, or is another list.
    """
    digest, decoder, entries = hashlib.sha256(), msgspec.json.Decoder(list[str]), 0
    with ledger.loading():
        record_start(ledger, manifest.now())
        try:
            with open_file(path) as file:
                while lines := file.readlines(_BLOCK_BYTES):
                    check_cancelled()
                    digest.update(b"".join(lines))
                    urns_read = decoder.decode(b"[%b]" % b",".join(lines))
                    ledger.add_urns(urns_read)
                    entries += len(urns_read)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise OutputError(f"{path} cannot be read: {error}") from None
        if digest.hexdigest() != sha256:
            raise OutputError(f"{path} is not the list of the plan; make the plan again with export --overwrite")
        ledger.sort_urns(check_cancelled)
        ledger.add_source(SourceRead(path.name, sha256, entries))
        ledger.count_scopes(scopes)
        record_list(ledger, settings, 0, None)


def check_same_run(
    sources: Sequence[Source | MemorySource],
    ledger: Ledger,
    settings: ExportSettings,
    check_cancelled: Callable[[], None] = lambda: None,
) -> None:
    """Checks that a resumed run has its original list and settings.

    Raises:
        SourceError: the list has changed.
        SettingsError: a setting that affects the answers has changed.
    """
    if sources:
        began_with = sorted(source.sha256 for source in ledger.sources())
        if sorted(source.digest(check_cancelled) for source in sources) != began_with:
            names = ", ".join(source.name for source in sources)
            raise SourceError(
                f"{names}: not the list that this run began with; --resume needs the same list (or none), "
                "and a changed list another --output"
            )
    began, now = RunFacts(ledger).settings or {}, describe(settings)
    # Only an explicit endpoint may end with a slash.
    _check_same("--endpoint", began["endpoint"].rstrip("/"), now["endpoint"].rstrip("/"))
    for name in _BINDING:
        _check_same(f"--{name}", began[name], now[name])
    before = restore(began) or settings
    for region, project_id, _ in ledger.scopes():
        was, is_now = (resolve_scope(options, region, project_id).endpoint for options in (before, settings))
        _check_same(f"the endpoint of {region}/{project_id}", was, is_now)


def _check_same(name: str, was: object, is_now: object) -> None:
    if was != is_now:
        raise SettingsError(
            f"{name} was {was} when this run began; --resume needs the same, and another value another --output"
        )


def began_with(folder: Path) -> ExportSettings | None:
    """The settings of the run in a folder; None if its list is incomplete.

    Raises:
        UsageError: the folder contains no run.
    """
    run = RunFolder(folder)
    run.prepare("resume")
    with Ledger(run.ledger) as ledger:
        return RunFacts(ledger).latest_settings()


def _check_scope(urn: urns.FunctionUrn, scopes: dict[tuple[str, str], str | None], settings: ExportSettings) -> None:
    key = (urn.region, urn.project_id)
    if key not in scopes:
        try:
            resolve_scope(settings, *key)
            scopes[key] = None
        except UrnError as error:
            scopes[key] = error.message
    reason = scopes[key]
    if reason is not None:
        raise UrnError(reason)


def _flush(ledger: Ledger, found: list[str], rejects: list[Reject]) -> None:
    ledger.add_urns(found)
    ledger.add_rejects(rejects)
    found.clear()
    rejects.clear()
