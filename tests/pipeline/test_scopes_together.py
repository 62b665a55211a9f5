"""Scopes that share a dispatcher, endpoints and secrets, with random errors, in virtual time."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inventory.cloud.pages import Operation
from inventory.cloud.responses import Answer
from inventory.errors import (
    CallConnectionError,
    CallTimeoutError,
    CredentialRefusedError,
    ForbiddenError,
    NotFoundError,
    OutOfTimeError,
    RateLimit,
    RefusedError,
    ServerError,
    ThrottledError,
)
from inventory.pipeline.scope import Scope
from inventory.pipeline.second_opinion import UrnFetcher
from inventory.redaction import Redactor
from inventory.scheduling import worker_pool
from inventory.scheduling.dispatcher import Dispatcher
from inventory.scheduling.endpoint import Endpoint
from inventory.scheduling.lockout import Lockout
from inventory.settings import ExportSettings

OK = Answer(b'{"func_urn":"u"}', "r-1")
IAM_DOWN = ServerError("IAM unavailable", status_code=503, error_code="APIGW.0613")


def throttled(retry_after=None, limit=None):
    return ThrottledError("busy", status_code=429).with_hints(retry_after=retry_after, limit=limit)


ERRORS = {
    "timeout": CallTimeoutError("no answer"),
    "connection": CallConnectionError("reset"),
    "500": ServerError("x", status_code=500, error_code="FSS.0500"),
    "502": ServerError("x", status_code=502, error_code="APIGW.0201"),
    "not found": NotFoundError("gone", status_code=404, error_code="FSS.1051"),
    "401": RefusedError("no", status_code=401, error_code="FSS.0401"),
    "dead": CredentialRefusedError("The token must be updated", status_code=401, error_code="APIGW.0307"),
    "403": ForbiddenError("no", status_code=403, error_code="APIGW.0302"),
    "429": throttled(),
    "429 for 3 s": throttled(3.0),
    "429 for 2 h": throttled(7200.0),
    "429 of user": throttled(limit=RateLimit(5, 1.0, "user")),
    "429 of ip": throttled(limit=RateLimit(5, 1.0, "ip")),
}


class Secret:
    """A credential; its preparation takes ``seconds`` and fails as planned."""

    def __init__(self, lockout=None, *, seconds=0.0, failures=(), renewal=None):
        self.redactor = Redactor()
        self.generation = 0
        self.lockout = lockout
        self.seconds = seconds
        self.renewal = seconds if renewal is None else renewal
        self.failures = set(failures)
        self.prepared = 0
        self.is_ready = False

    async def prepare(self):
        self.prepared += 1
        if self.seconds:
            await asyncio.sleep(self.seconds)
        if self.prepared in self.failures:
            raise IAM_DOWN

    async def renew(self, _generation):
        if self.renewal:
            await asyncio.sleep(self.renewal)
        return False


class World:
    """Scopes behind one dispatcher."""

    def __init__(self, clock, *, size, deadline=math.inf):
        self.clock = clock
        self.size = size
        self.dispatcher = Dispatcher(size, deadline=deadline, clock=clock)
        self.endpoints: dict[int, Endpoint] = {}
        self.scopes: list[Scope] = []
        self.in_flight = self.most = 0
        self.outcomes = []

    def queue(self, urns, answers, *, endpoint=0, secret=None, latency=0.05, places=math.inf):
        endpoint = self.endpoints.setdefault(endpoint, Endpoint(clock=self.clock))
        answers = iter(answers)

        async def call(*_):
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            try:
                await asyncio.sleep(latency)
            finally:
                self.in_flight -= 1
            answer = next(answers, None)
            if answer is not None:
                raise ERRORS[answer]
            return OK

        scope = Scope(
            call,
            secret or Secret(),
            ExportSettings(attempts=3),
            count_call=lambda *_: None,
            has_second_opinion=True,
            dispatcher=self.dispatcher,
            endpoint=endpoint,
        )
        scope.lane.limit = places
        self.scopes.append(scope)

        async def keep(outcomes):
            self.outcomes += outcomes

        fetcher = UrnFetcher(scope, call, elsewhere=lambda: iter(()), keep=keep, was_accepted=False)

        def jobs():
            for number in range(urns):
                if scope.is_closed:
                    return
                yield f"urn-{number}"

        async def work(urn):
            await fetcher.fetch(urn)

        return worker_pool.JobQueue(jobs(), work, scope.lane, scope.conclude)

    def check(self):
        assert self.dispatcher.free == self.size
        assert self.most <= self.size
        assert [endpoint.in_flight for endpoint in self.endpoints.values()] == [0] * len(self.endpoints)
        assert [scope.lane.held for scope in self.scopes] == [0] * len(self.scopes)
        assert len(asyncio.all_tasks()) == 1


A_SCOPE = st.fixed_dictionaries(
    {
        "urns": st.integers(0, 25),
        "answers": st.lists(st.one_of(st.none(), st.sampled_from(sorted(ERRORS))), max_size=12),
        "endpoint": st.integers(0, 2),
        "secret": st.integers(0, 3),
        "latency": st.sampled_from([0.0, 0.05, 3.0]),
        "places": st.sampled_from([1, 2, math.inf]),
    }
)
A_SECRET = st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 5.0]), st.sets(st.integers(1, 8), max_size=4))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    size=st.integers(1, 9),
    scopes=st.lists(A_SCOPE, max_size=9),
    secrets=st.lists(A_SECRET, min_size=4, max_size=4),
    closed=st.lists(st.tuples(st.integers(0, 8), st.sampled_from([0.0, 0.05, 0.1, 1.0, 7.0])), max_size=3),
    cancelled=st.one_of(st.none(), st.sampled_from([0.0, 0.04, 0.3, 3.0, 30.0])),
)
@example(  # workers that are cancelled before they begin
    size=1,
    scopes=[{"urns": 0, "answers": [], "endpoint": 0, "secret": 0, "latency": 0.0, "places": 1}] * 3,
    secrets=[(False, 0.0, set())] * 4,
    closed=[],
    cancelled=0.0,
)
def test_places_return_whatever_happens(in_virtual_time, size, scopes, secrets, closed, cancelled):
    async def test(clock):
        world = World(clock, size=size)
        shared = [Secret(Lockout() if locks else None, seconds=s, failures=f) for locks, s, f in secrets]
        queues = [world.queue(**{**scope, "secret": shared[scope["secret"]]}) for scope in scopes]
        loop = asyncio.get_running_loop()
        for number, moment in closed:
            if number < len(queues):
                loop.call_later(moment, world.scopes[number].stop, OutOfTimeError("stopped"))
        task = asyncio.create_task(worker_pool.run(queues, world.dispatcher))
        if cancelled is not None:
            loop.call_later(cancelled, task.cancel)
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            task.result()
        world.check()

    in_virtual_time(test)


def run_together(in_virtual_time, *scopes, size=4, pauses=()):
    async def test(clock):
        world = World(clock, size=size)
        queues = [world.queue(**scope) for scope in scopes]
        for queue, seconds in zip(queues, pauses, strict=False):
            queue.lane.throttle.pause(seconds)
        await worker_pool.run(queues, world.dispatcher)
        world.check()
        return world

    return in_virtual_time(test)


def test_a_scope_that_ends_with_a_refusal_does_not_keep_the_secret_from_others(in_virtual_time):
    secret = Secret(Lockout())
    refused = {"urns": 2, "answers": ["401", "timeout", "401"], "secret": secret}
    later = {"urns": 3, "answers": [], "secret": secret}
    world = run_together(in_virtual_time, refused, later, pauses=(0.0, 1.0))
    assert [outcome.status for outcome in world.outcomes] == ["failed"] * 2 + ["configured"] * 3


@pytest.mark.parametrize("moment", [0.04, 0.06])
def test_a_scope_that_is_stopped_after_a_refused_list_does_not_keep_the_secret_from_others(in_virtual_time, moment):
    async def test(clock):
        world, secret = World(clock, size=4), Secret(Lockout())
        first, second = world.queue(1, [], secret=secret), world.queue(2, [], secret=secret)
        stopped = world.scopes[0]

        async def refuse():
            await asyncio.sleep(0.05)
            raise ERRORS["401"]

        async def list_configs(_job):
            with pytest.raises(RefusedError):
                await stopped.fetch(Operation.LIST_CONFIGS, refuse)

        first.work, first.close = list_configs, lambda: None
        second.lane.throttle.pause(1.0)
        asyncio.get_running_loop().call_later(moment, stopped.stop, OutOfTimeError("stopped"))
        await worker_pool.run([first, second], world.dispatcher)
        world.check()
        return world

    world = in_virtual_time(test)
    assert [outcome.status for outcome in world.outcomes] == ["configured"] * 2


def test_a_renewal_that_fails_after_a_pause_gives_slot_and_secret_back(in_virtual_time):
    lockout = Lockout()
    paused = {"urns": 1, "answers": ["429 for 3 s"], "secret": Secret(lockout, failures={3})}
    world = run_together(in_virtual_time, paused, {"urns": 2, "answers": [], "secret": Secret(lockout)}, pauses=(0, 9))
    assert [outcome.status for outcome in world.outcomes] == ["configured"] * 3


def test_a_first_answer_of_429_lets_the_other_scopes_of_the_endpoint_call(in_virtual_time):
    secret = Secret(seconds=0.1)
    scopes = [{"urns": 1, "answers": answers, "latency": 0.0, "secret": secret} for answers in (["429"], [])]
    elsewhere = {"urns": 0, "answers": [], "endpoint": 1}
    world = run_together(in_virtual_time, *[elsewhere] * 3, *scopes, size=2)
    assert len(world.outcomes) == 2


def test_a_call_is_not_in_flight_while_its_credential_is_renewed(in_virtual_time):
    async def test(clock):
        world = World(clock, size=4)
        queue = world.queue(1, ["dead"], secret=Secret(renewal=600.0))
        task = asyncio.create_task(worker_pool.run([queue], world.dispatcher))
        await asyncio.sleep(60.0)
        in_flight = world.endpoints[0].in_flight
        await task
        world.check()
        return in_flight

    assert in_virtual_time(test) == 0


@pytest.mark.parametrize("iam", [{"seconds": 90.0}, {"renewal": 90.0}])
def test_scopes_whose_credential_takes_long_leave_places_to_others(in_virtual_time, iam):
    slow = [{"urns": 3, "answers": ["dead"], "secret": Secret(**iam), "endpoint": 1} for _ in range(20)]
    good = [{"urns": 20, "answers": []} for _ in range(5)]
    began, moments = 1000.0, []

    async def test(clock):
        world = World(clock, size=4)
        queues = [world.queue(**scope) for scope in (*slow, *good)]
        for scope in world.scopes[len(slow) :]:
            queue = queues[world.scopes.index(scope)]
            queue.close = lambda: moments.append(clock() - began)
        await worker_pool.run(queues, world.dispatcher)
        world.check()

    in_virtual_time(test)
    assert max(moments) < 10.0
