"""``inventory`` and ``python -m inventory``."""

from __future__ import annotations

import codecs
import io
import os
import re
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")
_MAY_BE_SECRET: Final = re.compile(r"TOKEN|SECRET|PASSWORD|ACCESS_?KEY|_AK$|_SK$")
"""Names of variables whose values no traceback shows, also before a credential is read."""
_AS_NAMED: Final = "inventory-as-named"
_SHORTEST_SECRET: Final = 4
_USER_OF_URL: Final = re.compile(r"://[^\s'\"]*@")


def main() -> None:
    """Runs the command line and leaves with its exit code."""
    # Arrow's own memory pool keeps what was freed: 40 MB more at the peak of an export of 100,000 URNs. Arrow reads
    # this when it is loaded; it is a matter of the whole process, so only the command sets it, never the library.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    _open_standard_streams()
    sys.excepthook = _crash
    _leave_by_signals(_leave_at_once)
    from inventory.cli.app import CLICK_ERROR, main_command  # noqa: PLC0415 - after the variable is set

    _leave_by_signals(_leave)
    try:
        code = main_command().main(prog_name="inventory", standalone_mode=False)
    except SystemExit as leaving:
        # typer leaves with 1 where the reader of --help has left, which is no error.
        code = 0 if leaving.code == 1 else leaving.code
    except CLICK_ERROR as error:
        code = _say_usage(error)
    except OSError as error:
        # Every command names its own; what is left is typer's, as of --help on a full disk.
        code = _say_refused(error)
    _leave_alone_what_is_left(code)
    sys.exit(code)


def _say_usage(error: Any) -> int:  # noqa: ANN401 - click's, of which typer has a copy
    from inventory.display.log import silence_stream  # noqa: PLC0415
    from inventory.printable import printable  # noqa: PLC0415 - as little as can be, until signals have a sentence

    if type(error).__name__ != "NoArgsIsHelpError":  # whose message is the help, of several lines
        error.message = printable(error.message)
    try:
        error.show()
    except OSError:
        silence_stream(sys.stderr)
    return int(error.exit_code)


def _say_refused(error: OSError) -> int:
    from inventory.display.log import Log, silence_stream  # noqa: PLC0415 - loaded only after a failure
    from inventory.errors import ExitCode  # noqa: PLC0415 - as above
    from inventory.os_errors import remedy_for  # noqa: PLC0415

    silence_stream(sys.stdout)
    place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    Log("text").complain(f"{place}{error.strerror or error}; {remedy_for(error)}")
    return ExitCode.OUTPUT


def _crash(_kind: type[BaseException], error: BaseException, _trace: object) -> NoReturn:
    """Shows the traceback of a fault of the program, without a secret; only what we write begins a line."""
    from inventory.display.log import silence_stream  # noqa: PLC0415
    from inventory.errors import ExitCode  # noqa: PLC0415 - as above
    from inventory.printable import printable_lines  # noqa: PLC0415
    from inventory.redaction import Redactor, redact_everywhere  # noqa: PLC0415

    known = Redactor(
        *(value for name, value in os.environ.items() if _MAY_BE_SECRET.search(name) and len(value) >= _SHORTEST_SECRET)
    )
    lines = ["inventory: this is a fault of the program; please report it with these lines:", *_traceback_of(error)]
    text = printable_lines(_USER_OF_URL.sub("://[redacted]@", redact_everywhere(line)) for line in lines)
    del known
    try:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - stderr is for messages
    except OSError:
        silence_stream(sys.stderr)
    _leave_alone_what_is_left(ExitCode.BUG)
    sys.exit(ExitCode.BUG)


def _traceback_of(error: BaseException) -> Iterator[str]:
    """The lines of a traceback, of which an error's own text is one."""
    import traceback  # noqa: PLC0415 - as above

    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None:
        yield from _traceback_of(earlier)
        yield "then:"
    yield "Traceback (most recent call last):"
    for frame in traceback.format_tb(error.__traceback__):
        yield from frame.splitlines()
    yield f"{type(error).__qualname__}: {error}"
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _traceback_of(one)


def _leave_by_signals(leave: Callable[[int, object], None]) -> None:
    """Makes a signal an end with its code and a sentence where nothing is begun yet, or there is nothing to keep.

    A run takes the signals over, and ends in its own order.
    """
    for number in (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)):  # Windows has no SIGHUP
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
    detached = sys.modules.get("inventory.scheduling.threads")  # where it is not loaded to its end, nothing is left
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
        codecs.register_error(_AS_NAMED, _as_named)
        sys.stdout.reconfigure(errors=_AS_NAMED)


def _as_named(error: UnicodeError) -> tuple[str | bytes, int]:
    """Writes what the encoding of stdout lacks as the bytes that a file's name has; a path may hold any bytes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    try:
        return os.fsencode(text), error.end
    except UnicodeEncodeError:
        return text.encode("ascii", "backslashreplace"), error.end


if __name__ == "__main__":
    main()
