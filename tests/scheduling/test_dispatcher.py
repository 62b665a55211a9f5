from __future__ import annotations

import asyncio
import random
from collections import Counter
from itertools import pairwise

import pytest
from support.limiters import FixedWindow, SlidingWindow, TokenBucket

from inventory.errors import CallTimeoutError, RateLimit, ThrottledError
from inventory.scheduling.dispatcher import Dispatcher
from inventory.scheduling.endpoint import Endpoint
from inventory.scheduling.lane import Lane
from inventory.scheduling.stop_event import StopEvent
from inventory.scheduling.throttle import Throttle
from inventory.scheduling.worker_pool import JobQueue, run


class Simulation:
    """Scopes of one or more endpoints that make calls in virtual time."""

    def __init__(self, clock, *, size: int = 64, deadline: float = float("inf")) -> None:
        self.clock = clock
        self.began = clock()
        self.dispatcher = Dispatcher(size, deadline=deadline, clock=clock)
        self.accepted: list[tuple[float, str]] = []
        self.refused: list[tuple[float, str]] = []
        self.unanswered: list[tuple[float, str]] = []
        self.stopped: dict[str, str] = {}
        self.half = random.Random(1)

    def scope(self, name, endpoint, *, calls, server=None, latency=0.05, policy="ip", cap=200.0) -> JobQueue:
        event = StopEvent()

        def stop(error):
            self.stopped[name] = str(error)
            event.set()
            lane.close()

        throttle = Throttle(cap, clock=self.clock)
        lane = Lane(self.dispatcher, throttle, endpoint, lambda: stop, event)

        async def work(_job):
            while (sent := await lane.acquire()) is not None:
                delay = latency * self.half.uniform(0.5, 1.5)
                await asyncio.sleep(delay / 2)
                now = self.clock() - self.began
                if server == "silent":
                    self.unanswered.append((now, name))
                    lane.throttle.record_no_answer(sent)
                    lane.is_silent = True
                    endpoint.record_silence(sent, CallTimeoutError("no answer"))
                    lane.changed()
                    continue
                passes = server is None or server.lets_in(self.clock())
                await asyncio.sleep(delay / 2)
                lane.is_silent = False
                if passes:
                    self.accepted.append((now, name))
                    throttle.record_accepted(sent)
                    endpoint.record_answer(sent)
                    lane.changed()
                    return
                self.refused.append((now, name))
                limit = None if policy is None else RateLimit(server.calls, server.seconds, policy)
                error = ThrottledError("busy", status_code=429).with_hints(retry_after=None, limit=limit)
                if policy is None and not endpoint.assumes_shared(lane, sent):
                    throttle.record_throttled(sent, error)
                    endpoint.record_answer(sent)
                else:
                    throttle.record_no_answer(sent)
                    endpoint.record_throttled(sent, error)

        return JobQueue(iter(range(calls)), work, lane)


def simulate(in_virtual_time, make_queues, *, size=64, seconds=float("inf"), until=None) -> Simulation:
    """Runs scopes of one endpoint, to their end or for ``until`` seconds.

    ``make_queues`` gets a function that makes a scope.
    """

    async def test(clock):
        simulation = Simulation(clock, size=size, deadline=clock() + seconds)
        endpoint = Endpoint(clock=clock)
        queues = make_queues(lambda name, **options: simulation.scope(name, endpoint, **options))
        task = asyncio.create_task(run(queues, simulation.dispatcher))
        if until is None:
            await task
        else:
            await asyncio.sleep(until)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return simulation

    return in_virtual_time(test)


def test_the_queue_of_an_endpoint_does_not_grow_with_the_calls(in_virtual_time):
    longest = 0

    async def test(clock):
        nonlocal longest
        simulation, endpoint = Simulation(clock), Endpoint(clock=clock)
        queues = [simulation.scope(str(n), endpoint, calls=50, cap=0.0) for n in range(100)]
        task = asyncio.create_task(run(queues, simulation.dispatcher))
        while not task.done():
            await asyncio.sleep(0.01)
            longest = max(longest, len(endpoint.ready))
        return simulation

    assert len(in_virtual_time(test).accepted) == 5000
    assert 100 <= longest <= 300


