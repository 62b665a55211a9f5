"""Many qualifiers of one function settled by one call, where that saves calls.

Owns when the configs of a function are listed, and what of a list is believed. A list is asked once a run, and only
where its scope has answered before. What it does not mention is settled by a call of its own, so that the tables are
those of asking for each URN alone. Knows no ledger and no pool.

Source: ListFunctionAsyncInvokeConfig (api-facts.md section 5: nobody has said whether it tells aliases).
"""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from itertools import groupby, islice
from typing import TYPE_CHECKING, Final

from inventory.cloud.models import read_config
from inventory.cloud.pages import Operation
from inventory.cloud.responses import NOT_FOUND_CODES, Answer
from inventory.errors import CallError, Status
from inventory.exact_json import read_json
from inventory.pipeline.outcomes import success_outcome
from inventory.pipeline.scope import CallSkippedError, Scope
from inventory.urn import parse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from inventory.cloud.pages import ConfigPage
    from inventory.outcome import Outcome
    from inventory.pipeline.second_opinion import UrnFetcher
    from inventory.scheduling.retry import Attempts

MAX_GROUP: Final = 1000
"""URNs of a function that are held at a time; the vendor's quota is 30 versions and aliases a function."""
MAX_KEPT: Final = 5000
"""Configs of a list that are kept for later groups of the same function. Where it has more, it is not read further."""
_SHORT: Final = 50
"""URNs of a scope. With fewer, the first list must save more than it costs to find out whether lists are right."""
_MAX_FAILURES: Final = 3
"""Lists in a row that bring nothing, until no list is asked in the scope any more."""
_NO_QUALIFIER: Final = "none"
_GUESSED: Final = 20
"""A URN is taken to be told of as often as others of its kind were; at first as if half of so many had been."""


class Reading:
    """The list of a function's configs, as far as it is read.

    Attributes:
        found: the configs that no URN has taken yet.
        marker: where it goes on; None where it has ended.
        request_id: of the last page.
    """

    def __init__(self) -> None:
        self.found: dict[str, bytes] = {}
        self.marker: int | None = 0
        self.request_id: str | None = None
        self._doubtful: set[str] = set()

    @property
    def is_used_up(self) -> bool:
        """Whether it has nothing more to tell."""
        return self.marker is None and not self.found

    def add(self, page: ConfigPage) -> None:
        """Takes a page. A URN that is told of in two ways is not told of; nor is one without a qualifier.

        A list holds the configs of all versions: an item that does not say of which it is may be of any.
        """
        for urn, body in page.configs:
            if urn != _function_of(urn) and urn not in self._doubtful and self.found.setdefault(urn, body) != body:
                self._doubtful.add(urn)
                del self.found[urn]
        following, marker = page.next_marker or 0, self.marker or 0
        self.marker = following if page.configs and following > marker and len(self.found) <= MAX_KEPT else None
        self.request_id = page.request_id

    def take(self, urns: Iterable[str]) -> dict[str, bytes]:
        """The configs of some URNs."""
        return {urn: self.found.pop(urn) for urn in urns if urn in self.found}


class FunctionGroup:
    """URNs of one function that are asked for together.

    Attributes:
        function: the function's URN, without a qualifier.
        waiting: those that are not settled yet, in their order.
        reading: the list of the function, which its groups share.
        previous: the group before it, which reads the list first.
    """

    def __init__(self, function: str, urns: Sequence[str], reading: Reading, previous: FunctionGroup | None) -> None:
        self.function = function
        self.waiting = dict.fromkeys(urns)
        self.reading = reading
        self.previous = previous
        self.is_led = False
        self.was_led = asyncio.Event()


