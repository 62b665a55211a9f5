from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.errors import ThrottledError
from inventory.throttle import Throttle, read_limit

RECORDED = [
    entry
    for entry in json.loads((Path(__file__).parent / "data" / "real_answers.json").read_text())
    if entry["kind"] == "throttle"
]
LIMITS = {
    "api is busy now": None,
    "The throttling threshold has been reached: policy user over ratelimit,limit:200,time:5 minute": (200, 300.0),
    "The throttling threshold has been reached: policy user over ratelimit,limit:60,time:1 minute": (60, 60.0),
    "The throttling threshold has been reached: policy user over ratelimit,limit:100,time:1 minute": (100, 60.0),
}


def refusal(retry_after: float | None = None, limit: tuple[int, float] | None = None) -> ThrottledError:
    """A 429."""
    return ThrottledError("busy", status_code=429).with_hints(retry_after=retry_after, limit=limit)


class Line:
    """A throttle on a clock of its own, for one caller at a time."""

    def __init__(self, max_per_second: float) -> None:
        self.now = 100.0
        self.throttle = Throttle(max_per_second, clock=lambda: self.now, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        """Time passes by being waited for."""
        self.now += seconds

    async def take(self, calls: int = 1) -> list[float]:
        """When the next calls may be made, in seconds since the beginning."""
        taken = []
        for _ in range(calls):
            await self.throttle.acquire()
            taken.append(round(self.now - 100.0, 6))
        return taken


@pytest.mark.parametrize("entry", RECORDED, ids=[entry["body"]["error_msg"][-22:] for entry in RECORDED])
def test_the_limits_of_the_recorded_texts(entry):
    """Each recorded throttling text gives its limit in calls and seconds, or none."""
    assert read_limit(entry["body"]["error_msg"]) == LIMITS[entry["body"]["error_msg"]]


def test_every_recorded_throttling_is_a_case():
    """No recorded text is left out."""
    assert {entry["body"]["error_msg"] for entry in RECORDED} == set(LIMITS)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("policy ip over ratelimit,limit:5,time:5 second", (5, 5.0)),
        ("policy api over ratelimit,limit:2000,time:1 minute", (2000, 60.0)),
        ("POLICY APP OVER RATELIMIT,LIMIT:10,TIME:2 HOURS", (10, 7200.0)),
        ("limit:9,time:1 day", (9, 86400.0)),
        ("limit: 3, time: 10 seconds", (3, 10.0)),
        ("limit:3,time:10second", (3, 10.0)),
        ("limit:0,time:1 second", None),
        ("limit:5,time:0 second", None),
        ("limit:5,time:1 fortnight", None),
        ("limit:-5,time:1 second", None),
        ("limit:,time:1 second", None),
        ("", None),
    ],
)
def test_limits_in_other_words(text, limit):
    """Units vary, the number of units may be more than one, and a text without a limit is no crash."""
    assert read_limit(text) == limit


async def test_the_pace_is_even():
    """At 4 per second a slot comes every quarter of a second, with no burst at the beginning."""
    assert await Line(4).take(5) == [0.0, 0.25, 0.5, 0.75, 1.0]


async def test_an_idle_time_saves_nothing_up():
    """Who comes late gets one slot, not those that were missed."""
    line = Line(2)
    await line.take(2)
    line.now += 60.0
    assert await line.take(3) == [60.5, 61.0, 61.5]


async def test_zero_is_no_cap():
    """With 0 nobody waits."""
    assert await Line(0).take(1000) == [0.0] * 1000


@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7.0), (0.0, 1.0), (900.0, 900.0), (10_000.0, 900.0)])
async def test_the_servers_wait_is_believed_and_capped(asked, waited):
    """``Retry-After`` is waited for exactly, but for no more than a quarter of an hour; 0 says nothing: 1 s."""
    line = Line(0)
    line.throttle.refused(refusal(retry_after=asked))
    assert line.throttle.paused_for == waited
    assert await line.take() == [waited]


async def test_guesses_double_up_to_a_minute_and_reset():
    """Without a word about the wait it doubles from 1 s to 60 s; an accepted call makes it short again."""
    line = Line(0)
    waits = []
    for _ in range(8):
        line.throttle.refused(refusal())
        waits.append(line.throttle.paused_for)
        await line.take()
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    line.throttle.accepted()
    line.throttle.refused(refusal())
    assert line.throttle.paused_for == 1.0


