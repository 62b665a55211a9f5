"""Work that cannot be given up: a stop does not wait for it, and neither does the end of the process."""

from __future__ import annotations

import asyncio
import threading

import pytest

from inventory.errors import InterruptedRunError
from inventory.progress import ProgressObserver
from inventory.scheduling import threads


@pytest.fixture
def hanging():
    over = threading.Event()
    yield over.wait
    over.set()


@pytest.fixture
def stopped(monkeypatch):
    monkeypatch.setattr(threads, "GRACE_SECONDS", 0.0)
    observer = ProgressObserver()
    observer.cancel(15)
    return observer


async def test_what_the_work_gives_or_raises_comes_back():
    assert await threads.run_cancellable(ProgressObserver().check_cancelled, divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await threads.run_cancellable(ProgressObserver().check_cancelled, divmod, 7, 0)
    assert not threads.is_any_left()


async def test_a_stop_leaves_work_that_hangs_alone(hanging, stopped):
    with pytest.raises(InterruptedRunError):
        await threads.run_cancellable(stopped.check_cancelled, hanging)
    assert threads.is_any_left()


async def test_what_works_with_a_ledger_is_waited_for_however_often_it_is_cancelled():
    began, over, ended = threading.Event(), threading.Event(), []

    def work():
        began.set()
        over.wait()
        ended.append(True)

    task = asyncio.ensure_future(threads.run_in_thread(work))
    await asyncio.to_thread(began.wait)
    for _ in range(3):
        task.cancel()
        await asyncio.wait({task}, timeout=0)
        assert not task.done()
    over.set()
    await asyncio.wait({task})
    assert (task.cancelled(), ended) == (True, [True])


async def test_who_waits_can_be_cancelled(hanging):
    task = asyncio.ensure_future(threads.run_abandonable(hanging))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


@pytest.mark.parametrize("error", [None, InterruptedRunError(15), OSError("the stop broke a pipe")])
async def test_work_that_sees_the_stop_itself_ends_it(stopped, monkeypatch, error):
    monkeypatch.setattr(threads, "GRACE_SECONDS", 60.0)
    checked = threading.Event()

    def check():
        checked.set()
        stopped.check_cancelled()

    def work():
        checked.wait()
        if error is not None:
            raise error
        return "done"

    waiting = threads.run_cancellable(check, work)
    if error is None:
        assert await waiting == "done"
    else:
        with pytest.raises(InterruptedRunError):
            await waiting
