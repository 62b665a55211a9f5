"""Fetches reports about listed projects; a failed one fails nothing else."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.cloud.project_reports import REPORTS
from inventory.cloud.transport import open_session
from inventory.display.formatting import duration
from inventory.errors import BadAnswerError, CallError, ErrorKind, Status
from inventory.ledger.reader import NO_ANSWER
from inventory.ledger.records import AnswerCount
from inventory.ledger.schema import ListedTable
from inventory.pipeline.discover import discover
from inventory.pipeline.open_scope import open_scope
from inventory.pipeline.scope import CallSkippedError
from inventory.pipeline.watch import watch
from inventory.printable import error_text
from inventory.runs.listing_coverage import FailedReport
from inventory.scheduling.connection_limit import connections
from inventory.scheduling.dispatcher import Dispatcher
from inventory.tables.listed_rows import report_item_name

if TYPE_CHECKING:
    from inventory.cloud.accounts import CredentialProvider
    from inventory.cloud.listed_fields import ListedItem
    from inventory.cloud.project_reports import ProjectReport
    from inventory.cloud.transport import HttpSession
    from inventory.pipeline.discover import Discovery, Keep
    from inventory.pipeline.listing import Discovered
    from inventory.pipeline.open_scope import OpenScope
    from inventory.progress import ProgressObserver
    from inventory.scheduling.limits import Limits
    from inventory.settings import ExportSettings

MAX_SECONDS: Final = 120.0
"""Longest time of one report, with all retries."""
_MAX_PAGES: Final = 100


async def discover_all(
    discovery: Discovery,
    settings: ExportSettings,
    account: CredentialProvider,
    observer: ProgressObserver,
    limits: Limits,
    keep: Keep,
) -> Discovered:
    """Lists the functions of all projects, then fetches the reports about these projects.

    Raises:
        InventoryError: as :func:`inventory.pipeline.discover.discover`; never because of a report.
    """
    deadline = time.monotonic() + (math.inf if settings.max_time is None else settings.max_time)
    discovered = await discover(discovery, settings, account, observer, limits, keep)
    if not discovery.reports:
        return discovered
    fetcher = _ReportFetcher(settings, account, limits, keep, deadline)
    jobs = [
        _Job(*project.split("/", 1), report)  # type: ignore[call-arg] # region and project
        for project in sorted(discovered.coverage.projects)
        for report in discovery.reports
    ]
    failed = await watch(fetcher.fetch(jobs), limits, observer)
    calls = [AnswerCount(*key, number) for key, number in fetcher.calls.items()]
    return discovered._replace(
        calls=[*discovered.calls, *calls],
        failed_reports={
            REPORTS[report].table: sorted(failure for job, failure in failed if job.name == report)
            for report in discovery.reports
        },
    )


class _Job(NamedTuple):
    region: str
    project_id: str
    name: str


class _ReportFetcher:
    """Fetches each report with a scope of its own: one that is refused or slow stops no other call."""

    def __init__(
        self, settings: ExportSettings, account: CredentialProvider, limits: Limits, keep: Keep, deadline: float
    ) -> None:
        self._settings = settings
        self._account = account
        self._limits = limits
        self._keep = keep
        self._deadline = deadline
        self._places = asyncio.Semaphore(connections(settings.max_workers))
        self.calls: Counter[tuple[str, str, str, int]] = Counter()

    async def fetch(self, jobs: list[_Job]) -> list[tuple[_Job, FailedReport]]:
        """Fetches all reports; returns those that failed."""
        async with open_session(self._settings.timeout, self._settings.ca_bundle, self._settings.transport) as session:
            tasks = [asyncio.create_task(self._fetch_job(job, session)) for job in jobs]
            try:
                failures = await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return [(job, failure) for job, failure in zip(jobs, failures, strict=True) if failure is not None]

    async def _fetch_job(self, job: _Job, session: HttpSession) -> FailedReport | None:
        project = f"{job.region}/{job.project_id}"
        report = REPORTS[job.name]
        async with self._places:
            seconds = max(0.0, min(MAX_SECONDS, self._deadline - time.monotonic()))
            try:
                async with asyncio.timeout(seconds):
                    opened = open_scope(session, self._settings, self._account, job.region, job.project_id)
                    items = await self._fetch_report(report, opened)
            except CallError as error:
                text = error_text(error.status_code, error.error_code, error.error_msg) or "no answer"
                return FailedReport(project, error.kind or Status.NOT_FOUND, error.status_code, text)
            except (TimeoutError, CallSkippedError):
                return FailedReport(
                    project,
                    ErrorKind.TIMEOUT,
                    self._last_status(job, report),
                    f"not complete after {duration(seconds)}",
                )
        named = [item._replace(name=report_item_name(job.region, job.project_id, name)) for name, item in items.items()]
        self._keep(ListedTable(report.table), named)
        return None

    async def _fetch_report(self, report: ProjectReport, opened: OpenScope) -> dict[str, ListedItem]:
        """All items of a report by name; the last one of a name is right."""
        key = opened.settings.region, opened.settings.project_id

        def count_call(operation: str, http_status: int) -> None:
            self.calls[*key, operation, http_status] += 1

        limits = self._limits.separate()
        scope = opened.start(count_call, limits, Dispatcher(clock=limits.clock), was_accepted=True)
        items: dict[str, ListedItem] = {}
        marker = 0
        try:
            for _ in range(_MAX_PAGES):
                page = await scope.fetch(report.operation, partial(opened.client.show_report, report, marker))
                before = len(items)
                items.update((item.name, item) for item in page.items)
                if len(items) == before or page.next_marker is None or page.next_marker <= marker:
                    return items
                marker = page.next_marker
        finally:
            scope.close()
        raise BadAnswerError(f"more than {_MAX_PAGES} pages")

    def _last_status(self, job: _Job, report: ProjectReport) -> int | None:
        statuses = [key[-1] for key in self.calls if key[:-1] == (job.region, job.project_id, report.operation)]
        return max(statuses, default=NO_ANSWER) or None
