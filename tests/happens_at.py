"""The command, killed with SIGKILL at one exact step, or with a wall clock that jumps: run as a script, by other tests.

A step is ``module:attribute:before:3`` (or ``after``): the third call of that function. The product has no hooks for
tests: the function is wrapped here, in the process that is to die.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import random
import signal
import sys
import time


def die_at(step):
    """Wraps a function, so that the process dies before or after one of its calls."""
    module, path, when, times = step.split(":")
    owner = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original = getattr(owner, name)
    calls = itertools.count(1)

    @functools.wraps(original)
    def counted(*args, **more):
        is_the_one = next(calls) == int(times)
        if is_the_one and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **more)
        if is_the_one:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, counted)


def jump(seed):
    """Makes the wall clock jump, at each look, to anywhere between 1970 and 2100; the monotonic clock goes on."""
    dice = random.Random(seed)
    moment = functools.partial(dice.uniform, 0.0, 4.1e9)
    time.time = moment
    time.time_ns = lambda: int(moment() * 1e9)

    import datetime as dt  # noqa: PLC0415 - before anything takes its name

    class Jumping(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(moment(), tz)

    dt.datetime = Jumping


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what.startswith("jump:"):
        jump(what.removeprefix("jump:"))
    else:
        die_at(what)
    from inventory.__main__ import main

    sys.argv = ["inventory", *arguments]
    main()
