"""Compares a review with an earlier one: the state of each finding."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from inventory.errors import OutputError, UsageError
from inventory.reviews import findings as declared
from inventory.settings import SEVERITIES
from inventory.storage.files import open_file, read_file
from inventory.tables.arrow import to_array
from inventory.tables.batches import arrow_schema
from inventory.tables.csv_blocks import read_csv
from inventory.tables.writer import csv_convert_options, remove_guards

if TYPE_CHECKING:
    from collections.abc import Iterable


_COLUMNS: Final = (
    "rule",
    "severity",
    "verdict",
    "subject",
    "event",
    "target",
    "evidence",
    "why_unknown",
    "state",
    "first_seen",
    "suppressed",
)
_SUFFIXES: Final = (".csv", ".parquet", ".json")


class Baseline(NamedTuple):
    """The findings of an earlier review.

    Attributes:
        name: file or run.
        findings: columns of the table ``findings``.
        rules: ids of the rules that ran; None: not known, as of a CSV file.
    """

    name: str
    findings: pa.Table
    rules: frozenset[str] | None


def baseline_of(name: str, batches: Iterable[pa.RecordBatch], rules: Iterable[str]) -> Baseline:
    """Makes a baseline of a review's findings."""
    fields = arrow_schema(declared.FINDINGS)
    schema = pa.schema([fields.field(column) for column in _COLUMNS])
    kept = [batch.select(list(_COLUMNS)) for batch in batches]
    return Baseline(name, pa.Table.from_batches(kept, schema), frozenset(rules))


def is_findings_file(place: str) -> bool:
    """Whether a name is that of a file of findings; otherwise it is a run."""
    return "://" not in place and place.lower().endswith(_SUFFIXES) and not Path(place).is_dir()


def read_baseline(path: Path) -> Baseline:
    """Reads findings that ``inventory review`` wrote as CSV, Parquet or JSON.

    Raises:
        UsageError: it is no file of findings.
        OutputError: it cannot be read.
    """
    try:
        read = {".csv": _from_csv, ".parquet": _from_parquet, ".json": _from_json}[path.suffix.lower()]
        return _with_known_severities(read(path))
    except OSError as error:
        raise OutputError.from_os_error(path, "cannot be read as findings", error) from None
    except (pa.ArrowException, msgspec.DecodeError, KeyError, ValueError) as error:
        raise UsageError(
            f"{path} is no file of findings: {str(error).splitlines()[0]}; inventory review writes one with "
            "--format csv, parquet or json"
        ) from None


def _with_known_severities(baseline: Baseline) -> Baseline:
    for severity in set(baseline.findings["severity"].unique().to_pylist()).difference(SEVERITIES):
        raise ValueError(f"it has the severity {severity!r}")
    return baseline


def _schema() -> pa.Schema:
    fields = arrow_schema(declared.FINDINGS)
    return pa.schema([fields.field(column) for column in _COLUMNS])


def _from_csv(path: Path) -> Baseline:
    table = read_csv(path, csv_convert_options(declared.FINDINGS, None))
    return Baseline(str(path), remove_guards(table.select(list(_COLUMNS)).cast(_schema())), None)


def _from_parquet(path: Path) -> Baseline:
    with open_file(path) as file:
        table = pq.ParquetFile(file).read(columns=list(_COLUMNS), use_threads=False)
    about = table.schema.metadata or {}
    rules = about.get(b"inventory.rules")
    return Baseline(
        str(path),
        table.select(list(_COLUMNS)).cast(_schema()),
        None if rules is None else frozenset(rules.decode().split()),
    )


class _Row(msgspec.Struct):
    rule: str
    severity: str
    verdict: str
    subject: str
    event: str | None
    target: str | None
    evidence: msgspec.Raw
    why_unknown: str | None
    state: str | None
    first_seen: str
    suppressed: bool | None = None


class _Document(msgspec.Struct):
    rules: list[str]
    findings: list[_Row]


def _from_json(path: Path) -> Baseline:
    document = msgspec.json.decode(read_file(path), type=_Document)
    schema = _schema()
    arrays = []
    for field in schema:
        values: list[Any] = [getattr(row, field.name) for row in document.findings]
        if field.name == "evidence":
            values = [None if bytes(value) == b"null" else bytes(value).decode() for value in values]
        is_time = pa.types.is_timestamp(field.type)
        array = to_array(values, pa.string() if is_time else field.type)
        arrays.append(array.cast(field.type) if is_time else array)
    return Baseline(str(path), pa.Table.from_arrays(arrays, schema=schema), frozenset(document.rules))
