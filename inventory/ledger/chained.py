"""A ledger whose outcomes are in other ledgers, each of whole scopes."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Final

from inventory.ledger.reader import AFTER_ALL, LedgerView
from inventory.ledger.records import AnswerCount, ScopeCount
from inventory.ledger.writer import Ledger
from inventory.urn import scope_prefix, split_urn, urn_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from inventory.ledger.records import StatusCount
    from inventory.outcome import Outcome

ScopeKey = tuple[str, str]
_OPENED: Final = 16
"""Ledgers that are open at the same time; those of an account are read one after the other."""


class _Chained(LedgerView):
    """Reads URNs, rejects, sources and facts from its own file, outcomes and calls from the attached ledgers.

    The URNs of a scope without an attached ledger have no outcome.
    """

    def attach(self, ledgers: Mapping[ScopeKey, Path]) -> None:
        """Chains undamaged ledgers by (region, project) of the scopes that they have."""
        self.attached = ledgers

    def _views(self) -> Iterator[LedgerView]:
        for path in sorted(set(self.attached.values())):
            with LedgerView(path, facts_alone=True) as view:
                yield view

    def rows_between(self, first: str = "", end: str = AFTER_ALL) -> Iterator[tuple[str, Outcome | None]]:
        """Streams URNs with the outcomes of their scopes' ledgers; see :meth:`LedgerView.rows_between`."""
        if not self.attached:
            yield from super().rows_between(first, end)
            return
        opened: dict[Path, LedgerView] = {}
        with ExitStack() as views:
            for scope in sorted(self.scopes(), key=lambda scope: scope_prefix(scope.region, scope.project_id)):
                low, high = urn_range(scope.region, scope.project_id)
                low, high = max(first, low), min(end, high)
                if low >= high:
                    continue
                listed = super().rows_between(low, high)
                path = self.attached.get(scope[:2])
                if path is None:
                    yield from listed
                    continue
                if path not in opened:
                    if len(opened) == _OPENED:
                        opened.pop(next(iter(opened))).close()
                    opened[path] = views.enter_context(LedgerView(path, facts_alone=True))
                yield from self._merged(listed, opened[path].rows_between(low, high), scope)

    def _merged(
        self,
        listed: Iterator[tuple[str, Outcome | None]],
        rows: Iterator[tuple[str, Outcome | None]],
        scope: ScopeCount,
    ) -> Iterator[tuple[str, Outcome | None]]:
        for ours, row in zip_longest(listed, rows):
            if ours is None or row is None or ours[0] != row[0]:
                where = f"the ledger of {scope.region}/{scope.project_id}"
                if row is None:
                    raise self.damage_error(f"{where} lacks URNs")
                raise self.damage_error(f"{where} has {row[0]} where the list has {ours and ours[0]}")
            yield row

    def _count_stored(self) -> tuple[int, int]:
        urns, outcomes = super()._count_stored()
        return urns, outcomes + sum(view._count_stored()[1] for view in self._views())  # noqa: SLF001 - of the same class

    def answers(self) -> list[AnswerCount]:
        """Sums the calls; see :meth:`LedgerView.answers`."""
        calls: Counter[tuple[str, str, str, int]] = Counter()
        for answer in chain(super().answers(), *(view.answers() for view in self._views())):
            calls[answer[:4]] += answer.calls
        return [AnswerCount(*key, number) for key, number in sorted(calls.items())]

    def count_settled(self) -> int:
        """See :meth:`LedgerView.count_settled`."""
        return super().count_settled() + sum(view.count_settled() for view in self._views())

    def count_failed(self) -> int:
        """See :meth:`LedgerView.count_failed`."""
        return super().count_failed() + sum(view.count_failed() for view in self._views())

    def count_statuses(self, since: int) -> Iterator[StatusCount]:
        """See :meth:`LedgerView.count_statuses`."""
        counts = [count for view in self._views() for count in view.count_statuses(since)]
        yield from sorted(counts, key=lambda count: count[:2])

    def last_finished(self) -> int | None:
        """See :meth:`LedgerView.last_finished`."""
        return max((last for view in self._views() if (last := view.last_finished()) is not None), default=None)

    def outcome(self, urn: str) -> Outcome | None:
        """See :meth:`LedgerView.outcome`."""
        path = self.attached.get(split_urn(urn)[:2])
        if path is None:
            return super().outcome(urn)
        with LedgerView(path, facts_alone=True) as view:
            return view.outcome(urn)


class ChainedView(_Chained):
    """Read access to chained ledgers."""


class ChainedLedger(_Chained, Ledger):
    """A ledger whose list and facts are written here, and its outcomes elsewhere."""

    def drop_bodies(self, check_cancelled: Callable[[], None] = lambda: None) -> None:
        """Drops the bodies in all ledgers, and records it."""
        for path in set(self.attached.values()):
            with Ledger(path) as ledger:
                ledger.drop_bodies(check_cancelled)
        super().drop_bodies(check_cancelled)
