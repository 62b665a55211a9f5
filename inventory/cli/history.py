"""The command that lists the runs of a folder: ``inventory runs``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from inventory.cli.options import DEFAULT_HISTORY
from inventory.cli.process import exit_on_error
from inventory.cli.signals import interrupted_by_signals
from inventory.cli.stdout import print_data
from inventory.errors import Status, UsageError

if TYPE_CHECKING:
    from inventory.runs.catalog import OtherEntry, Run

_HEADINGS = ("run", "name", "ended (UTC)", "exit", "URNs", "failed", "size")


def runs(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Folder that contains run folders, or a prefix of a store.")
    ] = DEFAULT_HISTORY,
    format: Annotated[Literal["text", "json"], typer.Option(help="Format of the output.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """List the runs of a folder, newest first.

    The first column is the name that status, tables, diff and review accept. Folders that contain no finished run
    follow, with the reason.

    Exit codes: 0 listed, also if there is no run; 2 no such folder, or it is a run itself; 4 it cannot be read.
    """
    with exit_on_error("text", quiet=False), interrupted_by_signals():
        from inventory.runs.catalog import find_runs
        from inventory.runs.latest import newest_first

        if not folder:
            raise UsageError("the name of the folder is empty; name the folder that contains the runs")
        found = find_runs(folder)
        finished = newest_first(found.whole)
        if format == "json":
            others = [{"path": str(other.path), "state": other.state, "reason": other.reason} for other in found.others]
            print_data(json.dumps({"runs": [*map(_as_object, finished)], "others": others}, indent=2))
        else:
            print_data("\n".join(_as_lines(folder, finished, found.others)))


def _as_object(run: Run) -> dict[str, object]:
    return {
        "name": run.name,
        "path": str(run.path),
        "started": run.started.isoformat(),
        "finished": run.finished.isoformat(),
        "exit_code": run.exit_code,
        "urns": run.urns,
        "status": {status.value: run.status.get(status, 0) for status in Status},
        "bytes": run.bytes,
        "schema_version": run.schema_version,
    }


def _as_lines(folder: str, runs: list[Run], others: list[OtherEntry]) -> list[str]:
    from inventory.display.formatting import format_bytes, format_number
    from inventory.printable import printable
    from inventory.runs.latest import LATEST

    rows = [
        (
            f"{LATEST}~{number}" if number else LATEST,
            printable(run.name),
            f"{run.finished:%Y-%m-%d %H:%M}",
            str(run.exit_code),
            format_number(run.urns),
            format_number(run.urns - sum(run.status.get(status, 0) for status in _ANSWERED)),
            format_bytes(run.bytes),
        )
        for number, run in enumerate(runs)
    ]
    if not rows:
        lines = [printable(f"{folder} contains no finished run")]
    else:
        widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
        lines = [_line(cells, widths) for cells in (_HEADINGS, *rows)]
    if others:
        lines += ["", "not finished, or no run:"]
        lines += [printable(f"  {str(other.path).rpartition('/')[2]}: {other.reason}") for other in others]
    return lines


_ANSWERED = (Status.CONFIGURED, Status.NOT_CONFIGURED, Status.NOT_FOUND)
_TEXTS = 3
"""Columns of text, which stand left; numbers stand right."""


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    aligned = (
        f"{cell:<{width}}" if number < _TEXTS else f"{cell:>{width}}"
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(aligned).rstrip()
