from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections import Counter

import pytest

from inventory.cloud.credentials import TokenCredential
from inventory.cloud.responses import Answer
from inventory.errors import (
    BadAnswerError,
    BadRequestError,
    BlockedError,
    CallConnectionError,
    CallTimeoutError,
    CredentialRefusedError,
    ForbiddenError,
    NotConfiguredError,
    NotFoundError,
    RateLimit,
    RefusedError,
    ServerError,
    ThrottledError,
    WrongEndpointError,
)
from inventory.pipeline.scope import Scope
from inventory.redaction import Redactor
from inventory.scheduling.dispatcher import Dispatcher
from inventory.scheduling.lockout import Lockout
from inventory.settings import ExportSettings

OK = Answer(b'{"func_urn":"u"}', "r-1")
DEAD = CredentialRefusedError("The token must be updated", status_code=401, error_code="APIGW.0307")
INVALID = ForbiddenError("invalid token", status_code=403, error_code="FSS.0403")
DOWN = ServerError("IAM unavailable", status_code=503, error_code="APIGW.0613")


class Cloud:
    """A cloud that answers by a plan: a function from the number of the call to an answer or an error."""

    def __init__(self, plan, latency: float = 0.05) -> None:
        self.plan = plan
        self.latency = latency
        self.calls: list[float] = []
        self.answers: Counter[str] = Counter()
        self.counted: Counter[int] = Counter()
        self.credential = TokenCredential("a-token", "x")

    async def ask(self, _urn):
        self.calls.append(asyncio.get_running_loop().time())
        number = len(self.calls)
        await asyncio.sleep(self.latency)
        answer = self.plan(number)
        self.answers[type(answer).__name__] += 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    def count(self, _operation: str, http_status: int) -> None:
        self.counted[http_status] += 1

    def scope(self, clock, *, pace: float = 0, attempts: int = 2, **more) -> Scope:
        settings = ExportSettings(max_per_second=pace, attempts=attempts)
        return Scope(
            self.ask, self.credential, settings, count_call=self.count, dispatcher=Dispatcher(clock=clock), **more
        )

    async def work_off(self, clock, *, urns: int = 300, workers: int = 64, attempts: int = 2, pace: float = 0, **more):
        scope = self.scope(clock, pace=pace, attempts=attempts, **more)
        outcomes = []
        names = iter([f"urn-{n}" for n in range(urns)])

        async def work():
            for name in names:
                if scope.is_closed:
                    return
                outcome = await scope.fetch_config(name)
                if outcome is not None:
                    outcomes.append(outcome)

        await asyncio.gather(*(work() for _ in range(workers)))
        return scope, outcomes


def after(*first, then):
    return lambda number: first[number - 1] if number <= len(first) else then


@pytest.mark.parametrize("workers", [1, 64])
@pytest.mark.parametrize("error", [DEAD, INVALID], ids=["gateway-401", "FSS.0403"])
def test_a_dead_credential_is_refused_at_most_three_times(in_virtual_time, workers, error):
    cloud = Cloud(after(then=error))
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, workers=workers))
    assert len(cloud.calls) == 1  # the first scout goes alone: two scopes with one dead token make two calls, not six
    assert isinstance(scope.stopped, CredentialRefusedError)
    assert scope.stopped.exit_code == 3
    assert {(outcome.status, outcome.error_kind) for outcome in outcomes} == {("failed", "refused")}
    assert len(outcomes) == len(cloud.calls)


