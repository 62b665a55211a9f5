"""Encodes findings and rules as the JSON block of a page: each text once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from inventory.printable import printable, printable_json
from inventory.reviews.outputs.wording import ASKS, explain_command, template_of
from inventory.settings import SEVERITIES
from inventory.tables.arrow import combine_chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.reviews.reviewed import Reviewed
    from inventory.reviews.rule import Rule

MAX_TEXT: Final = 8_000
"""Characters of a text; the rest is left out, so that no name fills a page."""
_SHARED: Final = ("subject", "target", "evidence")
"""Columns whose texts begin alike."""
_CODED: Final = (
    "rule",
    "severity",
    "verdict",
    "event",
    "why_unknown",
    "suppressed_by",
    "suppression_reason",
    "suppressed_until",
    "state",
)
_ESCAPES: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
_NOT_ASCII: Final = re.compile(r"[^ -~]+")
_LAST_OF_ONE_UNIT: Final = "\uffff"


def encode_data(reviewed: Reviewed, rows: pa.Table) -> str:
    """Returns JSON that is safe inside a ``script`` element.

    A column is ``values`` and a code for each row, or one code of all rows; -1 is null. Of texts that begin alike, a
    value is the number of characters that it shares with the one before it, and the rest.
    """
    columns: dict[str, Any] = {name: _codes(rows.column(name)) for name in _CODED}
    columns |= {name: _shared(rows.column(name)) for name in _SHARED}
    columns["first_seen"] = _codes(rows.column("first_seen").cast(pa.string()))
    for column in columns.values():
        if len(set(column["codes"])) == 1:
            column["codes"] = column["codes"][0]
    data = {
        "run": printable(reviewed.details.run),
        "columns": rows.schema.names,
        "severities": SEVERITIES,
        "rules": {rule.id: _rule(rule) for rule in reviewed.rules.values()},
        "reasons": {name: {"fix": ask.fix, "command": ask.command} for name, ask in ASKS.items()},
        "ids": rows.column("finding_id").to_pylist(),
        "findings": columns,
    }
    return embed(msgspec.json.encode(data).decode())


def embed(text: str) -> str:
    """Escapes JSON for a ``script`` element, and what cannot be seen."""
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return _NOT_ASCII.sub(lambda match: printable_json(match[0]), text)


def _rule(rule: Rule) -> dict[str, str]:
    block = template_of(rule)
    texts = {name: getattr(rule, name) for name in ("title", "area", "severity", "why", "fix", "assumes", "source")}
    lines = {name: " ".join(text.split()) for name, text in texts.items()}
    return {**lines, "block": block.text, "language": block.language, "explain": explain_command(rule)}


def _codes(column: pa.ChunkedArray) -> dict[str, Any]:
    encoded = combine_chunks(column).dictionary_encode()
    return {"values": _cut(encoded.dictionary.to_pylist()), "codes": encoded.indices.fill_null(-1).to_pylist()}


def _shared(column: pa.ChunkedArray) -> dict[str, Any]:
    encoded = _codes(column)
    texts: list[str] = encoded["values"]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    values, before = [], ""
    for index in order:
        length = _shared_length(before, texts[index])
        values += [length, texts[index][length:]]
        before = texts[index]
    places = np.empty(len(texts) + 1, np.int64)
    places[order] = np.arange(len(texts))
    places[-1] = -1
    return {"shared": values, "codes": places[encoded["codes"]].tolist()}


def _shared_length(before: str, text: str) -> int:
    """Number of equal characters at the begin; JavaScript counts those after U+FFFF twice, so they are not shared."""
    pairs = zip(before, text, strict=False)
    differs = (at for at, (old, new) in enumerate(pairs) if old != new or new > _LAST_OF_ONE_UNIT)
    return next(differs, min(len(before), len(text)))


def _cut(texts: Sequence[str]) -> list[str]:
    return [
        text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} ... ({len(text) - MAX_TEXT:,} characters left out)"
        for text in texts
    ]
