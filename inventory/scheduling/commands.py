"""Runs commands on this machine; a cancellation stops them cleanly."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

STOP_SECONDS: Final = 30.0
"""Time for a command to end after a signal; then it is killed."""
_KEPT_BYTES: Final = 64 * 1024


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
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
        raise


def last_message(stderr: IO[bytes]) -> str:
    """The last message of a command on stderr, as text."""
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - _KEPT_BYTES))
    lines = stderr.read().decode(errors="replace").split("\n")
    line = next((line for line in reversed(lines) if line.strip()), "")
    try:
        return str(json.loads(line)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return line