@pytest.mark.parametrize(
    "before",
    [
        DOWN,
        BadRequestError("bad", status_code=400, error_code="APIGW.0106"),
        WrongEndpointError("no API", status_code=404, error_code="APIGW.0101"),
        BadAnswerError("not a config: an empty body", status_code=200),
        CallTimeoutError("no answer"),
        ThrottledError("busy", status_code=429).with_hints(retry_after=1.0, limit=None),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("error", [DEAD, INVALID], ids=["gateway-401", "FSS.0403"])
def test_trouble_before_the_refusal_does_not_open_the_gate(in_virtual_time, before, error):
    cloud = Cloud(after(*[before] * 3, then=error))
    scope, _ = in_virtual_time(lambda clock: cloud.work_off(clock, attempts=1))
    assert cloud.answers[type(error).__name__] <= 3
    assert isinstance(scope.stopped, CredentialRefusedError)


@pytest.mark.parametrize(
    "proof",
    [
        OK,
        NotConfiguredError("none", status_code=404, error_code="FSS.0404"),
        NotFoundError("gone", status_code=404, error_code="FSS.1051"),
    ],
    ids=["200", "not-configured", "not-found"],
)
def test_fss_0403_after_an_answer_is_about_the_urn(in_virtual_time, proof):
    cloud = Cloud(lambda number: INVALID if number > 10 and number % 3 == 0 else proof)
    scope, outcomes = in_virtual_time(cloud.work_off)
    assert scope.stopped is None
    assert len(outcomes) == 300
    assert Counter(outcome.error_kind for outcome in outcomes)["forbidden"] == 97


@pytest.mark.parametrize("accepted", [0, 100])
def test_a_gateway_401_stops_at_any_time(in_virtual_time, accepted):
    cloud = Cloud(after(*[OK] * accepted, then=DEAD))
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=1000))
    assert scope.stopped is DEAD
    assert len(cloud.calls) <= accepted + 64
    assert len(outcomes) == len(cloud.calls)


@pytest.mark.parametrize("accepted", [0, 100])
def test_the_firewall_stops_the_scope(in_virtual_time, accepted):
    cloud = Cloud(after(*[OK] * accepted, then=BlockedError("WAF", status_code=418)))
    scope, _ = in_virtual_time(lambda clock: cloud.work_off(clock, urns=1000))
    assert (scope.stopped.kind, scope.stopped.exit_code) == ("blocked", 5)
    assert len(cloud.calls) <= (accepted + 64 if accepted else 3)


def test_service_401s_only_stop_a_scope_without_any_answer(in_virtual_time):
    refused = RefusedError("not permit", status_code=401, error_code="FSS.0401")
    cloud = Cloud(after(then=refused))
    scope, outcomes = in_virtual_time(cloud.work_off)
    assert (scope.stopped, scope.stopped.exit_code) == (refused, 3)
    assert 3 <= len(outcomes) <= 5  # two more may be under way when the third comes back


def test_service_401s_after_an_answer_are_about_their_urns(in_virtual_time):
    refused = RefusedError("not permit", status_code=401, error_code="FSS.0401")
    cloud = Cloud(lambda number: OK if number % 30 == 1 else refused)
    scope, outcomes = in_virtual_time(cloud.work_off)
    assert scope.stopped is None
    assert Counter(outcome.status for outcome in outcomes) == {"configured": 10, "failed": 290}


def test_a_hundred_service_401s_in_a_row_stop_a_scope(in_virtual_time):
    refused = RefusedError("invalid token", status_code=401, error_code="FSS.0401")
    cloud = Cloud(after(OK, then=refused))
    scope, _ = in_virtual_time(lambda clock: cloud.work_off(clock, urns=100_000))
    assert (scope.stopped.kind, scope.stopped.exit_code) == ("refused", 3)
    assert 100 <= len(cloud.calls) <= 100 + 64


@pytest.mark.parametrize(
    "error",
    [
        RefusedError("not permit", status_code=401, error_code="FSS.0401"),
        ForbiddenError("invalid token", status_code=403, error_code="FSS.0403"),
        ForbiddenError("no", status_code=403, error_code="APIGW.0310"),
        WrongEndpointError("<html>", status_code=404),
    ],
)
def test_a_resumed_scope_that_was_welcome_is_not_judged_by_what_failed_before(in_virtual_time, error):
    cloud = Cloud(after(then=error))
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=50, was_accepted=True))
    assert scope.stopped is None
    assert len(outcomes) == 50
    scope.conclude()
    assert scope.stopped is None


