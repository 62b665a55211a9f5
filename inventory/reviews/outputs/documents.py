"""Writes the tables of a review as CSV, Parquet or JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from inventory.printable import printable, printable_json
from inventory.reviews.outputs.wording import template_of
from inventory.reviews.read_ahead import read_ahead
from inventory.reviews.reviewed import schema_of
from inventory.tables.writer import guard_batch
from inventory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inventory.reviews.reviewed import Reviewed
    from inventory.reviews.rule import Rule

TABLES: Final = ("findings", "exposure", "envelope", "summary")
_LEAST_ROWS: Final = 32_768
"""Rows of a row group; those of one rule may be few."""
_JSON_COLUMNS: Final = ("evidence", "unknown_reasons")


def write_parquet(reviewed: Reviewed, table: str, sink: IO[bytes]) -> None:
    """Writes one table as Parquet; its metadata has the rules that ran."""
    schema = schema_of(table)
    schema = schema.with_metadata({**schema.metadata, "inventory.rules": " ".join(reviewed.rules)})
    with pq.ParquetWriter(pa.PythonFile(sink, "w"), schema, compression="zstd") as writer:
        for rows in read_ahead(_row_groups(reviewed.rows(table))):
            writer.write_table(rows)


def _row_groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= _LEAST_ROWS:
            yield pa.Table.from_batches(waiting)
            waiting.clear()
    if waiting:
        yield pa.Table.from_batches(waiting)


def write_csv(reviewed: Reviewed, table: str, sink: IO[bytes]) -> None:
    """Writes one table as CSV, guarded against spreadsheet formulas."""
    schema = schema_of(table)
    options = pa_csv.WriteOptions(quoting_style="needed")
    with pa_csv.CSVWriter(pa.PythonFile(sink, "w"), schema, write_options=options) as writer:
        for batch in read_ahead(reviewed.rows(table)):
            writer.write_batch(guard_batch(batch))


def write_json(reviewed: Reviewed, table: str | None, sink: IO[bytes]) -> None:
    """Writes one table, or the whole review, as one JSON document; a row is one line.

    Units:
        Times are in UTC. An infinite number is null, and ``is_infinite`` beside it is true.
    """
    for line in _json_lines(reviewed, table):
        sink.write(f"{line}\n".encode())


def _json_lines(reviewed: Reviewed, table: str | None) -> Iterator[str]:
    details = reviewed.details
    head = {
        "tool_version": __version__,
        "finished": _utc(reviewed.taken),
        "as_of": details.as_of.isoformat(),
        "has_baseline": details.has_baseline,
        "assumptions": details.assumptions,
        "rules": list(reviewed.rules),
        "explanations": {name: _explain(rule) for name, rule in reviewed.rules.items()},
    }
    yield "{"
    yield from (f'"{name}": {_encode(value)},' for name, value in head.items())
    tables = [table] if table else ["findings", "summary"]
    for name in tables:
        yield f'"{name}": ['
        yield from _rows(reviewed.rows(name))
        yield "],"
    yield f'"coverage": {_encode(reviewed.coverage)},'
    yield f'"warnings": {_encode(list(map(printable, reviewed.warnings)))}'
    yield "}"


def _explain(rule: Rule) -> dict[str, str]:
    """What a person reads about the findings of a rule."""
    block = template_of(rule)
    texts = {"title": rule.title, "why": rule.why, "fix": rule.fix, "assumes": rule.assumes, "source": rule.source}
    return {**texts, {"hcl": "terraform", "bash": "command"}[block.language]: block.text}


def _rows(batches: Iterator[pa.RecordBatch]) -> Iterator[str]:
    before = None
    for batch in batches:
        for row in batch.to_pylist():
            if before is not None:
                yield f"{before},"
            before = _encode({name: _value(name, value) for name, value in row.items()})
    if before is not None:
        yield before


def _value(name: str, value: Any) -> Any:  # noqa: ANN401 - a cell of any column
    if isinstance(value, datetime):
        return _utc(value)
    if name in _JSON_COLUMNS and value is not None:
        return msgspec.Raw(value.encode())
    return value


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _encode(value: object) -> str:
    """JSON on one line; NaN and infinity are null."""
    return printable_json(msgspec.json.encode(value).decode())
