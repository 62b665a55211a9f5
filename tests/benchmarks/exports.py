"""An export by `inventory`, as a user starts it.

Ledger, retries, tables and manifest are on, the rate limit is off, and each URN is one call.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, NamedTuple

import process

if TYPE_CHECKING:
    from pathlib import Path

    from process import Cost


class Export(NamedTuple):
    """One export.

    Attributes:
        cost: of the whole process.
        configured: number of URNs with a configuration.
        calling: seconds from the start of the first call to the end of the last, by the table `calls`.
    """

    cost: Cost
    configured: int
    calling: float


def export(urns: Path, url: str, output: Path, *options: object) -> Export:
    """Exports a list into a new folder, which is removed afterwards."""
    switches = ["--max-per-second", 0, "--no-batch", "--quiet"]
    cost = process.run("-m", "inventory", "export", urns, "--endpoint", url, "--output", output, *switches, *options)
    counts = json.loads((output / "manifest.json").read_text())["counts"]["status"]
    # Arrow is loaded in another process: see process.py.
    calling = process.run(__file__, output / "calls.parquet").output
    shutil.rmtree(output)
    return Export(cost, counts.get("configured", 0), float(calling))


def _print_calling(calls: str) -> None:
    from pyarrow import compute, parquet  # noqa: PLC0415 - see export

    table = parquet.read_table(calls, columns=["finished_at", "duration_ms"])
    finished = table["finished_at"].cast("int64")
    began = compute.subtract(finished.cast("double"), compute.multiply(table["duration_ms"], 1000.0))
    print((compute.max(finished).as_py() - compute.min(began).as_py()) / 1e6)  # noqa: T201 - read by export


if __name__ == "__main__":
    import sys

    _print_calling(sys.argv[1])
