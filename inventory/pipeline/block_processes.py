"""Flattens blocks of URNs in further processes; the same batches as in one."""

from __future__ import annotations

import gc
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa

from inventory.errors import ExitCode, LedgerUnusableError, OutputError
from inventory.ledger.chained import ChainedView
from inventory.ledger.reader import AFTER_ALL
from inventory.pipeline import urn_blocks
from inventory.pipeline.urn_blocks import BlockReader
from inventory.runs.manifest import Counts  # noqa: TC001 - msgspec reads the type
from inventory.tables.writer import PACKED, UNPACKED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inventory.ledger.writer import Ledger

_MESSAGE_BYTES: Final = 512 * 1024
_MESSAGES_AHEAD: Final = 8
"""Of each process: more than a block, so that it works on the next one while others are read."""
_LENGTH_BYTES: Final = 8
_POLL_SECONDS: Final = 0.1
_COLLECT_AFTER: Final = 50_000
"""Threshold of the garbage collector, in new objects."""
_ERRORS: Final = {error.__name__: error for error in (LedgerUnusableError, OutputError)}


class _Task(msgspec.Struct):
    """What a process flattens: ranges of URNs in a ledger, with the ledgers that have the outcomes of scopes."""

    ledger: str
    attached: list[tuple[str, str, str]]
    ranges: list[tuple[str, str]]
    zone: str | None
    listed: bool


class _Message(msgspec.Struct):
    """Batches of one block by number of their table, as Arrow streams; the last message of a block has its counts."""

    batches: list[tuple[int, bytes]]
    counts: Counts | None = None


class _Failure(msgspec.Struct):
    error: str
    message: str


class BlockProcesses:
    """Processes that flatten the blocks of a ledger in turns.

    Args:
        ledger: shared, with sorted outcomes.
        zone: name of the time zone of times without one.
        listed: the service listed the functions in this run.
        processes: how many, unless there are fewer blocks.

    Raises:
        OSError: they cannot be started.
    """

    def __init__(self, ledger: Ledger, zone: str | None, *, listed: bool, processes: int) -> None:
        ranges = list(pairwise([*ledger.block_starts(urn_blocks.URNS_PER_BLOCK), AFTER_ALL]))
        ranges[:1] = [("", end) for _, end in ranges[:1]]
        attached = [(*scope, str(path.absolute())) for scope, path in ledger.attached.items()]
        self._blocks = len(ranges)
        self._processes: list[_Process] = []
        with ExitStack() as stack:
            for number in range(min(processes, len(ranges))):
                task = _Task(str(ledger.path.absolute()), attached, ranges[number::processes], zone, listed)
                self._processes.append(stack.enter_context(_Process(task)))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def read(
        self, write: Callable[[int, pa.RecordBatch], None], check_cancelled: Callable[[], None]
    ) -> Iterator[Counts]:
        """Writes the batches of each block in URN order, then yields its counts.

        Raises:
            LedgerUnusableError: a row is damaged.
            OutputError: a process was killed.
            InterruptedRunError: from ``check_cancelled``.
        """
        for number in range(self._blocks):
            process = self._processes[number % len(self._processes)]
            counts = None
            while counts is None:
                message = process.receive(check_cancelled)
                for table, stream in message.batches:
                    for batch in pa.ipc.open_stream(stream, options=UNPACKED):
                        write(table, batch)
                counts = message.counts
            yield counts


