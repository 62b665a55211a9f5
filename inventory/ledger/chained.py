"""A ledger whose outcomes are in other ledgers, each of whole scopes."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from itertools import chain, islice
from typing import TYPE_CHECKING

from inventory.ledger.reader import LedgerView
from inventory.ledger.records import AnswerCount, ScopeCount
from inventory.ledger.writer import Ledger
from inventory.urn import scope_prefix, split_urn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from inventory.ledger.records import StatusCount
    from inventory.outcome import Outcome

ScopeKey = tuple[str, str]
_Rows = tuple[ExitStack, "Iterator[tuple[str, Outcome | None]]"]


class _Chained(LedgerView):
    """Reads URNs, rejects, sources and facts from its own file, outcomes and calls from the attached ledgers.

    The URNs of a scope without an attached ledger have no outcome.
    """

    _ledgers: Mapping[ScopeKey, Path] = {}

    def attach(self, ledgers: Mapping[ScopeKey, Path]) -> None:
        """Chains undamaged ledgers by (region, project) of the scopes that they have."""
        self._ledgers = ledgers

    def _views(self) -> Iterator[LedgerView]:
        for path in sorted(set(self._ledgers.values())):
            with LedgerView(path, facts_alone=True) as view:
                yield view

    def rows(self) -> Iterator[tuple[str, Outcome | None]]:
        """Streams all distinct URNs in order; see :meth:`LedgerView.rows`."""
        listed = super().rows()
        if not self._ledgers:
            yield from listed
            return
        scopes = sorted(self.scopes(), key=lambda scope: scope_prefix(scope.region, scope.project_id))
        last = {self._ledgers.get(scope[:2]): number for number, scope in enumerate(scopes)}
        opened: dict[Path, _Rows] = {}
        with ExitStack() as views:
            for number, scope in enumerate(scopes):
                path = self._ledgers.get(scope[:2])
                if path is None:
                    yield from islice(listed, scope.urns)
                    continue
                if path not in opened:
                    own = views.enter_context(ExitStack())
                    opened[path] = own, own.enter_context(LedgerView(path, facts_alone=True)).rows()
                own, rows = opened[path]
                yield from self._merged(islice(listed, scope.urns), rows, scope)
                if number == last[path]:
                    for urn, _ in rows:  # its end is verified too
                        raise self.damage_error(f"{urn} is in {path} and not in the list")
                    own.close()
                    del opened[path]
            yield from listed

    def _merged(
        self,
        listed: Iterator[tuple[str, Outcome | None]],
        rows: Iterator[tuple[str, Outcome | None]],
        scope: ScopeCount,
    ) -> Iterator[tuple[str, Outcome | None]]:
        count = 0
        for (urn, _), (other, outcome) in zip(listed, rows, strict=False):
            if urn != other:
                raise self.damage_error(f"{urn} is in the list, and {other} in its place in the ledger of its scope")
            yield urn, outcome
            count += 1
        if count < scope.urns:
            raise self.damage_error(f"the ledger of {scope.region}/{scope.project_id} lacks URNs")

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
        path = self._ledgers.get(split_urn(urn)[:2])
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
        for path in set(self._ledgers.values()):
            with Ledger(path) as ledger:
                ledger.drop_bodies(check_cancelled)
        super().drop_bodies(check_cancelled)
