"""Handles signals: the first stops a command cleanly, the second ends the process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

from inventory.errors import InterruptedRunError
from inventory.progress import ProgressObserver

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from inventory.display.log import Log

T = TypeVar("T")

_TICK_SECONDS: Final = 0.2
_SIGHUP: Final[signal.Signals | None] = getattr(signal, "SIGHUP", None)  # Windows has none


@contextmanager
def handle_signals(observer: ProgressObserver, log: Log | None = None) -> Iterator[None]:
    """Handles signals: the first cancels the run, the second ends the process and logs that.

    A second SIGHUP is ignored, because a closing terminal sends several. Under nohup SIGHUP stays ignored.
    """

    def handle(number: int, _frame: object) -> None:
        if observer.signal_number is not None:
            if number == _SIGHUP:
                return
            if log is not None:
                log.say_at_once("ended at once; all answers are kept, and --resume continues the run")
            os._exit(128 + number)
        observer.cancel(number)

    with _handled(handle):
        yield


@contextmanager
def _handled(handle: Callable[[int, object], None]) -> Iterator[None]:
    """Installs a handler of signals for the block."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if _SIGHUP is not None and signal.getsignal(_SIGHUP) is not signal.SIG_IGN:
        numbers.append(_SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def until_signal(work: Coroutine[Any, Any, T], observer: ProgressObserver) -> T:
    """The result of work that a signal may cancel at any time."""
    import asyncio

    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_TICK_SECONDS)
            observer.check_cancelled(resumable=False)
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Ends the block at the first signal, and the process at the second; for work that may replace exceptions.

    Raises:
        InterruptedRunError: a signal arrived.
    """
    numbers: list[int] = []

    def handle(number: int, _frame: object) -> None:
        if numbers:
            os._exit(128 + number)
        numbers.append(number)
        raise InterruptedRunError(number, resumable=False)

    with _handled(handle):
        try:
            yield
        except (Exception, KeyboardInterrupt):
            if numbers:  # DuckDB raises an error of its own in place of the handler's
                raise InterruptedRunError(numbers[0], resumable=False) from None
            raise


def read_stdin(observer: ProgressObserver) -> SimpleQueue[str]:
    """Reads lines in a thread. The end cancels the run, as SIGTERM does: the process that started this one is gone."""
    lines: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        with suppress(OSError):
            for line in sys.stdin:
                lines.put(line)
        observer.cancel(signal.SIGTERM)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    return lines


def serve_until_signal(start: Callable[[], None]) -> None:
    """Starts a service and waits for a signal, which may arrive during the start."""
    observer = ProgressObserver()
    with handle_signals(observer):
        start()
        while True:
            threading.Event().wait(_TICK_SECONDS)
            observer.check_cancelled(resumable=False)
