from __future__ import annotations

import asyncio

import pytest

from inventory.errors import (
    BadAnswerError,
    BadRequestError,
    CallConnectionError,
    CallTimeoutError,
    CredentialExpiredError,
    CredentialRefusedError,
    ForbiddenError,
    NotConfiguredError,
    NotFoundError,
    RefusedError,
    ServerError,
    ThrottledError,
    WrongEndpointError,
)
from inventory.scheduling.retry import MAX_ALONE, MAX_BUDGET, MAX_RENEWALS, Attempts, RetryBudget, RetryPolicy


class Bench:
    """A call that fails as planned, on a clock that passes by being slept."""

    def __init__(self, *plan: Exception | str, seconds: float = 0.0) -> None:
        self.plan = list(plan)
        self.seconds = seconds
        self.now = 0.0
        self.slept: list[float] = []
        self.calls = 0
        self.attempts = Attempts(0.0)
        self.is_closed = False
        self.others_accepted = 0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def call(self) -> str:
        self.calls += 1
        self.now += self.seconds
        answer = self.plan[min(self.calls, len(self.plan)) - 1]
        if isinstance(answer, ThrottledError):
            self.attempts.record_throttled(self.calls * self.others_accepted)
        elif isinstance(answer, Exception):
            self.attempts.record_failure(answer, is_probe=False)
        else:
            self.attempts.attempts += 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def run(self, attempts: int = 4, wait: float = 2.0) -> str:
        retry = RetryPolicy(attempts, clock=lambda: self.now, sleep=self.sleep, wait=lambda _state: wait)
        return await retry.run(self.call, self.attempts, is_closed=lambda: self.is_closed)


async def test_a_success_is_one_call():
    bench = Bench("answer")
    assert await bench.run() == "answer"
    assert (bench.calls, bench.slept) == (1, [])


@pytest.mark.parametrize("cls", [ServerError, CallTimeoutError, CallConnectionError, BadAnswerError])
async def test_what_may_pass_is_asked_again(cls):
    bench = Bench(cls("x"), cls("x"), "answer")
    assert await bench.run() == "answer"
    assert (bench.calls, bench.slept, bench.attempts.attempts) == (3, [2.0, 2.0], 3)


@pytest.mark.parametrize(
    "cls",
    [
        NotConfiguredError,
        NotFoundError,
        RefusedError,
        CredentialRefusedError,
        ForbiddenError,
        BadRequestError,
        WrongEndpointError,
    ],
)
@pytest.mark.parametrize("before", [0, 1])
async def test_what_will_not_pass_is_raised_at_once(cls, before):
    bench = Bench(*[ServerError("x")] * before, cls("final"), "never")
    with pytest.raises(cls, match="final"):
        await bench.run()
    assert bench.calls == before + 1


@pytest.mark.parametrize("attempts", [1, 2, 7])
async def test_attempts_are_bounded_and_the_last_error_is_raised(attempts):
    errors = [ServerError(f"number {n}", status_code=500 + n) for n in range(10)]
    bench = Bench(*errors)
    with pytest.raises(ServerError) as caught:
        await bench.run(attempts)
    assert caught.value is errors[attempts - 1]
    assert bench.calls == attempts
    assert len(bench.slept) == attempts - 1


async def test_a_429_uses_up_no_attempt():
    bench = Bench(*[ThrottledError("busy")] * 10, ServerError("x"), *[ThrottledError("busy")] * 5, "answer")
    assert await bench.run(attempts=2) == "answer"
    assert (bench.calls, bench.attempts.attempts, bench.attempts.throttled) == (17, 2, 15)
    assert [seconds for seconds in bench.slept if seconds] == [2.0]


async def test_a_renewed_credential_uses_up_no_attempt():
    bench = Bench(*[CredentialExpiredError("old")] * MAX_RENEWALS, "answer")
    assert await bench.run(attempts=1) == "answer"
    assert (bench.attempts.attempts, [seconds for seconds in bench.slept if seconds]) == (1, [])


