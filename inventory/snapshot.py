"""The analysts' door: the tables of a run as pandas frames or Arrow tables.

Owns the reading of a run's folder, or of its objects in a store. The only module that loads pandas. Makes no call.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from inventory import card, ledger_file, manifest, parts, schema
from inventory.errors import InventoryError, OutputError, Status, UsageError
from inventory.ledger_view import DROPPED, LedgerView
from inventory.object_store import ObjectStore, ObjectUrl, is_url, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
_MOST_NAMED: Final = 3


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

    def __init__(self, path: Path | ObjectUrl, content: dict[str, Any], store: ObjectStore | None = None) -> None:
        self.path = path
        self.manifest = content
        self._store = store

    def __repr__(self) -> str:
        return card.as_text(self._facts())

    def _repr_html_(self) -> str:
        return card.as_html(self._facts(), self._count_destinations())

    @property
    def taken(self) -> datetime:
        """When the run ended, in UTC: the time that its tables tell of."""
        return card.moment(self.manifest["finished"])

    def unknown(self) -> list[str]:
        """What the run did not learn (URNs that failed or were not attempted), one sentence each; none where it did."""
        return card.unknown(self._facts())

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """One of the tables, as Arrow.

        Args:
            name: ``functions``, ``destinations``, ``calls`` or ``rejects``.
            columns: those that are wanted, in this order; without it all. Of Parquet, no other is read.

        Raises:
            UsageError: there is no table or column of that name.
            OutputError: its file is missing or damaged; the message says how to build it again.
        """
        known = [column.name for column in schema.table_named(name).columns]
        if isinstance(columns, str):
            raise UsageError(f"columns={columns!r} is one text; give a list: columns=[{columns!r}]")
        for column in columns or ():
            if column not in known:
                raise UsageError(f"table {name} has no column {column!r}; its columns are {', '.join(known)}")
        written: dict[str, list[dict[str, Any]]] = {}
        for file in self.manifest["tables"]:
            if file["name"] == name:
                written.setdefault(file["format"], []).append(file)
        if not written:
            raise OutputError(f"{self.path} holds no table {name}: its manifest does not name it")
        with ExitStack() as stack:
            files = written.get("parquet", next(iter(written.values())))
            try:
                return parts.read_parts(name, [stack.enter_context(self._on_disk(file)) for file in files], columns)
            except OutputError as error:
                error.message += f"; {self._mend()}"
                raise

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
        told = self.table(name, columns)
        frame: pd.DataFrame = told.to_pandas(types_mapper=pd.ArrowDtype)
        for column in frame.columns.intersection(list(_CATEGORIES)) if _HAS_CATEGORIES else ():
            frame[column] = _categories(told[column], _CATEGORIES[column])
        return frame

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

    @contextmanager
    def _on_disk(self, file: dict[str, Any]) -> Iterator[Path]:
        """A file of a table; one of a store is fetched, and held against what the manifest says of it."""
        if isinstance(self.path, Path):
            yield self.path / file["path"]
            return
        if self._store is None:
            self._store = ObjectStore(self.path, os.environ)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, file["path"])
            path.parent.mkdir(exist_ok=True)
            with path.open("wb") as sink:
                fetched = self._store.fetch(file["path"], sink)
            if fetched != (file["bytes"], file["sha256"]):
                raise OutputError(f"{self.path}/{file['path']} is not what the manifest says; export it again")
            yield path

    def _mend(self) -> str:
        if isinstance(self.path, Path):
            return f"build the tables again with: inventory tables {shlex.quote(str(self.path))}"
        return "export it again, or build its tables again in its work folder"

    def _facts(self) -> card.Facts:
        return card.Facts(str(self.path), self.manifest, self._bodies_are_dropped(), datetime.now(UTC))

    def _bodies_are_dropped(self) -> bool:
        if not isinstance(self.path, Path) or not (self.path / ledger_file.FILE_NAME).is_file():
            return False
        try:
            with LedgerView(self.path / ledger_file.FILE_NAME) as ledger:
                return bool(ledger.fact(DROPPED))
        except InventoryError:  # whose tables are well, and who looks at them, needs no ledger
            return False

    def _count_destinations(self) -> card.Destinations:
        size = sum(file["bytes"] for file in self.manifest["tables"] if file["name"] == "destinations")
        if not isinstance(self.path, Path) and size > _MOST_FETCHED:
            return card.Destinations(None, f"not counted, to save a download of {size:,} bytes; see .destinations")
        try:
            told = self.table("destinations", ["destination", "event"])
        except InventoryError as error:
            return card.Destinations(None, f"not counted: {error}")
        counts: dict[str, dict[str, int]] = {}
        grouped = told.group_by(["destination", "event"]).aggregate([([], "count_all")]).to_pylist()
        for row in sorted(grouped, key=lambda row: str(row["destination"])):
            counts.setdefault(str(row["destination"]), {})[row["event"]] = row["count_all"]
        return card.Destinations(counts)


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
        OutputError: there is no whole run (none at all, or one that is not finished), its manifest is damaged or of a
            newer version, or the store cannot be read; the message says what to do.
        UsageError: the URL cannot be used.
        CredentialsError: OBS has no keys.

    Examples:
        >>> inventory.open_snapshot("output/today").functions.status.value_counts()  # doctest: +SKIP
    """
    if is_url(str(path)):
        url = parse(str(path))
        store = ObjectStore(url, os.environ)
        if store.look_at(manifest.FILE_NAME) is None:
            raise OutputError(f"{url} holds no {manifest.FILE_NAME}; a run without a manifest is not whole")
        return Snapshot(url, _read(store.read(manifest.FILE_NAME), f"{url}/{manifest.FILE_NAME}"), store)
    folder = Path(path).expanduser()
    file = folder / manifest.FILE_NAME
    if not file.is_file():
        raise OutputError(_why_none(folder))
    try:
        return Snapshot(folder, _read(file.read_bytes(), str(file)))
    except OSError as error:
        raise OutputError(f"{file} cannot be read: {error.strerror}") from None


def _read(content: bytes, name: str) -> dict[str, Any]:
    read = manifest.decode(content, name)
    version = read.get("schema_version")
    if isinstance(version, int) and version > schema.VERSION:
        raise OutputError(
            f"{name} is of a newer inventory ({read.get('tool_version')}, schema {version}; this one reads up to "
            f"{schema.VERSION}); upgrade functiongraph-inventory here"
        )
    return read


def _why_none(folder: Path) -> str:
    """Why there is no snapshot to open, and what to open or to do instead."""
    if folder.is_file():
        return f"{folder} is a file; open the folder of its run: inventory.open_snapshot({str(folder.parent)!r})"
    if not folder.is_dir():
        return f"{folder}: there is no such folder; name the folder of a run, which inventory export prints at its end"
    if (folder / ledger_file.FILE_NAME).is_file():
        return (
            f"{folder} holds a run that is not finished (no {manifest.FILE_NAME}); go on with: "
            f"inventory export --resume --output {shlex.quote(str(folder))}"
        )
    runs = sorted(path.parent for path in folder.glob(f"*/{manifest.FILE_NAME}"))
    told = f"{folder} holds no run (no {manifest.FILE_NAME})"
    if not runs:
        return f"{told}; name the folder of a run, which inventory export prints at its end"
    return f"{told}, but folders with runs: {', '.join(map(str, runs[-_MOST_NAMED:]))}; open one of them"
