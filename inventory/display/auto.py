"""Picks the progress display of a Python export: notebook, terminal or none."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from inventory.display.log import Log
from inventory.display.notebook import NotebookObserver, is_notebook
from inventory.display.terminal import Display
from inventory.progress import ProgressObserver

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def progress_display(progress: bool | None) -> Iterator[ProgressObserver]:  # noqa: FBT001 - the option of that name
    """A line in a notebook cell, a bar on a terminal; elsewhere log lines if ``progress`` is True, else nothing."""
    if progress is False or (progress is None and not is_notebook() and not _is_terminal()):
        yield ProgressObserver()
    elif is_notebook():
        cell, whole = NotebookObserver(), False
        try:
            yield cell
            whole = True
        finally:
            cell.close(whole=whole)
    else:
        with Display(Log("text")) as observer:
            yield observer


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
