"""The analysts' door: the tables of a run as pandas frames or Arrow tables.

Owns the reading of a run's folder, or of its objects in a store. The only module that loads pandas. Makes no call.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from inventory import manifest, parts, schema
from inventory.errors import OutputError
from inventory.object_store import ObjectStore, ObjectUrl, is_url, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


class Snapshot:
    """One complete run: what the cloud said at one time.

    Attributes:
        path: the run's folder, or its URL.
        manifest: the content of its ``manifest.json``.
    """

    def __init__(self, path: Path | ObjectUrl, content: dict[str, Any], store: ObjectStore | None = None) -> None:
        self.path = path
        self.manifest = content
        self._store = store

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
        written: dict[str, list[dict[str, Any]]] = {}
        for file in self.manifest["tables"]:
            if file["name"] == name:
                written.setdefault(file["format"], []).append(file)
        if not written:
            raise OutputError(f"{self.path} holds no table {name}: its manifest does not name it")
        with ExitStack() as stack:
            files = written.get("parquet", next(iter(written.values())))
            return parts.read_parts(name, [stack.enter_context(self._on_disk(file)) for file in files])

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

    @contextmanager
    def _on_disk(self, file: dict[str, Any]) -> Iterator[Path]:
        """A file of a table; one of a store is fetched, and held against what the manifest says of it."""
        if isinstance(self.path, Path):
            yield self.path / file["path"]
            return
        if self._store is None:
            self._store = ObjectStore(self.path, os.environ)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, file["path"])
            path.parent.mkdir(exist_ok=True)
            with path.open("wb") as sink:
                fetched = self._store.fetch(file["path"], sink)
            if fetched != (file["bytes"], file["sha256"]):
                raise OutputError(f"{self.path}/{file['path']} is not what the manifest says; export it again")
            yield path

    def _frame(self, name: str) -> pd.DataFrame:
        frame: pd.DataFrame = self.table(name).to_pandas(types_mapper=pd.ArrowDtype)
        return frame


def open_snapshot(path: str | Path) -> Snapshot:
    """Opens the folder of a run, or its URL: ``s3://bucket/prefix`` or ``obs://bucket/prefix``.

    Raises:
        OutputError: it holds no manifest, so its tables may not be whole; or the store cannot be read.
        UsageError: the URL cannot be used.
        CredentialsError: OBS has no keys.
    """
    if is_url(str(path)):
        url = parse(str(path))
        store = ObjectStore(url, os.environ)
        if store.look_at(manifest.FILE_NAME) is None:
            raise OutputError(f"{url} holds no {manifest.FILE_NAME}; a run without a manifest is not whole")
        return Snapshot(url, manifest.decode(store.read(manifest.FILE_NAME), f"{url}/{manifest.FILE_NAME}"), store)
    folder = Path(path)
    return Snapshot(folder, manifest.read(folder / manifest.FILE_NAME))
