"""The URNs of an emulated cloud as a sequence that generates its items."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inventory.emulator.state.interface import Cloud


class UrnList(Sequence[str]):
    """URNs of a cloud, at most ``limit``. A slice is a list; an index reads the URNs before it."""

    def __init__(self, cloud: Cloud, limit: int | None = None) -> None:
        self._cloud = cloud
        self._limit = limit

    def __iter__(self) -> Iterator[str]:
        return self._cloud.urns(self._limit)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            bounds = [bound for bound in (index.start, index.stop, index.step) if bound is not None]
            if index.step != 0 and all(bound >= 0 for bound in bounds):  # needs no length
                return list(islice(self, index.start, index.stop, index.step))
            return list(self)[index]
        if index < 0:
            return list(self)[index]
        for urn in islice(self, index, None):
            return urn
        raise IndexError(f"the cloud has no URN {index}")

    def __repr__(self) -> str:
        return f"<{len(self):,} URNs of the emulator>"
