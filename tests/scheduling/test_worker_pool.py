from __future__ import annotations

import asyncio
import weakref

import pytest

from inventory.scheduling.worker_pool import Lane, run


async def test_every_job_is_done_once():
    done = []

    async def work(job):
        await asyncio.sleep(0)
        done.append(job)

    await run([Lane(iter(range(start, start + size)), work) for start, size in ((0, 5), (10, 50), (100, 0))], 7)
    assert sorted(done) == [*range(5), *range(10, 60)]


@pytest.mark.parametrize("lanes", [0, 1, 3])
async def test_nothing_to_do_ends(lanes):
    async def work(job):
        raise AssertionError(job)

    await run([Lane(iter(()), work) for _ in range(lanes)], 4)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("size", [1, 3, 16])
async def test_the_size_is_respected_and_used(size):
    busy = most = 0

    async def work(_job):
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        busy -= 1

    await run([Lane(iter(range(60)), work), Lane(iter(range(60)), work)], size)
    assert most == size


async def test_nothing_is_read_ahead():
    read = 0
    release = asyncio.Event()

    def endless():
        nonlocal read
        while True:
            read += 1
            yield read

    async def work(job):
        if job == 20:
            raise LookupError
        if job > 15:
            await release.wait()

    with pytest.raises(LookupError):
        await run([Lane(endless(), work)], 5)
    assert read <= 20


async def test_the_first_error_is_raised_as_itself_and_no_task_is_left():
    cancelled = []

    async def work(job):
        if job == 3:
            raise KeyError("the first")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            cancelled.append(job)
            raise

    with pytest.raises(KeyError, match="the first"):
        await run([Lane(iter(range(100)), work)], 8)
    assert sorted(cancelled) == [0, 1, 2, 4, 5, 6, 7]
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_of_the_list_is_raised_as_itself():
    def broken():
        yield 1
        raise OSError("the disk is gone")

    async def work(_job):
        await asyncio.sleep(0)

    with pytest.raises(OSError, match="the disk is gone"):
        await run([Lane(broken(), work)], 4)
    assert len(asyncio.all_tasks()) == 1


async def test_a_run_that_is_cancelled_leaves_no_task():
    waiting = 0
    all_wait = asyncio.Event()

    async def work(_job):
        nonlocal waiting
        waiting += 1
        if waiting == 4:
            all_wait.set()
        try:
            await asyncio.Event().wait()
        finally:
            waiting -= 1

    task = asyncio.create_task(run([Lane(iter(range(9)), work)], 4))
    await all_wait.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert waiting == 0
    assert len(asyncio.all_tasks()) == 1


async def test_a_lane_that_waits_does_not_starve_the_others():
    gate = asyncio.Event()
    done = []

    async def stuck(_job):
        await gate.wait()

    async def work(job):
        await asyncio.sleep(0)
        done.append(job)
        if len(done) == 200:
            gate.set()

    await run([Lane(iter(range(1000)), stuck), *(Lane(iter(range(100)), work) for _ in range(2))], 6)
    assert len(done) == 200


async def test_workers_of_an_empty_lane_help_the_others():
    busy = most = 0

    async def short(_job):
        await asyncio.sleep(0)

    async def long(_job):
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        for _ in range(5):
            await asyncio.sleep(0)
        busy -= 1

    await run([Lane(iter(range(2)), short), Lane(iter(range(50)), long)], 8)
    assert most == 8


async def test_a_lane_has_no_more_workers_than_its_limit():
    under_way = {"a": 0, "b": 0}
    most = {"a": 0, "b": 0}
    done = []

    def lane(name, limit):
        async def work(job):
            under_way[name] += 1
            most[name] = max(most[name], under_way[name])
            await asyncio.sleep(0)
            under_way[name] -= 1
            done.append(job)

        return Lane(iter([f"{name}{number}" for number in range(50)]), work, limit)

    await run([lane("a", 2), lane("b", None)], 10)
    assert len(done) == 100
    assert most["a"] == 2
    assert most["b"] >= 5


async def test_a_lane_is_opened_when_a_worker_comes_and_closed_after_its_last_job():
    under_way, most, closed = set(), 0, []

    def lanes():
        nonlocal most
        for number in range(100):
            under_way.add(number)
            most = max(most, len(under_way))

            async def work(job):
                await asyncio.sleep(0)

            def close(number=number):
                under_way.remove(number)
                closed.append(number)

            lane = Lane(iter(range(number % 3)), work, close=close)
            made.add(lane)
            yield lane
            del lane
            held.append(len(made))

    made, held = weakref.WeakSet(), []
    await run(lanes(), 4)
    assert most <= 4
    assert sorted(closed) == list(range(100))
    assert max(held) <= 5, "a lane that is closed is not kept"


class Counted(int):
    """A number of workers that counts how often it is compared."""

    compared = 0

    def __add__(self, other):
        return Counted(int(self) + other)

    def __sub__(self, other):
        return Counted(int(self) - other)

    def __lt__(self, other):
        Counted.compared += 1
        return int(self) < int(other)

    def __eq__(self, other):
        Counted.compared += 1
        return int(self) == int(other)

    __hash__ = int.__hash__


async def test_choosing_a_lane_looks_at_few_others():
    async def work(_job):
        await asyncio.sleep(0)

    async def compared(lanes):
        Counted.compared = 0
        made = [Lane(iter(range(2)), work) for _ in range(lanes)]
        for lane in made:
            lane.workers = Counted(0)
        await run(made, 16)
        return Counted.compared

    assert await compared(3000) <= 20 * await compared(300)
