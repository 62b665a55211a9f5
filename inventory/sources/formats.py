"""List formats: the reader of each suffix, and detection from the first bytes."""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Final

from inventory.sources.json_documents import is_json_line, read_json, read_jsonl
from inventory.sources.tabular import Entry, ReadOptions, is_header, read_csv, read_parquet, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READERS: Final[dict[str, Callable[[IO[bytes], ReadOptions], Iterator[Entry]]]] = {
    ".txt": read_text,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
}
SUFFIXES: Final = tuple(READERS)
_JSON: Final = re.compile(r"\[\s*([\[{\"'\]]|$)|\{\s*([\"'}]|$)")


def detect_format(start: bytes, column: str | None) -> str:
    """The suffix of a list's format, from its first bytes."""
    text = start.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    line = re.split(r"[\r\n]", text, maxsplit=1)[0]
    options = ReadOptions("", column, ",")
    if _JSON.match(text):
        return ".jsonl" if is_json_line(line, options) else ".json"
    return ".csv" if is_header(line, options) else ".txt"
