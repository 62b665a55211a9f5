"""Writes lists of URNs that ``inventory export`` reads."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from inventory.errors import OutputError, UsageError
from inventory.storage.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUFFIXES: Final = (".txt", ".jsonl", ".parquet")
COLUMN: Final = "function_urn"


def check_list(path: Path) -> None:
    """Checks, before any call, that a list can be written.

    Raises:
        UsageError: the suffix is unknown.
        OutputError: the folder does not exist or is not writable.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: its name must end in {', '.join(SUFFIXES)}; give another --output")
    if not path.parent.is_dir() or path.is_dir():
        what = "is a folder itself" if path.is_dir() else f"there is no folder {path.parent}"
        raise OutputError(f"{path} cannot be written: {what}; give another --output")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path} cannot be written: {path.parent} does not allow it; give another --output")


def write_list(path: Path, urns: Sequence[str]) -> None:
    """Writes or replaces a list in the format of its suffix.

    Raises:
        OutputError: it cannot be written.
    """
    with atomic_write(path, " or give another --output") as sink:
        if path.suffix == ".parquet":
            import pyarrow as pa  # noqa: PLC0415 - heavy, and only for Parquet
            import pyarrow.parquet as pq  # noqa: PLC0415 - only for Parquet lists

            table = pa.table({COLUMN: pa.array(list(urns), pa.string())})
            pq.write_table(table, sink, compression="zstd")
        else:
            lines = (json.dumps({COLUMN: urn}) for urn in urns) if path.suffix == ".jsonl" else urns
            sink.writelines(f"{line}\n".encode() for line in lines)
