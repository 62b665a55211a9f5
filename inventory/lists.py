"""Lists of URNs, written so that ``inventory export`` reads them.

Owns their forms. A list has its name only when it is whole.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from inventory.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUFFIXES: Final = (".txt", ".jsonl", ".parquet")
COLUMN: Final = "function_urn"


def check_list(path: Path) -> None:
    """Sees that a list can be written under this name.

    Raises:
        UsageError: its name says no form that we know.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: its name must end in {', '.join(SUFFIXES)}")


def write_list(path: Path, urns: Sequence[str]) -> None:
    """Writes a list in the form that its name says, in the place of one that is there.

    Raises:
        OutputError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        if path.suffix == ".parquet":
            import pyarrow as pa  # noqa: PLC0415 - heavy, and only for Parquet
            import pyarrow.parquet as pq  # noqa: PLC0415

            table = pa.table({COLUMN: pa.array(list(urns), pa.string())})
            with temporary.open("wb") as sink:
                pq.write_table(table, sink, compression="zstd")
        else:
            lines = (json.dumps({COLUMN: urn}) for urn in urns) if path.suffix == ".jsonl" else urns
            with temporary.open("w", encoding="utf-8") as text:
                text.writelines(f"{line}\n" for line in lines)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written: {error.strerror}; give another --output") from None
