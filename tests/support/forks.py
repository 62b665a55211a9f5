"""Commands as processes that need no interpreter's start, which costs more than most of what tests let them do.

A test whose claim is about the start, or about what is loaded, starts an interpreter instead.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_SERVER = str(Path(__file__).with_name("fork_server.py"))
COMMAND = ("-m", "inventory")
CAN_FORK = sys.platform == "linux"


@functools.cache
def _server():
    """The connection to the server of this process, which ends when it is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen([sys.executable, _SERVER], stdin=theirs)
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


class Fork:
    """A command in a process of its own, with the methods of ``subprocess.Popen``.

    Args:
        words: what an interpreter would get: ``-m inventory`` or the path of a script, and the arguments.
        environment: of the process.
        folder: its working directory.
    """

    returncode = None

    def __init__(self, *words, environment, folder=None):
        theirs, ours = zip(*(os.pipe(), os.pipe()[::-1], os.pipe()[::-1]), strict=True)
        self.stdin, self.stdout, self.stderr = (
            os.fdopen(number, mode, encoding="utf-8") for number, mode in zip(ours, "wrr", strict=True)
        )
        self._status, status = socket.socketpair()
        request = {
            "words": [*map(str, words)],
            "environment": environment,
            "folder": os.fspath(folder or Path.cwd()),
        }
        with status:
            socket.send_fds(_server(), [json.dumps(request).encode()], [*theirs, status.fileno()])
        for number in theirs:
            os.close(number)
        self._reports = self._status.makefile()
        self.pid = int(self._reports.readline())

    def __enter__(self):
        return self

    def __exit__(self, error, *more):
        """Waits for its end, or kills it."""
        if error is not None:
            self.kill()
        self._close()
        self.wait()

    def _close(self):
        for stream in (self.stdin, self.stdout, self.stderr):
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def send_signal(self, number):
        """Sends a signal, if the process has not ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self):
        """Kills the process."""
        self.send_signal(signal.SIGKILL)

    def poll(self):
        """The exit code, None while it runs."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self):
        """Waits for its end; gives the exit code."""
        if self.returncode is None:
            code = int(self._reports.readline())
            self.returncode = code
            self._reports.close()
            self._status.close()
        return self.returncode

    def communicate(self, text=None):
        """Writes to its standard input, reads all output and waits for its end."""
        with ThreadPoolExecutor(2) as threads:
            texts = threads.submit(self.stdout.read), threads.submit(self.stderr.read)
            with contextlib.suppress(BrokenPipeError):
                self.stdin.write(text or "")
                self.stdin.close()
        self.wait()
        self._close()
        return tuple(each.result() for each in texts)
