from __future__ import annotations

import asyncio
import weakref

import pytest

from inventory.errors import UrnError
from inventory.scheduling.dispatcher import Dispatcher
from inventory.scheduling.endpoint import Endpoint
from inventory.scheduling.lane import Lane
from inventory.scheduling.stop_event import StopEvent
from inventory.scheduling.throttle import Throttle
from inventory.scheduling.worker_pool import MAX_OPEN, JobQueue, run


class Pool:
    """Queues whose jobs are calls that take some turns of the loop."""

    def __init__(self, size: int) -> None:
        self.dispatcher = Dispatcher(size)
        self.endpoint = Endpoint()
        self.done: list = []
        self.in_flight = self.most = 0

    def lane(self, endpoint: Endpoint | None = None) -> Lane:
        return Lane(self.dispatcher, Throttle(0), endpoint or self.endpoint, lambda: None, StopEvent())

    def queue(self, jobs, *, turns: int = 1, until: asyncio.Event | None = None, close=lambda: None) -> JobQueue:
        lane = self.lane()

        async def work(job):
            sent = await lane.acquire()
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            for _ in range(turns):
                await asyncio.sleep(0)
            if until is not None:
                await until.wait()
            self.in_flight -= 1
            lane.throttle.record_accepted(sent)
            lane.endpoint.record_answer(sent)
            self.done.append(job)

        return JobQueue(iter(jobs), work, lane, close)


async def test_every_job_is_done_once():
    pool = Pool(7)
    await run([pool.queue(range(start, start + size)) for start, size in ((0, 5), (10, 50), (100, 0))], pool.dispatcher)
    assert sorted(pool.done) == [*range(5), *range(10, 60)]


@pytest.mark.parametrize("queues", [0, 1, 3])
async def test_a_pool_without_jobs_ends(queues):
    pool = Pool(4)
    await run([pool.queue(()) for _ in range(queues)], pool.dispatcher)
    assert len(asyncio.all_tasks()) == 1
    assert pool.dispatcher.free == 4


@pytest.mark.parametrize("size", [1, 3, 16])
async def test_all_places_are_used_and_no_more(size):
    pool = Pool(size)
    await run([pool.queue(range(60), turns=5) for _ in range(2)], pool.dispatcher)
    assert pool.most == size
    assert pool.dispatcher.free == size


async def test_a_list_is_read_only_as_far_as_the_work_is():
    pool, read = Pool(5), 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield read

    queue = pool.queue(endless())
    work = queue.work

    async def fail_at_20(job):
        if job == 20:
            raise LookupError
        await work(job)

    queue.work = fail_at_20
    with pytest.raises(LookupError):
        await run([queue], pool.dispatcher)
    assert read <= 30


async def test_the_first_error_is_raised_and_no_task_is_left():
    pool, never = Pool(8), asyncio.Event()
    queue = pool.queue(range(100), until=never)
    work = queue.work

    async def fail_at_3(job):
        if job == 3:
            raise KeyError("the first")
        await work(job)

    queue.work = fail_at_3
    with pytest.raises(KeyError, match="the first"):
        await run([queue], pool.dispatcher)
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_of_the_list_is_raised():
    def broken():
        yield 1
        raise OSError("the disk is gone")

    pool = Pool(4)
    with pytest.raises(OSError, match="the disk is gone"):
        await run([pool.queue(broken())], pool.dispatcher)
    assert len(asyncio.all_tasks()) == 1


async def test_a_cancelled_run_leaves_no_task():
    pool, never = Pool(4), asyncio.Event()
    task = asyncio.create_task(run([pool.queue(range(9), until=never)], pool.dispatcher))
    while pool.in_flight < 4:  # noqa: ASYNC110 - each turn of the loop counts
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(asyncio.all_tasks()) == 1


