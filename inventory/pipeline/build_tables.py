"""Builds the tables of a run from its ledger."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from inventory.cloud.project_reports import REPORTS
from inventory.errors import Status
from inventory.ledger.schema import ListedTable
from inventory.pipeline import urn_blocks
from inventory.pipeline.scope_table import ScopeRows
from inventory.pipeline.urn_blocks import LEAST_BYTES
from inventory.runs.facts import RunFacts
from inventory.runs.manifest import Counts
from inventory.scheduling.machine import count_cores, free_memory
from inventory.tables import schema
from inventory.tables.listed_rows import alias_row, function_facts_row, report_row
from inventory.tables.parts import PartsWriter
from inventory.tables.writer import TableFile, TableWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from zoneinfo import ZoneInfo

    import pyarrow as pa

    from inventory.ledger.writer import Ledger
    from inventory.progress import ProgressObserver
    from inventory.settings import ExportSettings
    from inventory.tables.flatten import Row

_PARALLEL_FROM: Final = 200_000
"""URNs: below, the start of processes costs more than they save."""
_MAX_PROCESSES: Final = 4
_FREE_MEMORY: Final = 1024**3
"""Bytes; a process takes about 100 MB."""
_LISTED_ROWS: Final[dict[str, Callable[[str, str, ZoneInfo | None], Row]]] = {
    ListedTable.FUNCTION_FACTS: function_facts_row,
    ListedTable.ALIASES: alias_row,
    **{report.table: partial(report_row, report) for report in REPORTS.values()},
}
_Opened = AbstractContextManager["TableWriter | PartsWriter"]
_OpenWriter: TypeAlias = "Callable[[schema.Table, int], TableWriter | PartsWriter]"


def build_tables(
    ledger: Ledger,
    folder: Path,
    settings: ExportSettings,
    scope_ends: Sequence[Mapping[str, Any]],
    observer: ProgressObserver,
    *,
    before_names: Callable[[], None] = lambda: None,
) -> tuple[list[TableFile], Counts]:
    """Writes the tables in one pass in URN order; renames them when all are complete.

    A run with a listing has the listed tables too.

    Args:
        ledger: the content.
        folder: of the files.
        settings: formats, rows per file, time zone, accounts and endpoints.
        scope_ends: the block ``scopes`` of the manifest.
        observer: receives progress and can cancel.
        before_names: called before the tables are renamed.

    Raises:
        LedgerUnusableError: a body is damaged.
        OutputError: a table cannot be written.
        InterruptedRunError: the run was cancelled; no new table remains.
    """
    ledger.sort_outcomes(observer.check_cancelled)
    scopes = ScopeRows()
    with ledger.log_moved_meanwhile(), ExitStack() as stack:
        writers: list[TableWriter | PartsWriter] = []

        def open_writer(table: schema.Table, max_rows: int) -> TableWriter | PartsWriter:
            writers.append(stack.enter_context(_writer(table, folder, settings, max_rows)))
            return writers[-1]

        counts = _add_urns(ledger, open_writer, settings, observer)
        rejects = open_writer(schema.REJECTS, ledger.count_rejects())
        for reject in ledger.rejects():
            rejects.add(reject, LEAST_BYTES + len(reject.text))
        _add_listed_items(ledger, open_writer, settings, scopes)
        rows = list(scopes.rows(ledger, settings, scope_ends, counts))
        table = open_writer(schema.SCOPES, len(rows))
        for row in rows:
            table.add(row, LEAST_BYTES)
        for writer in writers:
            writer.finish()
        before_names()
        return [file for writer in writers for file in writer.publish()], counts


def _add_urns(ledger: Ledger, open_writer: _OpenWriter, settings: ExportSettings, observer: ProgressObserver) -> Counts:
    total, counts = ledger.count_urns(), Counts()
    most_rows = {schema.FUNCTIONS: total, schema.DESTINATIONS: 2 * total, schema.CALLS: total}
    writers = [open_writer(table, most_rows[table]) for table in urn_blocks.TABLES]

    def write(table: int, batch: pa.RecordBatch) -> None:
        observer.check_cancelled()
        writers[table].write(batch)

    urns = outcomes = 0
    observer.on_build_tables(urns, total)
    for block in _blocks(ledger, settings, write, observer, _count_processes(ledger, total)):
        counts.add_counts(block)
        in_block = block.status
        urns += in_block.total()
        outcomes += in_block.total() - in_block[Status.NOT_ATTEMPTED]
        observer.on_build_tables(urns, total)
    ledger.check_totals(urns, outcomes)
    return counts


def _count_processes(ledger: Ledger, urns: int) -> int:
    if urns < _PARALLEL_FROM or not ledger.is_shared:
        return 1
    memory = free_memory()
    return min(count_cores(), _MAX_PROCESSES) if memory is None or memory > _FREE_MEMORY else 1


def _blocks(
    ledger: Ledger,
    settings: ExportSettings,
    write: Callable[[int, pa.RecordBatch], None],
    observer: ProgressObserver,
    processes: int,
) -> Iterator[Counts]:
    """Writes the batches of each block, then yields its counts."""
    zone, listed = settings.zone(), bool(RunFacts(ledger).listed)
    if processes > 1:
        from inventory.pipeline.block_processes import BlockProcesses  # noqa: PLC0415 - for large runs only

        try:
            started = BlockProcesses(ledger, settings.naive_timezone, listed=listed, processes=processes)
        except OSError:  # a limit of this user or container; one process needs nothing
            pass
        else:
            with started:
                yield from started.read(write, observer.check_cancelled)
            return
    reader = urn_blocks.BlockReader(ledger, zone, listed=listed, write=write)
    rows = ledger.rows_between()
    while (counts := reader.read(islice(rows, urn_blocks.URNS_PER_BLOCK))).by_scope:
        yield counts


def _add_listed_items(ledger: Ledger, open_writer: _OpenWriter, settings: ExportSettings, scopes: ScopeRows) -> None:
    zone = settings.zone()
    for table in _listed_tables(ledger):
        writer = open_writer(schema.TABLES[table], ledger.count_listed_items(table))
        for name, kept in ledger.listed_items(table):
            try:
                row = _LISTED_ROWS[table](name, kept, zone)
            except ValueError as error:
                raise ledger.damage_error(f"{name!r} in {table}: {error}") from None
            writer.add(row, LEAST_BYTES + len(kept))
            if table == ListedTable.FUNCTION_FACTS:
                scopes.add_facts(row)


def _listed_tables(ledger: Ledger) -> list[ListedTable]:
    """The tables that the run's listing gives; aliases and reports only if they were listed."""
    listing = RunFacts(ledger).listed
    if listing is None or not ledger.has_listed_items:
        return []
    tables = {ListedTable.FUNCTION_FACTS, *listing["failed_reports"]}
    if listing["aliases"] or ledger.count_listed_items(ListedTable.ALIASES):
        tables.add(ListedTable.ALIASES)
    return [table for table in ListedTable if table in tables]


def _writer(table: schema.Table, folder: Path, settings: ExportSettings, max_rows: int) -> _Opened:
    if not settings.rows_per_file:
        return TableWriter(table, folder, settings.format)
    return PartsWriter(table, folder, settings.format, rows_per_file=settings.rows_per_file, max_rows=max_rows)
