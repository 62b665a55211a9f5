"""The flow of an export, on one screen: sources → ledger → pool → client → ledger → flatten → tables → manifest.

Owns the order of the stages and what a run gives back. How each stage works is its own module's.
"""

from __future__ import annotations

import asyncio
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from inventory import intake, manifest
from inventory.credentials import find_accounts
from inventory.discovery import Search, discover
from inventory.errors import ExitCode, InventoryError, OutputError, Status, UsageError
from inventory.folder import RunFolder
from inventory.inquiry import ask
from inventory.ledger import Ledger
from inventory.settings import describe
from inventory.tabulation import tabulate
from inventory.wire import HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from inventory.credentials import Account
    from inventory.discovery import Discovered
    from inventory.folder import Mode
    from inventory.scope import Scope
    from inventory.settings import ExportSettings
    from inventory.sources import Source
    from inventory.tables import TableFile
    from inventory.watch import Watch


_FORMATS: Final = "formats"


class Result(NamedTuple):
    """What a run gives back.

    Attributes:
        folder: where the tables are.
        manifest: the content of its ``manifest.json``.
        exit_code: what the process should say.
        nothing_to_do: whether the run was complete already.
        examples: of each kind of failure, what was told of the first.
    """

    folder: Path
    manifest: dict[str, Any]
    exit_code: ExitCode
    nothing_to_do: bool = False
    examples: Mapping[str, str] = MappingProxyType({})


async def export(
    sources: Sequence[Source] | Search,
    output: Path,
    settings: ExportSettings,
    *,
    mode: Mode,
    environment: Mapping[str, str],
    watch: Watch,
) -> Result:
    """Runs one export, from a list of URNs, or from a search for all functions, to whole tables.

    Raises:
        InventoryError: it could not be finished; its ``exit_code`` says how, and what was answered is kept.
    """
    began = time.monotonic()
    account = await asyncio.to_thread(find_accounts, settings, environment, HEADERS)
    folder = RunFolder(output)
    folder.prepare(mode)
    with Ledger(folder.ledger, checked=mode == "resume", replace=mode == "overwrite") as ledger:
        # sources ──► ledger
        found = await _take_in(sources, ledger, folder, settings, mode, account, watch)
        settings = _with_formats_so_far(ledger, settings)
        if _is_complete(folder, ledger, settings):
            done = manifest.read(folder.manifest)
            return Result(output, done, ExitCode(done["exit_code"]), nothing_to_do=True)
        folder.remove_manifest()
        # ledger ──► pool ── client ──► ledger
        scopes = await ask(ledger, settings, account, watch, found.throttles if found else {}, began=began)
        # ledger ──► flatten ──► tables
        tables, counts = await asyncio.to_thread(tabulate, ledger, output, settings, watch)
        # tables ──► manifest
        return await asyncio.to_thread(_sign_off, ledger, folder, settings, scopes, tables, counts)


async def _take_in(
    sources: Sequence[Source] | Search,
    ledger: Ledger,
    folder: RunFolder,
    settings: ExportSettings,
    mode: Mode,
    account: Account,
    watch: Watch,
) -> Discovered | None:
    """Loads the list, which may have to be found first, or holds it against the one that a resumed run began with."""
    if mode == "resume" and ledger.fact(intake.LOADED) is not None:
        if isinstance(sources, Search):
            raise UsageError("--resume goes on with the list that was found: leave --all out")
        await asyncio.to_thread(intake.check_same_run, sources, ledger, settings, watch.check)
        ledger.ask_failures_again()
        return None
    if mode == "new" and ledger.fact(intake.LOADED) is not None:  # while we waited for the file, another had it
        raise OutputError(f"another inventory process has made a run in {folder.path}; give another --output")
    try:
        if not sources:
            raise UsageError("the list of this run was never read to its end: name it again, or give --all again")
        found: Discovered | None = None
        if isinstance(sources, Search):
            found, sources = await discover(sources, settings, account, watch), ()
        await asyncio.to_thread(intake.load, sources, ledger, settings, watch, found)
    except InventoryError as error:
        # Nothing was asked: no trace is left that would stand in the way of the next try; but --resume, to which a full
        # disk leads, finds what it goes on with.
        if folder.fresh and not isinstance(error, OutputError):
            folder.remove_all()
        raise
    folder.remove_results()
    return found


def _with_formats_so_far(ledger: Ledger, settings: ExportSettings) -> ExportSettings:
    """A resumed run keeps the formats that it had, and adds those that are asked for now."""
    formats = tuple(dict.fromkeys([*(ledger.fact(_FORMATS) or ()), *settings.format]))
    ledger.set_fact(_FORMATS, formats)
    return msgspec.structs.replace(settings, format=formats)


def _is_complete(folder: RunFolder, ledger: Ledger, settings: ExportSettings) -> bool:
    """Whether every URN is answered, and the tables are there as the settings ask for them."""
    if not folder.manifest.exists() or ledger.count_settled() < ledger.count_urns():
        return False
    done = manifest.read(folder.manifest)
    if done["started"] != ledger.fact(intake.STARTED) or done["input"]["urns"] != ledger.count_urns():
        return False  # a killed --overwrite left the manifest of the run before
    written = {table["format"] for table in done["tables"]}
    same_zone = done["settings"]["naive-timezone"] == settings.naive_timezone
    return same_zone and written.issuperset(settings.format) and folder.holds(done["tables"])


def _sign_off(
    ledger: Ledger,
    folder: RunFolder,
    settings: ExportSettings,
    scopes: dict[tuple[str, str], Scope],
    tables: list[TableFile],
    counts: manifest.Counts,
) -> Result:
    """Writes the manifest: its presence says that the tables are whole."""
    code = _exit_code(counts, scopes.values())
    answers = ledger.answers()
    reports = {
        key: manifest.ScopeReport(
            settings.for_scope(*key).endpoint_for(key[0]),
            scope.throttle.pace.limit,
            scope.throttle.used,
            None if scope.stopped is None else str(scope.stopped),
        )
        for key, scope in scopes.items()
    }
    written = manifest.describe(
        started=ledger.fact(intake.STARTED),
        input_read=manifest.describe_input(ledger.sources(), counts.status.total(), ledger.count_rejects()),
        counts=counts,
        requests=manifest.describe_requests(answers, counts),
        scopes=manifest.describe_scopes(ledger.scopes(), answers, reports),
        tables=tables,
        settings=describe(settings),
        exit_code=code,
    )
    folder.remove_results(keep=[table.path for table in tables])
    manifest.write(folder.manifest, written)
    return Result(folder.path, written, code, examples=counts.examples)


def _exit_code(counts: manifest.Counts, scopes: Iterable[Scope]) -> ExitCode:
    """What the process says. A refused credential outweighs a scope that stopped, and both outweigh a failed URN."""
    stops = {scope.stopped.exit_code for scope in scopes if scope.stopped is not None}
    if ExitCode.CREDENTIALS in stops:
        return ExitCode.CREDENTIALS
    if stops or counts.status[Status.NOT_ATTEMPTED]:
        return ExitCode.STOPPED
    if not counts.status.total():
        return ExitCode.USAGE
    return ExitCode.SOME_FAILED if counts.status[Status.FAILED] else ExitCode.ANSWERED
