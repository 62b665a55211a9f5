"""The command, to which something happens at one exact step: run as a script, by other tests.

``kill``, ``full`` (no file may grow any more) or ``open`` (no descriptor is left) ``@`` a step, which is
``module:attribute:before:3`` (or ``after``): the third call of that function. Or ``jump@7``: a wall clock that jumps,
by that seed. The product has no hooks for tests: the function is wrapped here, in the process that is to die.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import os
import random
import resource
import signal
import sys
import time


def limit(what, most):
    """Lowers a limit of this process for good."""
    resource.setrlimit(what, (most, resource.getrlimit(what)[1]))


def open_all():
    """Takes every descriptor that there is."""
    limit(resource.RLIMIT_NOFILE, 100)
    with contextlib.suppress(OSError):
        while True:
            os.open(os.devnull, os.O_RDONLY)


HAPPENINGS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "full": lambda: limit(resource.RLIMIT_FSIZE, 0),
    "open": open_all,
}


def happen_at(happening, step):
    """Wraps a function, so that something happens before or after one of its calls."""
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
            happening()
        result = original(*args, **more)
        if is_the_one and when == "after":
            happening()
        return result

    for module in [owner, *sys.modules.values()]:  # those that were loaded before have it under its name, too
        if getattr(module, name, None) is original:
            setattr(module, name, counted)


def jump(seed):
    """Makes the wall clock jump at each call, between 1970 and 2100."""
    importlib.import_module("inventory.runs.manifest_reader")  # its types need the real class
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
    name, _, rest = what.partition("@")
    if name == "jump":
        jump(rest)
    else:
        happen_at(HAPPENINGS[name], rest)
    from inventory.__main__ import main

    sys.argv = ["inventory", *arguments]
    main()