@pytest.mark.parametrize(("calls", "seconds", "scopes"), [(150, 1.0, 20), (30, 1.0, 7), (600, 60.0, 5)])
@pytest.mark.parametrize("kind", [FixedWindow, SlidingWindow])
def test_a_shared_limit_is_used_and_shared_equally(in_virtual_time, kind, calls, seconds, scopes):
    server = kind(calls, seconds)

    each = 10_000 // scopes
    simulation = simulate(
        in_virtual_time,
        lambda scope: [scope(str(n), calls=each, server=server) for n in range(scopes)],
    )
    moments = [moment for moment, _ in simulation.accepted]
    learned = simulation.refused[0][0] + 2 * seconds
    late = [moment for moment in moments if moment >= learned]
    used = 0.96 if kind is SlidingWindow and seconds == 1.0 else 0.97  # transit times vary by a part of the window
    assert len(late) / (late[-1] - learned) >= used * server.per_second
    assert len(simulation.refused) <= 0.005 * 10_000
    half = Counter(name for moment, name in simulation.accepted if moment <= moments[-1] / 2)
    mean = sum(half.values()) / scopes
    assert all(abs(number - mean) <= 0.1 * mean for number in half.values())


@pytest.mark.parametrize("kind", [FixedWindow, SlidingWindow])
@pytest.mark.parametrize(("calls", "scopes"), [(150, 20), (100, 4)])
def test_a_shared_limit_that_no_message_names_is_found(in_virtual_time, kind, calls, scopes):
    server = kind(calls, 1.0)

    each = 10_000 // scopes
    simulation = simulate(
        in_virtual_time,
        lambda scope: [scope(str(n), calls=each, server=server, policy=None) for n in range(scopes)],
    )
    assert simulation.accepted[-1][0] <= 10_000 / (0.9 * server.per_second)
    assert len(simulation.refused) <= 0.01 * 10_000
    half = Counter(name for moment, name in simulation.accepted if moment <= simulation.accepted[-1][0] / 2)
    assert max(half.values()) <= 1.1 * min(half.values())


def test_unnamed_limits_of_each_scope_are_not_taken_for_a_shared_one(in_virtual_time):
    servers = [TokenBucket(20 + 10 * number, 1.0, burst=20) for number in range(8)]
    simulation = simulate(
        in_virtual_time,
        lambda scope: [
            scope(str(n), calls=60 * server.calls, server=server, policy=None) for n, server in enumerate(servers)
        ],
    )
    assert simulation.accepted[-1][0] <= 1.4 * 60.0
    assert len(simulation.refused) <= 0.02 * len(simulation.accepted)


def test_the_rest_of_a_shared_limit_goes_to_scopes_with_work(in_virtual_time):
    server = TokenBucket(100, 1.0, burst=100)

    sizes = [100] * 9 + [3000]
    simulation = simulate(
        in_virtual_time, lambda scope: [scope(str(n), calls=size, server=server) for n, size in enumerate(sizes)]
    )
    last = max(moment for moment, _ in simulation.accepted)
    assert last <= 1.1 * 3900 / 99


def test_silent_scopes_leave_places_to_others(in_virtual_time):
    simulation = simulate(
        in_virtual_time,
        lambda scope: [
            *(scope(f"silent {n}", calls=20, server="silent", latency=2.0) for n in range(8)),
            *(scope(f"good {n}", calls=20) for n in range(4)),
        ],
        size=8,
        seconds=60.0,
        until=10.0,
    )
    assert len(simulation.accepted) == 80
    assert simulation.accepted[0][0] <= 3.1
    assert simulation.accepted[-1][0] <= 6.0


@pytest.mark.parametrize("size", [1, 2, 3])
def test_silent_scopes_let_others_begin_with_few_workers(in_virtual_time, size):
    simulation = simulate(
        in_virtual_time,
        lambda scope: [
            *(scope(f"silent {n}", calls=20, server="silent", latency=2.0) for n in range(3)),
            *(scope(f"good {n}", calls=20) for n in range(4)),
        ],
        size=size,
        until=40.0,
    )
    assert len(simulation.accepted) == 80
    assert simulation.accepted[0][0] <= 9.1


