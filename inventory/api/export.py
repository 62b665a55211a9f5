"""The Python door: the command line's words as functions.

Owns what an export from Python is told and gives back, and how it is stopped. Knows no option of typer and no display.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack

from inventory.api.arguments import Options, checked, folder_name, in_python, spoken
from inventory.api.snapshot import Snapshot, open_snapshot
from inventory.cloud.projects import select_projects
from inventory.display.auto import progress_display
from inventory.errors import InterruptedRunError, SettingsError, UsageError
from inventory.pipeline import export as pipeline
from inventory.pipeline.discover import Discovery
from inventory.pipeline.load import began_with
from inventory.runs.output import chosen_output, claimed
from inventory.settings_file import combine, plain_http_warnings
from inventory.sources.memory import to_sources

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from inventory.progress import ProgressObserver
    from inventory.runs.folder import Mode
    from inventory.runs.output import Output
    from inventory.settings import ExportSettings
    from inventory.sources.files import Source
    from inventory.sources.memory import MemorySource

__all__ = ["Options", "Snapshot", "UnansweredWarning", "export", "export_async", "open_snapshot"]

_LOOK_SECONDS: Final = 0.1


class UnansweredWarning(UserWarning):
    """An export came to its end, but the cloud did not answer for every URN: what these have is unknown."""


class _Run:
    """An export that was told what to do, and has not begun."""

    def __init__(
        self,
        source: object,
        output: str | Path | None,
        work_dir: str | Path | None,
        asked: tuple[bool, bool],
        options: Options,
    ) -> None:
        given = checked(options)
        path, every = given.pop("settings", None), given.pop("all", False)
        search = {name: given.pop(name, False) for name in ("versions", "aliases")}
        mode = _mode_of(*asked)
        _check_words(source, output, mode, every=every, search=search)
        regions, projects = (_several(given, name, every=every) for name in ("region", "project_id"))
        if "no_batch" in given:
            given["batch"] = not given.pop("no_batch")
        if "format" in given:
            given["format"] = (given["format"],) if isinstance(given["format"], str) else tuple(given["format"])
        self.mode: Mode = mode
        place, work = folder_name("output", output), folder_name("work_dir", work_dir)
        self.output: Output = chosen_output(
            place, None if work is None else Path(work), os.environ, resume=mode == "resume"
        )
        before = began_with(self.output.folder) if mode == "resume" else None
        self.settings: ExportSettings = combine(None if path is None else Path(path), given, before)
        for words in plain_http_warnings(self.settings):
            warnings.warn(words.removeprefix("warning: "), UserWarning, stacklevel=3)
        self.sources: Sequence[Source | MemorySource] | Discovery
        if every:
            self.sources = Discovery(select_projects(self.settings, regions, projects), **search)
        else:
            self.sources = to_sources(source, self.settings.column)
            if not self.sources and mode != "resume":
                raise UsageError("no list of URNs: give a file's name, an iterable of URNs, or all=True with a region")

    @property
    def way_on(self) -> str:
        """What goes on with it."""
        work_dir = f", work_dir={str(self.output.folder)!r}" if self.output.work_dir_named else ""
        return f"inventory.export(output={str(self.output)!r}{work_dir}, resume=True)"

    async def finish(self, observer: ProgressObserver) -> Snapshot:
        """Runs it to its end. When it is cancelled, it ends in good order first; when again, at once."""
        with claimed(self.output) as self.output:
            await self._work(observer)
        return open_snapshot(str(self.output))

    async def _work(self, observer: ProgressObserver) -> None:
        work = asyncio.ensure_future(
            pipeline.export(
                self.sources, self.output, self.settings, mode=self.mode, environment=os.environ, observer=observer
            )
        )
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as stop:
            observer.cancel(signal.SIGINT)
            try:
                await asyncio.wait({work})
            except asyncio.CancelledError:
                work.cancel()
                await asyncio.wait({work})
                raise
            stop.args = (self.words_of(work.exception()),)
            raise
        work.result()

    def done(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot, of which is said what it does not know."""
        unknown = snapshot.unknown()
        if unknown:
            told = "; ".join(unknown)
            if snapshot.manifest["input"]["urns"]:
                way_on = f"ask for these alone with: {self.way_on}"
            else:
                way_on = "mend the list, and export it again with overwrite=True"
            warnings.warn(f"{told}; {way_on}", UnansweredWarning, stacklevel=3)
        return snapshot

    def words_of(self, error: BaseException | None) -> str:
        """How it was stopped, and what goes on with it."""
        if isinstance(error, InterruptedRunError) and not error.resumable:
            return "the export was stopped before anything was asked: begin it again"
        if error is None:
            return f"the export had come to its end: inventory.open_snapshot({str(self.output)!r})"
        if isinstance(error, InterruptedRunError | asyncio.CancelledError):
            return f"the export was stopped; what was answered is kept; go on with: {self.way_on}"
        return spoken(f"the export failed while it was stopped: {error}")


