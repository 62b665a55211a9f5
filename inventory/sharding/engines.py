"""Engines: each runs the command of a shard and reports how it ended."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
import sys
import tempfile
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.errors import ExitCode, OutputError, UsageError
from inventory.runs.shard_files import shard_path
from inventory.runs.shard_plan import VERSIONS
from inventory.scheduling.commands import STOP_SECONDS, Conversation, ask_once, run_command
from inventory.scheduling.machine import count_cores

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from inventory.runs.shard_plan import Plan, Shard
    from inventory.sharding.plan import Sharding

    Engine = Callable[[str, Plan, Sharding, Mapping[str, str]], AbstractAsyncContextManager["Pool"]]

_CONNECT_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.5
DECIDED: Final = (ExitCode.ANSWERED, ExitCode.SOME_FAILED, ExitCode.CREDENTIALS, ExitCode.STOPPED)
"""Exit codes after which a shard is not run again in this session, if it is delivered."""


class Ended(NamedTuple):
    """How a command ended: its exit code, negative for a signal, and its last message."""

    code: int
    message: str


class Pool(NamedTuple):
    """Processes that wait for shards.

    Attributes:
        size: how many work at the same time.
        run: fetches a shard; when cancelled, it stops the command and waits for its delivery.
        attempts: runs of a shard that fails; an engine may repeat each itself.
    """

    size: int
    run: Callable[[Shard, Sequence[str]], Awaitable[Ended]]
    attempts: int = 3


def shard_command(place: str, number: int, arguments: Sequence[str]) -> list[str]:
    """The command that fetches one shard; it ends when its standard input does."""
    common = ("--quiet", "--log-format", "json", "--more-from-stdin")
    return [sys.executable, "-m", "inventory", "shard", place, str(number), *common, *arguments]


@asynccontextmanager
async def processes(place: str, _plan: Plan, sharding: Sharding, environment: Mapping[str, str]) -> AsyncIterator[Pool]:
    """Commands on this machine."""
    size = sharding.processes or count_cores()
    slots, own = asyncio.Semaphore(size), {**os.environ, **environment}
    idle: list[tuple[Conversation, Sequence[str]]] = []  # commands, and the arguments that they were started with

    async def run(shard: Shard, arguments: Sequence[str]) -> Ended:
        async with slots:
            command, started_with = idle.pop() if idle else (None, ())
            if command is not None and started_with != arguments:
                await command.end()
                command = None
            line = "" if command is None else f"{shard.number}\n"
            command = command or await Conversation.start(shard_command(place, shard.number, arguments), own)
            try:
                code = await command.ask(line)
            except asyncio.CancelledError:
                await command.end(at_once=True)
                raise
            if not code:
                return Ended(*await command.end())
            idle.append((command, arguments))
            return Ended(int(code), "")

    try:
        yield Pool(size, run)
    finally:
        await asyncio.gather(*(command.end() for command, _ in idle))


@asynccontextmanager
async def dask(place: str, plan: Plan, sharding: Sharding, environment: Mapping[str, str]) -> AsyncIterator[Pool]:
    """Tasks of Dask: on the workers of a scheduler, or on workers that are started on this machine."""
    try:
        library = _load("dask")
        library.config.set(logging=dict.fromkeys(("distributed", "distributed.client"), "critical"))
        distributed = _load("distributed")
    except ImportError:
        raise UsageError("this engine needs Dask: python -m pip install 'functiongraph-inventory[dask]'") from None
    address = sharding.scheduler or library.config.get("scheduler-address", None)
    async with AsyncExitStack() as stack:
        is_here = address is None
        if address is None:
            address = await stack.enter_async_context(_dask_cluster(sharding.processes, environment))
        try:
            client = distributed.Client(address, asynchronous=True, set_as_default=False, timeout=_CONNECT_SECONDS)
            await stack.enter_async_context(client)
            await client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
            resources = await _check_dask_workers(client, plan)
        except (OSError, ValueError, TimeoutError) as error:
            raise UsageError(f"the scheduler {address} cannot be used: {error}") from None
        stop = distributed.Event(f"inventory-{uuid.uuid4()}", client=client)

        async def run(shard: Shard, arguments: Sequence[str]) -> Ended:
            task = (place, shard.number, stop.name, tuple(arguments), is_here)
            work = asyncio.ensure_future(_run_dask_task(client, shard, task, resources))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                await stop.set()
                await asyncio.wait({work}, timeout=STOP_SECONDS)
                raise

        yield Pool(sum((await client.nthreads()).values()), run, attempts=1)


async def _check_dask_workers(client: Any, plan: Plan) -> set[str]:  # noqa: ANN401 - as below
    """Checks the versions of all workers; returns the resources that they declare. A worker may be lost meanwhile."""
    await client.get_versions(check=True)
    resources: set[str] = set()
    for worker, answer in (await client.run(_describe_dask_worker, on_error="return")).items():
        if isinstance(answer, OSError):
            continue
        if not isinstance(answer, tuple):
            raise UsageError(f"worker {worker} cannot load inventory: {answer}")
        plan.check_versions(f"worker {worker}", answer[0])
        resources.update(answer[1])
    return resources


def _load(name: str) -> Any:  # noqa: ANN401 - a module without types, of an extra
    return importlib.import_module(name)


def _describe_dask_worker(dask_worker: Any) -> tuple[dict[str, str], list[str]]:  # noqa: ANN401 - as above
    return VERSIONS, [*dask_worker.state.total_resources]


async def _run_dask_task(
    client: Any,  # noqa: ANN401 - a class without types, of an extra
    shard: Shard,
    task: tuple[object, ...],
    resources: set[str],
) -> Ended:
    """Runs the task of a shard; while workers have no credential, on another one."""
    refused: set[str] = set()
    while True:
        workers, resource = set(await client.nthreads()), f"account:{shard.account}"
        future = client.submit(
            run_on_dask_worker,
            *task,
            key=f"shard-{shard.number:05}-{uuid.uuid4()}",
            retries=3,
            resources={resource: 1} if resource in resources else None,
            workers=sorted(workers - refused) if refused else None,
        )
        error = await future.exception()
        if isinstance(error, _ShardFailedError):
            return Ended(*error.args)
        if client.status != "running" or future.status == "cancelled":
            raise OutputError(
                f"the scheduler or its workers are gone ({error or future.status}); continue with --resume"
            )
        if error is not None:
            return Ended(ExitCode.BUG, f"{type(error).__name__}: {error}")
        code, message, worker = await future
        refused.add(worker)
        if not (code == ExitCode.CREDENTIALS and message) or refused >= workers:
            return Ended(code, message)


class _ShardFailedError(Exception):
    """A command failed, and Dask runs the task again; its arguments are those of :class:`Ended`."""


def run_on_dask_worker(
    place: str,
    number: int,
    stop: str,
    arguments: tuple[str, ...],
    is_here: bool,  # noqa: FBT001 - Dask passes positions
) -> tuple[int, str, str]:
    """The task: runs the command of a shard, on one worker at a time; returns code, message and worker.

    It stops when its event is set, or the scheduler has cancelled it, because the process that waits is gone.
    """
    distributed = _load("distributed")
    worker, event = distributed.get_worker(), distributed.Event(stop)
    task = worker.state.tasks[worker.get_current_task()]

    def is_stopped() -> bool:
        return bool(task.state == "cancelled" or event.is_set())

    lease = distributed.Semaphore(1, f"inventory-{place}-{number}")
    while not lease.acquire(timeout=_POLL_SECONDS):
        if is_stopped():
            return (*Ended(ExitCode.SIGTERM, ""), worker.address)
    folder = Path(worker.local_directory) / f"inventory-{uuid.uuid5(uuid.NAMESPACE_URL, place)}"
    more = () if is_here else ("--work-dir", str(folder))
    try:
        end = Ended(*asyncio.run(ask_once(shard_command(place, number, (*arguments, *more)), is_stopped)))
    finally:
        lease.release()
    if end.code in DECIDED:  # delivered
        shutil.rmtree(folder / shard_path(number), ignore_errors=True)
    elif not is_stopped():
        raise _ShardFailedError(*end)
    return (*end, worker.address)


@asynccontextmanager
async def _dask_cluster(processes: int | None, environment: Mapping[str, str]) -> AsyncIterator[str]:
    """Starts a scheduler and workers as commands, which end when this process is gone; yields the address."""
    own = {"DASK_DISTRIBUTED__SCHEDULER__LOCKS__LEASE_TIMEOUT": "10s", **os.environ, **environment}
    streams = dict.fromkeys(("stdin", "stderr"), asyncio.subprocess.DEVNULL)
    with tempfile.TemporaryDirectory(prefix="inventory-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "scheduler.json"
        scheduler = "scheduler --host 127.0.0.1 --port 0 --dashboard-address 127.0.0.1:0 --idle-timeout 30s"
        worker = f"worker --nworkers {processes or count_cores()} --nthreads 1 --no-dashboard --death-timeout 30"
        commands = (scheduler.split(), [*worker.split(), "--local-directory", folder])
        tasks = [
            asyncio.ensure_future(
                run_command([sys.executable, "-m", "dask", *command, "--scheduler-file", str(file)], env=own, **streams)
            )
            for command in commands
        ]
        tasks[1].add_done_callback(lambda _: tasks[0].cancel())  # without workers, a scheduler waits forever
        try:
            while not file.exists():
                if tasks[0].done():
                    raise UsageError("the scheduler of Dask ended at its start; try python -m dask scheduler")
                await asyncio.sleep(_POLL_SECONDS)
            yield str(json.loads(file.read_text())["address"])
        finally:
            for task in reversed(tasks):  # workers close sooner while their scheduler answers
                task.cancel()
                await asyncio.wait({task})


ENGINES: Final[dict[str, Engine]] = {
    "processes": processes,
    "dask": dask,
}
"""Each engine by the name that ``--engine`` accepts."""
DEFAULT: Final = "processes"
"""The engine of a run that was planned without one."""


def find_engine(name: str) -> Engine:
    """The engine of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in ENGINES:
        raise UsageError(f"--engine {name!r} is no engine; give one of {', '.join(ENGINES)}")
    return ENGINES[name]
