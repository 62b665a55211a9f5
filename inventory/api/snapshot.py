"""A run's tables as pandas frames or Arrow tables."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from inventory.api import summary
from inventory.display.formatting import format_bytes
from inventory.errors import ExitCode, InventoryError, Status, UnansweredError, UsageError
from inventory.ledger import database
from inventory.ledger.reader import LedgerView
from inventory.runs.facts import RunFacts
from inventory.runs.files import RunFiles, open_run
from inventory.tables import schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.storage.object_store import ObjectUrl

_CATEGORIES: Final = {
    "status": tuple(status.value for status in Status),
    "event": ("on_success", "on_failure"),
    "operation": (),
}
"""Columns that become categories, with the order of their values.

They are never null, have few values and are not computed with. Others would break ``fillna("none")``,
``region + "/" + project_id`` or ``map(prices) * 2``.
"""
_HAS_CATEGORIES: Final = int(pd.__version__.split(".")[0]) >= 3  # noqa: PLR2004 - pandas 2 groups by unused categories
_MOST_FETCHED: Final = 8 * 1024 * 1024
"""Maximum bytes that are downloaded from a store for the summary of a snapshot."""


class Snapshot:
    """The tables of one finished run.

    Each table is a frame that is loaded at first use; ``inventory schema`` prints their columns with units
    and sources. A notebook shows a summary, for which only two columns of ``destinations`` are loaded.

    Column types: ``string[pyarrow]``, ``int64[pyarrow]``, ``timestamp[us, tz=UTC][pyarrow]``; a null is ``<NA>``. From
    pandas 3 on, ``status``, ``event`` and ``operation`` are categories with the values that occur.

    Examples:
        >>> snapshot = inventory.open_snapshot("output/today")  # doctest: +SKIP
        >>> snapshot.functions.status.value_counts()  # doctest: +SKIP
        >>> snapshot.frame("functions", columns=["function_urn", "status"])  # doctest: +SKIP

    Attributes:
        path: the run's folder, or its URL.
        manifest: the content of its ``manifest.json``.
    """

    def __init__(self, files: RunFiles) -> None:
        self._files = files
        self.path: Path | ObjectUrl = files.path
        self.manifest: dict[str, Any] = files.manifest

    def __repr__(self) -> str:
        return summary.to_text(self._summary_data())

    def _repr_html_(self) -> str:
        return summary.to_html(self._summary_data(), self._count_destinations())

    @property
    def taken(self) -> datetime:
        """When the run ended, in UTC."""
        return summary.parse_time(self.manifest["finished"])

    @property
    def exit_code(self) -> int:
        """The exit code of the run: 0 if every URN was answered."""
        return int(self.manifest["exit_code"])

    def raise_for_unanswered(self) -> Self:
        """Returns the snapshot if every URN was answered.

        Raises:
            UnansweredError: the run has another exit code than 0; the error has it, and says how to resume.
        """
        if self.exit_code:
            advice = "export these alone again with: inventory.export(output=..., resume=True)"
            raise unanswered_error(self, advice)
        return self

    def unknown(self) -> list[str]:
        """One sentence for each kind of thing that the run did not learn: URNs that failed or were not attempted."""
        return summary.describe_unknown(self._summary_data())

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Reads a table as Arrow.

        Args:
            name: of the table, such as ``functions``.
            columns: the columns to read, in this order. Default: all.

        Raises:
            UsageError: there is no table or column of that name.
            OutputError: its file is missing or damaged; the message says how to rebuild it.
        """
        known = [column.name for column in schema.find_table(name).columns]
        if isinstance(columns, str):
            raise UsageError(f"columns={columns!r} is one text; give a list: columns=[{columns!r}]")
        for column in columns or ():
            if column not in known:
                raise UsageError(f"table {name} has no column {column!r}; its columns are {', '.join(known)}")
        return self._files.read(name, columns)

    def frame(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Reads a table as pandas.

        Args:
            name: of the table, such as ``functions``.
            columns: the columns to read, in this order. Default: all.

        Shape:
            (rows, columns), in the table's order.

        Raises:
            UsageError: there is no table or column of that name.
            OutputError: its file is missing or damaged.
        """
        return frame_of(self.table(name, columns))

    @cached_property
    def functions(self) -> pd.DataFrame:
        """One row per URN.

        Shape:
            (URNs, 24), sorted by ``function_urn``.

        Units:
            ``max_async_event_age_in_seconds`` seconds, ``max_async_retry_attempts`` retries, times UTC.

        Source:
            ShowFunctionAsyncInvokeConfig; column by column: ``inventory schema functions``.
        """
        return self.frame("functions")

    @cached_property
    def destinations(self) -> pd.DataFrame:
        """One row per destination that is set.

        Shape:
            (destinations, 16), sorted by ``function_urn``, ``event``.

        Units:
            ``obs_expires_days`` days; 0: never.

        Source:
            ``destination_config`` of the answer; column by column: ``inventory schema destinations``.
        """
        return self.frame("destinations")

    @cached_property
    def calls(self) -> pd.DataFrame:
        """One row per URN that was called: how the call ended.

        Shape:
            (URNs called, 7), sorted by ``function_urn``.

        Units:
            ``attempts`` and ``throttled`` calls, ``duration_ms`` milliseconds, ``finished_at`` UTC.

        Source:
            the clock and counters of this program; column by column: ``inventory schema calls``.
        """
        return self.frame("calls")

    @cached_property
    def rejects(self) -> pd.DataFrame:
        """One row per entry that is no function URN.

        Shape:
            (rejects, 4), sorted by ``source``, ``line``. Lines and positions count from 1.

        Source:
            the list; column by column: ``inventory schema rejects``.
        """
        return self.frame("rejects")

    @cached_property
    def scopes(self) -> pd.DataFrame:
        """One row per region and project: account, URNs by status, calls, learned limits, why it stopped.

        Shape:
            (scopes, 20), sorted by ``region``, ``project_id``.

        Units:
            ``calls``, ``refused`` and the limits calls, ``limit_seconds`` and ``shared_limit_seconds`` seconds.

        Source:
            counters of all sessions of the run; column by column: ``inventory schema scopes``.
        """
        return self.frame("scopes")

    @cached_property
    def function_facts(self) -> pd.DataFrame:
        """One row per function that the service listed, with ``--versions`` also per version.

        Only runs of ``export --all`` have this table.

        Shape:
            (functions and versions, 36), sorted by ``function_urn``.

        Units:
            ``timeout`` and ``initializer_timeout`` seconds, ``memory_size`` and ``gpu_memory`` MB, ``cpu`` millicores,
            ``code_size`` bytes.

        Source:
            ListFunctions and ListFunctionVersions; column by column: ``inventory schema function_facts``.
        """
        return self.frame("function_facts")

    @cached_property
    def aliases(self) -> pd.DataFrame:
        """One row per alias that the service listed. Only runs of ``export --all`` have this table.

        Shape:
            (aliases, 7), sorted by ``function_urn``.

        Source:
            ListVersionAliases; column by column: ``inventory schema aliases``.
        """
        return self.frame("aliases")

    @cached_property
    def failing_functions(self) -> pd.DataFrame:
        """Up to 20 functions of each project with the most failures of the last day; of runs ``--with failures``.

        Shape:
            (functions, 8), sorted by ``region``, ``project_id``, ``function_urn``.

        Source:
            ListFunctionAsMetric; column by column: ``inventory schema failing_functions``.
        """
        return self.frame("failing_functions")

    @cached_property
    def reserved_instances(self) -> pd.DataFrame:
        """One row per version or alias with reserved instances; of runs ``--with reserved``.

        Shape:
            (versions and aliases, 13), sorted by ``region``, ``project_id``, ``function_urn``.

        Source:
            ListReservedInstanceConfigs; column by column: ``inventory schema reserved_instances``.
        """
        return self.frame("reserved_instances")

    @cached_property
    def quotas(self) -> pd.DataFrame:
        """One row per quota of a project; of runs ``--with quotas``.

        Shape:
            (quotas, 7), sorted by ``region``, ``project_id``, ``type``.

        Source:
            ListQuotas; column by column: ``inventory schema quotas``.
        """
        return self.frame("quotas")

    def _summary_data(self) -> summary.SummaryData:
        return summary.SummaryData(str(self.path), self.manifest, self._bodies_are_dropped(), datetime.now(UTC))

    def _bodies_are_dropped(self) -> bool:
        if not isinstance(self.path, Path) or not (self.path / database.FILE_NAME).is_file():
            return False
        try:
            with LedgerView(self.path / database.FILE_NAME, facts_alone=True) as ledger:
                return RunFacts(ledger).bodies_dropped
        except InventoryError:  # the tables can be read without the ledger
            return False

    def _count_destinations(self) -> summary.DestinationCounts:
        size = sum(file["bytes"] for file in self.manifest["tables"] if file["name"] == "destinations")
        if not isinstance(self.path, Path) and size > _MOST_FETCHED:
            return summary.DestinationCounts(
                None, f"not counted, to save a download of {format_bytes(size)}; see .destinations"
            )
        try:
            table = self.table("destinations", ["destination", "event"])
        except InventoryError as error:
            return summary.DestinationCounts(None, f"not counted: {error}")
        counts: dict[str, dict[str, int]] = {}
        grouped = table.group_by(["destination", "event"]).aggregate([([], "count_all")]).to_pylist()
        for row in sorted(grouped, key=lambda row: str(row["destination"])):
            counts.setdefault(str(row["destination"]), {})[row["event"]] = row["count_all"]
        return summary.DestinationCounts(counts)


def frame_of(table: pa.Table) -> pd.DataFrame:
    """Converts a table to pandas, with the types that :class:`Snapshot` describes."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    for column in frame.columns.intersection(list(_CATEGORIES)) if _HAS_CATEGORIES else ():
        frame[column] = _categories(table[column], _CATEGORIES[column])
    return frame


def _categories(column: pa.ChunkedArray, order: Sequence[str]) -> pd.Categorical[Any]:
    """A column as categories: the values that occur, those of ``order`` first."""
    values = sorted(pc.unique(column).to_pylist())
    ordered = [value for value in order if value in values] + [value for value in values if value not in order]
    codes: Any = pc.index_in(column, value_set=pa.array(ordered, pa.string())).to_numpy()
    return pd.Categorical.from_codes(codes, categories=pd.Index(ordered, dtype="string[pyarrow]"))


def unanswered_error(snapshot: Snapshot, advice: str) -> UnansweredError:
    """The error for a run that ended with another exit code than 0."""
    code = snapshot.exit_code
    reasons = snapshot.unknown() or [f"exit code {code}"]
    known = ExitCode(code) if code in set(ExitCode) else ExitCode.SOME_FAILED
    return UnansweredError(f"{snapshot.path}: {'; '.join(reasons)}; {advice}", known)


def open_snapshot(path: str | Path) -> Snapshot:
    """Opens the folder of a run, or its URL: ``s3://bucket/prefix`` or ``obs://bucket/prefix``.

    Reads the manifest only; each table is read at first use.

    Args:
        path: what ``inventory export`` prints on stdout.

    Raises:
        UsageError: there is no finished run, or the URL cannot be used; the message says what to do.
        OutputError: the manifest is damaged or of a newer version, or the store cannot be read.
        CredentialsError: there are no keys for OBS.

    Examples:
        >>> inventory.open_snapshot("output/today").functions.status.value_counts()  # doctest: +SKIP
    """
    return Snapshot(open_run(path))
