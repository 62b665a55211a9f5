"""``inventory`` and ``python -m inventory``."""

from __future__ import annotations

import codecs
import io
import os
import re
import signal
import sys
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")
_MAY_BE_SECRET: Final = re.compile(r"TOKEN|SECRET|PASSWORD|ACCESS_?KEY|_AK$|_SK$")
"""Environment variables whose values are removed from tracebacks."""
_COMPLETION: Final = "_INVENTORY_COMPLETE"
"""The variable with which a shell asks typer for completions."""
_FILE_NAME_ERRORS: Final = "inventory-file-names"
_SHORTEST_SECRET: Final = 4
_USER_OF_URL: Final = re.compile(r"://[^\s'\"]*@")


def main() -> None:
    """Runs the command line and exits with its code."""
    # Arrow's own memory pool keeps freed memory: 40 MB more at the peak of an export of 100,000 URNs. The setting
    # affects the whole process, so only the command makes it, not the library.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # numpy's BLAS starts threads that spin at first: 7 % of the CPU of a small export. No command multiplies matrices.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _open_standard_streams()
    sys.excepthook = _print_crash
    _handle_signals(_exit_at_once)
    from inventory.cli.app import CLICK_ERROR, main_command  # noqa: PLC0415 - after the variable is set

    _handle_signals(_exit)
    try:
        code = main_command().main(prog_name="inventory", standalone_mode=False)
    except SystemExit as stop:
        # typer exits with 1 if the reader of --help closed the pipe, which is no error.
        code = 0 if stop.code == 1 and _COMPLETION not in os.environ else stop.code
    except CLICK_ERROR as error:
        code = _print_usage_error(error)
    except OSError as error:
        # Commands handle their own; this one is typer's, such as --help on a full disk.
        code = _print_os_error(error)
    _exit_if_threads_remain(code)
    sys.exit(code)


def _print_usage_error(error: Any) -> int:  # noqa: ANN401 - click's, of which typer has a copy
    from inventory.cli.usage_error import usage_message  # noqa: PLC0415 - loaded only when needed
    from inventory.display.log import Log, silence_stream  # noqa: PLC0415 - as above

    if type(error).__name__ != "NoArgsIsHelpError":
        Log(_log_format()).complain(usage_message(error), exit_code=int(error.exit_code))
        return int(error.exit_code)
    try:
        error.show()  # the help
    except OSError:
        silence_stream(sys.stderr)
    return int(error.exit_code)


def _log_format() -> str:
    """The format of messages that a command line asks for, which could not be parsed."""
    option, words = "--log-format", sys.argv[1:]
    given = [word for before, word in pairwise(words) if before == option]
    given += [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    return "json" if "json" in (given or [os.environ.get("INVENTORY_LOG_FORMAT", "text")]) else "text"


def _print_os_error(error: OSError) -> int:
    from inventory.display.log import Log, silence_stream  # noqa: PLC0415 - loaded only after a failure
    from inventory.errors import ExitCode  # noqa: PLC0415 - as above
    from inventory.os_errors import remedy_for  # noqa: PLC0415 - as above

    silence_stream(sys.stdout)
    place = "standard output cannot be written" if error.filename is None else os.fsdecode(error.filename)
    Log("text").complain(f"{place}: {error.strerror or error}; {remedy_for(error)}")
    return ExitCode.OUTPUT


def _print_crash(_kind: type[BaseException], error: BaseException, _trace: object) -> NoReturn:
    """Prints the traceback of a bug, without secrets and with foreign text escaped."""
    from inventory.display.log import silence_stream  # noqa: PLC0415 - loaded only when needed
    from inventory.errors import ExitCode  # noqa: PLC0415 - as above
    from inventory.printable import printable_lines  # noqa: PLC0415 - loaded only for a traceback
    from inventory.redaction import Redactor, redact_everywhere  # noqa: PLC0415 - as above

    redactor = Redactor(  # redact_everywhere uses every redactor that exists
        *(value for name, value in os.environ.items() if _MAY_BE_SECRET.search(name) and len(value) >= _SHORTEST_SECRET)
    )
    lines = ["inventory: this is a fault of the program; please report it with these lines:", *_traceback_of(error)]
    text = printable_lines(_USER_OF_URL.sub("://[redacted]@", redact_everywhere(line)) for line in lines)
    del redactor
    try:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - stderr is for messages
    except OSError:
        silence_stream(sys.stderr)
    _exit_if_threads_remain(ExitCode.BUG)
    sys.exit(ExitCode.BUG)


def _traceback_of(error: BaseException) -> Iterator[str]:
    """The lines of a traceback; the error's own text is one line."""
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
        for part in error.exceptions:
            yield from _traceback_of(part)


def _handle_signals(handler: Callable[[int, object], None]) -> None:
    """Exits with one sentence and 128 + number at a signal, until a run installs its own handlers."""
    for number in (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)):  # Windows has no SIGHUP
        if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler, _exit_at_once}:
            signal.signal(number, handler)


def _exit_at_once(number: int, _frame: object) -> None:
    """Exits while modules are still being loaded, without an exception in the middle of an import."""
    _print_stopped(number)
    os._exit(128 + number)


def _exit(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)
    _print_stopped(number)
    sys.exit(128 + number)


def _print_stopped(number: int) -> None:
    with suppress(OSError):
        os.write(2, f"inventory: stopped by {signal.Signals(number).name}\n".encode())


def _exit_if_threads_remain(code: object) -> None:
    """Ends the process if an abandoned thread would delay the exit of the interpreter."""
    threads = sys.modules.get("inventory.scheduling.threads")
    if threads is not None and threads.is_any_left():
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _open_standard_streams() -> None:
    """Replaces closed streams by /dev/null: a file opened later would get their number, and our messages."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - open for the whole process
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error(_FILE_NAME_ERRORS, _encode_as_file_name)
        sys.stdout.reconfigure(errors=_FILE_NAME_ERRORS)


def _encode_as_file_name(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encodes characters that stdout cannot encode like a file name, because a path may contain any bytes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    try:
        return os.fsencode(text), error.end
    except UnicodeEncodeError:
        return text.encode("ascii", "backslashreplace"), error.end


if __name__ == "__main__":
    main()