async def test_a_slow_scope_leaves_places_to_others():
    pool, slow = Pool(8), asyncio.Event()
    others = [pool.queue(range(100)) for _ in range(2)]

    async def release():
        while len(pool.done) < 200:  # noqa: ASYNC110 - each turn of the loop counts
            await asyncio.sleep(0)
        slow.set()

    await asyncio.gather(run([pool.queue(range(50), until=slow), *others], pool.dispatcher), release())
    assert len(pool.done) == 250


async def test_places_of_a_finished_scope_go_to_the_others():
    pool = Pool(8)
    await run([pool.queue(range(2)), pool.queue(range(50), turns=5)], pool.dispatcher)
    assert pool.most == 8


async def test_a_scope_has_no_more_calls_than_its_limit():
    pool = Pool(10)
    limited, other = pool.queue(range(50), turns=3), pool.queue(range(50), turns=3)
    limited.lane.limit = 2
    most = 0
    work = limited.work

    async def count(job):
        nonlocal most
        await work(job)
        most = max(most, limited.lane.held)

    limited.work = count
    await run([limited, other], pool.dispatcher)
    assert len(pool.done) == 100
    assert most <= 2
    assert pool.most > 5


async def test_scopes_are_opened_while_places_are_free_and_closed_after_their_last_job():
    pool = Pool(4)
    opened, most, closed = set(), 0, []
    made, held = weakref.WeakSet(), []

    def queues():
        nonlocal most
        for number in range(100):
            opened.add(number)
            most = max(most, len(opened))

            def close(number=number):
                opened.remove(number)
                closed.append(number)

            queue = pool.queue(range(number % 3), close=close)
            made.add(queue)
            yield queue
            del queue
            held.append(len(made))

    await run(queues(), pool.dispatcher)
    assert most <= MAX_OPEN
    assert sorted(closed) == list(range(100))
    assert max(held) <= 12, "a closed scope is not kept"


async def test_a_worker_that_waits_frees_its_place():
    pool, retry = Pool(1), asyncio.Event()
    lane = pool.lane()

    async def work(job):
        sent = await lane.acquire()
        if job == 0:
            lane.endpoint.record_answer(sent)
            with lane.parked_worker():
                await retry.wait()
            sent = await lane.acquire()
        lane.endpoint.record_answer(sent)
        pool.done.append(job)
        if job == 4:
            retry.set()

    await run([JobQueue(iter(range(5)), work, lane)], pool.dispatcher)
    assert pool.done == [1, 2, 3, 4, 0]


@pytest.mark.parametrize("first", [0, 5])
async def test_a_scope_that_cannot_be_opened_ends_the_run(first):
    pool = Pool(2)

    def queues():
        for _ in range(first):
            yield pool.queue(range(3))
        raise UrnError("no such region")

    with pytest.raises(UrnError, match="no such region"):
        await run(queues(), pool.dispatcher)
    assert len(asyncio.all_tasks()) == 1
    assert pool.dispatcher.free == 2


def test_a_scope_that_cannot_be_opened_ends_the_run_when_a_timer_frees_the_place(in_virtual_time):
    async def test(clock):
        dispatcher = Dispatcher(1, clock=clock)
        throttle = Throttle(0, clock=clock)
        throttle.pause(1.0)
        paused = Lane(dispatcher, throttle, Endpoint(clock=clock), lambda: None, StopEvent())

        async def work(_job):
            dispatcher.occupy(paused)
            asyncio.get_running_loop().call_later(0.5, paused.release)
            await paused.acquire()

        def queues():
            yield JobQueue(iter([1]), work, paused)
            raise UrnError("no such region")

        with pytest.raises(UrnError, match="no such region"):
            await run(queues(), dispatcher)

    in_virtual_time(test)


async def test_no_call_begins_after_the_first_error():
    pool = Pool(2)
    calls = 0
    lane = pool.lane()

    async def work(job):
        nonlocal calls
        sent = await lane.acquire()
        calls += 1
        await asyncio.sleep(0)
        lane.endpoint.record_answer(sent)
        if job == 10:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        await run([JobQueue(iter(range(100)), work, lane)], pool.dispatcher)
    assert calls <= 12
    assert pool.dispatcher.free == 2
