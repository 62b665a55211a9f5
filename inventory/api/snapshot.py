"""The analysts' door: the tables of a run as pandas frames or Arrow tables.

Owns the types of the frames. Loads pandas, so no command imports this. Makes no call.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from inventory.api import summary
from inventory.errors import InventoryError, Status, UsageError
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
"""The columns that become categories: never null, a closed set of words, and nothing that one computes with. Of others
``fillna("nobody")``, ``region + "/" + project_id`` or ``map(prices) * 2`` would fail. The words stand in this order."""
_HAS_CATEGORIES: Final = int(pd.__version__.split(".")[0]) >= 3  # noqa: PLR2004 - before, groupby made rows of unused ones
_MOST_FETCHED: Final = 8 * 1024 * 1024
"""Bytes that are fetched from a store to show a snapshot; more only where a table is asked for."""


class Snapshot:
    """One complete run: what the cloud said at one time.

    Its four tables are frames that are loaded when first used, and then kept; ``inventory schema`` prints their columns
    with units and sources. Shown in a notebook, it tells what is in it and what is missing, and loads no table for that
    but two columns of ``destinations``.

    Column types: texts are ``string[pyarrow]``, integers ``int64[pyarrow]``, times ``timestamp[us, tz=UTC][pyarrow]``;
    a null is ``<NA>``. From pandas 3 on, ``status``, ``event`` and ``operation`` are categories, with only the words
    that occur in the snapshot, in the order of the contract; with pandas 2 they are texts, for there ``groupby`` makes
    rows of unused categories.

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
        return summary.as_text(self._facts())

    def _repr_html_(self) -> str:
        return summary.as_html(self._facts(), self._count_destinations())

    @property
    def taken(self) -> datetime:
        """When the run ended, in UTC: the time that its tables tell of."""
        return summary.moment(self.manifest["finished"])

    def unknown(self) -> list[str]:
        """What the run did not learn (URNs that failed or were not attempted), one sentence each; none where it did."""
        return summary.unknown(self._facts())

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """One of the tables, as Arrow.

        Args:
            name: ``functions``, ``destinations``, ``calls`` or ``rejects``.
            columns: those that are wanted, in this order; without it all. Of Parquet, no other is read.

        Raises:
            UsageError: there is no table or column of that name.
            OutputError: its file is missing or damaged; the message says how to build it again.
        """
        known = [column.name for column in schema.find_table(name).columns]
        if isinstance(columns, str):
            raise UsageError(f"columns={columns!r} is one text; give a list: columns=[{columns!r}]")
        for column in columns or ():
            if column not in known:
                raise UsageError(f"table {name} has no column {column!r}; its columns are {', '.join(known)}")
        return self._files.read(name, columns)

    def frame(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """One of the tables, as pandas; with ``columns``, of a large one what is needed.

        Args:
            name: ``functions``, ``destinations``, ``calls`` or ``rejects``.
            columns: those that are wanted, in this order; without it all.

        Shape:
            (rows, columns): as many rows as the manifest says, in the table's order.

        Raises:
            UsageError: there is no table or column of that name.
            OutputError: its file is missing or damaged.
        """
        return frame_of(self.table(name, columns))

    @cached_property
    def functions(self) -> pd.DataFrame:
        """One row a URN.

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
        """One row a destination that is set; a side without one has no row.

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
        """One row a URN that was asked for: how it was settled.

        Shape:
            (URNs asked for, 7), sorted by ``function_urn``.

        Units:
            ``attempts`` and ``throttled`` calls, ``duration_ms`` milliseconds, ``finished_at`` UTC.

        Source:
            this program's own clock and counters; column by column: ``inventory schema calls``.
        """
        return self.frame("calls")

    @cached_property
    def rejects(self) -> pd.DataFrame:
        """One row an entry that is no function URN.

        Shape:
            (rejects, 4), sorted by ``source``, ``line``; a line or position counts from 1.

        Source:
            the list; column by column: ``inventory schema rejects``.
        """
        return self.frame("rejects")

    def _facts(self) -> summary.Facts:
        return summary.Facts(str(self.path), self.manifest, self._bodies_are_dropped(), datetime.now(UTC))

    def _bodies_are_dropped(self) -> bool:
        if not isinstance(self.path, Path) or not (self.path / database.FILE_NAME).is_file():
            return False
        try:
            with LedgerView(self.path / database.FILE_NAME, facts_alone=True) as ledger:
                return RunFacts(ledger).bodies_dropped
        except InventoryError:  # whose tables are well, and who looks at them, needs no ledger
            return False

    def _count_destinations(self) -> summary.Destinations:
        size = sum(file["bytes"] for file in self.manifest["tables"] if file["name"] == "destinations")
        if not isinstance(self.path, Path) and size > _MOST_FETCHED:
            return summary.Destinations(None, f"not counted, to save a download of {size:,} bytes; see .destinations")
        try:
            told = self.table("destinations", ["destination", "event"])
        except InventoryError as error:
            return summary.Destinations(None, f"not counted: {error}")
        counts: dict[str, dict[str, int]] = {}
        grouped = told.group_by(["destination", "event"]).aggregate([([], "count_all")]).to_pylist()
        for row in sorted(grouped, key=lambda row: str(row["destination"])):
            counts.setdefault(str(row["destination"]), {})[row["event"]] = row["count_all"]
        return summary.Destinations(counts)


def frame_of(table: pa.Table) -> pd.DataFrame:
    """Rows of our tables as pandas, with the types that :class:`Snapshot` describes."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    for column in frame.columns.intersection(list(_CATEGORIES)) if _HAS_CATEGORIES else ():
        frame[column] = _categories(table[column], _CATEGORIES[column])
    return frame


def _categories(column: pa.ChunkedArray, order: Sequence[str]) -> pd.Categorical[Any]:
    """A column as categories: the words that occur, those of ``order`` first."""
    found = sorted(pc.unique(column).to_pylist())
    words = [word for word in order if word in found] + [word for word in found if word not in order]
    codes: Any = pc.index_in(column, value_set=pa.array(words, pa.string())).to_numpy()
    return pd.Categorical.from_codes(codes, categories=pd.Index(words, dtype="string[pyarrow]"))


def open_snapshot(path: str | Path) -> Snapshot:
    """Opens the folder of a run, or its URL: ``s3://bucket/prefix`` or ``obs://bucket/prefix``.

    Only the manifest is read; tables are when they are used. Tables in parts (``--rows-per-file``) are read as one.

    Args:
        path: what ``inventory export`` prints on stdout.

    Raises:
        UsageError: there is no whole run (none at all, or one that is not finished), or the URL cannot be used; the
            message says what to open or to do.
        OutputError: its manifest is damaged or of a newer version, or the store cannot be read.
        CredentialsError: OBS has no keys.

    Examples:
        >>> inventory.open_snapshot("output/today").functions.status.value_counts()  # doctest: +SKIP
    """
    return Snapshot(open_run(path))
