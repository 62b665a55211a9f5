"""BrokenCalls: the calls whose repetition needs a new connection."""

from __future__ import annotations

from typing import Final

_MAX: Final = 4096


class BrokenCalls:
    """Targets of calls whose reused connection broke; bounded, because some are never repeated."""

    def __init__(self) -> None:
        self._targets: set[str] = set()

    def add(self, target: str) -> None:
        """Records a broken call."""
        if len(self._targets) >= _MAX:
            self._targets.clear()
        self._targets.add(target)

    def remove(self, target: str) -> bool:
        """Returns whether the last call of a target broke, and forgets it."""
        if target not in self._targets:
            return False
        self._targets.discard(target)
        return True
