from __future__ import annotations

import asyncio

import pytest

from inventory.errors import CredentialRefusedError
from inventory.scheduling.lockout import MAX_REFUSALS, Lockout

REFUSED = CredentialRefusedError("no", status_code=401)


async def test_scopes_try_an_unproven_secret_one_after_the_other():
    lockout = Lockout()
    inside = []
    most = 0

    async def go(number):
        nonlocal most
        await lockout.acquire()
        inside.append(number)
        most = max(most, len(inside)) if number < 3 else most
        await asyncio.sleep(0)
        inside.remove(number)
        lockout.release(accepted=number == 2)

    await asyncio.gather(*(go(number) for number in range(3)))
    assert most == 1
    await lockout.acquire()
    await lockout.acquire()
    lockout.release(REFUSED)
    await lockout.acquire()


async def test_a_refused_secret_is_tried_three_times():
    lockout = Lockout()
    for _ in range(MAX_REFUSALS):
        await lockout.acquire()
        lockout.release(REFUSED)
    with pytest.raises(CredentialRefusedError, match="no"):
        await lockout.acquire()


async def test_an_attempt_without_a_result_counts_as_no_refusal():
    lockout = Lockout()
    for _ in range(10):
        await lockout.acquire()
        lockout.release()
    await lockout.acquire()
    waiting = asyncio.create_task(lockout.acquire())
    await asyncio.sleep(0)
    assert not waiting.done()
    lockout.release(accepted=True)
    await waiting
