"""The asking: every pending URN of the ledger goes through the pool, and its outcome back into the ledger.

Owns how scopes, pool and ledger work together, and the bound on what a kill can cost: a worker's outcome is committed
before it asks again, so calls in flight and outcomes not yet committed are together never more than ``--max-workers``.
Knows no HTTP and no table.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.cloud.client import Client
from inventory.cloud.transport import open_session
from inventory.errors import OutOfTimeError
from inventory.ledger.reader import STARTED
from inventory.pipeline.batch import BatchFetcher, FunctionGroup
from inventory.pipeline.scope import Scope
from inventory.pipeline.second_opinion import UrnFetcher
from inventory.progress import Progress
from inventory.scheduling import worker_pool
from inventory.scheduling.connection_limit import connections

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import aiohttp

    from inventory.cloud.accounts import CredentialProvider
    from inventory.cloud.credentials import Credential
    from inventory.errors import ExitCode, RateLimit
    from inventory.ledger.writer import Ledger
    from inventory.outcome import Outcome
    from inventory.progress import ProgressObserver
    from inventory.scheduling.throttle import Throttle
    from inventory.settings import ExportSettings

TICK_SECONDS: Final = 0.25
GRACE_SECONDS: Final = 1.0
"""How long calls in flight may take to end after a signal."""


class ScopeEnd(NamedTuple):
    """How a scope ended.

    Attributes:
        stopped: why it stopped, in words; None where it did not.
        exit_code: of that.
        limit: the limit that it learnt, or None.
        used: which part of the limit was used; None where that cannot be told.
    """

    stopped: str | None = None
    exit_code: ExitCode | None = None
    limit: RateLimit | None = None
    used: float | None = None


async def fetch_configs(
    ledger: Ledger,
    settings: ExportSettings,
    account: CredentialProvider,
    observer: ProgressObserver,
    throttles: Mapping[tuple[str, str], Throttle] = MappingProxyType({}),
    *,
    began: float | None = None,
) -> dict[tuple[str, str], ScopeEnd]:
    """Asks for every URN that has no outcome; returns how each scope ended.

    Args:
        ledger: what to ask for, and where the outcomes go.
        settings: how.
        account: who asks.
        observer: is told how far it is, and may stop it.
        throttles: what the listing of the functions has learnt of the scopes' paces.
        began: when the run began, on the monotonic clock; now, if it is not said.

    Raises:
        InterruptedRunError: a signal came; what was answered is in the ledger.
        OutputError: the ledger cannot be written.
    """
    async with open_session(settings.timeout, settings.ca_bundle) as session:
        inquiry = _Inquiry(ledger, settings, observer)
        seconds = math.inf if settings.max_time is None else settings.max_time
        lanes = inquiry.lanes(session, account, throttles)
        return await inquiry.run(lanes, (time.monotonic() if began is None else began) + seconds)


_Job = tuple[str, FunctionGroup | None]


def _microseconds(started: str | None) -> int:
    return 0 if started is None else int(datetime.fromisoformat(started).timestamp()) * 1_000_000


class _Inquiry:
    """The scopes are opened when a worker comes to them, and only their ends are kept."""

    def __init__(self, ledger: Ledger, settings: ExportSettings, observer: ProgressObserver) -> None:
        self._open: dict[tuple[str, str], Scope] = {}
        self._ends: dict[tuple[str, str], ScopeEnd] = {}
        self._out_of_time: OutOfTimeError | None = None
        self._ledger = ledger
        self._settings = settings
        self._observer = observer
        self._began = _microseconds(ledger.fact(STARTED))
        self._total = ledger.count_urns()
        self._done_before = ledger.count_settled()
        self._statuses: Counter[str] = Counter()
        self._calls = 0

    def lanes(
        self, session: aiohttp.ClientSession, account: CredentialProvider, throttles: Mapping[tuple[str, str], Throttle]
    ) -> Iterator[worker_pool.Lane[_Job]]:
        """The lane of each scope."""
        for region, project_id, urns in self._ledger.scopes():
            if self._is_over:
                return
            credential = account.credential(session, region, project_id)
            throttle = throttles.get((region, project_id))
            yield self._lane((region, project_id), urns, session, credential, throttle)

    @property
    def _is_over(self) -> bool:
        return self._observer.signal_number is not None or self._out_of_time is not None

    def _lane(
        self,
        place: tuple[str, str],
        total: int,
        session: aiohttp.ClientSession,
        credential: Credential,
        throttle: Throttle | None,
    ) -> worker_pool.Lane[_Job]:
        """The lane of one scope: its pending URNs, and how each is settled."""
        region, project_id = place
        settings = self._settings.for_scope(region, project_id)
        client = Client(session, settings.endpoint_for(region), project_id, credential)

        scope = self._opened(place, client, credential, settings)
        if throttle is not None:
            scope.throttle.continue_from(throttle)
        urn_fetcher = UrnFetcher(
            scope,
            client.list_functions,
            elsewhere=lambda: self._ledger.pending_samples(*place),
            keep=self._keep,
            was_accepted=self._ledger.has_success(*place),
        )
        batch = BatchFetcher(
            scope,
            urn_fetcher,
            client.list_async_invoke_configs,
            note_listed=self._ledger.record_listed,
            was_listed=self._ledger.is_listed,
            keep=self._keep,
        )

        def jobs() -> Iterator[_Job]:
            urns = self._ledger.pending(*place)
            for job in batch.jobs(urns, total) if settings.batch else ((urn, None) for urn in urns):
                if scope.is_closed or self._is_over:
                    return
                yield job

        async def settle(job: _Job) -> None:
            await batch.fetch(*job)

        return worker_pool.Lane(jobs(), settle, settings.max_workers, lambda: self._close(place))

    def _opened(
        self, place: tuple[str, str], client: Client, credential: Credential, settings: ExportSettings
    ) -> Scope:
        def count_call(operation: str, http_status: int) -> None:
            self._calls += 1
            self._ledger.count_call(*place, operation, http_status)

        self._open[place] = scope = Scope(
            client.show_async_invoke_config,
            credential,
            settings,
            count_call=count_call,
            was_accepted=self._ledger.has_success(*place),
            has_second_opinion=True,
        )
        return scope

    def _close(self, place: tuple[str, str]) -> None:
        """Keeps how a scope ended, and nothing else of it."""
        scope = self._open.pop(place)
        scope.conclude()
        if scope.stopped is None and self._out_of_time is not None and self._is_left(place):
            scope.stop(self._out_of_time)
        why = scope.stopped
        words, code = (None, None) if why is None else (str(why), why.exit_code)
        self._ends[place] = ScopeEnd(words, code, scope.throttle.pace.limit, scope.throttle.used)

    def _is_left(self, place: tuple[str, str]) -> bool:
        return next(self._ledger.pending(*place), None) is not None

    async def _keep(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._statuses[outcome.status] += 1
            if outcome.finished_at < self._began:  # the clock went back
                outcome = outcome._replace(finished_at=self._began)  # noqa: PLW2901 - the same outcome
            self._ledger.record(outcome)
        await asyncio.sleep(0)  # the other answers of this moment join the commit
        self._ledger.commit()

    async def run(self, lanes: Iterator[worker_pool.Lane[_Job]], deadline: float) -> dict[tuple[str, str], ScopeEnd]:
        """Works the lanes off; commits and tells the watcher a few times a second."""
        workers = asyncio.create_task(worker_pool.run(lanes, connections(self._settings.max_workers)))
        try:
            while not workers.done():
                await asyncio.wait({workers}, timeout=TICK_SECONDS)
                self._ledger.commit()
                self._observer.on_fetch(self._progress())
                if time.monotonic() >= deadline and not workers.done():
                    seconds = self._settings.max_time
                    self._out_of_time = OutOfTimeError(f"out of time: the {seconds:g} s of --max-time are over")
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
            self._ledger.commit()
        self._observer.check_cancelled()
        for place in list(self._open):
            self._close(place)
        return {place: self._ends.get(place) or self._unopened(place) for place in self._places()}

    def _places(self) -> Iterator[tuple[str, str]]:
        return ((region, project_id) for region, project_id, _ in self._ledger.scopes())

    def _unopened(self, place: tuple[str, str]) -> ScopeEnd:
        """The end of a scope that no worker came to."""
        why = self._out_of_time
        return ScopeEnd() if why is None or not self._is_left(place) else ScopeEnd(str(why), why.exit_code)

    def _progress(self) -> Progress:
        return Progress(
            done=self._done_before + self._statuses.total(),
            total=self._total,
            calls=self._calls,
            statuses=self._statuses,
            paused_for=max((scope.throttle.paused_for for scope in self._open.values()), default=0.0),
        )
