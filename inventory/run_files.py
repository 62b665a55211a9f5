"""The files of a finished run, in its folder or in a store, for whoever reads its tables.

Owns where they are, and that a file of a store is held against the manifest. Loads no pandas, and knows no column.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inventory import layout, manifest
from inventory.errors import OutputError, UsageError
from inventory.object_store import ObjectStore, is_url, parse

if TYPE_CHECKING:
    from collections.abc import Iterator


class RunFiles:
    """A finished run: its manifest, and its tables' files.

    Attributes:
        name: the folder or URL, as it was given.
        manifest: the content of its ``manifest.json``.
    """

    def __init__(self, name: str, content: dict[str, Any], store: ObjectStore | None) -> None:
        self.name = name
        self.manifest = content
        self._store = store

    def of_table(self, table: str) -> list[dict[str, Any]]:
        """What the manifest says of a table's files, in order; of two formats, Parquet.

        Raises:
            OutputError: it names none.
        """
        written: dict[str, list[dict[str, Any]]] = {}
        for file in self.manifest["tables"]:
            if file["name"] == table:
                written.setdefault(file["format"], []).append(file)
        if not written:
            raise OutputError(f"{self.name} holds no table {table}: its manifest does not name it")
        return written.get("parquet", next(iter(written.values())))

    @contextmanager
    def on_disk(self, file: dict[str, Any]) -> Iterator[Path]:
        """One of these files; one of a store is fetched for that long.

        Raises:
            OutputError: it is not what the manifest says, or there is no room for it.
        """
        if self._store is None:
            yield Path(self.name, file["path"])
            return
        with _room(), tempfile.TemporaryDirectory(prefix="inventory-") as folder:
            path = Path(folder, Path(file["path"]).name)
            with path.open("wb") as sink:
                fetched = self._store.fetch(file["path"], sink)
            if fetched != (file["bytes"], file["sha256"]):
                raise OutputError(f"{self.name}/{file['path']} is not what the manifest says; export it again")
            yield path


def open_run(place: str | Path) -> RunFiles:
    """Opens a folder, or ``s3://bucket/prefix`` or ``obs://bucket/prefix``.

    Raises:
        UsageError: there is no finished run there, or the URL cannot be used.
        OutputError: its manifest is damaged, or the store cannot be read.
        CredentialsError: OBS has no keys.
    """
    name = str(place)
    if is_url(name):
        store = ObjectStore(parse(name), os.environ)
        if store.look_at(manifest.FILE_NAME) is None:
            raise UsageError(f"{name} holds no {manifest.FILE_NAME}: no run, or one whose tables are not all there")
        return RunFiles(name, manifest.decode(store.read(manifest.FILE_NAME), f"{name}/{manifest.FILE_NAME}"), store)
    path = Path(name, manifest.FILE_NAME)
    if not path.parent.is_dir():
        raise UsageError(f"{name} is no folder of a run: give one, or s3://bucket/prefix or obs://bucket/prefix")
    if not path.exists():
        left = [*path.parent.glob("ledger.sqlite*"), *layout.table_files(path.parent)]
        begun = any(file.exists() for file in left)
        advice = f"its run is not whole: inventory status {name} says what to do" if begun else "it is no run"
        raise UsageError(f"{name} holds no {manifest.FILE_NAME}, so {advice}")
    return RunFiles(name, manifest.read(path), None)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{tempfile.gettempdir()} cannot hold a file of the store: {error.strerror}; make room, or set TMPDIR"
        ) from None
