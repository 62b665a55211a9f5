"""The tables of a run, made from its ledger in one pass, in URN order.

Owns how the ledger's rows become the four tables, and the counts of the manifest, which come from the same pass. Makes
no call: the same ledger always makes the same bytes.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from inventory import schema
from inventory.flatten import flatten
from inventory.ledger import LISTED
from inventory.manifest import Counts
from inventory.tables import TableFile, TableWriter

if TYPE_CHECKING:
    from pathlib import Path

    from inventory.ledger import Ledger
    from inventory.settings import ExportSettings
    from inventory.watch import Watch

_BLOCK: Final = 4096


def tabulate(ledger: Ledger, folder: Path, settings: ExportSettings, watch: Watch) -> tuple[list[TableFile], Counts]:
    """Writes the tables; they get their names when all four are whole.

    Raises:
        OutputError: they cannot be written.
        InterruptedRunError: a signal came; no table of this pass is left.
    """
    counts = Counts()
    total = ledger.count_urns()
    zone = settings.zone()
    listed = bool(ledger.fact(LISTED))
    with ExitStack() as stack:
        functions, destinations, calls, rejects = writers = [
            stack.enter_context(TableWriter(table, folder, settings.format)) for table in schema.TABLES.values()
        ]
        for number, (urn, outcome) in enumerate(ledger.rows(), 1):
            rows = flatten(urn, outcome, zone, listed=listed)
            functions.add(rows.function)
            for row in rows.destinations:
                destinations.add(row)
            if rows.call is not None:
                calls.add(rows.call)
            counts.add(outcome)
            if number % _BLOCK == 0:
                watch.tabulating(number, total)
        for reject in ledger.rejects():
            rejects.add(reject)
        watch.tabulating(total, total)
        for writer in writers:
            writer.finish()
        return [file for writer in writers for file in writer.publish()], counts
