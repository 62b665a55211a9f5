"""Starts the command in forks of a process that has loaded it: run as a script, by ``forks.py``.

A fork is a process of its own: it has streams, environment and folder, gets signals, and ends as an interpreter does.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time

LOADED = (
    "inventory.cli.app",
    "inventory.cli.export",
    "inventory.cli.runs",
    "inventory.pipeline.discover",
    "inventory.pipeline.export",
    "inventory.pipeline.rebuild",
    "inventory.runs.status",
    "inventory.runs.upload",
    "typer._adapters",
    "uvloop",
)


def serve(control):
    """Forks for each request; returns the request and its streams in the fork that runs it, None at the end."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 4)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not message:
            return None
        if os.fork() == 0:
            *streams, status = descriptors
            command = os.fork()
            if command == 0:
                return json.loads(message), streams
            for stream in streams:
                os.close(stream)
            watch(command, socket.socket(fileno=status))
        for descriptor in descriptors:
            os.close(descriptor)


def watch(command, status):
    """Reports the number and the exit code of a command; its number stays taken until the report is closed."""
    status.sendall(f"{command}\n".encode())
    end = os.waitid(os.P_PID, command, os.WEXITED | os.WNOWAIT)
    status.sendall(f"{end.si_status if end.si_code == os.CLD_EXITED else -end.si_status}\n".encode())
    status.recv(1)
    os.waitpid(command, 0)
    os._exit(0)


def become(request, streams):
    """Gives this process the streams, the environment and the folder of a request."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, 256)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["folder"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin, sys.stdout = open(0, encoding="utf-8"), open(1, "w", encoding="utf-8")  # noqa: SIM115 - as at a start
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115 - as at a start


control = socket.socket(fileno=os.dup(0))
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # as the command sets it before it loads Arrow
for name in LOADED:
    with contextlib.suppress(ModuleNotFoundError):  # older versions of typer have other modules
        importlib.import_module(name)
gc.collect()
gc.freeze()
if (work := serve(control)) is not None:
    become(*work)
    first, *words = work[0]["words"]
    if first == "-m":
        sys.argv = words
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *words]
        runpy.run_path(first, run_name="__main__")
