"""Who looks at an export from Python: a terminal, a notebook, or nobody.

Owns the choice. Knows no run.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from inventory.display.notebook import NotebookWatch, is_notebook
from inventory.display.terminal import Display, Log
from inventory.progress import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def viewed(progress: bool | None) -> Iterator[Watch]:  # noqa: FBT001 - the option of that name
    """The watcher that suits: a line in a notebook's cell, one on a terminal, else lines where they are asked for."""
    if progress is False or (progress is None and not is_notebook() and not _is_terminal()):
        yield Watch()
    elif is_notebook():
        watch, whole = NotebookWatch(), False
        try:
            yield watch
            whole = True
        finally:
            watch.close(whole=whole)
    else:
        with Display(Log("text")) as shown:
            yield shown


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
