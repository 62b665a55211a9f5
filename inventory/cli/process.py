"""How a command lives in its process: the loop, the signals, the exit code, and what is said at the end.

Owns signals and the way out. Knows no option and no column.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import typer

from inventory.cli.stdout import put_place
from inventory.display.log import Log
from inventory.display.terminal import Display
from inventory.errors import InterruptedRunError, InventoryError, OutputError
from inventory.progress import ProgressObserver
from inventory.scheduling.connection_limit import FEW, check_enough, raise_limit, reserve_descriptors
from inventory.scheduling.threads import run_abandonable, run_cancellable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
    from pathlib import Path

    from inventory.cloud.projects import ProjectRef
    from inventory.pipeline.check import Checkup
    from inventory.pipeline.discover import Discovered, Discovery
    from inventory.runs.finish import Result
    from inventory.runs.folder import Mode
    from inventory.runs.output import Output
    from inventory.runs.retention import Policy
    from inventory.runs.status import Standing
    from inventory.settings import ExportSettings
    from inventory.sources.files import Source

T = TypeVar("T")

_TICK_SECONDS: Final = 0.2
_SIGHUP: Final[signal.Signals | None] = getattr(signal, "SIGHUP", None)  # Windows has none
_COLLECT_AFTER: Final = 50_000
"""New objects that may be there before the collector looks at them."""


@contextmanager
def leaving(form: str, *, quiet: bool) -> Iterator[Log]:
    """Turns an expected error into one sentence on stderr and an exit code."""
    log = Log(form, quiet=quiet)
    try:
        yield log
    except InventoryError as error:
        log.complain(str(error), exit_code=int(error.exit_code))
        raise typer.Exit(error.exit_code) from None


def run_export(
    sources: Sequence[Source] | Discovery,
    output: Output,
    settings: ExportSettings,
    *,
    mode: Mode,
    environment: Mapping[str, str],
    log: Log,
) -> Result:
    """Runs an export under a display; a first signal ends it in good order, a second one at once.

    Raises:
        InventoryError: it could not be finished.
    """
    from inventory.pipeline import export as pipeline  # noqa: PLC0415 - heavy, and only for a run

    with Display(log) as observer, _signals(observer, log):
        return run_loop(
            pipeline.export(sources, output, settings, mode=mode, environment=environment, observer=observer)
        )


def run_tables(folder: Path, shape: dict[str, Any], log: Log, *, drop_bodies: bool) -> Result:
    """Builds the tables of a run again under a display; a signal ends it, and leaves all as it was.

    Raises:
        InventoryError: they could not be built.
    """
    from inventory.pipeline.rebuild import rebuild_tables  # noqa: PLC0415 - heavy, and only for tables

    raise_limit()
    check_enough()
    with Display(log) as observer, _signals(observer):
        return rebuild_tables(folder, shape, observer, drop_bodies=drop_bodies)


def run_status(folder: Path) -> Standing:
    """Looks where a run stands; a signal ends it.

    Raises:
        InventoryError: it cannot be seen.
    """
    from inventory.runs.status import standing_of  # noqa: PLC0415

    check_enough(FEW)
    observer = ProgressObserver()
    check = partial(observer.check_cancelled, resumable=False)
    # SQLite looks through all pages in one step, which takes 12 s where a disk is busy: a stop leaves it alone.
    with _signals(observer):
        return asyncio.run(run_cancellable(check, partial(standing_of, folder, check_cancelled=check)))


def run_discovery(
    search: Discovery, settings: ExportSettings, *, environment: Mapping[str, str], log: Log
) -> Discovered:
    """Lists functions under a display; a signal ends it.

    Raises:
        InventoryError: it could not be finished.
    """
    from inventory.cloud.accounts import find_credentials  # noqa: PLC0415
    from inventory.cloud.transport import HEADERS  # noqa: PLC0415 - heavy, and only for a run
    from inventory.pipeline.discover import discover  # noqa: PLC0415

    async def search_all(observer: ProgressObserver) -> Discovered:
        account = await run_cancellable(observer.on_wait, find_credentials, settings, environment, HEADERS)
        return await discover(search, settings, account, observer)

    with Display(log) as observer, _signals(observer):
        return run_loop(search_all(observer))


def run_checkup(
    sources: Sequence[Source],
    places: Sequence[ProjectRef],
    settings: ExportSettings,
    environment: Mapping[str, str],
) -> list[Checkup]:
    """Checks the scopes of lists and of places; a signal ends it.

    Raises:
        InventoryError: there is nothing to check with, or nothing to check.
    """
    from inventory.cloud.accounts import find_credentials  # noqa: PLC0415
    from inventory.cloud.projects import find_projects  # noqa: PLC0415
    from inventory.cloud.transport import HEADERS  # noqa: PLC0415
    from inventory.pipeline.check import check_scopes, without_project  # noqa: PLC0415 - heavy, and only for a run
    from inventory.pipeline.dry_run import scopes_of  # noqa: PLC0415

    async def check() -> list[Checkup]:
        account = await run_abandonable(find_credentials, settings, environment, HEADERS)
        listed = await run_abandonable(scopes_of, sources, settings)
        found, unseen = await find_projects(places, settings, account)
        checked = await check_scopes(list(dict.fromkeys([*listed, *found])), settings, account)
        return [*checked, *(without_project(*one) for one in unseen)]

    observer = ProgressObserver()
    with _signals(observer):
        return run_loop(_until_signal(check(), observer))


def run_prune(folder: Path, policy: Policy, log: Log, *, incomplete: bool, dry_run: bool) -> None:
    """Removes the runs that a policy does not keep, and says of all others why they stay; a signal ends it between two.

    Raises:
        InventoryError: it could not be finished.
    """
    from inventory.runs import prune  # noqa: PLC0415 - heavy, and only for prune

    observer = ProgressObserver()
    with _signals(observer):
        plan = prune.planned(folder, policy, incomplete=incomplete)
        for path, words in plan.kept:
            log.say("kept", f"kept {path}: {words}", path=str(path), reason=words)
        for path, words in plan.left:
            log.say("left", f"left alone {path}: {words}", path=str(path), reason=words)
        for path in plan.gone:
            observer.check_cancelled(resumable=False)
            stays = [] if dry_run else prune.remove(path)
            put_place(path)
            if stays:
                log.complain(f"{path} stays, with what is not of the run: {', '.join(stays)}")
        done = "would be removed" if dry_run else "removed"
        log.say("pruned", f"{len(plan.gone):,} runs {done}, {len(plan.kept):,} kept, {len(plan.left):,} left alone")


async def _until_signal(work: Coroutine[Any, Any, T], observer: ProgressObserver) -> T:
    """The result of what has nothing to keep, or the signal that came before it.

    Raises:
        InterruptedRunError: it came.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_TICK_SECONDS)
            observer.check_cancelled(resumable=False)
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})


