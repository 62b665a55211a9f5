"""Fetches the configs of pending URNs and stores the outcomes."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.cloud.pages import Operation
from inventory.cloud.transport import open_session
from inventory.display.formatting import duration
from inventory.errors import OutOfTimeError
from inventory.pipeline.batch import BatchFetcher, FunctionGroup
from inventory.pipeline.group_commit import GroupCommit
from inventory.pipeline.open_scope import open_scope
from inventory.pipeline.second_opinion import UrnFetcher
from inventory.progress import Progress
from inventory.runs.facts import RunFacts, record_limits
from inventory.scheduling import worker_pool
from inventory.scheduling.connection_limit import connections
from inventory.scheduling.dispatcher import Dispatcher
from inventory.scheduling.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Sequence

    from inventory.cloud.accounts import CredentialProvider
    from inventory.errors import ExitCode, RateLimit
    from inventory.ledger.writer import Ledger
    from inventory.outcome import Outcome
    from inventory.pipeline.open_scope import OpenScope
    from inventory.pipeline.scope import Scope
    from inventory.progress import ProgressObserver
    from inventory.scheduling.limits import ScopeKey
    from inventory.settings import ExportSettings

TICK_SECONDS: Final = 0.25
GRACE_SECONDS: Final = 1.0
"""Maximum duration of calls in flight after a signal."""

_Job = tuple[str, FunctionGroup | None]


class ScopeEnd(NamedTuple):
    """How a scope ended.

    Attributes:
        stopped: why it was given up, or None.
        limit: learned from the service.
        used: share of the limit.
        shared_limit: learned from the service, of all scopes of the endpoint.
        shared_used: share of it.
    """

    stopped: str | None = None
    exit_code: ExitCode | None = None
    limit: RateLimit | None = None
    used: float | None = None
    shared_limit: RateLimit | None = None
    shared_used: float | None = None


async def fetch_configs(
    ledger: Ledger,
    settings: ExportSettings,
    account: CredentialProvider,
    observer: ProgressObserver,
    limits: Limits | None = None,
    *,
    began: float | None = None,
) -> dict[ScopeKey, ScopeEnd]:
    """Fetches every URN without an outcome; returns how each scope ended.

    A worker commits an outcome before its next call, so a kill loses at most ``max_workers`` calls. ``began`` is the
    start on the monotonic clock.

    Raises:
        InterruptedRunError: the run was cancelled; the ledger has the outcomes.
        OutputError: the ledger cannot be written.
    """
    async with open_session(settings.timeout, settings.ca_bundle, settings.transport) as session:
        seconds = math.inf if settings.max_time is None else settings.max_time
        deadline = (time.monotonic() if began is None else began) + seconds
        fetcher = _Fetcher(ledger, settings, observer, limits or Limits(settings.quota_share), deadline)
        scopes = (
            (open_scope(session, settings, account, region, project_id), urns)
            for region, project_id, urns in ledger.scopes()
        )
        return await fetcher.run(fetcher.queues(scopes))


class _Fetcher:
    """Opens a scope for its first worker; keeps only the end of a finished scope."""

    def __init__(
        self, ledger: Ledger, settings: ExportSettings, observer: ProgressObserver, limits: Limits, deadline: float
    ) -> None:
        places = connections(settings.max_workers)
        self._limits = limits
        self._deadline = deadline
        self._dispatcher = Dispatcher(places, deadline=deadline, clock=limits.clock)
        self._open: dict[ScopeKey, Scope] = {}
        self._ends: dict[ScopeKey, ScopeEnd] = {}
        self._out_of_time: OutOfTimeError | None = None
        self._ledger = ledger
        self._commits = GroupCommit(ledger)
        self._settings = settings
        self._observer = observer
        self._began = _to_microseconds(RunFacts(ledger).started)
        self._total = ledger.count_urns()
        self._done_before = ledger.count_settled()
        self._statuses: Counter[str] = Counter()
        self._calls = 0
        self._recorded = RunFacts(ledger).limits or Limits(settings.quota_share).learned()

    def queues(self, scopes: Iterator[tuple[OpenScope, int]]) -> Iterator[worker_pool.JobQueue[_Job]]:
        while not self._is_over and (opened := next(scopes, None)) is not None:
            yield self._queue(*opened)

    @property
    def _is_over(self) -> bool:
        return self._observer.signal_number is not None or self._out_of_time is not None

    def _queue(self, opened: OpenScope, urn_count: int) -> worker_pool.JobQueue[_Job]:
        key = region, project_id = opened.settings.region, opened.settings.project_id
        was_accepted = self._ledger.has_success(*key)

        def count_call(operation: str, http_status: int) -> None:
            self._calls += 1
            of_urn = operation == Operation.SHOW_CONFIG
            self._ledger.count_call(region, project_id, operation, http_status, of_urn=of_urn)

        self._open[key] = scope = opened.start(
            count_call, self._limits, self._dispatcher, was_accepted=was_accepted, has_second_opinion=True
        )
        urn_fetcher = UrnFetcher(
            scope,
            opened.client.list_functions,
            elsewhere=lambda: self._ledger.pending_samples(*key),
            keep=self._store,
            was_accepted=was_accepted,
        )
        batch = BatchFetcher(
            scope,
            urn_fetcher,
            opened.client.list_async_invoke_configs,
            note_listed=self._ledger.record_listed,
            was_listed=self._ledger.is_listed,
            keep=self._store,
        )

        def jobs() -> Iterator[_Job]:
            urns = self._ledger.pending(*key)
            for job in batch.jobs(urns, urn_count) if self._settings.batch else ((urn, None) for urn in urns):
                if scope.is_closed or self._is_over:
                    return
                yield job

        return worker_pool.JobQueue(jobs(), lambda job: batch.fetch(*job), scope.lane, lambda: self._close(key))

    def _close(self, key: ScopeKey) -> None:
        scope = self._open.pop(key)
        scope.conclude()
        if scope.stopped is None and self._out_of_time is not None and self._has_pending(key):
            scope.stop(self._out_of_time)
        reason = scope.stopped
        message, code = (None, None) if reason is None else (str(reason), reason.exit_code)
        self._ends[key] = ScopeEnd(message, code, scope.throttle.pace.limit, scope.throttle.used)
        self._limits.forget(key)

    def _has_pending(self, key: ScopeKey) -> bool:
        return self._ledger.has_pending(*key)

    def _store(self, outcomes: Sequence[Outcome]) -> Awaitable[None]:
        for outcome in outcomes:
            self._statuses[outcome.status] += 1
            if outcome.finished_at < self._began:  # the clock was set back
                outcome = outcome._replace(finished_at=self._began)  # noqa: PLW2901 - the same outcome
            self._ledger.record(outcome)
        return self._commits.wait()

    def _commit(self) -> None:
        """Commits outcomes and the limits that the service named: a killed session does not learn them again."""
        self._ledger.commit()
        learned = self._limits.learned()
        if learned != self._recorded:
            record_limits(self._ledger, learned)
            self._recorded = learned

    async def run(self, queues: Iterator[worker_pool.JobQueue[_Job]]) -> dict[ScopeKey, ScopeEnd]:
        """Does all jobs; commits and reports progress every ``TICK_SECONDS``."""
        workers = asyncio.create_task(worker_pool.run(queues, self._dispatcher))
        try:
            while not workers.done():
                await asyncio.wait({workers}, timeout=TICK_SECONDS)
                self._limits.clock()  # each reading shows that the process runs
                self._commit()
                self._observer.on_fetch(self._progress())
                if time.monotonic() >= self._deadline and not workers.done():
                    limit = duration(self._settings.max_time or 0)
                    self._out_of_time = OutOfTimeError(f"out of time: the {limit} of --max-time are over")
                if self._is_over:
                    for scope in self._open.values():
                        scope.close()
                    await asyncio.wait({workers}, timeout=GRACE_SECONDS)
                    break
            if workers.done():
                workers.result()
        finally:
            workers.cancel()
            await asyncio.wait({workers})
            self._commit()
            self._observer.on_fetch(self._progress())  # with the outcomes of the last calls
        self._observer.check_cancelled()
        for key in list(self._open):
            self._close(key)
        keys = [(region, project_id) for region, project_id, _ in self._ledger.scopes()]
        shared = {key: limit for limit in self._limits.shared() for key in limit.scopes}
        ends = {key: self._ends.get(key) or self._end_of_unopened(key) for key in keys}
        return {
            key: end._replace(shared_limit=shared[key].limit, shared_used=shared[key].used) if key in shared else end
            for key, end in ends.items()
        }

    def _end_of_unopened(self, key: ScopeKey) -> ScopeEnd:
        reason = self._out_of_time
        return ScopeEnd() if reason is None or not self._has_pending(key) else ScopeEnd(str(reason), reason.exit_code)

    def _progress(self) -> Progress:
        pause = max((scope.lane.pause for scope in self._open.values()), default=(0.0, ""))
        return Progress(
            done=self._done_before + self._statuses.total(),
            total=self._total,
            calls=self._calls,
            statuses=self._statuses,
            paused_for=pause[0],
            paused_by=pause[1],
        )


def _to_microseconds(started: str | None) -> int:
    return 0 if started is None else int(datetime.fromisoformat(started).timestamp()) * 1_000_000
