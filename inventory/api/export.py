"""Public Python API: export() and export_async()."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

from inventory.api.arguments import Options, check_options, folder_name, python_messages, to_python_wording
from inventory.api.snapshot import Snapshot, open_snapshot, unanswered_error
from inventory.cloud.projects import select_projects
from inventory.display.auto import progress_display
from inventory.errors import InterruptedRunError, SettingsError, UsageError
from inventory.pipeline import export as pipeline
from inventory.pipeline.discover import Discovery, chosen_reports
from inventory.pipeline.load import began_with
from inventory.runs.listing_coverage import describe_failed_reports
from inventory.runs.output import reserve_folder, resolve_output
from inventory.settings_sources.checks import check_combination, plain_http_warnings
from inventory.settings_sources.combine import chosen_settings, combine
from inventory.sources.memory import to_sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inventory.progress import ProgressObserver
    from inventory.runs.folder import Mode
    from inventory.runs.output import Output
    from inventory.settings import ExportSettings
    from inventory.sources.files import Source
    from inventory.sources.memory import MemorySource

__all__ = ["Options", "Snapshot", "UnansweredWarning", "export", "export_async", "open_snapshot"]

_POLL_SECONDS: Final = 0.1


class UnansweredWarning(UserWarning):
    """The export finished, but some URNs failed or were not attempted: their configuration is unknown."""


class _Run:
    """An export with checked arguments, before its start."""

    def __init__(
        self,
        source: object,
        output: str | Path | None,
        work_dir: str | Path | None,
        flags: dict[str, bool],
        options: Options,
    ) -> None:
        for name, value in flags.items():
            if not isinstance(value, bool):
                raise SettingsError(f"{name} must be True or False, not {type(value).__name__}")
        given = check_options(options)
        check_combination({**given, **flags, "output": output}, has_source=source is not None)
        is_discovery, reports = given.get("all", False), chosen_reports(given)
        self._check = flags["check"]
        self.mode: Mode = "resume" if flags["resume"] else "overwrite" if flags["overwrite"] else "new"
        folder, work_folder = folder_name("output", output), folder_name("work_dir", work_dir)
        self.output: Output = resolve_output(
            folder, None if work_folder is None else Path(work_folder), os.environ, resume=self.mode == "resume"
        )
        file = given.get("settings")
        self.settings: ExportSettings = combine(
            None if file is None else Path(file),
            chosen_settings(given, several=is_discovery),
            began_with(self.output.folder) if self.mode == "resume" else None,
        )
        for message in plain_http_warnings(self.settings):
            warnings.warn(message.removeprefix("warning: "), UserWarning, stacklevel=3)
        self.sources: Sequence[Source | MemorySource] | Discovery
        if is_discovery:
            projects = select_projects(self.settings, _as_list(given.get("region")), _as_list(given.get("project_id")))
            self.sources = Discovery(projects, given.get("versions", False), given.get("aliases", False), reports)
        else:
            self.sources = to_sources(source, self.settings.column)
            if not self.sources and self.mode != "resume":
                if source is not None:
                    raise UsageError("the list of URNs is empty")
                raise UsageError("no list of URNs: give a file's name, an iterable of URNs, or all=True with a region")

    @property
    def resume_call(self) -> str:
        """The call that resumes this run."""
        work_dir = f", work_dir={str(self.output.folder)!r}" if self.output.work_dir_named else ""
        return f"inventory.export(output={str(self.output)!r}{work_dir}, resume=True)"

    async def finish(self, observer: ProgressObserver) -> Snapshot:
        """Runs the export. The first cancellation stops it cleanly, the second at once."""
        with reserve_folder(self.output) as self.output:
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
        except asyncio.CancelledError as cancellation:
            observer.cancel(signal.SIGINT)
            try:
                await asyncio.wait({work})
            except asyncio.CancelledError:
                work.cancel()
                await asyncio.wait({work})
                raise
            cancellation.args = (self.stop_message(work.exception()),)
            raise
        work.result()

    def report_unanswered(self, snapshot: Snapshot) -> Snapshot:
        """Returns the snapshot; URNs without an answer are an error with ``check=True``, else a warning.

        Raises:
            UnansweredError: the exit code of the run is not 0.
        """
        for message in describe_failed_reports(snapshot.manifest):
            warnings.warn(message, UserWarning, stacklevel=3)
        unknown = snapshot.unknown()
        is_error = self._check and snapshot.exit_code != 0
        if unknown or is_error:
            if snapshot.manifest["input"]["urns"]:
                advice = f"export these alone again with: {self.resume_call}"
            elif snapshot.manifest["input"].get("listed"):
                advice = "if the project has functions, check region and project_id"
            else:
                advice = "fix the list, then export it again with overwrite=True"
            if is_error:
                raise unanswered_error(snapshot, advice)
            warnings.warn(f"{'; '.join(unknown)}; {advice}", UnansweredWarning, stacklevel=3)
        return snapshot

    def stop_message(self, error: BaseException | None) -> str:
        """How the export was stopped, and which call resumes it."""
        if isinstance(error, InterruptedRunError) and not error.resumable:
            return "the export was stopped before the first call: start it again"
        if error is None:
            return f"the export had finished already: inventory.open_snapshot({str(self.output)!r})"
        if isinstance(error, InterruptedRunError | asyncio.CancelledError):
            return f"the export was stopped; what was answered is kept; continue with: {self.resume_call}"
        return to_python_wording(f"the export failed while it was stopped: {error}")


def _as_list(value: str | list[str] | None) -> list[str] | None:
    return [value] if isinstance(value, str) else value


async def export_async(
    source: str | Path | Iterable[object] | None = None,
    output: str | Path | None = None,
    *,
    work_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    check: bool = False,
    progress: bool | None = None,
    **options: Unpack[Options],
) -> Snapshot:
    """Exports the configuration of every URN: :func:`export` for asynchronous code.

    Arguments, result and errors are those of :func:`export`. If the task is cancelled (a notebook's interrupt, Ctrl-C
    under ``asyncio.run``, a timeout), the run stops cleanly within about a second; the text of the ``CancelledError``
    says how to resume. No task and no thread remains.

    Examples:
        >>> snapshot = await inventory.export_async("urns.txt", "output/today")  # doctest: +SKIP
    """
    with python_messages():
        run = _Run(source, output, work_dir, {"resume": resume, "overwrite": overwrite, "check": check}, options)
        with progress_display(progress) as observer:
            snapshot = await run.finish(observer)
    return run.report_unanswered(snapshot)


def export(
    source: str | Path | Iterable[object] | None = None,
    output: str | Path | None = None,
    *,
    work_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    check: bool = False,
    progress: bool | None = None,
    **options: Unpack[Options],
) -> Snapshot:
    """Exports the configuration of every URN to tables, and opens them; also where an event loop runs (a notebook).

    Args:
        source: a file, a list of files, one URN, an iterable of URNs (also a column of pandas, polars or Arrow), read
            lazily, or a frame with a column ``function_urn``, ``func_urn`` or ``urn`` (or ``column=...``). An item that
            is no URN becomes a row of ``rejects``. Nothing with ``resume=True`` or ``all=True``.
        output: the run's folder, ``s3://bucket/prefix`` or ``obs://...``. Default: ``output/<UTC timestamp>``.
        work_dir: the folder of the ledger, if the output is a URL.
        resume: continues the run in ``output``: exports the failed and unattempted URNs of the same list.
        overwrite: starts again in an ``output`` that contains a run. Without either, an existing run is an error.
        check: raises an error if some URN has no answer, instead of a warning.
        progress: whether to show progress. Default: on a terminal and in a notebook.
        options: those of ``inventory export``, explained by its ``--help``. List: ``all`` with ``region`` and
            optionally ``project_id``, ``versions``, ``aliases``, ``include`` (``--with``); ``column``. Cloud:
            ``endpoint``, ``iam_endpoint``, ``ca_bundle``, ``transport``, ``token_file``, ``settings`` (a file).
            Rate: ``max_per_second`` (0: no cap), ``max_workers``, ``quota_share`` (up to 1), ``timeout`` and
            ``max_time`` (seconds for a call and for the run), ``attempts``, ``no_batch``. Tables: ``format``
            ("parquet", "csv" or a list of both), ``rows_per_file``, ``naive_timezone``, ``drop_bodies``.

    Returns:
        The tables. ``exit_code`` is that of the command; ``raise_for_unanswered()`` raises unless it is 0.

    Raises:
        InventoryError: the export did not finish; answers so far are kept. Subclasses: ``UsageError`` (source or
            options), ``CredentialsError``, ``OutputError``. The message says what to do.
        UnansweredError: with ``check``: the run finished, but some URNs have no answer.
        KeyboardInterrupt: Ctrl-C or a notebook's interrupt. The text says how to resume; a second one stops at once.

    Warns:
        UnansweredWarning: some URNs failed or were not attempted; ``resume=True`` exports these alone.

    Examples:
        >>> inventory.export(frame["function_urn"], "output/today", check=True)  # doctest: +SKIP
    """
    with python_messages():
        run = _Run(source, output, work_dir, {"resume": resume, "overwrite": overwrite, "check": check}, options)
        with progress_display(progress) as observer:
            snapshot = _WorkerThread(run, observer).result()
    return run.report_unanswered(snapshot)


class _WorkerThread:
    """Runs an export in a thread with its own event loop, while this thread waits for it and for Ctrl-C."""

    def __init__(self, run: _Run, observer: ProgressObserver) -> None:
        self._run = run
        self._observer = observer
        self._task: asyncio.Task[Snapshot] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def result(self) -> Snapshot:
        is_main = threading.current_thread() is threading.main_thread()
        # A running loop of this thread may have its own handler, which would wait for the loop.
        before = signal.signal(signal.SIGINT, signal.default_int_handler) if is_main else None
        is_stopped = False
        try:
            with ThreadPoolExecutor(1, "inventory-export") as threads:
                work = threads.submit(contextvars.copy_context().run, self._run_loop)
                while not work.done():
                    try:
                        wait([work], _POLL_SECONDS)
                    except KeyboardInterrupt:
                        self._stop(at_once=is_stopped)
                        is_stopped = True
        finally:
            if is_main:
                signal.signal(signal.SIGINT, before)
        error = work.exception()
        if is_stopped and (error is None or isinstance(error, InterruptedRunError | asyncio.CancelledError)):
            raise KeyboardInterrupt(self._run.stop_message(error))
        return work.result()

    def _stop(self, *, at_once: bool) -> None:
        self._observer.cancel(signal.SIGINT)
        if at_once and self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)

    def _run_loop(self) -> Snapshot:
        try:
            import uvloop  # noqa: PLC0415 - not on every platform
        except ImportError:
            return asyncio.run(self._finish())
        return uvloop.run(self._finish())

    async def _finish(self) -> Snapshot:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        return await self._run.finish(self._observer)