def test_a_resumed_scope_still_stops_at_a_dead_token(in_virtual_time):
    cloud = Cloud(after(then=DEAD))
    scope, _ = in_virtual_time(lambda clock: cloud.work_off(clock, was_accepted=True))
    assert (len(cloud.calls), scope.stopped.exit_code) == (1, 3)


class Renewed:
    """A credential that is renewed whenever a call says that it must be."""

    def __init__(self) -> None:
        self.generation = 0
        self.lockout = None
        self.is_ready = True

    async def prepare(self) -> None:
        """It always is."""

    async def renew(self, generation: int) -> bool:
        self.generation += generation == self.generation
        return True


def test_a_renewal_costs_no_urn_its_only_attempt(in_virtual_time):
    cloud = Cloud(lambda number: DEAD if number % 100 in (50, 51, 52) else OK)
    cloud.credential = Renewed()
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=1000, attempts=1, workers=8))
    assert scope.stopped is None
    assert {(outcome.status, outcome.attempts) for outcome in outcomes} == {("configured", 1)}
    assert cloud.answers["CredentialRefusedError"] >= 30


def test_a_credential_that_is_refused_right_after_its_renewal_is_not_renewed_again(in_virtual_time):
    cloud = Cloud(after(OK, then=DEAD))
    cloud.credential = Renewed()
    scope, _ = in_virtual_time(lambda clock: cloud.work_off(clock, workers=8))
    assert cloud.credential.generation == 1
    assert scope.stopped.exit_code == 3


def test_a_401_that_names_what_is_missing_is_no_refusal(in_virtual_time):
    missing = RefusedError("Not found the function alias", status_code=401, error_code="FSS.1053")
    cloud = Cloud(after(*[missing] * 5, then=OK))
    scope, outcomes = in_virtual_time(cloud.work_off)
    assert scope.stopped is None
    assert Counter(outcome.status for outcome in outcomes) == {"configured": 295, "failed": 5}


@pytest.mark.parametrize(
    ("error", "stopped"),
    [
        (CallConnectionError("refused"), True),
        (WrongEndpointError("no API", status_code=404, error_code="APIGW.0101"), True),
        (ServerError("down", status_code=502), False),
        (ForbiddenError("no", status_code=403, error_code="FSS.1126"), False),
    ],
)
def test_a_short_list_that_nobody_answers_ends_like_a_long_one(in_virtual_time, error, stopped):
    cloud = Cloud(after(then=error))
    scope, _ = in_virtual_time(lambda clock: cloud.work_off(clock, urns=2, attempts=1))
    assert scope.stopped is None
    scope.conclude()
    assert (scope.stopped is not None) is stopped


async def test_a_call_that_is_cancelled_is_counted():
    cloud = Cloud(after(then=OK), latency=60.0)
    scope = Scope(cloud.ask, cloud.credential, ExportSettings(max_per_second=0, attempts=1), count_call=cloud.count)
    task = asyncio.create_task(scope.fetch_config("urn"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert cloud.calls
    task.cancel()
    await asyncio.wait([task])
    assert cloud.counted == {0: 1}


@pytest.mark.parametrize("cls", [CallConnectionError, CallTimeoutError])
def test_an_unreachable_endpoint_is_given_up(in_virtual_time, cls):
    cloud = Cloud(after(then=cls("silence")))
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=100_000, attempts=3))
    assert scope.stopped.exit_code == 5
    assert len(outcomes) <= 10
    assert set(cloud.counted) == {0}


def test_an_endpoint_that_falls_silent_is_given_up(in_virtual_time):
    cloud = Cloud(after(*[OK] * 50, then=CallConnectionError("silence")))
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=100_000))
    assert isinstance(scope.stopped, CallConnectionError)
    assert len(outcomes) < 300


