"""Exports the async-invoke configuration of Huawei Cloud FunctionGraph functions into tables.

The Python door is in :mod:`inventory.api`; it is loaded when first used, so that ``import inventory`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inventory.api import Snapshot, export, export_async, open_snapshot
    from inventory.difference import Diff, diff
    from inventory.emulator import Emulator
    from inventory.snapshots import History, history

__version__ = "0.1.0"
__all__ = [
    "Diff",
    "Emulator",
    "History",
    "Snapshot",
    "__version__",
    "diff",
    "export",
    "export_async",
    "history",
    "open_snapshot",
]
_ELSEWHERE = {
    "Diff": "inventory.difference",
    "Emulator": "inventory.emulator",
    "History": "inventory.snapshots",
    "diff": "inventory.difference",
    "history": "inventory.snapshots",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when something of the door is used

    return getattr(import_module(_ELSEWHERE.get(name, "inventory.api")), name)
