"""Exports the async-invoke configuration of Huawei Cloud FunctionGraph functions.

:func:`export` (or ``await`` :func:`export_async`) makes a run and opens its tables; :func:`open_snapshot` opens an
earlier run; :func:`review` reviews one; :class:`Emulator` is a local cloud for trials. Names are loaded at first use,
so that the import is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inventory.version import __version__

if TYPE_CHECKING:
    from inventory.api.export import Snapshot, UnansweredWarning, export, export_async, open_snapshot
    from inventory.api.history import History, history
    from inventory.api.review import Review, review
    from inventory.comparison.result import Diff, diff
    from inventory.emulator import Emulator
    from inventory.errors import InventoryError, UnansweredError

__all__ = [
    "Diff",
    "Emulator",
    "History",
    "InventoryError",
    "Review",
    "Snapshot",
    "UnansweredError",
    "UnansweredWarning",
    "__version__",
    "diff",
    "export",
    "export_async",
    "history",
    "open_snapshot",
    "review",
]

_MODULES = {
    "Diff": "comparison.result",
    "Emulator": "emulator",
    "History": "api.history",
    "InventoryError": "errors",
    "Review": "api.review",
    "Snapshot": "api.snapshot",
    "UnansweredError": "errors",
    "UnansweredWarning": "api.export",
    "diff": "comparison.result",
    "export": "api.export",
    "export_async": "api.export",
    "history": "api.history",
    "open_snapshot": "api.snapshot",
    "review": "api.review",
}


if not TYPE_CHECKING:  # with __getattr__, a type checker would accept every name

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(_load(f"{__name__}.{_MODULES[name]}"), name)

    def _load(name: str) -> object:
        """Imports a module; Ctrl-C waits for the end, because a half-loaded pandas or Arrow breaks later imports."""
        import signal  # noqa: PLC0415 - the import of the package stays quick
        from importlib import import_module  # noqa: PLC0415 - the same
        from threading import current_thread, main_thread  # noqa: PLC0415 - the same

        before = signal.getsignal(signal.SIGINT)
        if not callable(before) or current_thread() is not main_thread():
            return import_module(name)
        signals = []
        signal.signal(signal.SIGINT, lambda *signal_and_frame: signals.append(signal_and_frame))
        try:
            return import_module(name)
        finally:
            signal.signal(signal.SIGINT, before)
            if signals:
                before(*signals[0])

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULES})
