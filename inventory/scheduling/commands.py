"""Runs commands on this machine; a cancellation stops them cleanly."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

STOP_SECONDS: Final = 30.0
"""Time for a command to end after a signal; then it is killed."""
_KEPT_BYTES: Final = 64 * 1024
_POLL_SECONDS: Final = 0.25


async def run_command(command: Sequence[str], **streams: Any) -> int:  # noqa: ANN401 - of subprocess
    """Runs a command in its own session, so that the signals of a terminal reach it through this process, once.

    Returns:
        Its exit code, negative for a signal. A cancellation sends SIGTERM and waits for the end.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, start_new_session=True, **streams
    )
    try:
        return await asyncio.shield(process.wait())
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.terminate()
        end = asyncio.ensure_future(_wait_for_end(process))
        while not end.done():  # a second cancellation changes nothing
            with suppress(asyncio.CancelledError):
                await asyncio.wait({end})
        raise


async def _wait_for_end(process: asyncio.subprocess.Process) -> int:
    """Waits for the end of a process that was asked to end, and kills it if it does not; returns its exit code."""
    try:
        return await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        return await process.wait()


class Conversation:
    """A command that answers each line of its standard input with a line; it ends when its standard input does.

    Args:
        process: with pipes for its standard input and output.
        messages: its standard error.
    """

    def __init__(self, process: asyncio.subprocess.Process, messages: IO[bytes]) -> None:
        self._process, self._messages = process, messages

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str]) -> Self:
        """Starts a command in its own session; its first answer needs no line."""
        messages = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop
        pipe = asyncio.subprocess.PIPE
        return cls(
            await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=messages, env=environment, start_new_session=True
            ),
            messages,
        )

    async def ask(self, line: str) -> str:
        """Sends a line, or nothing if it is empty; returns the answer, or an empty text at the end of the command."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        with suppress(ConnectionError):
            self._process.stdin.write(line.encode())
            await self._process.stdin.drain()
        return (await self._process.stdout.readline()).decode().strip()

    async def end(self, *, at_once: bool = False) -> tuple[int, str]:
        """Ends the command, with SIGTERM if ``at_once``; returns exit code and last message."""
        if at_once:  # a second request, by the end of its input, would end it without a delivery
            with suppress(ProcessLookupError):
                self._process.terminate()
        elif self._process.stdin is not None:
            self._process.stdin.close()
        code = await _wait_for_end(self._process)
        with self._messages:
            return code, last_message(self._messages)


async def ask_once(command: Sequence[str], is_cancelled: Callable[[], bool]) -> tuple[int, str]:
    """Starts a command and takes its first answer, a number; without one, its exit code. Then ends the command.

    Args:
        command: to run, in the environment of this process.
        is_cancelled: called four times a second; True stops the command.

    Returns:
        The number, and the last message of the command.
    """
    conversation = await Conversation.start(command, os.environ)
    answer = asyncio.ensure_future(conversation.ask(""))
    try:
        while not (await asyncio.wait({answer}, timeout=_POLL_SECONDS))[0] and not is_cancelled():
            pass
    finally:
        is_answered = answer.done()
        code, message = await conversation.end(at_once=not is_answered)
    number = await answer
    return int(number) if is_answered and number else code, message


def last_message(stderr: IO[bytes]) -> str:
    """The last message of a command on stderr, as text."""
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - _KEPT_BYTES))
    lines = stderr.read().decode(errors="replace").split("\n")
    line = next((line for line in reversed(lines) if line.strip()), "")
    try:
        return str(json.loads(line)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return line