async def export_async(
    source: str | Path | Iterable[object] | None = None,
    output: str | Path | None = None,
    *,
    work_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool | None = None,
    **options: Unpack[Options],
) -> Snapshot:
    """Exports the async-invoke configuration of every URN of a list: :func:`export` for asynchronous code.

    Arguments, result and errors are those of :func:`export`. When the task is cancelled (by a notebook's interrupt,
    Ctrl-C under ``asyncio.run``, a timeout), the run ends in good order, which takes a second, and the
    text of the ``CancelledError`` says how to go on; no task and no thread is left.

    Examples:
        >>> snapshot = await inventory.export_async("urns.txt", "output/today")  # doctest: +SKIP
    """
    with in_python():
        run = _Run(source, output, work_dir, (resume, overwrite), options)
        with progress_display(progress) as observer:
            snapshot = await run.finish(observer)
    return run.done(snapshot)


def export(
    source: str | Path | Iterable[object] | None = None,
    output: str | Path | None = None,
    *,
    work_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool | None = None,
    **options: Unpack[Options],
) -> Snapshot:
    """Exports the async-invoke configuration of every URN of a list, and opens the tables.

    Works in a script, and in a notebook's cell, where a loop runs already: then in a thread with a loop of its own.

    Args:
        source: an iterable of URNs (list, set, generator; a column of pandas, polars or Arrow), read lazily: what is no
            URN, such as a null, becomes a row of ``rejects``, its position as ``line``. Or a frame with a column
            ``function_urn``, ``func_urn`` or ``urn`` (or ``column=...``), one URN, a file as the command takes it, or a
            list of files. Nothing with ``resume=True`` or ``all=True``.
        output: the run's folder, or ``s3://bucket/prefix`` or ``obs://...``; without it ``output/<UTC timestamp>``.
        work_dir: the folder of the ledger, where the output is a URL.
        resume: goes on with the run in ``output``: asks again what failed or was not attempted, of the same list.
        overwrite: begins again in an ``output`` that holds a run. Without either, such a run is not touched.
        progress: whether to show how far it is. Without it, on a terminal and in a notebook.
        options: those of ``inventory export``, whose ``--help`` explains each. The list: ``all`` with ``region`` and
            maybe ``project_id``, ``versions``, ``aliases``; ``column``. The cloud: ``endpoint``, ``iam_endpoint``,
            ``ca_bundle``, ``token_file`` (else the credential is the environment's, as ``HW_AUTH_TOKEN``), ``settings``
            (a file). The pace: ``max_per_second`` (0: no cap), ``max_workers``, ``quota_share`` (a part of 1),
            ``timeout`` and ``max_time`` (seconds, of a call and of the run), ``attempts``, ``no_batch``. The tables:
            ``format`` ("parquet", "csv" or both in a list), ``rows_per_file``, ``naive_timezone``, ``drop_bodies``.

    Returns:
        The tables. ``manifest["exit_code"]`` says how the run ended, as the command does.

    Raises:
        InventoryError: it could not be finished, and what was answered is kept. Of these ``UsageError`` (source or
            options), ``CredentialsError`` and ``OutputError``; the message says what to do.
        KeyboardInterrupt: Ctrl-C, or a notebook's interrupt. The text says how to go on; a second one ends it at once.

    Warns:
        UnansweredWarning: some URNs failed or were not attempted; ``resume=True`` asks for these alone.

    Examples:
        >>> inventory.export(frame["function_urn"], "output/today", max_per_second=20)  # doctest: +SKIP
    """
    with in_python():
        run = _Run(source, output, work_dir, (resume, overwrite), options)
        with progress_display(progress) as observer:
            snapshot = _in_this_thread(run, observer) if _no_loop_runs() else _Beside(run, observer).result()
    return run.done(snapshot)


