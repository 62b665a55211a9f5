"""The complete runs of a folder, and their columns in one frame."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final, overload

import pyarrow as pa

from inventory.api.snapshot import Snapshot, frame_of
from inventory.api.summary import html_table
from inventory.display.formatting import format_bytes, format_count, format_number
from inventory.errors import Status, UsageError
from inventory.printable import printable
from inventory.runs.catalog import find_runs
from inventory.runs.files import RunFiles
from inventory.runs.latest import newest_first
from inventory.tables import schema
from inventory.tables.arrow import TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

    from inventory.runs.catalog import OtherEntry, Run

SNAPSHOT_TIME: Final = "snapshot_time"
RUN: Final = "run"
_TIME_FIELD: Final = pa.field(SNAPSHOT_TIME, TYPES[schema.TIME], nullable=False)
_SHOWN: Final = 20


class History(Sequence[Snapshot]):
    """The finished runs of a folder as a sequence of snapshots, oldest first.

    A slice is a history too: ``history[-7:]`` has the last seven runs.

    Attributes:
        path: the folder or URL.
        runs: the manifest data of each finished run, also of runs with unknown URNs.
        incomplete: other entries of the folder, with the reason: running, stopped, damaged, or no run.
    """

    def __init__(self, path: str, runs: Sequence[Run], incomplete: Sequence[OtherEntry] = ()) -> None:
        self.path = path
        self.runs = tuple(runs)
        self.incomplete = tuple(incomplete)

    def __len__(self) -> int:
        return len(self.runs)

    @overload
    def __getitem__(self, index: int) -> Snapshot: ...
    @overload
    def __getitem__(self, index: slice) -> History: ...
    def __getitem__(self, index: int | slice) -> Snapshot | History:
        if isinstance(index, slice):
            return History(self.path, self.runs[index], self.incomplete)
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no run {index}: {self.path} contains {self._describe()}")
        return Snapshot(_files_of(self.runs[index]))

    def __repr__(self) -> str:
        return "\n".join([f"History({self.path!r}: {self._describe()})", *map("  ".join, self._rows())])

    def _repr_html_(self) -> str:
        others = "".join(
            f"<li>{escape(printable(f'{other.path}: {other.reason}'))}</li>" for other in self.incomplete[:_SHOWN]
        )
        table = html_table(("run", "time (UTC)", "URNs", "statuses", "exit code", "size"), list(self._rows()))
        return (
            f"<p><b>{escape(printable(self.path))}</b>: {self._describe()}</p>{table}"
            f"{f'<p>Not finished:</p><ul>{others}</ul>' if others else ''}"
        )

    @property
    def latest(self) -> Snapshot:
        """The newest finished run. ``history.answered.latest`` has no unknown URNs.

        Raises:
            UsageError: there is none.
        """
        self._check()
        return Snapshot(_files_of(newest_first(self.runs)[0]))

    @property
    def answered(self) -> History:
        """The runs in which every URN was answered."""
        return History(self.path, [run for run in self.runs if run.answered], self.incomplete)

    def summary(self) -> pd.DataFrame:
        """One row per run: time, size, exit code, and the number of URNs of each status.

        Shape: the columns snapshot_time, started, path, urns, the five statuses, exit_code, schema_version, bytes.
        """
        rows = [
            {
                SNAPSHOT_TIME: run.finished,
                "started": run.started,
                "path": _utf8(str(run.path)),
                "urns": run.urns,
                **{status.value: run.status.get(status, 0) for status in Status},
                "exit_code": run.exit_code,
                "schema_version": run.schema_version,
                "bytes": run.bytes,
            }
            for run in self.runs
        ]
        times = [_TIME_FIELD, pa.field("started", TYPES[schema.TIME]), pa.field("path", pa.string())]
        counts = ["urns", *Status, "exit_code", "schema_version", "bytes"]
        fields = pa.schema([*times, *(pa.field(str(name), pa.int64()) for name in counts)])
        return frame_of(pa.Table.from_pylist(rows, schema=fields))

    def load(self, columns: str | Sequence[str] | None = None, table: str = "functions") -> pd.DataFrame:
        """Loads columns of a table across all runs as one frame, oldest run first.

        URNs that failed or were not attempted have nulls in other columns: load ``status`` too, or use
        ``history.answered``. If the columns of all runs do not fit in memory, use :meth:`tables`.

        Args:
            columns: names of columns, as in ``inventory schema``; null where an older schema did not have one. ``run``
                is the name of the run's folder. Default: all columns of the table.
            table: functions, destinations, calls or rejects.

        Returns:
            ``snapshot_time`` (end of the run, UTC), then the columns in the given order.

        Raises:
            UsageError: there is no such table or column, or no finished run.
            OutputError: a file cannot be read.
        """
        self._check()
        return frame_of(pa.concat_tables(self.tables(columns, table)))

    def tables(self, columns: str | Sequence[str] | None = None, table: str = "functions") -> Iterator[pa.Table]:
        """Like :meth:`load`, but yields one Arrow table per run.

        Raises:
            UsageError: there is no such table or column.
            OutputError: a file cannot be read.
        """
        declared = schema.find_table(table)
        if columns is None:
            columns = [column.name for column in declared.columns]
        names = _check_columns([columns] if isinstance(columns, str) else columns, declared)
        return (_with_run_columns(run, table, names) for run in self.runs)

    def _check(self) -> None:
        if not self.runs:
            raise UsageError(f"{self.path} contains {self._describe()}")

    def _describe(self) -> str:
        others = format_count(len(self.incomplete), "other entry", "other entries")
        return f"{format_count(len(self.runs), 'finished run')}{f', and {others}' if self.incomplete else ''}"

    def _rows(self) -> Iterator[tuple[str, ...]]:
        older = len(self.runs) - _SHOWN
        if older > 0:
            yield (f"... {format_number(older)} older",)
        for run in self.runs[-_SHOWN:]:
            statuses = ", ".join(f"{format_number(count)} {status}" for status, count in run.status.items() if count)
            when = f"{run.finished:%Y-%m-%d %H:%M:%S}"
            name = printable(_utf8(run.name))
            yield name, when, format_number(run.urns), statuses or "none", str(run.exit_code), format_bytes(run.bytes)


def history(path: str | Path) -> History:
    """Opens a folder of run folders, such as ``output``, or a prefix of ``s3://`` or ``obs://``.

    Entries that are no finished run are in :attr:`History.incomplete`. Of a store, only manifests are read.

    Raises:
        UsageError: there is no such folder, or it is a run itself.
        OutputError: it cannot be read.
        CredentialsError: there are no keys for OBS.
    """
    catalog = find_runs(path)
    return History(str(path), catalog.whole, catalog.others)


def _check_columns(columns: Sequence[str], table: schema.Table) -> list[str]:
    known = [column.name for column in table.columns]
    names = [name for name in dict.fromkeys(columns) if name != SNAPSHOT_TIME]
    unknown = [name for name in names if name not in (*known, RUN)]
    if unknown:
        has = ", ".join(known)
        raise UsageError(f"table {table.name} has no column {', '.join(map(repr, unknown))}; it has {has}")
    if not set(names) - {RUN}:
        raise UsageError(f"name the columns of {table.name} to load; it has {', '.join(known)}")
    return names


def _with_run_columns(run: Run, name: str, columns: list[str]) -> pa.Table:
    table = _files_of(run).read(name, [column for column in columns if column != RUN])
    rows = table.num_rows
    if RUN in columns:
        names = pa.repeat(pa.scalar(_utf8(run.name), pa.string()), rows)
        table = table.add_column(columns.index(RUN), pa.field(RUN, pa.string(), nullable=False), names)
    moment = pa.repeat(pa.scalar(run.finished, _TIME_FIELD.type), rows)
    return table.add_column(0, _TIME_FIELD, moment).replace_schema_metadata(None)


def _utf8(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def _files_of(run: Run) -> RunFiles:
    return RunFiles(run.path, run.manifest)
