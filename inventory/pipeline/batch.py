"""Settles several qualifiers of a function with one list call.

A function's configs are listed once a run, and only after a call of its scope succeeded. A list is not trusted: the
first item of each shape is compared with the URN's own call. So the tables equal those without lists.

Source: ListFunctionAsyncInvokeConfig (api-facts.md section 5; whether it lists aliases is not documented).
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
"""URNs of a function in memory; the vendor's quota is 30 versions and aliases a function."""
MAX_KEPT: Final = 5000
"""Configs of a list kept for later groups of the function; a longer list is not read further."""
_SHORT: Final = 50
"""URNs of a scope; with fewer, a list must also save the calls that verify it."""
_MAX_FAILURES: Final = 3
"""Consecutive failed lists after which the scope uses no more lists."""
_NO_QUALIFIER: Final = "none"
_PRIOR_URNS: Final = 20
"""Weight of the initial guess that a list contains half of the URNs of a kind."""


class ConfigList:
    """The pages read so far of a function's list.

    Attributes:
        configs: configs by URN that no group has used.
        marker: offset of the next page; None after the last.
        request_id: request id of the last page.
    """

    def __init__(self) -> None:
        self.configs: dict[str, bytes] = {}
        self.marker: int | None = 0
        self.request_id: str | None = None
        self._contradicting: set[str] = set()

    @property
    def is_used_up(self) -> bool:
        """Whether all configs are used and no page is left."""
        return self.marker is None and not self.configs

    def add(self, page: ConfigPage) -> None:
        """Adds a page, without contradicting items and URNs without a qualifier, which may be any version."""
        for urn, body in page.configs:
            if (
                urn != _function_of(urn)
                and urn not in self._contradicting
                and self.configs.setdefault(urn, body) != body
            ):
                self._contradicting.add(urn)
                del self.configs[urn]
        following, marker = page.next_marker or 0, self.marker or 0
        self.marker = following if page.configs and following > marker and len(self.configs) <= MAX_KEPT else None
        self.request_id = page.request_id

    def take(self, urns: Iterable[str]) -> dict[str, bytes]:
        """Removes and returns the configs of some URNs."""
        return {urn: self.configs.pop(urn) for urn in urns if urn in self.configs}


class FunctionGroup:
    """URNs of one function that share a list.

    Attributes:
        function: the function's URN without a qualifier.
        waiting: unsettled URNs, in order.
        reading: the function's list, shared by its groups.
        previous: the group before, which reads the list first.
    """

    def __init__(self, function: str, urns: Sequence[str], reading: ConfigList, previous: FunctionGroup | None) -> None:
        self.function = function
        self.waiting = dict.fromkeys(urns)
        self.reading = reading
        self.previous = previous
        self.has_leader = False
        self.list_done = asyncio.Event()