@contextmanager
def resumable(output: Output) -> Iterator[None]:
    """Adds to the words of an interrupted run how it goes on."""
    from inventory.cli import summary as report  # noqa: PLC0415

    try:
        yield
    except InterruptedRunError as error:
        if error.resumable:
            error.message += f"; go on with: {report.resume_command(output)}"
        raise


def finish(result: Result, log: Log) -> None:
    """Says how a run ended and what is wrong with it, and leaves."""
    from inventory.cli import summary as report  # noqa: PLC0415

    if result.nothing_to_do:
        log.say("complete", f"{result.output} is complete: nothing was left to do.")
    else:
        log.say("summary", *report.summary(result), **result.manifest)
    for trouble in report.troubles(result):
        log.complain(trouble)
    if result.note:
        log.complain(result.note)
    leave(result)


def leave(result: Result) -> None:
    """Prints a run's folder or URL on stdout, and leaves with its exit code."""
    put_place(result.output)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def until_stopped(begin: Callable[[], None]) -> None:
    """Begins, and waits for a signal; one that comes while it begins is not lost.

    Raises:
        InterruptedRunError: it came.
    """
    observer = ProgressObserver()
    with _signals(observer):
        begin()
        while True:
            threading.Event().wait(0.2)
            observer.check_cancelled(resumable=False)


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on the fastest event loop that is there.

    What is loaded by now stays to the end, and a run makes hardly any cycles: the collector looks at new objects alone,
    and seldom, which is a tenth of the time of each URN.

    Raises:
        OutputError: the system allows too few open files for it.
    """
    raise_limit()
    try:
        check_enough()
    except OutputError:
        work.close()
        raise
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(_sparing(work, []))
    ends: list[Callable[[], T]] = []
    try:
        return uvloop.run(_sparing(work, ends))
    except (OSError, RuntimeError):
        if not ends:
            raise
        return ends[0]()  # where the system allows too few files by now, uvloop cannot close, but the work is done


async def _sparing(work: Coroutine[Any, Any, T], ends: list[Callable[[], T]]) -> T:
    """The work, beside which some descriptors stay free for the loop; how it ends is added to ``ends``."""
    with reserve_descriptors():
        try:
            result = await work
        except InventoryError as error:
            ends.append(partial(_raise, error))
            raise
    ends.append(lambda: result)
    return result


def _raise(error: InventoryError) -> NoReturn:
    raise error


@contextmanager
def _signals(observer: ProgressObserver, log: Log | None = None) -> Iterator[None]:
    """A first signal asks for an end in good order; a second one ends the process, and says so to a log.

    SIGHUP is never the second: a terminal that closes sends several. Where it is ignored, as under nohup, it stays so.
    """

    def stop(number: int, _frame: object) -> None:
        if observer.signal_number is not None:
            if number == _SIGHUP:
                return
            if log is not None:
                log.say_at_once("ended at once; what was answered is kept, and --resume goes on")
            os._exit(128 + number)
        observer.cancel(number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if _SIGHUP is not None and signal.getsignal(_SIGHUP) is not signal.SIG_IGN:
        numbers.append(_SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