@pytest.mark.parametrize("error", [DOWN, CallConnectionError("reset"), CallTimeoutError("slow")])
def test_scattered_failures_stop_nothing(in_virtual_time, error):
    cloud = Cloud(lambda number: error if number % 4 else OK)
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=2000, attempts=1, workers=8))
    assert scope.stopped is None
    assert len(outcomes) == 2000


WRONG_PROJECT = ForbiddenError("project not allowed", status_code=403, error_code="APIGW.0310")
NO_PERMISSION = ForbiddenError("no API permission", status_code=403, error_code="FSS.1126")


def test_a_project_that_the_gateway_forbids_is_given_up(in_virtual_time):
    cloud = Cloud(after(then=WRONG_PROJECT))
    scope, outcomes = in_virtual_time(cloud.work_off)
    assert (scope.stopped, scope.stopped.exit_code) == (WRONG_PROJECT, 3)
    assert 3 <= len(outcomes) <= 5


def test_a_missing_permission_is_given_up_later(in_virtual_time):
    cloud = Cloud(after(then=NO_PERMISSION))
    scope, outcomes = in_virtual_time(cloud.work_off)
    assert scope.stopped is NO_PERMISSION
    assert 20 <= len(outcomes) <= 22


@pytest.mark.parametrize(
    "error",
    [
        WRONG_PROJECT,
        WrongEndpointError("no API", status_code=404, error_code="APIGW.0101"),
        BadAnswerError("not a config", status_code=200),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_cloud_that_turns_away_is_given_up(in_virtual_time, error):
    cloud = Cloud(after(*[OK] * 50, then=error))
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=100_000, attempts=1))
    assert scope.stopped is error
    assert 150 <= len(outcomes) <= 150 + 2 * 64  # the answers of 64 workers come mixed, and 64 calls may be under way


@pytest.mark.parametrize(
    "error",
    [NO_PERMISSION, INVALID, ServerError("Error getting associated function", status_code=500, error_code="FSS.0500")],
    ids=["FSS.1126", "FSS.0403", "FSS.0500"],
)
def test_what_the_service_says_of_functions_stops_nothing(in_virtual_time, error):
    cloud = Cloud(after(OK, then=error))
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=1000, attempts=1))
    assert scope.stopped is None
    assert len(outcomes) == 1000


def test_one_urn_that_is_always_throttled_holds_up_nobody(in_virtual_time):
    busy = ThrottledError("busy", status_code=429)

    async def ask(urn):
        await asyncio.sleep(0.05)
        if urn == "urn-7":
            raise busy
        return OK

    async def test(clock):
        cloud = Cloud(None)
        cloud.ask = ask
        scope, outcomes = await cloud.work_off(clock, urns=3000, workers=4, pace=50)
        return scope, outcomes, clock()

    scope, outcomes, ended = in_virtual_time(test)
    assert scope.stopped is None
    assert [outcome.urn for outcome in outcomes if outcome.status == "failed"] == ["urn-7"]
    assert len(outcomes) == 3000
    assert ended - 1000.0 < 400


def test_bad_requests_stop_nothing(in_virtual_time):
    cloud = Cloud(after(then=BadRequestError("invalid URN", status_code=400, error_code="FSS.1309")))
    scope, outcomes = in_virtual_time(cloud.work_off)
    assert scope.stopped is None
    assert len(outcomes) == 300


class Window:
    """A service with a limit for each window; it says the limit, or only that it is busy."""

    def __init__(self, calls: int, seconds: float, *, speaks: bool) -> None:
        self.error = ThrottledError("api is busy now", status_code=429, error_code="FSS.0429")
        self.error.limit = RateLimit(calls, seconds) if speaks else None
        self.calls, self.seconds = calls, seconds
        self.counted: Counter[int] = Counter()

    def __call__(self, _number):
        window = int(asyncio.get_running_loop().time() // self.seconds)
        self.counted[window] += 1
        return OK if self.counted[window] <= self.calls else self.error


@pytest.mark.parametrize("speaks", [True, False], ids=["says-its-limit", "says-nothing"])
@pytest.mark.parametrize(("calls", "seconds"), [(200, 60), (20, 10), (5, 5), (3, 60)])
def test_a_429_settles_no_urn_while_the_scope_goes_on(in_virtual_time, calls, seconds, speaks):
    cloud = Cloud(Window(calls, seconds, speaks=speaks))
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=400, pace=200))
    assert scope.stopped is None
    assert Counter(outcome.status for outcome in outcomes) == {"configured": 400}
    assert {outcome.attempts for outcome in outcomes} == {1}


