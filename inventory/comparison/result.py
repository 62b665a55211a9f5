"""Result of a diff: counts, and changes as Arrow or pandas.

Owns whether two runs may be compared, and where the changes wait: in memory while they are few, else in a file that has
no name. pandas is loaded by :attr:`Diff.changes` alone.
"""

from __future__ import annotations

import html
import tempfile
import threading
import weakref
from functools import cached_property
from io import BufferedWriter, RawIOBase
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.comparison.compare import Comparison, microseconds
from inventory.comparison.facts import FactsComparison, check_fields
from inventory.comparison.kinds import (
    CHANGED_KINDS,
    CHANGES,
    FACTS_CHANGED,
    FACTS_MEANING,
    MEANINGS,
    UNTOLD_KINDS,
    Kind,
)
from inventory.display.formatting import format_count, format_number
from inventory.errors import OutputError, Status, UsageError
from inventory.runs.files import open_run
from inventory.runs.listing_coverage import read_coverage
from inventory.settings_sources.combine import described_value
from inventory.tables import schema
from inventory.tables.arrow import combine_chunks, to_numbers
from inventory.tables.batches import BYTES_PER_BATCH, ROWS_PER_BATCH, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from inventory.runs.files import RunFiles

_IN_MEMORY_BYTES: Final = 4 * 1024 * 1024
_BUFFER_BYTES: Final = 256 * 1024
_ROWS_PER_STORED_BATCH: Final = 8_192
_COMPRESSED: Final = pa.ipc.IpcWriteOptions(compression="lz4")


class OfRun(Protocol):
    """What leads to a run, as a snapshot does."""

    @property
    def path(self) -> object:
        """Its folder or URL."""


class RunSide(NamedTuple):
    """One of the two runs: where it is, when it was finished, how many URNs it asked for, and with which exit code."""

    path: str
    finished: str
    urns: int
    exit_code: int


