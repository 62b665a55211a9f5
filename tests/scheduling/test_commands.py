import asyncio
import sys

import pytest

from inventory.scheduling.commands import run_command

SLOW_TO_END = """
import pathlib, signal, sys, time
started, ended = map(pathlib.Path, sys.argv[1:])

def end(*_signal):
    time.sleep(0.3)
    ended.touch()
    sys.exit()

signal.signal(signal.SIGTERM, end)
started.touch()
signal.pause()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM cannot be handled there")
def test_a_second_cancellation_still_waits_for_the_end_of_the_command(tmp_path):
    started, ended = tmp_path / "started", tmp_path / "ended"

    async def cancel_twice():
        task = asyncio.ensure_future(run_command([sys.executable, "-c", SLOW_TO_END, started, ended]))
        while not started.exists():  # noqa: ASYNC110 - another process creates it
            await asyncio.sleep(0.01)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0.05)
        await asyncio.wait({task})
        return task.cancelled()

    assert asyncio.run(cancel_twice())
    assert ended.exists()