def test_a_cloud_that_only_throttles_is_given_up(in_virtual_time):
    error = ThrottledError("api is busy now", status_code=429, error_code="FSS.0429")
    cloud = Cloud(after(then=error))
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=100_000))
    assert (scope.stopped.kind, scope.stopped.exit_code) == ("throttled", 5)
    assert len(cloud.calls) <= 100
    assert all(outcome.attempts == 0 for outcome in outcomes)


def test_close_wakes_who_sleeps(in_virtual_time):
    error = ThrottledError("busy", status_code=429).with_hints(retry_after=800.0, limit=None)
    cloud = Cloud(after(OK, then=error))

    async def test(clock):
        scope = cloud.scope(clock, attempts=2)
        await scope.fetch_config("first")
        tasks = [asyncio.create_task(scope.fetch_config(f"urn-{n}")) for n in range(10)]
        await asyncio.sleep(1.0)
        tasks += [asyncio.create_task(scope.fetch_config(f"late-{n}")) for n in range(10)]
        await asyncio.sleep(1.0)
        scope.close()
        closed = clock()
        outcomes = await asyncio.gather(*tasks)
        return clock() - closed, outcomes

    passed, outcomes = in_virtual_time(test)
    assert passed < 1.0
    assert outcomes[10:] == [None] * 10
    assert len(cloud.calls) == 11


def test_close_wakes_who_waits_for_a_retry(in_virtual_time):
    cloud = Cloud(after(OK, then=DOWN))

    async def test(clock):
        scope = cloud.scope(clock, attempts=1000)
        await scope.fetch_config("first")
        task = asyncio.create_task(scope.fetch_config("second"))
        await asyncio.sleep(60.0)
        calls = len(cloud.calls)
        scope.close()
        outcome = await task
        return calls, outcome

    calls, outcome = in_virtual_time(test)
    assert (outcome.status, outcome.error_kind, outcome.http_status) == ("failed", "server_error", 503)
    assert len(cloud.calls) == calls


def test_the_outcome_says_how_the_urn_was_settled(in_virtual_time):
    busy = ThrottledError("busy", status_code=429).with_hints(retry_after=5.0, limit=None)
    cloud = Cloud(after(busy, DOWN, busy, then=OK), latency=0.25)
    scope, (outcome,) = in_virtual_time(lambda clock: cloud.work_off(clock, urns=1, attempts=4))
    assert (outcome.urn, outcome.status, outcome.http_status) == ("urn-0", "configured", 200)
    assert (outcome.attempts, outcome.throttled, outcome.duration_ms) == (2, 2, 250.0)
    assert (outcome.body, outcome.request_id, outcome.operation) == (OK.body, "r-1", "ShowFunctionAsyncInvokeConfig")
    assert cloud.counted == {429: 2, 503: 1, 200: 1}
    assert scope.stopped is None


def test_the_pace_of_the_scope_is_the_cap(in_virtual_time):
    cloud = Cloud(lambda number: DOWN if number % 5 == 0 else OK)
    in_virtual_time(lambda clock: cloud.work_off(clock, urns=100, pace=10, attempts=3))
    assert max(sum(1 for time in cloud.calls if start <= time < start + 0.9999) for start in cloud.calls) <= 10


def test_a_long_pause_of_the_throttle_does_not_use_up_the_time_of_a_urn(in_virtual_time):
    busy = ThrottledError("busy", status_code=429).with_hints(retry_after=600.0, limit=None)
    cloud = Cloud(after(OK, busy, ServerError("down", status_code=500), then=OK))
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=2, workers=1))
    assert scope.stopped is None
    assert [outcome.status for outcome in outcomes] == ["configured", "configured"]


