"""Runs a command: event loop, signal handling, exit code, closing messages."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import typer

from inventory.cli.signals import handle_signals, until_signal
from inventory.cli.stdout import print_path
from inventory.display.formatting import format_count, format_number
from inventory.display.log import Log
from inventory.display.terminal import Display
from inventory.errors import ExitCode, InterruptedRunError, InventoryError, OutputError
from inventory.option import VARIABLE_PREFIX
from inventory.progress import ProgressObserver
from inventory.scheduling.connection_limit import FEW, check_enough, raise_limit, reserve_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
    from pathlib import Path

    from inventory.cloud.projects import ProjectRef
    from inventory.pipeline.check import Checkup
    from inventory.pipeline.discover import Discovery
    from inventory.pipeline.listing import Discovered
    from inventory.runs.finish import Result
    from inventory.runs.folder import Mode
    from inventory.runs.output import Output
    from inventory.runs.prune import Policy
    from inventory.runs.status import RunStatus
    from inventory.settings import ExportSettings
    from inventory.sources.files import Source
    from inventory.telemetry.phases import PhaseObserver

T = TypeVar("T")

_COLLECT_AFTER: Final = 50_000
"""Threshold of the garbage collector, in new objects."""


@contextmanager
def exit_on_error(log_format: str, *, quiet: bool) -> Iterator[Log]:
    """Ends the command at an expected error, with one sentence on stderr and the error's exit code."""
    log = Log(log_format, quiet=quiet)
    if any(name.startswith(VARIABLE_PREFIX) for name in os.environ):
        from inventory.settings_sources.environment import variable_warnings

        for message in variable_warnings(os.environ):
            log.complain(message)
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
    phases: PhaseObserver | None = None,
) -> Result:
    """Runs an export with a progress display. The first signal stops it cleanly, the second at once."""
    from inventory.pipeline import export as pipeline

    return run_observed(
        lambda observer: pipeline.export(
            sources, output, settings, mode=mode, environment=environment, observer=observer
        ),
        log,
        phases=phases,
    )


def run_observed(
    work: Callable[[ProgressObserver], Coroutine[Any, Any, T]], log: Log, *, phases: PhaseObserver | None = None
) -> T:
    """Runs a coroutine with a progress display. The first signal stops it cleanly, the second at once.

    Args:
        work: gets the observer.
        log: takes messages.
        phases: records the phases.
    """
    from inventory.telemetry.phases import PhaseObserver

    observer = phases or PhaseObserver()
    with Display(log) as observer.display, handle_signals(observer, log):
        return run_loop(work(observer))


def run_tables(folder: Path, shape: dict[str, Any], log: Log, *, drop_bodies: bool) -> Result:
    """Rebuilds the tables of a run with a progress display. A signal stops it and leaves the tables as they were."""
    from inventory.pipeline.rebuild import rebuild_tables

    raise_limit()
    check_enough()
    with Display(log) as observer, handle_signals(observer):
        return rebuild_tables(folder, shape, observer, drop_bodies=drop_bodies)


def run_status(folder: Path) -> RunStatus:
    """Reads the status of a run; a signal stops it."""
    import asyncio

    from inventory.runs.status import read_status
    from inventory.scheduling.threads import run_cancellable

    check_enough(FEW)
    observer = ProgressObserver()
    check = partial(observer.check_cancelled, resumable=False)
    # SQLite checks all pages in one step (12 s measured on a busy disk), so a signal abandons the thread.
    with handle_signals(observer):
        return asyncio.run(run_cancellable(check, partial(read_status, folder, check_cancelled=check)))


def run_discovery(
    search: Discovery, settings: ExportSettings, *, environment: Mapping[str, str], log: Log
) -> Discovered:
    """Lists functions with a progress display; a signal stops it."""
    from inventory.cloud.accounts import find_credentials
    from inventory.cloud.request_head import HEADERS
    from inventory.pipeline.discover import discover
    from inventory.scheduling.threads import run_cancellable

    async def search_all(observer: ProgressObserver) -> Discovered:
        account = await run_cancellable(observer.on_wait, find_credentials, settings, environment, HEADERS)
        return await discover(search, settings, account, observer)

    return run_observed(search_all, log)


