"""How many go first, and when the others follow."""

from __future__ import annotations

import asyncio

from inventory.gate import Gate


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