def test_refusals_in_a_short_time_stop_nothing(in_virtual_time):
    busy = ThrottledError("busy", status_code=429).with_hints(retry_after=1.0, limit=None)
    cloud = Cloud(after(*[busy] * 30, then=OK))
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=5, workers=1))
    assert scope.stopped is None
    assert len(outcomes) == 5


def test_the_time_of_refusals_begins_anew_with_each_accepted_call(in_virtual_time):
    busy = ThrottledError("busy", status_code=429).with_hints(retry_after=60.0, limit=None)
    cloud = Cloud(lambda number: OK if number % 13 == 1 else busy)
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=20, workers=1))
    assert (scope.stopped and scope.stopped.kind) == "throttled", "twelve pauses of a minute between two answers"
    cloud = Cloud(lambda number: OK if number % 7 == 1 else busy)
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=20, workers=1))
    assert scope.stopped is None
    assert len(outcomes) == 20


SILENCE = [CallConnectionError("refused"), CallTimeoutError("slow"), DOWN]


def goes_away(cloud: Cloud, clock, seconds: float, error) -> None:
    gone_at = []

    def plan(number):
        if number > 50:
            gone_at.append(clock())
            if clock() < gone_at[0] + seconds:
                return error
        return OK

    cloud.plan = plan


@pytest.mark.parametrize("error", SILENCE, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("seconds", [5.0, 60.0, 100.0])
def test_an_outage_is_survived_by_a_few_probes(in_virtual_time, error, seconds):
    cloud = Cloud(None)

    async def test(clock):
        goes_away(cloud, clock, seconds, error)
        return await cloud.work_off(clock, urns=1000)

    scope, outcomes = in_virtual_time(test)
    assert scope.stopped is None
    assert Counter(outcome.status for outcome in outcomes) == {"configured": 1000}
    assert cloud.answers[type(error).__name__] <= 64 + 30
    assert max(outcome.attempts for outcome in outcomes) <= 2


@pytest.mark.parametrize("error", SILENCE, ids=lambda error: type(error).__name__)
def test_an_outage_that_does_not_end_ends_the_scope(in_virtual_time, error):
    cloud = Cloud(after(*[OK] * 50, then=error))

    async def test(clock):
        began = clock()
        scope, outcomes = await cloud.work_off(clock, urns=100_000)
        return scope, outcomes, clock() - began

    scope, outcomes, took = in_virtual_time(test)
    assert (scope.stopped, scope.stopped.exit_code) == (error, 5)
    assert 120.0 <= took <= 180.0
    assert len(cloud.calls) <= 50 + 64 + 30
    assert len(outcomes) <= 50 + 64


def test_a_service_that_fails_on_everything_is_asked_once_a_urn(in_virtual_time):
    broken = ServerError("internal", status_code=500, error_code="FSS.0500")
    cloud = Cloud(after(OK, then=broken))
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=3000, attempts=4))
    assert scope.stopped is None
    assert len(outcomes) == 3000
    assert len(cloud.calls) <= 3000 + 200


def test_a_flaky_service_earns_its_retries(in_virtual_time):
    cloud = Cloud(lambda number: DOWN if number % 2 else OK)
    scope, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=3000, attempts=8, workers=5))
    assert scope.stopped is None
    assert Counter(outcome.status for outcome in outcomes)["configured"] >= 2990


def test_a_500_of_one_function_holds_nobody_up(in_virtual_time):
    broken = ServerError("Error getting associated function", status_code=500, error_code="FSS.0500")

    async def ask(urn):
        await asyncio.sleep(0.05)
        if urn == "urn-7":
            raise broken
        return OK

    async def test(clock):
        cloud = Cloud(None)
        cloud.ask = ask
        began = clock()
        scope, outcomes = await cloud.work_off(clock, urns=2000, workers=4, attempts=4)
        return scope, outcomes, clock() - began

    scope, outcomes, took = in_virtual_time(test)
    assert scope.stopped is None
    assert {outcome.urn: outcome.attempts for outcome in outcomes if outcome.status == "failed"} == {"urn-7": 4}
    assert took < 60.0


