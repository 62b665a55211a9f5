"""The data dictionary as text, Markdown and JSON objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inventory.tables.schema import Column, Table


def to_markdown(tables: tuple[Table, ...]) -> str:
    """The data dictionary as Markdown."""
    parts: list[str] = []
    for table in tables:
        parts.append(f"**`{table.name}`**: a row is {table.row}; sorted by {', '.join(table.sorted_by)}.\n")
        parts.append("| column | type | unit | meaning | source |\n|---|---|---|---|---|")
        parts += [f"| `{c.name}` | {c.type} | {c.unit or ''} | {c.meaning} | {c.source} |" for c in table.columns]
        parts.append("")
    return "\n".join(parts)


def to_text(tables: tuple[Table, ...]) -> str:
    """The data dictionary for a terminal."""
    lines: list[str] = []
    for table in tables:
        lines.append(f"{table.name}: a row is {table.row}; sorted by {', '.join(table.sorted_by)}\n")
        width = max(len(column.name) for column in table.columns)
        for column in table.columns:
            unit = f" [{column.unit}]" if column.unit else ""
            lines.append(f"  {column.name:<{width}}  {column.type.partition('[')[0]:<9}  {column.meaning}{unit}")
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def to_json_objects(tables: tuple[Table, ...]) -> list[dict[str, object]]:
    """The data dictionary for JSON."""
    return [{**table._asdict(), "columns": [_column_object(column) for column in table.columns]} for table in tables]


def _column_object(column: Column) -> dict[str, object]:
    return {name: value for name, value in column._asdict().items() if name != "value"}