class BatchFetcher:
    """Settles the URNs of one scope, with lists where they save calls.

    Args:
        scope: makes the list calls.
        urn_fetcher: settles URNs that no list contains.
        list_configs: returns a page of a function's configs from an offset.
        note_listed: records that a function was listed, in the commit of its outcomes.
        was_listed: whether an earlier session recorded that.
        keep: stores outcomes.
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
        self._requested: Counter[str] = Counter()
        self._confirmed: Counter[str] = Counter()
        self._trust: dict[tuple[str, frozenset[str]], bool] = {}

    def jobs(self, urns: Iterator[str], total: int) -> Iterator[tuple[str, FunctionGroup | None]]:
        """Yields sorted URNs, each with its group; None without one.

        Args:
            urns: sorted pending URNs.
            total: number of URNs in the scope.
        """
        self._is_short = total < _SHORT
        for function, urns_of_function in groupby(urns, key=_function_of):
            reading, group = ConfigList(), None
            is_listed = self._was_listed(function)
            while chunk := list(islice(urns_of_function, MAX_GROUP)):
                group = FunctionGroup(function, chunk, reading, group) if len(chunk) > 1 and not is_listed else None
                for urn in chunk:
                    if group is None or urn in group.waiting:
                        yield urn, group

    def fetch(self, urn: str, group: FunctionGroup | None) -> Awaitable[object]:
        """Settles one URN; the first of a group makes the list call, the others wait for it."""
        return self._urn_fetcher.fetch(urn) if group is None else self._fetch_in_group(urn, group)

    async def _fetch_in_group(self, urn: str, group: FunctionGroup) -> None:
        if not group.has_leader:
            group.has_leader = True
            try:
                if group.previous is not None:
                    await self._wait(group.previous.list_done)
                    group.previous = None
                await self._lead(group)
            finally:
                group.list_done.set()
        await self._wait(group.list_done)
        if urn in group.waiting:
            await self._urn_fetcher.fetch(urn)

    async def _wait(self, event: asyncio.Event) -> None:
        if not event.is_set():
            with self._scope.lane.parked_worker():
                await event.wait()

    async def _lead(self, group: FunctionGroup) -> None:
        """Lists once the scope is proven and no other list is on trial; until then settles single URNs."""
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
        share = {
            kind: (self._confirmed[kind] + _PRIOR_URNS / 2) / (self._requested[kind] + _PRIOR_URNS) for kind in kinds
        }
        expected = sum(number * share[kind] for kind, number in kinds.items())
        if self._is_short:  # one URN of each kind is also called to verify the list
            expected -= sum(not self._confirmed[kind] for kind in kinds)
        return expected > 1

    async def _list(self, group: FunctionGroup) -> None:
        self._on_trial = not self._confirmed
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
        for urn in self._urn_fetcher.early:  # it has an outcome already
            group.waiting.pop(urn, None)
        self._requested.update(map(_kind_of, group.waiting))
        self._note_listed(group.function)
        await self._use(group, group.reading.take(group.waiting), counts)

    async def _use(self, group: FunctionGroup, listed: dict[str, bytes], counts: Attempts) -> None:
        """Stores the trusted items; verifies one item of each new shape with its own call."""
        while True:
            trusted = [urn for urn, body in listed.items() if self._trust.get(_shape(urn, body))]
            for urn in trusted:
                del group.waiting[urn]
            self._confirmed.update(map(_kind_of, trusted))
            request_id = group.reading.request_id
            await self._keep(
                [
                    success_outcome(urn, Answer(listed.pop(urn), request_id), Operation.LIST_CONFIGS, counts)
                    for urn in trusted
                ]
            )
            untried = next((urn for urn, body in listed.items() if _shape(urn, body) not in self._trust), None)
            if untried is None:
                return
            outcome = await self._urn_fetcher.fetch(untried)
            if outcome is None:
                return
            group.waiting.pop(untried, None)
            body = listed.pop(untried)
            if outcome.status == Status.CONFIGURED:
                shape = _shape(untried, body)
                is_right = read_config(body) == read_config(outcome.body)
                self._trust[shape] = is_right and self._trust.get(shape, True)
                self._confirmed[_kind_of(untried)] += is_right

    async def _read(self, group: FunctionGroup, counts: Attempts) -> None:
        reading = group.reading
        wanted = group.waiting.keys() - {group.function}
        while reading.marker is not None and not wanted <= reading.configs.keys():
            ask = functools.partial(self._list_configs, group.function, reading.marker)
            reading.add(await self._scope.fetch(Operation.LIST_CONFIGS, ask, counts))


def _function_of(urn: str) -> str:
    return ":".join(urn.split(":", 7)[:7])


def _kind_of(urn: str) -> str:
    return parse(urn).qualifier_type or _NO_QUALIFIER


def _shape(urn: str, body: bytes) -> tuple[str, frozenset[str]]:
    """Kind and field names, which are verified once: a list might omit or add fields."""
    return _kind_of(urn), frozenset(read_json(body))
