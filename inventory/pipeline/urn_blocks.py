"""Flattens blocks of URNs into batches of functions, destinations and calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inventory.cloud.responses import is_named_otherwise
from inventory.errors import Status, UrnError
from inventory.runs.manifest import Counts
from inventory.tables.batches import Batches, arrow_schema
from inventory.tables.flatten import flatten
from inventory.tables.schema import CALLS, DESTINATIONS, FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from zoneinfo import ZoneInfo

    import pyarrow as pa

    from inventory.ledger.reader import LedgerView
    from inventory.outcome import Outcome

URNS_PER_BLOCK: Final = 8_192
"""Batches end with a block, so the bytes of the tables do not depend on who flattens it."""
TABLES: Final = (FUNCTIONS, DESTINATIONS, CALLS)
"""The tables of the batches, by number."""
LEAST_BYTES: Final = 500
"""Approximate size of a row without body."""
_ON_FAILURE: Final = [column.name for column in FUNCTIONS.columns].index("on_failure_destination")


class BlockReader:
    """Flattens blocks of URNs.

    Args:
        ledger: for the errors of damaged bodies.
        zone: of times without a zone.
        listed: the service listed the functions in this run.
        write: receives the number of a table and a batch.
    """

    def __init__(
        self, ledger: LedgerView, zone: ZoneInfo | None, *, listed: bool, write: Callable[[int, pa.RecordBatch], None]
    ) -> None:
        self._ledger, self._zone, self._listed = ledger, zone, listed
        self._batches = [Batches(arrow_schema(table), _to(write, number)) for number, table in enumerate(TABLES)]

    def read(self, rows: Iterable[tuple[str, Outcome | None]]) -> Counts:
        """Flattens one block.

        Raises:
            LedgerUnusableError: a row is damaged.
        """
        counts, zone, listed = Counts(), self._zone, self._listed
        add_function, add_destination, add_call = (batches.add for batches in self._batches)
        for urn, outcome in rows:
            try:
                flat = flatten(urn, outcome, zone, listed=listed)
            except (ValueError, UrnError) as error:  # a damaged body, which SQLite does not notice
                raise self._ledger.damage_error(f"{urn}: {error}") from None
            size = LEAST_BYTES if outcome is None else LEAST_BYTES + len(outcome.body)
            add_function(flat.function, size)
            for row in flat.destinations:
                add_destination(row, size)
            if flat.call is not None:
                add_call(flat.call, LEAST_BYTES)
            counts.add(urn, outcome, is_named_otherwise=is_named_otherwise(flat.answered_urn, urn))
            if outcome is not None and outcome.status == Status.CONFIGURED:
                counts.without_failure_destination += flat.function[_ON_FAILURE] is None
        for batches in self._batches:
            batches.flush()
        return counts


def _to(write: Callable[[int, pa.RecordBatch], None], number: int) -> Callable[[pa.RecordBatch], None]:
    return lambda batch: write(number, batch)