def test_a_silent_endpoint_gets_one_probe_at_a_time(in_virtual_time):
    async def test(clock):
        simulation = Simulation(clock, size=64)
        dead, healthy = Endpoint(clock=clock), Endpoint(clock=clock)
        silent = [simulation.scope(f"dead {n}", dead, calls=20, server="silent", latency=1.0) for n in range(200)]
        good = [simulation.scope(f"good {n}", healthy, calls=20) for n in range(20)]
        await run([*silent, *good], simulation.dispatcher)
        return simulation, dead

    simulation, dead = in_virtual_time(test)
    assert len(simulation.accepted) == 400
    assert simulation.accepted[-1][0] <= 2.0
    assert len(simulation.unanswered) <= 40
    assert dead.failed is not None
    assert len([name for name in simulation.stopped if name.startswith("dead")]) == 200
    probes = [moment for moment, _ in simulation.unanswered[20:]]
    assert all(later - earlier >= 0.5 for earlier, later in pairwise(probes))


def test_paused_scopes_hold_no_places(in_virtual_time):
    async def test(clock):
        simulation = Simulation(clock, size=64)
        endpoint = Endpoint(clock=clock)
        paused = [simulation.scope(f"paused {n}", endpoint, calls=5) for n in range(64)]
        for queue in paused:
            queue.lane.throttle.pause(10.0)
        good = [simulation.scope(f"good {n}", endpoint, calls=20) for n in range(20)]
        await run([*paused, *good], simulation.dispatcher)
        return simulation

    simulation = in_virtual_time(test)
    good = [moment for moment, name in simulation.accepted if name.startswith("good")]
    assert max(good) <= 1.5
    assert len(simulation.accepted) == 64 * 5 + 20 * 20


def test_a_slow_scope_uses_places_that_are_free(in_virtual_time):
    async def test(clock):
        simulation = Simulation(clock, size=256)
        endpoint = Endpoint(clock=clock)
        queues = [simulation.scope("slow", endpoint, calls=800, latency=3.0)]
        queues += [simulation.scope(f"quick {n}", endpoint, calls=400, latency=0.02) for n in range(3)]
        await run(queues, simulation.dispatcher)
        return simulation

    simulation = in_virtual_time(test)
    quick = [moment for moment, name in simulation.accepted if name != "slow"]
    assert max(quick) <= 8.0
    assert simulation.accepted[-1][0] <= 20.0


@pytest.mark.parametrize(
    ("deadline", "pause", "wait"), [(None, 7200.0, "120 min"), (60.0, 120.0, "2 min"), (4.0, 6.0, "6 s")]
)
def test_a_wait_that_is_too_long_stops_the_scope(in_virtual_time, deadline, pause, wait):
    async def test(clock):
        limit = float("inf") if deadline is None else clock() + deadline
        simulation = Simulation(clock, deadline=limit)
        endpoint = Endpoint(clock=clock)
        queues = [simulation.scope("paused", endpoint, calls=5), simulation.scope("good", endpoint, calls=5)]
        queues[0].lane.throttle.pause(pause)
        await run(queues, simulation.dispatcher)
        return simulation

    simulation = in_virtual_time(test)
    assert [name for _, name in simulation.accepted] == ["good"] * 5
    assert simulation.stopped == {"paused": f"the next call may be sent in {wait} (no answer); resume the run then"}


def test_calls_of_a_closed_scope_end_at_once(in_virtual_time):
    async def test(clock):
        simulation = Simulation(clock, size=1)
        queue = simulation.scope("a", Endpoint(clock=clock), calls=1)
        queue.lane.throttle.pause(100.0)
        waiting = asyncio.create_task(queue.lane.acquire())
        await asyncio.sleep(0)
        queue.lane.close()
        assert await waiting is None
        assert await queue.lane.acquire() is None
        return clock() - simulation.began

    assert in_virtual_time(test) == 0.0


def test_a_cancelled_call_gives_its_place_back(in_virtual_time):
    async def test(clock):
        simulation = Simulation(clock, size=1)
        lane = simulation.scope("a", Endpoint(clock=clock), calls=1).lane
        await lane.acquire()
        waiting = asyncio.create_task(lane.acquire())
        await asyncio.sleep(0)
        lane.finish()  # grants the waiting call
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return simulation.dispatcher.free, lane.held

    assert in_virtual_time(test) == (1, 0)