class _Process:
    """A process with a task, whose messages a thread reads ahead; it is killed at the end."""

    def __init__(self, task: _Task) -> None:
        self._messages: queue.Queue[_Message | None] = queue.Queue(_MESSAGES_AHEAD)
        self._thread = threading.Thread(target=self._read_ahead, daemon=True)
        path = os.pathsep.join(name or os.getcwd() for name in sys.path)  # noqa: PTH109 - a text
        with ExitStack() as stack, tempfile.TemporaryFile() as stdin:
            self._stderr = stack.enter_context(tempfile.TemporaryFile())
            stdin.write(msgspec.msgpack.encode(task))
            stdin.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "inventory.pipeline.block_processes"],
                env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "PYTHONPATH": path},
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,
            )
            stack.callback(self._kill)
            try:
                self._thread.start()
            except RuntimeError as error:  # as for processes
                raise OSError(str(error)) from None
            self._stack = stack.pop_all()

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()
        while self._thread.is_alive():  # it may wait for room
            with suppress(queue.Empty):
                self._messages.get(timeout=_POLL_SECONDS)
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def _read_ahead(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        decode = msgspec.msgpack.Decoder(_Message).decode
        while len(head := self._process.stdout.read(_LENGTH_BYTES)) == _LENGTH_BYTES:
            size = int.from_bytes(head)
            content = self._process.stdout.read(size)
            if len(content) < size:
                break
            self._messages.put(decode(content))
        self._messages.put(None)

    def receive(self, check_cancelled: Callable[[], None]) -> _Message:
        while True:
            check_cancelled()
            with suppress(queue.Empty):
                message = self._messages.get(timeout=_POLL_SECONDS)
                break
        if message is None:
            raise self._error()
        return message

    def _error(self) -> Exception:
        code = self._process.wait()
        self._stderr.seek(0)
        text = self._stderr.read()
        if code == ExitCode.OUTPUT:
            failure = msgspec.json.decode(text, type=_Failure)
            return _ERRORS[failure.error](failure.message)
        if code > 0 and text.strip():
            return RuntimeError(f"a process that reads the ledger failed:\n{text.decode(errors='replace')}")
        end = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return OutputError(
            f"the tables cannot be built: a process that reads the ledger {end}; "
            "rerun with --resume, or run inventory tables"
        )


def _run(task: _Task, sink: IO[bytes]) -> None:
    """Flattens the ranges of a task, in the child."""
    waiting: list[tuple[int, pa.RecordBatch]] = []

    def send(counts: Counts | None = None) -> None:
        message = msgspec.msgpack.encode(_Message(list(_pack(waiting)), counts))
        waiting.clear()
        sink.write(len(message).to_bytes(_LENGTH_BYTES))
        sink.write(message)
        sink.flush()

    def write(table: int, batch: pa.RecordBatch) -> None:
        waiting.append((table, batch))
        if sum(batch.nbytes for _, batch in waiting) >= _MESSAGE_BYTES:
            send()

    zone = None if task.zone is None else ZoneInfo(task.zone)
    with ChainedView(Path(task.ledger), facts_alone=True) as ledger:
        ledger.attach({(region, project_id): Path(path) for region, project_id, path in task.attached})
        reader = BlockReader(ledger, zone, listed=task.listed, write=write)
        for first, end in task.ranges:
            send(reader.read(ledger.rows_between(first, end)))


def _pack(batches: list[tuple[int, pa.RecordBatch]]) -> Iterator[tuple[int, bytes]]:
    for table in range(len(urn_blocks.TABLES)):
        own = [batch for number, batch in batches if number == table]
        if own:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, own[0].schema, options=PACKED) as stream:
                for batch in own:
                    stream.write_batch(batch)
            yield table, sink.getvalue().to_pybytes()


def main() -> None:
    """Entry of a child: the task is on standard input; messages go to standard output, an error to standard error."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # of a whole group; the parent decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    gc.set_threshold(_COLLECT_AFTER)
    task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=_Task)
    try:
        _run(task, sys.stdout.buffer)
    except (LedgerUnusableError, OutputError) as error:
        sys.stderr.buffer.write(msgspec.json.encode(_Failure(type(error).__name__, error.message)))
        sys.stderr.flush()
        os._exit(ExitCode.OUTPUT)
    except BrokenPipeError:  # the parent is gone
        os._exit(ExitCode.ANSWERED)


if __name__ == "__main__":
    main()
