"""``inventory`` and ``python -m inventory``."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Runs the command line and leaves with its exit code."""
    # Arrow's own memory pool keeps what was freed: 40 MB more at the peak of an export of 100,000 URNs. Arrow reads
    # this when it is loaded; it is a matter of the whole process, so only the command sets it, never the library.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    _open_standard_streams()
    _leave_by_signals(_leave_at_once)
    from inventory.cli import app  # noqa: PLC0415 - after the variable is set

    _leave_by_signals(_leave)
    try:
        app(prog_name="inventory")
    except SystemExit as leaving:
        _leave_alone_what_is_left(leaving.code)
        raise
    except OSError as error:
        # Every command names its own; what is left is typer's, as of --help on a full disk.
        from inventory.errors import ExitCode  # noqa: PLC0415 - as little as can be, until signals have a sentence
        from inventory.stdout import silence_stdout  # noqa: PLC0415

        silence_stdout()
        sys.stderr.write(f"inventory: {error.strerror or error}\n")
        sys.exit(ExitCode.OUTPUT)


def _leave_by_signals(leave: Callable[[int, object], None]) -> None:
    """Makes a signal an end with its code and a sentence where nothing is begun yet, or there is nothing to keep.

    A run takes the signals over, and ends in its own order.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler, _leave_at_once}:
            signal.signal(number, leave)


def _leave_at_once(number: int, _frame: object) -> None:
    """Leaves a process that has done nothing. No module that is half loaded, nor who loads it, sees an error of it."""
    _say_stopped(number)
    os._exit(128 + number)


def _leave(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)
    _say_stopped(number)
    sys.exit(128 + number)


def _say_stopped(number: int) -> None:
    with suppress(OSError):
        os.write(2, f"inventory: stopped by {signal.Signals(number).name}\n".encode())


def _leave_alone_what_is_left(code: object) -> None:
    """Ends the process here, where a call that nobody can give up would hold it: all is in order by now."""
    detached = sys.modules.get("inventory.detached")  # where it is not loaded to its end, nothing is left
    if detached is not None and detached.is_any_left():
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _open_standard_streams() -> None:
    """Puts nothing where a stream is closed: a file opened later would get its number, and our words in it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # a path may be any bytes, and comes out as it is


if __name__ == "__main__":
    main()
