"""Exports the async-invoke configuration of Huawei Cloud FunctionGraph functions into tables.

In Python: :func:`export` (or ``await`` :func:`export_async`) makes a run and opens its tables, :func:`open_snapshot`
opens those of an earlier one, and :class:`Emulator` is a cloud to try it on. ``help(inventory.export)`` says more.

The names are loaded when first used, so that ``import inventory`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inventory.version import __version__

if TYPE_CHECKING:
    from inventory.api.export import Snapshot, UnansweredWarning, export, export_async, open_snapshot
    from inventory.api.history import History, history
    from inventory.comparison.result import Diff, diff
    from inventory.emulator import Emulator
    from inventory.errors import InventoryError

__all__ = [
    "Diff",
    "Emulator",
    "History",
    "InventoryError",
    "Snapshot",
    "UnansweredWarning",
    "__version__",
    "diff",
    "export",
    "export_async",
    "history",
    "open_snapshot",
]

_HOME = {
    "Diff": "comparison.result",
    "Emulator": "emulator",
    "History": "api.history",
    "InventoryError": "errors",
    "Snapshot": "api.snapshot",
    "UnansweredWarning": "api.export",
    "diff": "comparison.result",
    "export": "api.export",
    "export_async": "api.export",
    "history": "api.history",
    "open_snapshot": "api.snapshot",
}
"""Which module each name is loaded from."""


if not TYPE_CHECKING:  # a type checker would take every name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(_loaded(f"{__name__}.{_HOME[name]}"), name)

    def _loaded(name: str) -> object:
        """A module, loaded to its end: Ctrl-C waits, for a half of pandas or Arrow breaks or holds each later try."""
        import signal  # noqa: PLC0415 - only when something of the door is used
        from importlib import import_module  # noqa: PLC0415
        from threading import current_thread, main_thread  # noqa: PLC0415

        before = signal.getsignal(signal.SIGINT)
        if not callable(before) or current_thread() is not main_thread():
            return import_module(name)
        came = []
        signal.signal(signal.SIGINT, lambda *signal_and_frame: came.append(signal_and_frame))
        try:
            return import_module(name)
        finally:
            signal.signal(signal.SIGINT, before)
            if came:
                before(*came[0])

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOME})