async def test_refusals_are_counted_once_a_pause():
    """Calls that were under way when a pause began tell nothing new; an accepted call starts the count again."""
    line = Line(0)
    for _ in range(10):
        line.throttle.refused(refusal())
    assert (line.throttle.refusals, line.throttle.paused_for) == (1, 1.0)
    await line.take()
    line.throttle.refused(refusal())
    assert line.throttle.refusals == 2
    line.throttle.accepted()
    assert line.throttle.refusals == 0


async def test_a_longer_wait_that_comes_later_is_believed():
    """The longest wait that the server names counts, in whatever order the answers come in."""
    line = Line(0)
    for seconds in (5.0, 30.0, 10.0):
        line.throttle.refused(refusal(retry_after=seconds))
    assert await line.take() == [30.0]


async def test_a_learnt_limit_slows_the_pace_and_never_lifts_it():
    """A limit of 60 a minute makes the pace a little less than one a second; a wider one later changes nothing."""
    line = Line(200)
    line.throttle.refused(refusal(retry_after=1.0, limit=(60, 60.0)))
    assert line.throttle.limit == (60, 60.0)
    assert 0.97 <= line.throttle.pace <= 1.0
    pace = line.throttle.pace
    await line.take()
    line.throttle.refused(refusal(retry_after=1.0, limit=(60_000, 60.0)))
    assert line.throttle.pace == pace


@pytest.mark.parametrize("cap", [0, 200])
async def test_a_limit_waits_until_the_window_is_free(cap):
    """When our own calls filled the window, we wait until the first of them leaves it."""
    line = Line(cap)
    sent = await line.take(11)
    line.throttle.refused(refusal(limit=(10, 30.0)))
    first = (await line.take())[0]
    assert first == pytest.approx(sent[1] + 30.0, abs=1e-6)


def test_a_refusal_moves_everybody(in_virtual_time):
    """Who waits already waits on behind the pause, one slot each, and none slips through it."""

    async def test(clock):
        throttle = Throttle(10, clock=clock)
        taken = []

        async def work():
            await throttle.acquire()
            taken.append(clock())

        tasks = [asyncio.create_task(work()) for _ in range(20)]
        await asyncio.sleep(0.55)
        before = len(taken)
        throttle.refused(refusal(retry_after=100.0))
        paused_until = clock() + 100.0
        await asyncio.gather(*tasks)
        return before, [round(time - paused_until, 6) for time in taken[before:]]

    before, after = in_virtual_time(test)
    assert before == 6
    assert after == [round(0.1 * n, 6) for n in range(14)]


@pytest.mark.parametrize("max_per_second", [1, 7, 200])
def test_no_two_slots_are_closer_than_the_pace(in_virtual_time, max_per_second):
    """Hundreds of tasks that wait at once, come in waves and are refused now and then never go above the cap."""

    async def test(clock):
        throttle = Throttle(max_per_second, clock=clock)
        taken = []

        async def work(number):
            await asyncio.sleep(number % 3)
            await throttle.acquire()
            taken.append(clock())
            if number % 50 == 7:
                throttle.refused(refusal(retry_after=0.5))

        await asyncio.gather(*(work(number) for number in range(300)))
        return taken

    taken = sorted(in_virtual_time(test))
    gaps = [later - earlier for earlier, later in pairwise(taken)]
    assert len(taken) == 300
    assert min(gaps) >= 1 / max_per_second - 1e-6