async def test_a_urn_does_not_renew_a_credential_for_ever():
    bench = Bench(CredentialExpiredError("old"))
    with pytest.raises(CredentialExpiredError):
        await bench.run(attempts=2)
    assert bench.calls == MAX_RENEWALS + 2


async def test_a_urn_that_is_always_refused_is_given_up():
    bench = Bench(ThrottledError("busy", status_code=429))
    bench.others_accepted = 1
    with pytest.raises(ThrottledError):
        await bench.run()
    assert bench.calls == MAX_ALONE + 1
    assert [seconds for seconds in bench.slept if seconds] == [2.0] * (MAX_ALONE - 2)


async def test_a_urn_alone_waits_as_long_as_the_server_says():
    bench = Bench(*[ThrottledError("busy").with_hints(retry_after=5000.0, limit=None)] * 4, "answer")
    bench.others_accepted = 1
    assert await bench.run() == "answer"
    assert [seconds for seconds in bench.slept if seconds] == [900.0, 900.0]


async def test_refusals_of_the_whole_scope_are_no_urns_fault():
    bench = Bench(*[ThrottledError("busy")] * 50, "answer")
    assert await bench.run() == "answer"


async def test_time_is_bounded():
    bench = Bench(ServerError("x"), seconds=60.0)
    with pytest.raises(ServerError):
        await bench.run(attempts=1000, wait=40.0)
    assert bench.calls == 4  # 60, 160, 260, 360 seconds


async def test_waits_for_the_throttle_do_not_count_as_time():
    bench = Bench(ServerError("x"), ServerError("x"), "answer", seconds=400.0)
    bench.attempts.waited = 10_000.0
    assert await bench.run() == "answer"


@pytest.mark.parametrize("error", [ServerError("last"), ThrottledError("last")])
async def test_a_closed_scope_asks_no_more(error):
    bench = Bench(error, "never")
    bench.is_closed = True
    with pytest.raises(type(error), match="last"):
        await bench.run()
    assert (bench.calls, bench.slept) == (1, [])


async def test_a_bug_is_not_asked_again():
    bench = Bench(ZeroDivisionError("bug"), "never")
    with pytest.raises(ZeroDivisionError):
        await bench.run()
    assert bench.calls == 1


async def test_the_default_waits_grow_and_are_jittered():
    bench = Bench(ServerError("x"))
    retry = RetryPolicy(12, clock=lambda: 0.0, sleep=bench.sleep)
    with pytest.raises(ServerError):
        await retry.run(bench.call, bench.attempts, is_closed=lambda: False)
    assert len(bench.slept) == 11
    assert all(0.0 <= seconds <= min(20.0, 2.0**n) for n, seconds in enumerate(bench.slept))
    assert len(set(bench.slept)) > 5


async def test_one_policy_serves_many_coroutines():
    retry = RetryPolicy(3, clock=lambda: 0.0, sleep=lambda _seconds: asyncio.sleep(0), wait=lambda _state: 1.0)
    benches = [Bench(*[ServerError(str(n))] * (n % 4), "answer") for n in range(40)]

    async def one(bench: Bench) -> object:
        try:
            return await retry.run(bench.call, bench.attempts, is_closed=lambda: False)
        except ServerError as error:
            return str(error.error_msg)

    results = await asyncio.gather(*map(one, benches))
    assert results == ["answer" if n % 4 < 3 else str(n) for n in range(40)]
    assert [bench.calls for bench in benches] == [min(n % 4 + 1, 3) for n in range(40)]


def test_the_budget_of_retries_never_grows_beyond_its_maximum():
    def left(budget):
        return sum(1 for _ in iter(budget.take, False))

    fresh, full = RetryBudget(), RetryBudget()
    for _ in range(500):
        full.add()
    assert left(full) == left(fresh) == MAX_BUDGET - 1
    for _ in range(3):
        fresh.add()
    assert left(fresh) == 2
