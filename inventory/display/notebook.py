"""Progress in a notebook: one line with a bar, updated in place."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import TYPE_CHECKING, Any, Final

from inventory.display.formatting import Speed, duration, format_bytes, format_count, format_number, format_progress
from inventory.progress import ProgressObserver

if TYPE_CHECKING:
    from inventory.progress import Progress

_EVERY_SECONDS: Final = 0.2


def is_notebook() -> bool:
    """Whether this process is a notebook kernel. Does not import IPython."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class _Line:
    """A line as HTML and as plain text."""

    def __init__(self, text: str, done: int = 0, total: int | None = None) -> None:
        self._text = text
        self._bar = f'<progress value="{done}" max="{total}" style="width:12em"></progress> ' if total else ""

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return f'<div style="font-size:13px">{self._bar}{escape(self._text)}</div>'


class NotebookObserver(ProgressObserver):
    """Updates one line in the output of a cell; the last state stays in the notebook."""

    def __init__(self) -> None:
        super().__init__()
        from IPython.display import display  # noqa: PLC0415 - only a notebook has it

        self._handle: Any = display(_Line("reading the list"), display_id=True)  # type: ignore[no-untyped-call]
        self._began = self._shown = time.monotonic()
        self._speed = Speed()
        self._last = "no calls"

    def on_load(self, entries: int) -> None:
        """Shows how many entries of the list are read."""
        self._show(f"reading the list: {format_count(entries, 'entry', 'entries')}")
        super().on_load(entries)

    def on_fetch(self, progress: Progress) -> None:
        """Shows how many URNs are settled."""
        self._last = f"{format_number(progress.done)} of {format_count(progress.total, 'URN')}"
        state = format_progress(progress, self._speed.update(progress.done))
        self._show(", ".join(filter(None, (self._last, state))), progress.done, progress.total)

    def on_build_tables(self, urns: int, total: int) -> None:
        """Shows how many URNs are in the tables."""
        self._show(f"writing tables: {format_number(urns)} of {format_count(total, 'URN')}", urns, total)
        super().on_build_tables(urns, total)

    def on_upload(self, sent: int, total: int) -> None:
        """Shows how many bytes are uploaded."""
        self._show(f"uploading: {format_bytes(sent)} of {format_bytes(total)}", sent, total)
        super().on_upload(sent, total)

    def close(self, *, whole: bool) -> None:
        """Replaces the line by the result."""
        took = duration(time.monotonic() - self._began)
        self._handle.update(_Line(f"{'exported' if whole else 'stopped'} after {took}: {self._last}"))

    def _show(self, text: str, done: int = 0, total: int | None = None) -> None:
        now = time.monotonic()
        if now >= self._shown + _EVERY_SECONDS:
            self._shown = now
            self._handle.update(_Line(text, done, total))
