"""How many go first, and when the others follow."""

from __future__ import annotations

import asyncio

import pytest

from inventory.errors import CredentialRefusedError
from inventory.scheduling.warmup import TRIES, Gate, Trial

REFUSED = CredentialRefusedError("no", status_code=401)


def entered(gate, times):
    """How many of so many are let in."""
    return sum(gate.enter() for _ in range(times))


def test_one_goes_first_then_three_then_all():
    """One until something was heard, three in all until one came back well, and everybody after that."""
    gate = Gate()
    assert entered(gate, 10) == 1
    gate.heard()
    assert entered(gate, 10) == 2
    gate.leave()
    assert entered(gate, 10) == 1, "who leaves makes room for one"
    gate.open()
    assert gate.is_open
    assert entered(gate, 10) == 10


def test_three_refusals_shut_it():
    """The place of one that was refused stays taken: after three nobody is let in, and that is known."""
    gate = Gate()
    gate.heard()
    for number in range(3):
        assert gate.enter()
        assert not gate.is_shut
        gate.refuse()
        gate.leave()
        assert entered(gate, 1) == (number < 2)
        if number < 2:
            gate.leave()
    assert gate.is_shut


def test_an_open_gate_is_never_shut():
    """Refusals after a welcome are about those who were refused."""
    gate = Gate()
    gate.open()
    for _ in range(5):
        gate.refuse()
    assert not gate.is_shut
    assert entered(gate, 5) == 5


async def test_who_waits_is_told_of_every_change():
    """Something heard, a welcome, and a place that is free wake those who wait."""
    for change in (Gate.heard, Gate.open, Gate.leave, Gate.wake):
        gate = Gate()
        assert gate.enter()
        waiting = asyncio.create_task(gate.news())
        await asyncio.sleep(0)
        change(gate)
        await asyncio.wait_for(waiting, 1)


async def test_a_secret_is_tried_by_one_scope_after_the_other():
    """Until it is accepted there is one try at a time; then all go in at once."""
    trial = Trial()
    inside = []
    most = 0

    async def go(number):
        nonlocal most
        await trial.enter()
        inside.append(number)
        most = max(most, len(inside)) if number < 3 else most
        await asyncio.sleep(0)
        inside.remove(number)
        trial.leave(accepted=number == 2)

    await asyncio.gather(*(go(number) for number in range(3)))
    assert most == 1
    await trial.enter()
    await trial.enter()
    trial.leave(REFUSED)
    await trial.enter()


async def test_a_secret_that_is_refused_everywhere_is_tried_three_times():
    """The vendor locks a key after more than five refusals: the fourth scope is told what the third heard."""
    trial = Trial()
    for _ in range(TRIES):
        await trial.enter()
        trial.leave(REFUSED)
    with pytest.raises(CredentialRefusedError, match="no"):
        await trial.enter()


async def test_a_try_that_says_nothing_makes_room_for_the_next():
    """A time-out is no refusal, however often it comes; who was cancelled leaves too."""
    trial = Trial()
    for _ in range(10):
        await trial.enter()
        trial.leave()
    await trial.enter()
    waiting = asyncio.create_task(trial.enter())
    await asyncio.sleep(0)
    assert not waiting.done()
    trial.leave(accepted=True)
    await waiting