def _no_loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


def _in_this_thread(run: _Run, observer: ProgressObserver) -> Snapshot:
    stopped: list[str] = []
    try:
        return _run_loop(_noted(run.finish(observer), stopped))
    except KeyboardInterrupt:
        if not stopped:
            raise
        raise KeyboardInterrupt(stopped[0]) from None


async def _noted(work: Coroutine[Any, Any, Snapshot], words: list[str]) -> Snapshot:
    try:
        return await work
    except asyncio.CancelledError as stop:
        words += stop.args
        raise


def _run_loop(work: Coroutine[Any, Any, Snapshot]) -> Snapshot:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


class _Beside:
    """A run in a thread with a loop of its own, beside a loop that runs in this one and stands still meanwhile."""

    def __init__(self, run: _Run, observer: ProgressObserver) -> None:
        self._run = run
        self._observer = observer
        self._task: asyncio.Task[Snapshot] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def result(self) -> Snapshot:
        is_main = threading.current_thread() is threading.main_thread()
        # The loop that stands still may have its own way with a signal, which would wait for it: here it interrupts.
        before = signal.signal(signal.SIGINT, signal.default_int_handler) if is_main else None
        stopped = False
        try:
            with ThreadPoolExecutor(1, "inventory-export") as threads:
                work = threads.submit(contextvars.copy_context().run, self._work)
                while not work.done():
                    try:
                        wait([work], _LOOK_SECONDS)
                    except KeyboardInterrupt:
                        self._stop(again=stopped)
                        stopped = True
        finally:
            if is_main:
                signal.signal(signal.SIGINT, before)
        error = work.exception()
        if stopped and (error is None or isinstance(error, InterruptedRunError | asyncio.CancelledError)):
            raise KeyboardInterrupt(self._run.words_of(error))
        return work.result()

    def _stop(self, *, again: bool) -> None:
        self._observer.cancel(signal.SIGINT)
        if again and self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)

    def _work(self) -> Snapshot:
        return _run_loop(self._begun())

    async def _begun(self) -> Snapshot:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        return await self._run.finish(self._observer)


def _mode_of(resume: object, overwrite: object) -> Mode:
    for name, flag in (("resume", resume), ("overwrite", overwrite)):
        if not isinstance(flag, bool):
            raise SettingsError(f"{name} must be True or False, not {type(flag).__name__}")
    if resume and overwrite:
        raise UsageError("resume=True goes on with a run, overwrite=True begins it again: give one of them")
    return "resume" if resume else "overwrite" if overwrite else "new"


def _check_words(source: object, output: str | Path | None, mode: str, *, every: bool, search: dict[str, bool]) -> None:
    if mode == "resume" and output is None:
        raise UsageError("resume=True needs output with the folder of the run")
    if every and source is not None:
        raise UsageError("all=True finds the list itself: give it without a source")
    if any(search.values()) and not every:
        raise UsageError("versions and aliases go with all=True: a list says which URNs to ask for")


def _several(given: dict[str, Any], name: str, *, every: bool) -> list[str] | None:
    """The values of an option that may have several with ``all=True``; one alone is a setting too."""
    value = given.get(name)
    if value is None:
        return None
    values = [value] if isinstance(value, str) else list(value)
    if len(values) > 1 and not every:
        raise UsageError(f"{name} has {len(values)} values: several go with all=True")
    given[name] = values[0] if len(values) == 1 else None
    return values
