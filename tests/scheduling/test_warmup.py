from __future__ import annotations

import asyncio

from inventory.scheduling.warmup import Warmup


def entered(warmup, times):
    return sum(warmup.try_enter() for _ in range(times))


def test_one_goes_first_then_three_then_all():
    warmup = Warmup()
    assert entered(warmup, 10) == 1
    warmup.widen()
    assert entered(warmup, 10) == 2
    warmup.leave()
    assert entered(warmup, 10) == 1, "who leaves makes room for one"
    warmup.open()
    assert warmup.is_open
    assert entered(warmup, 10) == 10


def test_three_refusals_shut_it():
    warmup = Warmup()
    warmup.widen()
    for number in range(3):
        assert warmup.try_enter()
        assert not warmup.is_exhausted
        warmup.count_refusal()
        warmup.leave()
        assert entered(warmup, 1) == (number < 2)
        if number < 2:
            warmup.leave()
    assert warmup.is_exhausted


def test_an_open_gate_is_never_shut():
    warmup = Warmup()
    warmup.open()
    for _ in range(5):
        warmup.count_refusal()
    assert not warmup.is_exhausted
    assert entered(warmup, 5) == 5


async def test_who_waits_is_told_of_every_change():
    for change in (Warmup.widen, Warmup.open, Warmup.leave, Warmup.notify):
        warmup = Warmup()
        assert warmup.try_enter()
        waiting = asyncio.create_task(warmup.wait())
        await asyncio.sleep(0)
        change(warmup)
        await asyncio.wait_for(waiting, 1)
