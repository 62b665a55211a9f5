"""Runs in shards whose processes are coroutines of this loop, so that a test starts no interpreter."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from support.runs import TOKEN

from inventory.errors import InventoryError
from inventory.pipeline.discover import Discovery
from inventory.progress import ProgressObserver
from inventory.runs.output import Output
from inventory.runs.shard_plan import read_plan
from inventory.settings import ExportSettings
from inventory.settings_sources.checks import check_settings
from inventory.sharding import engines
from inventory.sharding.engines import Ended, Pool
from inventory.sharding.export import export_in_shards, gather
from inventory.sharding.plan import Sharding
from inventory.sharding.shard import ShardOptions, run_shards
from inventory.sources.files import Source
from inventory.storage.folder_store import open_store

ENVIRONMENT = {"HW_AUTH_TOKEN": TOKEN}


async def fetch(place, *numbers, work_dir=None, observer=None, environment=ENVIRONMENT, **options):
    """Does what ``inventory shard`` does; returns its exit code and message."""
    store = open_store(str(place), environment)
    try:
        code = await run_shards(
            store,
            read_plan(store),
            numbers,
            ShardOptions(work_dir, **options),
            environment=environment,
            observer=observer or ProgressObserver(),
        )
    except InventoryError as error:
        return Ended(int(error.exit_code), str(error))
    return Ended(int(code), "")


class Engine:
    """An engine of coroutines.

    Attributes:
        size: of its pool.
        started: numbers of the shards, in the order of their starts.
        before: called with number and attempt; may end an attempt with an :class:`Ended`.
    """

    def __init__(self, size=2, before=lambda _number, _attempt: None, work_dir=None, environment=ENVIRONMENT):
        self.size, self.before, self.work_dir, self.environment = size, before, work_dir, environment
        self.started, self.arguments, self.most = [], [], 0
        self._at_work = 0

    @contextlib.asynccontextmanager
    async def __call__(self, place, _plan, _sharding, _environment):
        slots = asyncio.Semaphore(self.size)

        async def run(shard, arguments):
            number = shard.number
            async with slots:
                self.started.append(number)
                self.arguments.append([*arguments])
                self._at_work += 1
                self.most = max(self.most, self._at_work)
                try:
                    return await self._run(place, number)
                finally:
                    self._at_work -= 1

        yield Pool(self.size, run)

    async def _run(self, place, number):
        if (end := self.before(number, self.started.count(number))) is not None:
            return end
        observer = ProgressObserver()
        work = asyncio.ensure_future(
            fetch(place, number, work_dir=self.work_dir, observer=observer, environment=self.environment)
        )
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            observer.cancel(15)
            await asyncio.wait({work})
            raise


@contextlib.contextmanager
def engine(own=None):
    """Makes an engine available as ``--engine here``."""
    own = own or Engine()
    engines.ENGINES["here"] = own
    try:
        yield own
    finally:
        del engines.ENGINES["here"]


async def export_sharded(
    source, output, *, mode="new", own=None, observer=None, sharding=None, environment=ENVIRONMENT, **settings
):
    """Runs an export in shards in this loop, with no cap on the pace unless one is given."""
    settings = check_settings(ExportSettings(**{"max_per_second": 0.0, "format": ("parquet", "csv"), **settings}))
    sources = source if isinstance(source, Discovery) else [] if source is None else [Source(str(source))]
    place = output if isinstance(output, Output) else Output(Path(output))
    with engine(own):
        return await export_in_shards(
            sources,
            place,
            settings,
            Sharding("here", **(sharding or {})),
            mode=mode,
            environment=environment,
            observer=observer or ProgressObserver(),
        )


async def plan_only(source, output, *, urns_per_shard=30, environment=None, **settings):
    """Makes the plan of a run; returns it."""
    settings = check_settings(ExportSettings(**{"max_per_second": 0.0, "format": ("parquet", "csv"), **settings}))
    return await export_in_shards(
        [Source(str(source))],
        output if isinstance(output, Output) else Output(Path(output)),
        settings,
        Sharding(None, urns_per_shard=urns_per_shard),
        mode="new",
        environment=environment or {},
        observer=ProgressObserver(),
    )


async def gathered(output, environment=ENVIRONMENT):
    """Does what ``inventory gather`` does."""
    place = output if isinstance(output, Output) else Output(Path(output))
    return await gather(place, environment, ProgressObserver())


def tables_of(folder):
    """The bytes of the tables that are the same after every run of the same list, in one file or in parts."""
    names = ("functions", "destinations", "rejects", "function_facts", "aliases")
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*.*")) if path.suffix in {".parquet", ".csv"})
    kept = [path for path in paths if path.parts[0].split("-")[0].split(".")[0] in names]
    return {path.as_posix(): (folder / path).read_bytes() for path in kept}
