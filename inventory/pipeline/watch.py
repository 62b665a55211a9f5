"""Awaits work of a stage while the observer may cancel it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from inventory.progress import ProgressObserver
    from inventory.scheduling.limits import Limits

T = TypeVar("T")

_TICK_SECONDS: Final = 0.25


async def watch(
    work: Coroutine[Any, Any, T],
    limits: Limits,
    observer: ProgressObserver,
    check_time: Callable[[], None] = lambda: None,
) -> T:
    """Awaits work that the observer can cancel; ``check_time`` may raise to end it."""
    task = asyncio.create_task(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_TICK_SECONDS)
            limits.clock()  # each reading shows that the process runs
            observer.on_wait()
            if not task.done():
                check_time()
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})
