"""The files of a finished run, in its folder or in a store, for whoever reads its tables.

Owns how a run is found, why there is none, and that a file of a store is held against the manifest. Loads no pandas.
"""

from __future__ import annotations

import os
import shlex
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from inventory.errors import OutputError, UsageError
from inventory.ledger import database
from inventory.runs import manifest
from inventory.storage.files import read_file, temporary_folder
from inventory.storage.object_store import ObjectStore, ObjectUrl, is_url, parse
from inventory.tables import parts, schema
from inventory.user_paths import expand_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

_MOST_NAMED: Final = 3


class RunFiles:
    """A finished run: its manifest, and its tables' files.

    Attributes:
        path: its folder, or its URL.
        manifest: the content of its ``manifest.json``.
    """

    def __init__(self, path: Path | ObjectUrl, content: dict[str, Any], store: ObjectStore | None = None) -> None:
        self.path = path
        self.manifest = content
        self._store = store

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        return str(self.path)

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

    def read(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A table as Arrow, from one file or from parts; of Parquet, no other columns are read.

        Raises:
            OutputError: a file is missing or damaged; the message says how to build it again.
        """
        with ExitStack() as stack:
            files = [stack.enter_context(self.on_disk(file)) for file in self.of_table(table)]
            try:
                return parts.read_parts(table, files, columns)
            except OutputError as error:
                error.message += f"; {self._mend()}"
                raise

    @contextmanager
    def on_disk(self, file: dict[str, Any]) -> Iterator[Path]:
        """One of these files; one of a store is fetched for that long.

        Raises:
            OutputError: it is not what the manifest says, or there is no room for it.
        """
        if isinstance(self.path, Path):
            yield self.path / file["path"]
            return
        if self._store is None:
            self._store = ObjectStore(self.path, os.environ)
        with temporary_folder() as folder:
            path = folder / Path(file["path"]).name
            with _room(folder.parent), path.open("wb") as sink:
                fetched = self._store.fetch(file["path"], sink)
            if fetched != (file["bytes"], file["sha256"]):
                raise OutputError(f"{self.name}/{file['path']} is not what the manifest says; export it again")
            yield path

    def _mend(self) -> str:
        if isinstance(self.path, Path):
            return f"build the tables again with: inventory tables {shlex.quote(self.name)}"
        return "export it again, or build its tables again in its work folder"


def open_run(place: str | Path) -> RunFiles:
    """Opens a folder, or ``s3://bucket/prefix`` or ``obs://bucket/prefix``.

    Raises:
        UsageError: there is no finished run there, or the URL cannot be used; the message says what to open or to do.
        OutputError: its manifest is damaged or of a newer version, or the store cannot be read.
        CredentialsError: OBS has no keys.
    """
    if is_url(str(place)):
        url = parse(str(place))
        store = ObjectStore(url, os.environ)
        if store.look_at(manifest.FILE_NAME) is None:
            raise UsageError(f"{url} holds no {manifest.FILE_NAME}: no run, or one whose tables are not all there")
        return RunFiles(url, _decoded(store.read(manifest.FILE_NAME), f"{url}/{manifest.FILE_NAME}"), store)
    if not str(place):
        raise UsageError(
            "the name of the run is empty; name the folder of a run, which inventory export prints at its end"
        )
    folder = Path(expand_user(place))
    file = folder / manifest.FILE_NAME
    try:
        return RunFiles(folder, _decoded(read_file(file), str(file)))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(_why_none(folder)) from None
    except OSError as error:
        raise OutputError.from_os_error(file, "cannot be read", error) from None


def _decoded(content: bytes, name: str) -> dict[str, Any]:
    read = manifest.decode(content, name)
    version = read.get("schema_version")
    if isinstance(version, int) and version > schema.VERSION:
        raise OutputError(
            f"{name} is of a newer inventory ({read.get('tool_version')}, schema {version}; this one reads up to "
            f"{schema.VERSION}); upgrade functiongraph-inventory here"
        )
    return read


def _why_none(folder: Path) -> str:
    """Why there is no run to open, and what to open or to do instead."""
    if folder.is_file():
        return f"{folder} is a file; name the folder of its run: {folder.parent}"
    if not folder.is_dir():
        return f"{folder}: there is no such folder; name the folder of a run, which inventory export prints at its end"
    if (folder / database.FILE_NAME).is_file():
        return (
            f"{folder} holds a run that is not finished (no {manifest.FILE_NAME}); go on with: "
            f"inventory export --resume --output {shlex.quote(str(folder))}"
        )
    runs = sorted(path.parent for path in folder.glob(f"*/{manifest.FILE_NAME}"))
    told = f"{folder} holds no run (no {manifest.FILE_NAME})"
    if not runs:
        return f"{told}; name the folder of a run, which inventory export prints at its end"
    return f"{told}, but folders with runs: {', '.join(map(str, runs[-_MOST_NAMED:]))}; name one of them"


@contextmanager
def _room(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError.from_os_error(
            place, "cannot hold a file of the store", error, "{remedy}, or set TMPDIR"
        ) from None
