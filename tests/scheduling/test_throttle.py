"""The line: who may call when, and that all wait together."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from inventory.errors import RateLimit, ThrottledError
from inventory.scheduling.throttle import Throttle


def refusal(retry_after: float | None = None, limit: RateLimit | None = None) -> ThrottledError:
    return ThrottledError("busy", status_code=429).with_hints(retry_after=retry_after, limit=limit)


class Line:
    """A throttle on a clock of its own, for one caller at a time."""

    def __init__(self, max_per_second: float) -> None:
        self.now = 100.0
        self.throttle = Throttle(max_per_second, clock=lambda: self.now, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def take(self, calls: int = 1) -> list[float]:
        taken = []
        for _ in range(calls):
            sent = await self.throttle.acquire()
            assert sent == self.now
            taken.append(round(sent - 100.0, 6))
        return taken


async def test_the_pace_is_even():
    assert await Line(4).take(5) == [0.0, 0.25, 0.5, 0.75, 1.0]


async def test_an_idle_time_saves_nothing_up():
    line = Line(2)
    await line.take(2)
    line.now += 60.0
    assert await line.take(3) == [60.5, 61.0, 61.5]


async def test_zero_is_no_cap():
    assert await Line(0).take(1000) == [0.0] * 1000


async def test_a_longer_wait_that_comes_later_is_believed():
    line = Line(0)
    sent = [await line.throttle.acquire() for _ in range(3)]
    for at, seconds in zip(sent, (5.0, 30.0, 10.0), strict=True):
        line.throttle.record_throttled(at, refusal(retry_after=seconds))
    assert line.throttle.paused_for == 30.0
    assert await line.take() == [30.0]


async def test_refusals_are_counted_once_a_pause():
    line = Line(0)
    sent = [await line.throttle.acquire() for _ in range(10)]
    for at in sent:
        line.throttle.record_throttled(at, refusal())
    assert line.throttle.paused_for == pytest.approx(0.2)
    before = line.throttle.pauses
    line.throttle.record_throttled(await line.throttle.acquire(), refusal())
    assert line.throttle.pauses == before + 1
    line.throttle.record_accepted(await line.throttle.acquire())
    assert line.throttle.pauses == 0


def test_a_refusal_moves_everybody(in_virtual_time):
    async def test(clock):
        throttle = Throttle(10, clock=clock)
        taken = []

        async def work():
            sent = await throttle.acquire()
            taken.append(sent)
            await asyncio.sleep(0.5)
            throttle.record_accepted(sent)

        tasks = [asyncio.create_task(work()) for _ in range(20)]
        await asyncio.sleep(0.55)
        before = len(taken)
        throttle.record_throttled(taken[-1], refusal(retry_after=100.0))
        paused_until = clock() + 100.0
        await asyncio.gather(*tasks)
        return before, [round(time - paused_until, 6) for time in taken[before:]]

    before, after = in_virtual_time(test)
    assert before == 6
    assert after[0] == 0.0
    assert 0.5 <= after[1] <= 0.6
    assert min(later - earlier for earlier, later in pairwise(after)) >= 0.0899


def test_a_call_that_tries_is_not_waited_for_without_end(in_virtual_time):
    async def test(clock):
        throttle = Throttle(100, clock=clock)
        began = clock()
        throttle.pause(10.0)
        stuck, lost, answered = [await throttle.acquire()], [], []
        stuck.append(await throttle.acquire())
        throttle.record_no_answer(stuck[1])
        lost.append(await throttle.acquire())
        throttle.record_accepted(lost[0])
        answered += [await throttle.acquire() for _ in range(3)]
        return [round(sent - began, 2) for sent in stuck + lost + answered]

    first, second, third, *others = in_virtual_time(test)
    assert first == 10.0
    assert second == pytest.approx(12.0, abs=0.05)
    assert third == pytest.approx(second, abs=0.05)
    assert others[-1] < third + 0.3


@pytest.mark.parametrize("max_per_second", [1, 7, 200])
def test_no_two_slots_are_closer_than_the_pace(in_virtual_time, max_per_second):
    async def test(clock):
        throttle = Throttle(max_per_second, clock=clock)
        taken = []

        async def work(number):
            await asyncio.sleep(number % 3)
            sent = await throttle.acquire()
            taken.append(sent)
            if number % 50 == 7:
                throttle.record_throttled(sent, refusal(retry_after=0.5))
            else:
                throttle.record_accepted(sent)

        await asyncio.gather(*(work(number) for number in range(300)))
        return taken

    taken = sorted(in_virtual_time(test))
    gaps = [later - earlier for earlier, later in pairwise(taken)]
    assert len(taken) == 300
    assert min(gaps) >= 1 / max_per_second - 1e-6


def test_a_limit_learnt_while_paused_holds_for_those_who_wait(in_virtual_time):
    async def test(clock):
        throttle = Throttle(200, clock=clock)
        taken = []

        async def work():
            sent = await throttle.acquire()
            taken.append(sent)
            throttle.record_accepted(sent)

        first, second = await throttle.acquire(), await throttle.acquire()
        throttle.record_throttled(first, refusal())
        tasks = [asyncio.create_task(work()) for _ in range(30)]
        await asyncio.sleep(0.1)
        throttle.record_throttled(second, refusal(limit=RateLimit(10, 10.0)))
        await asyncio.gather(*tasks)
        return taken

    taken = in_virtual_time(test)
    assert max(sum(1 for time in taken if start <= time < start + 10.0) for start in taken) <= 10


def test_a_process_that_was_stopped_sends_no_burst(in_virtual_time):
    async def test(clock):
        loop = asyncio.get_running_loop()

        async def sleep(seconds):
            await asyncio.sleep(seconds)
            if 1.0 < clock() - began < 1.2:
                loop.now += 5.0  # nothing ran for five seconds

        throttle = Throttle(20.0, clock=clock, sleep=sleep)
        began = clock()
        sent = []

        async def call():
            sent.append(await throttle.acquire() - began)

        await asyncio.gather(*(call() for _ in range(100)))
        return sent

    sent = in_virtual_time(test)
    assert all(len([one for one in sent if start <= one < start + 1.0]) <= 21 for start in sent)


def test_a_call_goes_out_when_it_says(in_virtual_time):
    async def test(clock):
        async def sleep(seconds):
            await asyncio.sleep(seconds - 1e-9)

        throttle = Throttle(2.0, clock=clock, sleep=sleep)
        made, said = [], []
        for _ in range(5):
            said.append(await throttle.acquire())
            made.append(clock())
        return made, said

    made, said = in_virtual_time(test)
    assert said == made
    assert [later - earlier for earlier, later in pairwise(made)] == pytest.approx([0.5] * 4)


def test_one_probe_at_a_time_follows_a_pause():
    now = 100.0
    throttle = Throttle(0, clock=lambda: now)
    throttle.pause(5.0)
    assert throttle.ready_at(now) == 105.0
    now = 105.0
    probe = throttle.take(now)
    assert throttle.ready_at(now) > now
    throttle.record_no_answer(104.0)  # another call
    assert throttle.ready_at(now) > now
    throttle.record_no_answer(probe)
    assert throttle.ready_at(now) <= now
    probe = throttle.take(now)
    assert throttle.ready_at(now) > now
    throttle.record_accepted(probe)
    throttle.take(now)
    assert throttle.ready_at(now) <= now
