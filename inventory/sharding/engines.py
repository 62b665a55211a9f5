"""Engines: each runs the command of a shard and reports how it ended."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

STOP_SECONDS: Final = 30.0
"""Time for a process to deliver after a signal; then it is killed."""
_MAX_STDERR: Final = 64 * 1024


class Ended(NamedTuple):
    """How a command ended: its exit code, negative for a signal, and its last message."""

    code: int
    message: str


class EngineOptions(NamedTuple):
    """What an engine needs.

    Attributes:
        place: address of the plan.
        processes: at the same time; None: one for each core.
        scheduler: address of a running scheduler; None: the engine starts what it needs on this machine.
        environment: of the commands on this machine.
    """

    place: str
    processes: int | None
    scheduler: str | None
    environment: Mapping[str, str]


class Pool(NamedTuple):
    """Processes that wait for shards.

    Attributes:
        size: how many work at the same time.
        run: fetches the shard of a number; when cancelled, it stops the command and waits for its delivery.
    """

    size: int
    run: Callable[[int, Sequence[str]], Awaitable[Ended]]


def shard_command(place: str, number: int, arguments: Sequence[str]) -> list[str]:
    """The command that fetches one shard."""
    common = ("--quiet", "--log-format", "json")
    return [sys.executable, "-m", "inventory", "shard", place, str(number), *common, *arguments]


@asynccontextmanager
async def processes(options: EngineOptions) -> AsyncIterator[Pool]:
    """Commands on this machine. They stop when this process ends, however it ends."""
    size = options.processes or _cores()
    slots = asyncio.Semaphore(size)
    alive, ours = os.pipe()  # the commands read its end when this process is gone

    async def run(number: int, arguments: Sequence[str]) -> Ended:
        async with slots:
            process = await asyncio.create_subprocess_exec(
                *shard_command(options.place, number, (*arguments, "--until-stdin-ends")),
                stdin=alive,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, **options.environment},
                start_new_session=True,  # the signals of a terminal reach it through this process, once
            )
            return await _watch(process)

    try:
        yield Pool(size, run)
    finally:
        os.close(ours)
        os.close(alive)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


async def _watch(process: asyncio.subprocess.Process) -> Ended:
    assert process.stderr is not None  # noqa: S101 - a pipe
    reading = asyncio.ensure_future(_last_line(process.stderr))
    try:
        await asyncio.wait({reading})
        return Ended(await process.wait(), reading.result())
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.terminate()
        done, _ = await asyncio.wait({reading}, timeout=STOP_SECONDS)
        if not done:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        raise


async def _last_line(stream: asyncio.StreamReader) -> str:
    content = b""
    while block := await stream.read(_MAX_STDERR):
        content = (content + block)[-_MAX_STDERR:]
    return last_message(content)


def last_message(stderr: bytes) -> str:
    """The last message of a command on stderr, as text."""
    lines = stderr.decode(errors="replace").split("\n")
    line = next((line for line in reversed(lines) if line.strip()), "")
    try:
        document: Any = json.loads(line)
        return str(document["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return line


ENGINES: Final[dict[str, Callable[[EngineOptions], AbstractAsyncContextManager[Pool]]]] = {"processes": processes}
"""Each engine by the name that ``--engine`` accepts."""


DEFAULT: Final = "processes"
"""The engine of a run that was planned without one."""


def find_engine(name: str) -> Callable[[EngineOptions], AbstractAsyncContextManager[Pool]]:
    """The engine of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in ENGINES:
        raise UsageError(f"--engine {name!r} is no engine; give one of {', '.join(ENGINES)}")
    return ENGINES[name]
