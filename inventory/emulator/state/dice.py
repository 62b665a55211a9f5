"""Choices that a digest determines."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

_T = TypeVar("_T")


class Dice:
    """Successive choices from one digest; much cheaper than a random generator per function."""

    __slots__ = ("_left",)

    def __init__(self, digest: bytes) -> None:
        self._left = int.from_bytes(digest, "big")

    def below(self, end: int) -> int:
        """A number from 0 to ``end`` - 1."""
        self._left, drawn = divmod(self._left, end)
        return drawn

    def pick(self, options: Sequence[_T]) -> _T:
        """One of the options."""
        return options[self.below(len(options))]