class BatchFetcher:
    """The URNs of one scope, some of which are settled by lists.

    Args:
        scope: makes the calls of lists.
        urn_fetcher: settles the URNs that no list tells of.
        list_configs: a page of the configs of a function, from an offset.
        note_listed: is told, before the outcomes of a list are kept, that it was asked.
        was_listed: whether that was noted before.
        keep: takes outcomes that are settled together.
    """

    def __init__(
        self,
        scope: Scope,
        urn_fetcher: UrnFetcher,
        list_configs: Callable[[str, int], Awaitable[ConfigPage]],
        *,
        note_listed: Callable[[str], None],
        was_listed: Callable[[str], bool],
        keep: Callable[[Sequence[Outcome]], Awaitable[None]],
    ) -> None:
        self._scope = scope
        self._urn_fetcher = urn_fetcher
        self._list_configs = list_configs
        self._note_listed = note_listed
        self._was_listed = was_listed
        self._keep = keep
        self._on_trial = False
        self._failures = 0
        self._is_short = False
        self._asked: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._trust: dict[tuple[str, frozenset[str]], bool] = {}

    def jobs(self, urns: Iterator[str], total: int) -> Iterator[tuple[str, FunctionGroup | None]]:
        """Sorted URNs, each with the group that it belongs to; None where it stands alone.

        Args:
            urns: those that are to be settled.
            total: how many URNs the scope has.
        """
        self._is_short = total < _SHORT
        for function, found in groupby(urns, key=_function_of):
            reading, group = Reading(), None
            is_listed = self._was_listed(function)
            while some := list(islice(found, MAX_GROUP)):
                group = FunctionGroup(function, some, reading, group) if len(some) > 1 and not is_listed else None
                for urn in some:
                    if group is None or urn in group.waiting:
                        yield urn, group

    async def fetch(self, urn: str, group: FunctionGroup | None) -> None:
        """Settles one URN; the first of a group sees to the list, and the others wait for it."""
        if group is not None:
            if not group.is_led:
                group.is_led = True
                try:
                    if group.previous is not None:
                        await group.previous.was_led.wait()
                        group.previous = None
                    await self._lead(group)
                finally:
                    group.was_led.set()
            await group.was_led.wait()
            if urn not in group.waiting:
                return
        await self._urn_fetcher.fetch(urn)

    async def _lead(self, group: FunctionGroup) -> None:
        """Asks for the list once the scope is proven, and while no other list is the first one; until then, alone."""
        while self._is_worth_a_call(group):
            if self._scope.is_proven and not self._on_trial:
                await self._list(group)
                return
            urn = next(iter(group.waiting))
            if await self._urn_fetcher.fetch(urn) is None:
                return
            group.waiting.pop(urn, None)

    def _is_worth_a_call(self, group: FunctionGroup) -> bool:
        if self._failures >= _MAX_FAILURES or self._scope.is_closed or group.reading.is_used_up:
            return False
        kinds = Counter(kind for kind in map(_kind_of, group.waiting) if kind != _NO_QUALIFIER)
        share = {kind: (self._told[kind] + _GUESSED / 2) / (self._asked[kind] + _GUESSED) for kind in kinds}
        expected = sum(number * share[kind] for kind, number in kinds.items())
        if self._is_short:  # before a list is believed, a URN of each kind is asked alone as well
            expected -= sum(not self._told[kind] for kind in kinds)
        return expected > 1

    async def _list(self, group: FunctionGroup) -> None:
        self._on_trial = not self._told
        counts = self._scope.attempts(maximum=1)
        try:
            await self._read(group, counts)
        except CallSkippedError:
            return
        except CallError as error:
            self._failures += error.error_code not in NOT_FOUND_CODES
            return
        finally:
            self._on_trial = False
        self._failures = 0
        for urn in self._urn_fetcher.early:  # it has an outcome of its own
            group.waiting.pop(urn, None)
        self._asked.update(map(_kind_of, group.waiting))
        self._note_listed(group.function)
        await self._use(group, group.reading.take(group.waiting), counts)

    async def _use(self, group: FunctionGroup, told: dict[str, bytes], counts: Attempts) -> None:
        """Settles what is believed; of each shape that was not seen before, one URN is asked alone first."""
        while True:
            believed = [urn for urn, body in told.items() if self._trust.get(_shape(urn, body))]
            for urn in believed:
                del group.waiting[urn]
            self._told.update(map(_kind_of, believed))
            request_id = group.reading.request_id
            await self._keep(
                [
                    success_outcome(urn, Answer(told.pop(urn), request_id), Operation.LIST_CONFIGS, counts)
                    for urn in believed
                ]
            )
            untried = next((urn for urn, body in told.items() if _shape(urn, body) not in self._trust), None)
            if untried is None:
                return
            outcome = await self._urn_fetcher.fetch(untried)
            if outcome is None:
                return
            group.waiting.pop(untried, None)
            body = told.pop(untried)
            if outcome.status == Status.CONFIGURED:
                shape = _shape(untried, body)
                is_right = read_config(body) == read_config(outcome.body)
                self._trust[shape] = is_right and self._trust.get(shape, True)
                self._told[_kind_of(untried)] += is_right

    async def _read(self, group: FunctionGroup, counts: Attempts) -> None:
        """Reads all pages, or as many as tell of the whole group."""
        reading = group.reading
        wanted = group.waiting.keys() - {group.function}
        while reading.marker is not None and not wanted <= reading.found.keys():
            ask = functools.partial(self._list_configs, group.function, reading.marker)
            reading.add(await self._scope.fetch(Operation.LIST_CONFIGS, ask, counts))


def _function_of(urn: str) -> str:
    return ":".join(urn.split(":", 7)[:7])


def _kind_of(urn: str) -> str:
    """A version, an alias, or neither: a list may tell of some of these only."""
    return parse(urn).qualifier_type or _NO_QUALIFIER


def _shape(urn: str, body: bytes) -> tuple[str, frozenset[str]]:
    """What must agree with a call of its own once, before it is believed: a list might leave out or add fields."""
    return _kind_of(urn), frozenset(read_json(body))
