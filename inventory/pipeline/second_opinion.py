"""Second opinions on a 401: refused credential or deleted function?"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from inventory.cloud.pages import Operation
from inventory.errors import CallError, ErrorKind
from inventory.pipeline.scope import CallSkippedError
from inventory.scheduling.circuit_breaker import MAX_OPINIONS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from inventory.outcome import Outcome
    from inventory.pipeline.scope import Scope


class UrnFetcher:
    """Fetches single URNs; verifies a refusal with second opinions.

    The service answers 401 FSS.0401 for deleted functions too (api-facts.md section 3.2). Second opinions are a list of
    functions and URNs from other parts of the list (``elsewhere``).

    Attributes:
        early: outcomes of second opinions.
    """

    def __init__(
        self,
        scope: Scope,
        list_functions: Callable[[int, int], Awaitable[object]],
        *,
        elsewhere: Callable[[], Iterator[str]],
        keep: Callable[[Sequence[Outcome]], Awaitable[None]],
        was_accepted: bool,
    ) -> None:
        self.early: dict[str, Outcome] = {}
        self._scope = scope
        self._list_functions = list_functions
        self._elsewhere = elsewhere
        self._keep = keep
        self._was_accepted = was_accepted
        self._is_asking = False

    async def fetch(self, urn: str) -> Outcome | None:
        """Settles one URN; None if the scope closed before the call."""
        outcome = await self._scope.fetch_config(urn, is_obsolete=lambda: urn in self.early)
        if outcome is None:
            return self.early.get(urn)
        await self._keep([outcome])
        if self._scope.is_in_doubt and not self._is_asking:
            self._is_asking = True
            refusals = 0
            try:
                refusals = await self._ask_elsewhere()
            finally:
                self._is_asking = False
                self._scope.end_doubt(refusals)
        return outcome

    async def _ask_elsewhere(self) -> int:
        was_proven = self._was_accepted or self._scope.is_proven
        try:
            list_is_refused = await self._is_list_refused()
        except CallSkippedError:
            return 0
        refusals = int(list_is_refused)
        for urn in islice(self._elsewhere(), MAX_OPINIONS):
            if not self._scope.is_in_doubt or refusals >= MAX_OPINIONS:
                break
            outcome = await self._scope.fetch_config(urn, for_opinion=True)
            if outcome is None:
                break
            self.early[urn] = outcome
            await self._keep([outcome])
            refusals += outcome.error_kind is ErrorKind.REFUSED
        # URNs that failed before and deleted functions prove nothing.
        return 0 if was_proven and not list_is_refused else refusals

    async def _is_list_refused(self) -> bool:
        counts = self._scope.attempts(maximum=1)
        try:
            await self._scope.fetch(
                Operation.LIST_FUNCTIONS, lambda: self._list_functions(0, 1), counts, for_opinion=True
            )
        except CallError as error:
            return error.kind is ErrorKind.REFUSED
        return False
