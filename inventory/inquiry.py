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
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from inventory import pool
from inventory.batch import Batch, Group
from inventory.client import Client
from inventory.descriptors import connections
from inventory.errors import OutOfTimeError
from inventory.scope import Scope
from inventory.watch import Progress
from inventory.wire import open_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import aiohttp

    from inventory.auth import Credential
    from inventory.credentials import Account
    from inventory.ledger import Ledger, ScopeCount
    from inventory.outcome import Outcome
    from inventory.settings import ExportSettings
    from inventory.throttle import Throttle
    from inventory.watch import Watch

TICK_SECONDS: Final = 0.25
GRACE_SECONDS: Final = 1.0
"""How long calls in flight may take to end after a signal."""


async def ask(
    ledger: Ledger,
    settings: ExportSettings,
    account: Account,
    watch: Watch,
    throttles: Mapping[tuple[str, str], Throttle] = MappingProxyType({}),
    *,
    began: float | None = None,
) -> dict[tuple[str, str], Scope]:
    """Asks for every URN that has no outcome; returns the scopes, each with what it learnt.

    Args:
        ledger: what to ask for, and where the outcomes go.
        settings: how.
        account: who asks.
        watch: is told how far it is, and may stop it.
        throttles: what the listing of the functions has learnt of the scopes' paces.
        began: when the run began, on the monotonic clock; now, if it is not said.

    Raises:
        InterruptedRunError: a signal came; what was answered is in the ledger.
        OutputError: the ledger cannot be written.
    """
    async with open_session(settings.timeout) as session:
        inquiry = _Inquiry(ledger, settings, watch)
        lanes = [
            inquiry.lane(count, session, account.credential(session, count.region, count.project_id))
            for count in ledger.scopes()
        ]
        for scope, earlier in throttles.items():
            if scope in inquiry.scopes:
                inquiry.scopes[scope].throttle.go_on_from(earlier)
        seconds = math.inf if settings.max_time is None else settings.max_time
        await inquiry.run(lanes, (time.monotonic() if began is None else began) + seconds)
    return inquiry.scopes


_Job = tuple[str, Group | None]


class _Inquiry:
    def __init__(self, ledger: Ledger, settings: ExportSettings, watch: Watch) -> None:
        self.scopes: dict[tuple[str, str], Scope] = {}
        self._ledger = ledger
        self._settings = settings
        self._watch = watch
        self._total = ledger.count_urns()
        self._done_before = ledger.count_settled()
        self._statuses: Counter[str] = Counter()
        self._calls = 0

    def lane(self, count: ScopeCount, session: aiohttp.ClientSession, credential: Credential) -> pool.Lane[_Job]:
        """The lane of one scope: its pending URNs, and how each is settled."""
        settings = self._settings.for_scope(count.region, count.project_id)
        client = Client(session, settings.endpoint_for(count.region), count.project_id, credential)

        def count_call(operation: str, http_status: int) -> None:
            self._calls += 1
            self._ledger.count_call(count.region, count.project_id, operation, http_status)

        scope = Scope(
            client.show_async_invoke_config,
            credential,
            settings,
            count_call=count_call,
            was_welcome=self._ledger.was_welcome(count.region, count.project_id),
        )
        self.scopes[count.region, count.project_id] = scope

        batch = Batch(
            scope,
            client.list_async_invoke_configs,
            note_listed=self._ledger.note_listed,
            was_listed=self._ledger.was_listed,
            keep=self._keep,
        )

        def jobs() -> Iterator[_Job]:
            urns = self._ledger.pending(count.region, count.project_id)
            for job in batch.jobs(urns) if settings.batch else ((urn, None) for urn in urns):
                if scope.closed or self._watch.signal_number is not None:
                    return
                yield job

        async def settle(job: _Job) -> None:
            await batch.settle(*job)

        return pool.Lane(jobs(), settle, settings.max_workers)

    async def _keep(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._statuses[outcome.status] += 1
            self._ledger.record(outcome)
        await asyncio.sleep(0)  # the other answers of this moment join the commit
        self._ledger.commit()

    async def run(self, lanes: list[pool.Lane[_Job]], deadline: float) -> None:
        """Works the lanes off; commits and tells the watcher a few times a second."""
        workers = asyncio.create_task(pool.run(lanes, connections(self._settings.max_workers)))
        try:
            while not workers.done():
                await asyncio.wait({workers}, timeout=TICK_SECONDS)
                self._ledger.commit()
                self._watch.asking(self._progress())
                if self._watch.signal_number is not None or time.monotonic() >= deadline:
                    for scope in self.scopes.values():
                        scope.close()
                    await asyncio.wait({workers}, timeout=GRACE_SECONDS)
                    break
            if workers.done():
                workers.result()
        finally:
            workers.cancel()
            await asyncio.wait({workers})
            self._ledger.commit()
        self._watch.check()
        for place, scope in self.scopes.items():
            if scope.closed and scope.stopped is None and next(self._ledger.pending(*place), None) is not None:
                scope.stop(OutOfTimeError(f"out of time: the {self._settings.max_time:g} s of --max-time are over"))
            scope.conclude()

    def _progress(self) -> Progress:
        return Progress(
            done=self._done_before + self._statuses.total(),
            total=self._total,
            calls=self._calls,
            statuses=self._statuses,
            paused_for=max((scope.throttle.paused_for for scope in self.scopes.values()), default=0.0),
        )
