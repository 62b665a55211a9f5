"""A server with a limit: how much of it is used once it is known, and how many calls are refused.

Owns the meaning of both figures. Runs the emulator in its own process, so that the request log can be read.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import process


def use_of(limit: str, urns: int, folder: Path) -> dict[str, Any]:
    """Exports a list against a limit, in a process of its own."""
    own = folder / f"limit-{limit.replace('/', '-')}"
    own.mkdir()
    return json.loads(process.run(__file__, limit, urns, own).output)


def _measure(spec: str, urns: int, folder: Path) -> dict[str, Any]:
    """What the emulator's log says of one export.

    The limit is learnt when the first call is refused; from the first call that is accepted after that to the last, the
    accepted calls are counted against what the limit allows in that time.
    """
    from answers import BODY, write_list  # noqa: PLC0415 - only the child needs the emulator

    from inventory.emulator import Emulator, FileCloud, Limit  # noqa: PLC0415 - the same

    asked = write_list(folder / "limited.txt", urns)
    emulator = Emulator(
        FileCloud({urn: json.loads(BODY % urn) for urn in asked.read_text().split()}), limit=Limit.parse(spec)
    )
    with emulator.in_thread():
        export = ["export", asked, "--endpoint", emulator.url, "--output", folder / "limited", "--no-batch", "--quiet"]
        command = [sys.executable, "-m", "inventory", *map(str, export)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        log = sorted(emulator.requests, key=lambda request: request.number)
    refused = [request.time for request in log if request.status == 429]
    learnt = min(refused, default=log[0].time)
    accepted = [request.time for request in log if request.status != 429 and request.time > learnt]
    allowed = emulator.limit.calls / emulator.limit.seconds
    return {
        "limit": spec,
        "calls": len(log),
        "used": (len(accepted) - 1) / (accepted[-1] - accepted[0]) / allowed,
        "refused": len(refused) / len(log),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