class Windows:
    """A server with a fixed window: it counts every call, refuses those over the limit, and says the limit."""

    def __init__(self, calls: int, seconds: float, offset: float, *, speaks: bool = True) -> None:
        self.calls, self.seconds, self.offset, self.speaks = calls, seconds, offset, speaks
        self.counted: dict[int, int] = {}
        self.refused: list[float] = []

    def ask(self, now: float) -> ThrottledError | None:
        """Answers a call."""
        window = int((now - self.offset) // self.seconds)
        self.counted[window] = self.counted.get(window, 0) + 1
        if self.counted[window] <= self.calls:
            return None
        self.refused.append(now)
        return refusal(limit=(self.calls, self.seconds) if self.speaks else None)


async def drive(clock, server: Windows, workers: int, calls: int) -> int:
    """Asks until so many calls are accepted; returns how many calls it took."""
    throttle = Throttle(200, clock=clock)
    accepted = asked = 0

    async def work():
        nonlocal accepted, asked
        while accepted < calls:
            await throttle.acquire()
            asked += 1
            await asyncio.sleep(0.02)
            error = server.ask(clock())
            if error is None:
                accepted += 1
                throttle.accepted()
            else:
                throttle.refused(error)

    await asyncio.gather(*(work() for _ in range(workers)))
    return asked


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(2, 150),
    seconds=st.sampled_from([1.0, 5.0, 60.0, 300.0]),
    offset=st.floats(0, 60),
    workers=st.integers(1, 64),
)
def test_after_learning_a_limit_it_is_kept(in_virtual_time, limit, seconds, offset, workers):
    """Once a fixed window's limit is learnt and the calls under way are back, hardly a call is refused again."""
    server = Windows(limit, seconds, offset)
    in_virtual_time(lambda clock: drive(clock, server, workers, 5 * limit))
    first = server.refused[0] if server.refused else 0.0
    late = [time for time in server.refused if time > first + 1.0 + workers / 200]
    per_window = [int((time - offset) // seconds) for time in late]
    assert all(per_window.count(window) <= 1 for window in per_window)


def test_a_limit_learnt_while_paused_holds_for_those_who_wait(in_virtual_time):
    """A refusal without a limit begins a pause; one with a limit, right behind it, must slow down who waits already."""

    async def test(clock):
        throttle = Throttle(200, clock=clock)
        taken = []

        async def work():
            await throttle.acquire()
            taken.append(clock())

        throttle.refused(refusal())
        tasks = [asyncio.create_task(work()) for _ in range(30)]
        await asyncio.sleep(0.1)
        throttle.refused(refusal(limit=(10, 10.0)))
        await asyncio.gather(*tasks)
        return taken

    taken = in_virtual_time(test)
    assert max(sum(1 for time in taken if start <= time < start + 10.0) for start in taken) <= 10


def test_a_process_that_was_stopped_sends_no_burst(in_virtual_time):
    """Sleepers that wake late, after Ctrl-Z or a slow disk, line up again: what was missed is not made up for."""

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
            await throttle.acquire()
            sent.append(clock() - began)

        await asyncio.gather(*(call() for _ in range(100)))
        return sent

    sent = in_virtual_time(test)
    assert all(len([one for one in sent if start <= one < start + 1.0]) <= 21 for start in sent)


def test_a_limit_that_is_told_ends_a_pace_that_was_guessed(in_virtual_time):
    """After many refusals without a word the pace is a crawl; the first that names the limit sets it right."""

    async def test(clock):
        throttle = Throttle(200.0, clock=clock, sleep=asyncio.sleep)
        for _ in range(8):
            await throttle.acquire()
            throttle.refused(ThrottledError("busy", status_code=429))
            await asyncio.sleep(throttle.paused_for)
        crawl = throttle.pace
        throttle.refused(ThrottledError("", status_code=429).with_hints(retry_after=None, limit=(150, 1.0)))
        return crawl, throttle.pace

    crawl, told = in_virtual_time(test)
    assert crawl < 1.0
    assert told == pytest.approx(148.5)


def test_a_guessed_pace_recovers(in_virtual_time):
    """Accepted calls raise a pace that was only guessed, up to where it was, and not beyond."""

    async def test(clock):
        throttle = Throttle(50.0, clock=clock, sleep=asyncio.sleep)
        await throttle.acquire()
        throttle.refused(ThrottledError("busy", status_code=429))
        slowed = throttle.pace
        for _ in range(5000):
            throttle.accepted()
        return slowed, throttle.pace

    slowed, recovered = in_virtual_time(test)
    assert slowed < 25.0
    assert recovered == 50.0


def test_a_call_is_remembered_when_it_was_made(in_virtual_time):
    """A timer that wakes a little early must not make a call count as made when its wait began."""

    async def test(clock):
        async def sleep(seconds):
            await asyncio.sleep(seconds - 1e-9)

        throttle = Throttle(2.0, clock=clock, sleep=sleep)
        made = []
        for _ in range(5):
            await throttle.acquire()
            made.append(clock())
        return made, list(throttle._sent)

    made, remembered = in_virtual_time(test)
    assert remembered == made
    assert [later - earlier for earlier, later in pairwise(made)] == pytest.approx([0.5] * 4)
