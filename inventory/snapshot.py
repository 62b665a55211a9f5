"""The analysts' door: the tables of a run as pandas frames or Arrow tables.

Owns the reading of a run's folder. The only module that loads pandas. Makes no call.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from inventory import manifest, parts, schema
from inventory.errors import OutputError

if TYPE_CHECKING:
    import pyarrow as pa


class Snapshot:
    """One complete run: what the cloud said at one time.

    Attributes:
        path: the run's folder.
        manifest: the content of its ``manifest.json``.
    """

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.path = path
        self.manifest = content

    def __repr__(self) -> str:
        urns = self.manifest["input"]["urns"]
        return f"Snapshot({str(self.path)!r}: {urns:,} URNs, {self.manifest['finished']})"

    def table(self, name: str) -> pa.Table:
        """One of the tables, as Arrow.

        Raises:
            UsageError: there is no table of that name.
            OutputError: its file cannot be read.
        """
        schema.table_named(name)
        written: dict[str, list[Path]] = {}
        for file in self.manifest["tables"]:
            if file["name"] == name:
                written.setdefault(file["format"], []).append(self.path / file["path"])
        if not written:
            raise OutputError(f"{self.path} holds no table {name}: its manifest does not name it")
        return parts.read_parts(name, written.get("parquet", next(iter(written.values()))))

    @cached_property
    def functions(self) -> pd.DataFrame:
        """One row a URN; columns and units: ``inventory schema functions``."""
        return self._frame("functions")

    @cached_property
    def destinations(self) -> pd.DataFrame:
        """One row a destination that is set; columns and units: ``inventory schema destinations``."""
        return self._frame("destinations")

    @cached_property
    def calls(self) -> pd.DataFrame:
        """One row a URN that was asked for; columns and units: ``inventory schema calls``."""
        return self._frame("calls")

    @cached_property
    def rejects(self) -> pd.DataFrame:
        """One row an entry that is no function URN; columns: ``inventory schema rejects``."""
        return self._frame("rejects")

    def _frame(self, name: str) -> pd.DataFrame:
        frame: pd.DataFrame = self.table(name).to_pandas(types_mapper=pd.ArrowDtype)
        return frame


def open_snapshot(path: str | Path) -> Snapshot:
    """Opens the folder of a run.

    Raises:
        OutputError: it holds no manifest, so its tables may not be whole.
    """
    folder = Path(path)
    return Snapshot(folder, manifest.read(folder / manifest.FILE_NAME))