class Keys:
    """A credential that scopes share, as access keys are shared; it may take time to be ready, or fail to be."""

    def __init__(self, *unready, seconds: float = 0.0) -> None:
        self.redactor = Redactor()
        self.generation = 0
        self.lockout = Lockout()
        self.unready = list(unready)
        self.is_ready = False
        self.seconds = seconds

    async def prepare(self) -> None:
        await asyncio.sleep(self.seconds)
        if self.unready:
            raise self.unready.pop(0)

    async def renew(self, _generation) -> bool:
        return False


@pytest.mark.parametrize(
    "before",
    [
        WrongEndpointError("no API", status_code=404, error_code="APIGW.0101"),
        WrongEndpointError("<html>", status_code=404),
        BadRequestError("bad", status_code=400, error_code="APIGW.0106"),
        ForbiddenError("project", status_code=403, error_code="APIGW.0310"),
        BadAnswerError("a redirect", status_code=302),
        BadAnswerError("not a config: <html>", status_code=200),
        BadAnswerError("not a config", status_code=200, error_code="FSS.0401"),
        ServerError("down", status_code=503, error_code="FSS.0503"),
        ThrottledError("busy", status_code=429, error_code="FSS.0429"),
        CallTimeoutError("no answer"),
    ],
    ids=lambda error: f"{error.status_code}-{error.error_code}",
)
def test_a_dead_key_is_refused_three_times_whatever_the_first_scope_is_answered(in_virtual_time, before):
    keys = Keys()

    async def test(clock):
        clouds = [Cloud(after(then=before if number == 0 else DEAD)) for number in range(20)]
        for cloud in clouds:
            cloud.credential = keys
        await asyncio.gather(*(cloud.work_off(clock, urns=3, workers=3, attempts=1) for cloud in clouds))
        return sum(cloud.answers["CredentialRefusedError"] for cloud in clouds)

    assert in_virtual_time(test) <= 3


@pytest.mark.parametrize(
    "first",
    [OK, NO_PERMISSION, BadRequestError("invalid URN", status_code=400, error_code="FSS.1309")],
    ids=["200", "403", "400"],
)
def test_an_answer_of_the_service_shows_that_a_key_is_accepted(in_virtual_time, first):
    keys = Keys()
    cloud = Cloud(after(then=first))
    cloud.credential = keys
    in_virtual_time(lambda clock: cloud.work_off(clock, urns=1))
    assert keys.lockout.is_accepted


def test_a_paused_scope_does_not_hold_up_those_that_share_its_key(in_virtual_time):
    keys = Keys()
    busy = ThrottledError("busy", status_code=429).with_hints(retry_after=12.0, limit=None)
    clouds = [Cloud(after(busy, then=OK)), Cloud(after(then=OK)), Cloud(after(then=OK))]

    async def test(clock):
        ends = []

        async def work_off(cloud):
            cloud.credential = keys
            began = clock()
            await cloud.work_off(clock, urns=10, workers=4)
            ends.append(clock() - began)

        await asyncio.gather(*map(work_off, clouds))
        return ends

    ends = in_virtual_time(test)
    assert ends[1] < 2.0
    assert ends[2] >= 12.0
    assert [len(cloud.calls) for cloud in clouds] == [11, 10, 10]


def test_a_failure_before_any_call_is_noted_with_its_time_and_no_call(in_virtual_time):
    cloud = Cloud(after(then=OK))
    cloud.credential = Keys(*[DOWN] * 2)
    before = time.time_ns() // 1000
    _, (outcome,) = in_virtual_time(lambda clock: cloud.work_off(clock, urns=1, workers=1, attempts=2))
    assert (outcome.status, outcome.error_kind, outcome.attempts) == ("failed", "server_error", 0)
    assert before <= outcome.finished_at <= time.time_ns() // 1000
    assert cloud.calls == []