def run_checkup(
    sources: Sequence[Source],
    projects: Sequence[ProjectRef],
    settings: ExportSettings,
    environment: Mapping[str, str],
) -> list[Checkup]:
    """Checks the scopes of lists and of projects; a signal stops it."""
    from inventory.cloud.accounts import find_credentials
    from inventory.cloud.projects import find_projects
    from inventory.cloud.request_head import HEADERS
    from inventory.pipeline.check import check_scopes, without_project
    from inventory.pipeline.dry_run import scopes_of
    from inventory.scheduling.threads import run_abandonable

    async def check() -> list[Checkup]:
        account = await run_abandonable(find_credentials, settings, environment, HEADERS)
        listed = await run_abandonable(scopes_of, sources, settings)
        found, unseen = await find_projects(projects, settings, account)
        checked = await check_scopes(list(dict.fromkeys([*listed, *found])), settings, account)
        return [*checked, *(without_project(*region) for region in unseen)]

    observer = ProgressObserver()
    with handle_signals(observer):
        return run_loop(until_signal(check(), observer))


def run_prune(folder: Path, policy: Policy, log: Log, *, incomplete: bool, dry_run: bool) -> None:
    """Removes the runs that a policy does not keep, and logs why the others stay; a signal stops it between two.

    Raises:
        typer.Exit: a run cannot be read or removed; the others are removed.
    """
    from inventory.runs import prune

    observer = ProgressObserver()
    with handle_signals(observer):
        plan = prune.plan_prune(folder, policy, incomplete=incomplete)
        for path, reason in plan.kept:
            log.say("kept", f"kept {path}: {reason}", path=str(path), reason=reason)
        for path, reason in plan.untouched:
            log.say("left", f"left alone {path}: {reason}", path=str(path), reason=reason)
        for path, reason in plan.unreadable:
            log.complain(f"left alone {path}: {reason}", path=str(path), reason=reason)
        removed, failed = 0, len(plan.unreadable)
        for path in plan.removed:
            observer.check_cancelled(resumable=False)
            try:
                others = [] if dry_run else prune.remove_run(path)
            except OutputError as error:
                log.complain(str(error), path=str(path))
                failed += 1
                continue
            if others is None:
                log.say("left", f"left alone {path}: another process has removed it", path=str(path))
                continue
            removed += 1
            print_path(path)
            if others:
                log.complain(f"{path} stays, with files that are not of the run: {', '.join(others)}")
        done = "would be removed" if dry_run else "removed"
        stays = f", {format_number(failed)} cannot be read or removed" if failed else ""
        others_left = f"{format_number(len(plan.kept))} kept, {format_number(len(plan.untouched))} left alone"
        log.say("pruned", f"{format_count(removed, 'run')} {done}, {others_left}{stays}")
    if failed:
        raise typer.Exit(ExitCode.OUTPUT)


@contextmanager
def resumable(output: Output) -> Iterator[None]:
    """Adds the command that resumes the run to the message of an interruption."""
    from inventory.runs.output import resume_command

    try:
        yield
    except InterruptedRunError as error:
        if error.resumable:
            error.message += f"; continue with: {resume_command(output)}"
        raise


def finish(result: Result, log: Log) -> None:
    """Logs the summary of a run and its problems, then exits."""
    from inventory.cli import summary

    has_urns = bool(result.manifest["input"]["urns"])
    if result.nothing_to_do:
        log.say("complete", f"{result.output} is complete: nothing was left to do.")
    elif has_urns or log.form == "json":
        log.say("summary", *summary.summary_lines(result), **result.manifest)
    for problem in summary.problems(result):
        log.complain(problem)
    if result.note:
        log.complain(result.note)
    print_and_exit(result)


def print_and_exit(result: Result) -> None:
    """Prints the folder or URL of a run on stdout, and exits with its exit code."""
    print_path(result.output)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on uvloop, or on asyncio's loop where there is none.

    The garbage collector runs rarely, and ignores the objects that exist now: that saves a tenth of the time of a URN.

    Raises:
        OutputError: the limit of open files is too low.
    """
    import asyncio

    raise_limit()
    try:
        check_enough()
    except OutputError:
        work.close()
        raise
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_with_spare_descriptors(work, []))
    outcomes: list[Callable[[], T]] = []
    try:
        return uvloop.run(_with_spare_descriptors(work, outcomes))
    except (OSError, RuntimeError):
        if not outcomes:
            raise
        return outcomes[0]()  # uvloop could not close for lack of descriptors, but the work is done


async def _with_spare_descriptors(work: Coroutine[Any, Any, T], outcomes: list[Callable[[], T]]) -> T:
    """Awaits the work, keeps descriptors for closing the loop, and adds the outcome to ``outcomes``."""
    with reserve_descriptors():
        try:
            result = await work
        except InventoryError as error:
            outcomes.append(partial(_raise, error))
            raise
    outcomes.append(lambda: result)
    return result


def _raise(error: InventoryError) -> NoReturn:
    raise error
