"""Builds the tables of a run from its ledger."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from inventory.cloud.project_reports import REPORTS
from inventory.cloud.responses import is_named_otherwise
from inventory.errors import Status, UrnError
from inventory.ledger.schema import ListedTable
from inventory.pipeline.scope_table import ScopeRows
from inventory.runs.facts import RunFacts
from inventory.runs.manifest import Counts
from inventory.tables import schema
from inventory.tables.flatten import flatten
from inventory.tables.listed_rows import alias_row, function_facts_row, report_row
from inventory.tables.parts import PartsWriter
from inventory.tables.writer import TableFile, TableWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from inventory.ledger.writer import Ledger
    from inventory.outcome import Outcome
    from inventory.progress import ProgressObserver
    from inventory.settings import ExportSettings
    from inventory.tables.flatten import Row, Rows

_BLOCK: Final = 4096
_LEAST_BYTES: Final = 500
"""Approximate size of a row without body."""
_ON_FAILURE: Final = [column.name for column in schema.FUNCTIONS.columns].index("on_failure_destination")
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
    counts, scopes = Counts(), ScopeRows()
    with ExitStack() as stack:
        writers: list[TableWriter | PartsWriter] = []

        def open_writer(table: schema.Table, max_rows: int) -> TableWriter | PartsWriter:
            writers.append(stack.enter_context(_writer(table, folder, settings, max_rows)))
            return writers[-1]

        _add_urns(ledger, open_writer, settings, counts, scopes, observer)
        rejects = open_writer(schema.REJECTS, ledger.count_rejects())
        for reject in ledger.rejects():
            rejects.add(reject, _LEAST_BYTES + len(reject.text))
        _add_listed_items(ledger, open_writer, settings, scopes)
        rows = list(scopes.rows(ledger, settings, scope_ends))
        table = open_writer(schema.SCOPES, len(rows))
        for row in rows:
            table.add(row, _LEAST_BYTES)
        for writer in writers:
            writer.finish()
        before_names()
        return [file for writer in writers for file in writer.publish()], counts


def _add_urns(
    ledger: Ledger,
    open_writer: _OpenWriter,
    settings: ExportSettings,
    counts: Counts,
    scopes: ScopeRows,
    observer: ProgressObserver,
) -> None:
    total = ledger.count_urns()
    zone, listed = settings.zone(), bool(RunFacts(ledger).listed)
    functions = open_writer(schema.FUNCTIONS, total)
    destinations = open_writer(schema.DESTINATIONS, 2 * total)
    calls = open_writer(schema.CALLS, total)
    for number, (urn, outcome) in enumerate(ledger.rows(), 1):
        rows = _flattened(ledger, urn, outcome, zone, listed=listed)
        size = _LEAST_BYTES if outcome is None else _LEAST_BYTES + len(outcome.body)
        functions.add(rows.function, size)
        for row in rows.destinations:
            destinations.add(row, size)
        if rows.call is not None:
            calls.add(rows.call, _LEAST_BYTES)
        scopes.count(rows.function)
        counts.add(outcome, is_named_otherwise=is_named_otherwise(rows.answered_urn, urn))
        if outcome is not None and outcome.status == Status.CONFIGURED:
            counts.without_failure_destination += rows.function[_ON_FAILURE] is None
        if number % _BLOCK == 0:
            observer.on_build_tables(number, total)
    observer.on_build_tables(total, total)


def _flattened(ledger: Ledger, urn: str, outcome: Outcome | None, zone: ZoneInfo | None, *, listed: bool) -> Rows:
    """The rows of a URN; detects damaged bodies, which SQLite does not notice."""
    try:
        return flatten(urn, outcome, zone, listed=listed)
    except (ValueError, UrnError) as error:
        raise ledger.damage_error(f"{urn}: {error}") from None


def _add_listed_items(ledger: Ledger, open_writer: _OpenWriter, settings: ExportSettings, scopes: ScopeRows) -> None:
    zone = settings.zone()
    for table in _listed_tables(ledger):
        writer = open_writer(schema.TABLES[table], ledger.count_listed_items(table))
        for name, kept in ledger.listed_items(table):
            try:
                row = _LISTED_ROWS[table](name, kept, zone)
            except ValueError as error:
                raise ledger.damage_error(f"{name!r} in {table}: {error}") from None
            writer.add(row, _LEAST_BYTES + len(kept))
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