def test_an_attempt_without_a_credential_is_one_of_the_attempts(in_virtual_time):
    cloud = Cloud(after(DOWN, then=OK))
    cloud.credential = Keys(DOWN)
    _, (outcome,) = in_virtual_time(lambda clock: cloud.work_off(clock, urns=1, workers=1, attempts=3))
    assert (outcome.status, outcome.attempts) == ("configured", 2)


def test_waiting_does_not_use_up_the_time_for_retries(in_virtual_time):
    cloud = Cloud(after(OK, ServerError("down", status_code=500), then=OK))
    cloud.credential = Keys(seconds=600.0)
    _, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=2, workers=2))
    assert [outcome.status for outcome in outcomes] == ["configured"] * 2


def test_a_credential_that_expires_in_the_throttle_is_renewed_before_the_call(in_virtual_time):
    cloud = Cloud(after(ThrottledError("busy", status_code=429).with_hints(retry_after=60.0, limit=None), then=OK))
    ages = []

    class Aging(TokenCredential):
        prepared = 0.0
        is_ready = False

        async def prepare(self):
            self.prepared = asyncio.get_running_loop().time()

    cloud.credential = Aging("a-token", "x")
    ask = cloud.ask

    async def note_age(urn):
        ages.append(asyncio.get_running_loop().time() - cloud.credential.prepared)
        return await ask(urn)

    cloud.ask = note_age
    in_virtual_time(lambda clock: cloud.work_off(clock, urns=3, workers=3))
    assert len(ages) == 4
    assert max(ages) < 1.0


def test_a_long_renewal_does_not_use_up_the_time_for_retries(in_virtual_time):
    cloud = Cloud(after(OK, DEAD, ServerError("down", status_code=500), then=OK))

    class Slow(Renewed):
        async def renew(self, generation):
            await asyncio.sleep(600.0)
            return await super().renew(generation)

    cloud.credential = Slow()
    _, outcomes = in_virtual_time(lambda clock: cloud.work_off(clock, urns=2, workers=1))
    assert [outcome.status for outcome in outcomes] == ["configured"] * 2


def test_a_scope_is_freed_when_it_is_not_used_any_more(in_virtual_time):
    cloud = Cloud(None)

    async def ask(_urn):
        raise NotConfiguredError("none", status_code=404, error_code="FSS.0404")

    cloud.ask = ask

    async def test(clock):
        scope = cloud.scope(clock)
        await scope.fetch_config("first")
        await scope.fetch_config("second")
        scope.close()
        return weakref.ref(scope)

    gc.disable()
    try:
        assert in_virtual_time(test)() is None
    finally:
        gc.enable()


def test_a_call_that_is_sent_at_once_reads_the_clock_at_most_three_times_and_makes_no_task(in_virtual_time):
    cloud = Cloud(after(then=OK), latency=0.0)

    async def test(clock):
        readings = 0

        def counted() -> float:
            nonlocal readings
            readings += 1
            return clock()

        scope = cloud.scope(counted)
        await scope.fetch_config("first")
        tasks = len(asyncio.all_tasks())
        readings = 0
        for name in ("second", "third"):
            await scope.fetch_config(name)
        assert len(asyncio.all_tasks()) == tasks
        return readings / 2

    assert in_virtual_time(test) <= 3


def test_a_call_with_a_proven_access_key_does_not_wait_for_its_turn(in_virtual_time):
    cloud = Cloud(after(then=OK))
    cloud.credential.lockout = Lockout()

    async def test(clock):
        scope = cloud.scope(clock)
        await scope.fetch_config("first")
        cloud.credential.lockout.try_acquire = None  # is not called any more
        return await scope.fetch_config("second")

    assert in_virtual_time(test).status == "configured"
