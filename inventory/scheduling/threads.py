"""Work that cannot be given up, done in a thread of its own that a stop does not wait for.

Owns that thread, and the rule which work must be waited for all the same. Calls of the vendor's SDK and of Arrow's S3
client cannot be cancelled, and a server that says nothing holds them for a minute. What is left alone here must have
nothing to end in order. Knows no cloud and no store.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from inventory.errors import InterruptedRunError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_NAME: Final = "inventory-run_abandonable"
_TICK_SECONDS: Final = 0.2
GRACE_SECONDS: Final = 0.8
"""How long work that sees a stop itself may take to end."""


async def run_abandonable(work: Callable[..., T], *arguments: object) -> T:
    """What the work returns; where this is cancelled, the thread is left alone and its result is lost.

    Raises:
        BaseException: what the work raises.
    """
    threads = ThreadPoolExecutor(1, _NAME)
    future = asyncio.get_running_loop().run_in_executor(threads, work, *arguments)
    try:
        return await future
    finally:
        threads.shutdown(wait=not future.cancelled())


async def run_in_thread(work: Callable[..., T], *arguments: object) -> T:
    """What the work returns, which can see a stop itself; where this is cancelled, its end is waited for.

    What it works with is closed afterwards: a ledger that a thread still reads must not be.

    Raises:
        BaseException: what the work raises.
    """
    future = asyncio.get_running_loop().run_in_executor(None, work, *arguments)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({future})
        raise


async def run_cancellable(check: Callable[[], None], work: Callable[..., T], *arguments: object) -> T:
    """What the work returns, unless ``check`` raises before.

    Raises:
        InterruptedRunError: a stop was asked for.
    """
    task = asyncio.ensure_future(run_abandonable(work, *arguments))
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_TICK_SECONDS)
            if task.done():
                break
            try:
                check()
            except InterruptedRunError:
                await asyncio.wait({task}, timeout=GRACE_SECONDS)
                if not task.done() or task.exception() is not None:  # a stop outweighs what it may have caused
                    raise
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})


def is_any_left() -> bool:
    """Whether a thread is still at work: then a process that ends as usual would wait for it."""
    return any(thread.name.startswith(_NAME) for thread in threading.enumerate())
