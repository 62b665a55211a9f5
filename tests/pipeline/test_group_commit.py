"""Outcomes that arrive together share a commit; no worker goes on before its own is committed."""

import asyncio

import pytest

from inventory.errors import OutputError
from inventory.pipeline.group_commit import GroupCommit


class Ledger:
    """Counts what is committed."""

    def __init__(self):
        self.recorded, self.committed, self.error = 0, [], None

    def commit(self, *, all_counts):
        assert not all_counts
        if self.error:
            raise self.error
        self.committed.append(self.recorded)


async def worker(ledger, commits, turns):
    for _ in range(turns):
        await asyncio.sleep(0)
    ledger.recorded += 1
    mine = ledger.recorded
    await commits.wait()
    assert ledger.committed[-1] >= mine


async def test_outcomes_of_neighbouring_turns_share_a_commit():
    ledger = Ledger()
    commits = GroupCommit(ledger)
    await asyncio.gather(*(worker(ledger, commits, turns) for turns in (0, 0, 1, 2, 3)))
    assert ledger.committed == [5]


async def test_a_commit_does_not_wait_for_answers_that_do_not_come():
    ledger = Ledger()
    commits = GroupCommit(ledger)
    await asyncio.gather(worker(ledger, commits, 0), worker(ledger, commits, 20))
    assert ledger.committed == [1, 2]


async def test_many_waiting_outcomes_are_committed_at_once():
    ledger = Ledger()
    commits = GroupCommit(ledger)
    await asyncio.gather(*(worker(ledger, commits, turns) for turns in range(100)))
    assert len(ledger.committed) == 4


async def test_each_waiting_worker_gets_the_error_of_a_commit():
    ledger = Ledger()
    ledger.error = OutputError("full")
    commits = GroupCommit(ledger)
    ended = await asyncio.gather(*(worker(ledger, commits, 0) for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in ended] == ["full"] * 3


async def test_a_cancelled_worker_does_not_take_others_along():
    ledger = Ledger()
    commits = GroupCommit(ledger)
    cancelled, other = (asyncio.ensure_future(worker(ledger, commits, 0)) for _ in range(2))
    await asyncio.sleep(0)
    cancelled.cancel()
    await other
    with pytest.raises(asyncio.CancelledError):
        await cancelled
