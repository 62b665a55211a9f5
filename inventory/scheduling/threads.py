"""Runs blocking calls in threads that shutdown does not wait for."""

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

_NAME: Final = "inventory-abandonable"
_TICK_SECONDS: Final = 0.2
GRACE_SECONDS: Final = 0.8
"""Maximum time for a call to end after a cancellation."""


async def run_abandonable(work: Callable[..., T], *arguments: object) -> T:
    """Runs a call in its own thread; a cancellation abandons the thread.

    For the vendor's SDK and Arrow's S3 client, which a silent server blocks for a minute. The call must need no
    cleanup.

    Raises:
        BaseException: the error of the call.
    """
    threads = ThreadPoolExecutor(1, _NAME)
    future = asyncio.get_running_loop().run_in_executor(threads, work, *arguments)
    try:
        return await future
    finally:
        threads.shutdown(wait=not future.cancelled())


async def run_in_thread(work: Callable[..., T], *arguments: object) -> T:
    """Runs a call in a thread; a cancellation waits for it, because its ledger is closed afterwards.

    Raises:
        BaseException: the error of the call.
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
    """Runs a call in its own thread until ``check`` raises.

    Raises:
        InterruptedRunError: the run was cancelled.
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
                if not task.done() or task.exception() is not None:  # the cancellation may have caused the error
                    raise
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})


def is_any_left() -> bool:
    """Whether an abandoned thread would delay a normal exit."""
    return any(thread.name.startswith(_NAME) for thread in threading.enumerate())
