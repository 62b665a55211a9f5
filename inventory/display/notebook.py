"""What a notebook shows while a run goes on: one line with a bar, in place, and in the end one line.

Owns that line, and whether we are in a notebook. Loads IPython only where it is loaded already. What is stored with the
notebook is the last line: no flood, and no codes of a terminal.
"""

from __future__ import annotations

import sys
import time
from html import escape
from typing import TYPE_CHECKING, Any, Final

from inventory.display.terminal import Speed, duration, state_of
from inventory.progress import Watch

if TYPE_CHECKING:
    from inventory.progress import Progress

_EVERY_SECONDS: Final = 0.2


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class _Line:
    """A line of HTML, with plain text for those who show none."""

    def __init__(self, words: str, done: int = 0, total: int | None = None) -> None:
        self._words = words
        self._bar = f'<progress value="{done}" max="{total}" style="width:12em"></progress> ' if total else ""

    def __repr__(self) -> str:
        return self._words

    def _repr_html_(self) -> str:
        return f'<div style="font-size:13px">{self._bar}{escape(self._words)}</div>'


class NotebookWatch(Watch):
    """A live line in the output of a cell."""

    def __init__(self) -> None:
        super().__init__()
        from IPython.display import display  # noqa: PLC0415 - only a notebook has it

        self._handle: Any = display(_Line("reading the list"), display_id=True)  # type: ignore[no-untyped-call]
        self._began = self._shown = time.monotonic()
        self._speed = Speed()
        self._last = "nothing was asked"

    def loading(self, entries: int) -> None:
        """Shows how far the reading is."""
        self._show(f"reading the list: {entries:,} entries")
        super().loading(entries)

    def asking(self, progress: Progress) -> None:
        """Shows how far the asking is."""
        self._last = f"{progress.done:,} of {progress.total:,} URNs"
        state = state_of(progress, self._speed.of(progress.done))
        self._show(", ".join(filter(None, (self._last, state))), progress.done, progress.total)

    def tabulating(self, urns: int, total: int) -> None:
        """Shows how far the tables are."""
        self._show(f"writing tables: {urns:,} of {total:,} URNs", urns, total)
        super().tabulating(urns, total)

    def delivering(self, sent: int, total: int) -> None:
        """Shows how far the upload is."""
        self._show(f"sending: {sent:,} of {total:,} bytes", sent, total)
        super().delivering(sent, total)

    def close(self, *, whole: bool) -> None:
        """Leaves one line that stays."""
        took = duration(time.monotonic() - self._began)
        self._handle.update(_Line(f"{'exported' if whole else 'stopped'} after {took}: {self._last}"))

    def _show(self, words: str, done: int = 0, total: int | None = None) -> None:
        now = time.monotonic()
        if now >= self._shown + _EVERY_SECONDS:
            self._shown = now
            self._handle.update(_Line(words, done, total))
