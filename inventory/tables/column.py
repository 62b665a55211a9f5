"""Column and Table. Arrow types are text: ``inventory schema`` loads no Arrow."""

from __future__ import annotations

from typing import NamedTuple

TEXT, INTEGER, BOOLEAN, TIME, FLOAT = "string", "int64", "bool", "timestamp[us, tz=UTC]", "double"


class Column(NamedTuple):
    """One column; ``value`` is the attribute of a row in :mod:`inventory.tables.flatten`, such as ``urn.region``."""

    name: str
    type: str
    unit: str | None
    meaning: str
    source: str
    value: str = ""


class Table(NamedTuple):
    """One table: name, meaning of a row, sort columns, columns."""

    name: str
    row: str
    sorted_by: tuple[str, ...]
    columns: tuple[Column, ...]
