"""Runs the shards of a plan on an engine: credentials, attempts, progress."""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Final

from inventory.errors import ExitCode, LedgerUnusableError, OutputError
from inventory.ledger.database import is_in_use
from inventory.runs.delivery import Delivered, collect
from inventory.runs.shard_files import shard_ledgers
from inventory.runs.shard_progress import ShardProgress, read_progress, remove_progress, sum_progress
from inventory.scheduling.threads import run_in_thread
from inventory.sharding.engines import DECIDED, Ended
from inventory.sharding.plan import credential_of
from inventory.storage.folder_store import FolderStore

if TYPE_CHECKING:
    from pathlib import Path

    from inventory.progress import ProgressObserver
    from inventory.runs.shard_plan import Place, Plan, Shard
    from inventory.sharding.engines import Pool
    from inventory.sharding.plan import Credential

_TICK_SECONDS, _PATIENCE = 0.25, 40  # ticks
_PAUSE_SECONDS: Final = 1.0  # before the second attempt; tripled before the third


class Coordinator:
    """The shards of a plan: what is delivered, and what an engine has to run.

    The first shard of each credential goes alone until the service has accepted a call, or the shard has ended.

    Attributes:
        delivered: checked ledgers, by number of the shard.
        failed: the last end of each shard that failed in all attempts, or whose delivery is rejected.
    """

    def __init__(
        self, plan: Plan, place: Place, folder: Path, observer: ProgressObserver, *, has_bodies: bool = True
    ) -> None:
        self.plan, self.observer = plan, observer
        self.delivered: dict[int, Delivered] = {}
        self.failed: dict[int, Ended] = {}
        self._place, self._folder, self._has_bodies = place, folder, has_bodies
        settings = plan.export_settings()
        self._credentials = [credential_of(settings, shard.account) for shard in plan.shards]
        self._first: dict[Credential, int] = {}
        self._is_proven: defaultdict[Credential, asyncio.Event] = defaultdict(asyncio.Event)
        self._refused: set[Credential] = set()
        self._running: set[int] = set()
        self._progress: dict[int, ShardProgress] = {}

    def ledgers(self) -> dict[tuple[str, str], Path]:
        """The delivered ledgers by scope."""
        return {scope[:2]: own.path for n, own in self.delivered.items() for scope in self.plan.shards[n].scopes}

    @property
    def attempts(self) -> int:
        """Sessions of all shards."""
        return sum(own.attempts for own in self.delivered.values())

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to fetch."""
        return len(self.delivered) == len(self.plan.shards) and all(own.is_complete for own in self.delivered.values())

    async def collect(self) -> None:
        """Checks what is delivered already, after the processes of an earlier coordinator have ended."""
        for _ in range(_PATIENCE):
            if not any(map(is_in_use, shard_ledgers(self._folder))):
                break
            self.observer.check_cancelled()
            await asyncio.sleep(_TICK_SECONDS)
        for shard in self.plan.shards:
            try:
                await self._collect(shard)
            except LedgerUnusableError as error:
                self.failed[shard.number] = Ended(error.exit_code, str(error))

    async def _collect(self, shard: Shard) -> Delivered | None:
        self.delivered.pop(shard.number, None)
        check = partial(collect, has_bodies=self._has_bodies)
        own = await run_in_thread(check, self._place, shard, self.plan.run, self._folder, self.observer.check_cancelled)
        if own is not None:
            self.delivered[shard.number] = own
        return own

    async def run(self, pool: Pool, endpoint_share: float | None, deadline: float) -> None:
        """Runs the shards that are not complete.

        Args:
            pool: the processes of an engine.
            endpoint_share: of each process; None: equal shares.
            deadline: on the monotonic clock.

        Raises:
            InterruptedRunError: the run was cancelled, and all shards have delivered.
        """
        complete = {number for number, own in self.delivered.items() if own.is_complete}
        waiting = [shard for shard in self.plan.shards if shard.number not in complete]
        await run_in_thread(remove_progress, self._place, [shard.number for shard in waiting])
        share = endpoint_share or 1 / max(1, min(pool.size, len(waiting)))
        work = asyncio.ensure_future(self._run_all(waiting, pool, share, deadline))
        watching = asyncio.ensure_future(self._watch())
        try:
            while not work.done() and self.observer.signal_number is None:
                await asyncio.wait({work, watching}, timeout=_TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                self.observer.on_fetch(sum_progress(self.plan, self.delivered, self._progress, self._running))
                if watching.done():
                    watching.result()
            if work.done():
                work.result()
        finally:
            work.cancel()
            watching.cancel()
            await asyncio.wait({work, watching})
        self.observer.check_cancelled()

    async def _run_all(self, shards: list[Shard], pool: Pool, share: float, deadline: float) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for shard in shards:
                    group.create_task(self._run(shard, pool, share, deadline))
        except ExceptionGroup as group:  # where the engine is gone, one error for each shard
            raise group.exceptions[0] from None

    async def _run(self, shard: Shard, pool: Pool, share: float, deadline: float) -> None:
        credential = self._credentials[shard.number]
        if self._first.setdefault(credential, shard.number) != shard.number:
            await self._is_proven[credential].wait()
        if credential in self._refused:
            return
        try:
            end = 0
            for attempt in range(pool.attempts):
                await asyncio.sleep(_PAUSE_SECONDS * (2**attempt - 1))
                end = await self._attempt(shard, pool, share, deadline)
                if shard.number not in self.failed or end == ExitCode.CREDENTIALS:
                    break
            own = self.delivered.get(shard.number)
            has_no_credential = end == ExitCode.CREDENTIALS and shard.number in self.failed
            if has_no_credential or (own is not None and own.is_refused):
                self._refused.add(credential)
        finally:
            self._is_proven[credential].set()

    async def _attempt(self, shard: Shard, pool: Pool, share: float, deadline: float) -> int:
        arguments = ["--endpoint-share", repr(share)]
        if deadline != math.inf:
            arguments += ["--max-time", f"{max(deadline - time.monotonic(), 0.001):.3f}"]
        if not isinstance(self._place, FolderStore):
            arguments += ["--work-dir", str(self._folder)]
        self._running.add(shard.number)
        try:
            end = await pool.run(shard, arguments)
            await self._read_progress()
        finally:
            self._running.discard(shard.number)
        await run_in_thread(remove_progress, self._place, [shard.number])
        try:
            own = await self._collect(shard)
        except OutputError as error:
            own, end = None, Ended(error.exit_code, str(error))
        if own is not None and own.is_recorded and end.code in DECIDED:
            self.failed.pop(shard.number, None)
        else:
            self.failed[shard.number] = end._replace(message=end.message or f"its process ended with {end.code}")
        return end.code

    async def _watch(self) -> None:
        while True:
            await self._read_progress()
            await asyncio.sleep(2 * _TICK_SECONDS)

    async def _read_progress(self) -> None:
        reports = await run_in_thread(read_progress, self._place)
        self._progress |= {number: report for number, report in reports.items() if number in self._running}
        for number, report in self._progress.items():
            if report.is_accepted:
                self._is_proven[self._credentials[number]].set()