class Diff:
    """What differs between two runs. It is true where the cloud changed.

    Attributes:
        old: what is compared.
        new: with what.
        counts: URNs by kind of :class:`inventory.comparison.kinds.Kind`, and ``unchanged``; with facts also
            ``facts_changed``, in addition to the kind of the URN.
        fields: differing fields by name; those of destinations have their event before it.
        schema: of the changes, as Arrow has it.
        warnings: sentences that say why this may not be what you think it is.
    """

    def __init__(self, old: RunFiles, new: RunFiles, facts: FactsComparison | None = None) -> None:
        self.old, self.new = _side(old), _side(new)
        self.warnings = check_comparable(old, new) + ([] if facts is None else facts.warnings)
        comparison = Comparison(old, new)
        self.schema = _schema_of(self.old, self.new)
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - as long as this object
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self._write(chain(comparison.changes(), () if facts is None else facts.changes()))
        counts = {str(name): comparison.counts[name] for name in (*Kind, "unchanged")}
        fields = dict(sorted(comparison.fields.items()))
        if facts is not None:
            counts[FACTS_CHANGED] = facts.changed
            fields |= sorted(facts.fields.items())
        self.counts: Mapping[str, int] = MappingProxyType(counts)
        self.fields: Mapping[str, int] = MappingProxyType(fields)

    @property
    def changed(self) -> bool:
        """Whether the cloud changed, by the answers of both runs."""
        return any(self.counts.get(kind) for kind in (*CHANGED_KINDS, FACTS_CHANGED))

    @property
    def untold(self) -> int:
        """URNs that OLD asked for and of which NEW does not tell: unknown, or not listed."""
        return sum(self.counts[kind] for kind in UNTOLD_KINDS)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The changes, in order, some at a time: memory stays flat however many there are."""
        with pa.ipc.open_stream(pa.PythonFile(_Reading(self._file, self._lock), "r")) as reader:
            yield from reader

    __iter__ = batches

    def table(self) -> pa.Table:
        """The changes as one Arrow table.

        Shape: a row a differing field, or a URN that has another fate; columns of ``CHANGES``.
        """
        return pa.Table.from_batches(self.batches(), self.schema)

    @cached_property
    def changes(self) -> pd.DataFrame:
        """The changes as a frame of Arrow types; columns as in :meth:`table`."""
        import pandas as pd  # noqa: PLC0415 - heavy, and only for frames

        frame: pd.DataFrame = self.table().to_pandas(types_mapper=pd.ArrowDtype)
        return frame

    def __bool__(self) -> bool:
        return self.changed

    def __repr__(self) -> str:
        reported = (
            ", ".join(f"{format_number(count)} {kind}" for kind, count in self.counts.items() if count)
            or "no URN on either list"
        )
        return f"Diff({self.old.path!r} to {self.new.path!r}: {reported})"

    def _repr_html_(self) -> str:
        sides = "".join(
            f"<tr><th style='text-align:left'>{name}</th><td>{html.escape(side.path)}</td>"
            f"<td>{html.escape(side.finished)}</td><td>{format_count(side.urns, 'URN')}</td></tr>"
            for name, side in (("OLD", self.old), ("NEW", self.new))
        )
        kinds = "".join(
            f"<tr><td style='text-align:right'>{format_number(count)}</td>"
            f"<td style='text-align:left'><b>{kind}</b></td>"
            f"<td style='text-align:left'>{html.escape(meaning_of(kind))}</td></tr>"
            for kind, count in self.counts.items()
            if count
        )
        warnings = "".join(f"<p>⚠ {html.escape(words)}</p>" for words in self.warnings)
        tables = f"<table>{sides}</table><table>{kinds}</table>"
        return f"<div>{warnings}{tables}<p><code>.changes</code> has the rows</p></div>"

    def _write(self, changes: Iterator[pa.Table]) -> None:
        try:
            sink = BufferedWriter(cast("RawIOBase", self._file), _BUFFER_BYTES)  # Arrow writes column by column
            with pa.ipc.new_stream(pa.PythonFile(sink, "w"), self.schema, options=_COMPRESSED) as writer:
                for batch in _split(changes):
                    if batch.nbytes > _IN_MEMORY_BYTES:
                        self._file.rollover()
                    writer.write_batch(batch)
                    del batch  # before the next one is made
            sink.detach()
        except OSError as error:
            raise OutputError.from_os_error(
                "the changes", "cannot be held in a temporary file", error, "free disk space, or set TMPDIR"
            ) from None


def diff(old: str | Path | OfRun, new: str | Path | OfRun, *, facts: bool = False, fields: Sequence[str] = ()) -> Diff:
    """Compares two finished runs: changes in the cloud, and URNs whose change is unknown.

    Args:
        old: the earlier run: its folder, ``s3://bucket/prefix``, ``obs://bucket/prefix``, or a snapshot.
        new: the later one.
        facts: compares ``function_facts`` and ``aliases`` too, where both runs have them.
        fields: with ``facts``, those of ``fail_count``, ``digest``, ``code_size`` and ``last_modified`` that are
            compared too.

    Raises:
        UsageError: there is no finished run, the two have different versions of the tables, or no such field exists.
        OutputError: a table cannot be read, or is not sorted; or the store cannot be read.
        CredentialsError: OBS has no keys.
    """
    if isinstance(fields, str):
        raise UsageError(f"fields={fields!r} is one text; give a list: fields=[{fields!r}]")
    if fields and not facts:
        raise UsageError("fields needs facts=True: they are fields of the tables of facts")
    named = check_fields(fields)
    first, second = (open_run(str(getattr(side, "path", side))) for side in (old, new))
    return Diff(first, second, FactsComparison(first, second, named) if facts else None)


def meaning_of(kind: str) -> str:
    """A kind of the counts in words."""
    if kind == FACTS_CHANGED:
        return FACTS_MEANING
    return "the same in both" if kind == "unchanged" else MEANINGS[Kind(kind)]


def check_comparable(old: RunFiles, new: RunFiles) -> list[str]:
    """Sees that two runs can be compared; gives sentences for what makes the comparison say less than one may think.

    Raises:
        UsageError: their tables do not mean the same.
    """
    for run in (old, new):
        version = run.manifest.get("schema_version")
        if version not in schema.COMPARABLE:
            raise UsageError(
                f"{run.name} has tables of version {version}, and only version {schema.VERSION} is compared: "
                "inventory tables writes them again from the ledger, without a call"
            )
    words = []
    if microseconds(new.manifest["finished"]) < microseconds(old.manifest["finished"]):
        words.append("NEW was finished before OLD: check the order of the two arguments")
    for name, run in (("OLD", old), ("NEW", new)):
        left = run.manifest["counts"]["status"].get(Status.NOT_ATTEMPTED, 0)
        if left:
            urns = format_count(left, "URN was", "URNs were")
            words.append(f"{name} is incomplete: {urns} not attempted; export --resume continues it")
    zones = [described_value(run.manifest["settings"], "naive_timezone") for run in (old, new)]
    if zones[0] != zones[1]:
        shown = [zone or "no zone" for zone in zones]
        words.append(
            f"times without a zone are read in {shown[0]} by OLD and in {shown[1]} by NEW: where the cloud changed how "
            "it writes them, a time may seem to have moved"
        )
    return [*words, *_about_scopes(old, new), *_about_lists(old, new)]


def _about_scopes(old: RunFiles, new: RunFiles) -> Iterator[str]:
    endpoints = [
        {(scope["region"], scope["project_id"]): scope["endpoint"] for scope in run.manifest["scopes"]}
        for run in (old, new)
    ]
    common = sorted(endpoints[0].keys() & endpoints[1].keys())
    if not common and all(endpoints):
        yield "OLD and NEW have no project in common: nothing of one is compared with the other"
    other = [scope for scope in common if endpoints[0][scope] != endpoints[1][scope]]
    if other:
        was, now = (side[other[0]] for side in endpoints)
        projects = f"{format_number(len(other))} of {format_count(len(common), 'common project')}"
        yield (
            f"{projects} were asked for elsewhere, such as {'/'.join(other[0])} at {was} by OLD and at {now} by NEW: "
            "they may be two clouds"
        )


def _about_lists(old: RunFiles, new: RunFiles) -> Iterator[str]:
    """A list without a function may be the truth, or that of a credential that may see nothing."""
    asked = [{f"{scope['region']}/{scope['project_id']}" for scope in run.manifest["scopes"]} for run in (old, new)]
    emptied = sorted(asked[0] & read_coverage(new.manifest).projects - asked[1])
    if emptied:
        yield (
            f"the service listed no function at all to NEW in {', '.join(emptied)}, where OLD knew some: may its "
            "credential still see them?"
        )


def _side(run: RunFiles) -> RunSide:
    content = run.manifest
    return RunSide(run.name, content["finished"], content["input"]["urns"], content["exit_code"])


def _schema_of(old: RunSide, new: RunSide) -> pa.Schema:
    fields = arrow_schema(CHANGES)
    about = {
        f"inventory.{name}": f"{side.path} {side.finished}".encode("utf-8", "backslashreplace")  # any bytes of a path
        for name, side in (("old", old), ("new", new))
    }
    return fields.with_metadata({**fields.metadata, **about})


def _split(tables: Iterator[pa.Table]) -> Iterator[pa.RecordBatch]:
    """Cuts rows into batches with a bounded number of rows and of bytes."""
    held: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        held.append(table)
        rows, size = rows + table.num_rows, size + table.nbytes
        del table
        if rows >= ROWS_PER_BATCH or size >= BYTES_PER_BATCH:
            yield from _batches_of(held)
            rows = size = 0
    yield from _batches_of(held)


def _batches_of(held: list[pa.Table]) -> Iterator[pa.RecordBatch]:
    """Empties the list."""
    table = pa.concat_tables(held) if held else None
    held.clear()
    begin = 0
    while table is not None and begin < table.num_rows:
        end = _end_of_batch(table, begin)
        columns = [combine_chunks(column) for column in table.slice(begin, end - begin).columns]
        yield pa.RecordBatch.from_arrays(columns, schema=table.schema)
        begin = end


def _end_of_batch(rows: pa.Table, begin: int) -> int:
    part = rows.slice(begin, _ROWS_PER_STORED_BATCH)
    if part.nbytes < BYTES_PER_BATCH:
        return begin + int(part.num_rows)
    before, after = (to_numbers(pc.binary_length(part[name]).cast(pa.int64()), 0) for name in ("before", "after"))
    fitting = int(np.searchsorted(np.cumsum(before + after), BYTES_PER_BATCH, "right"))
    return begin + max(1, min(fitting, int(part.num_rows)))


class _Reading(RawIOBase):
    """A place of one's own in a file that several read."""

    def __init__(self, file: tempfile.SpooledTemporaryFile[bytes], lock: threading.Lock) -> None:
        self._source = file
        self._lock = lock
        self._place = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - as its parent has it
        with self._lock:
            self._source.seek(self._place)
            count: int = self._source.readinto(buffer)
        self._place += count
        return count
