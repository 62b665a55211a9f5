"""Files of a finished run, in its folder or in an object store."""

from __future__ import annotations

import os
import shlex
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from inventory.errors import OutputError, UsageError
from inventory.ledger import database
from inventory.runs.manifest_reader import FILE_NAME, decode
from inventory.storage.files import read_file, temporary_folder
from inventory.storage.object_store import ObjectStore, ObjectUrl, is_url, parse
from inventory.tables import parts, schema
from inventory.user_paths import expand_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

_MAX_NAMED: Final = 3


class RunFiles:
    """Manifest and table files of a finished run."""

    def __init__(self, path: Path | ObjectUrl, content: dict[str, Any], store: ObjectStore | None = None) -> None:
        self.path = path
        self.manifest = content
        self._store = store

    @property
    def name(self) -> str:
        """Name of the run in messages."""
        return str(self.path)

    def of_table(self, table: str) -> list[dict[str, Any]]:
        """Returns the manifest's entries of a table's files, in order; Parquet if the run has two formats.

        Raises:
            OutputError: the manifest names no such table.
        """
        written: dict[str, list[dict[str, Any]]] = {}
        for file in self.manifest["tables"]:
            if file["name"] == table:
                written.setdefault(file["format"], []).append(file)
        if not written and table in schema.LISTED_TABLES:
            options = schema.LISTED_TABLES[table]
            raise UsageError(f"{self.name} has no table {table}: only runs of export {options} by this version have it")
        if not written:
            raise OutputError(f"{self.name} holds no table {table}: its manifest does not name it")
        return written.get("parquet", next(iter(written.values())))

    def read(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Reads a table, from one file or from parts. Only the given columns of Parquet files are read.

        Raises:
            OutputError: a file is missing or damaged; the message says how to build the table again.
        """
        with ExitStack() as stack:
            files = [stack.enter_context(self.on_disk(file)) for file in self.of_table(table)]
            try:
                return parts.read_parts(table, files, columns)
            except OutputError as error:
                error.message += f"; {self._repair_hint()}"
                raise

    @contextmanager
    def on_disk(self, file: dict[str, Any]) -> Iterator[Path]:
        """Returns the path of a file; a file of a store is downloaded until the end of the block.

        Raises:
            OutputError: the file differs from the manifest, or the disk is full.
        """
        if isinstance(self.path, Path):
            yield self.path / file["path"]
            return
        if self._store is None:
            self._store = ObjectStore(self.path, os.environ)
        with temporary_folder() as folder:
            path = folder / Path(file["path"]).name
            with _download_errors(folder.parent), path.open("wb") as sink:
                fetched = self._store.fetch(file["path"], sink)
            if fetched != (file["bytes"], file["sha256"]):
                raise OutputError(f"{self.name}/{file['path']} differs from the manifest; export it again")
            yield path

    def _repair_hint(self) -> str:
        if isinstance(self.path, Path):
            return f"build the tables again with: inventory tables {shlex.quote(self.name)}"
        return "export it again, or build its tables again in its work folder"


def open_run(place: str | Path) -> RunFiles:
    """Opens a run in a folder, or under ``s3://bucket/prefix`` or ``obs://bucket/prefix``.

    Raises:
        UsageError: there is no finished run, or the URL is invalid; the message says what to open or to do.
        OutputError: the manifest is damaged or of a newer version, or the store cannot be read.
        CredentialsError: there are no access keys for OBS.
    """
    if is_url(str(place)):
        url = parse(str(place))
        store = ObjectStore(url, os.environ)
        if store.look_at(FILE_NAME) is None:
            raise UsageError(f"{url} holds no {FILE_NAME}: no run, or one whose tables are not all there")
        return RunFiles(url, decode(store.read(FILE_NAME), f"{url}/{FILE_NAME}"), store)
    if not str(place):
        raise UsageError(
            "the name of the run is empty; name the folder of a run, which inventory export prints at its end"
        )
    folder = Path(expand_user(place))
    file = folder / FILE_NAME
    try:
        return RunFiles(folder, decode(read_file(file), str(file)))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(_no_run_message(folder)) from None
    except OSError as error:
        raise OutputError.from_os_error(file, "cannot be read", error) from None


def _no_run_message(folder: Path) -> str:
    if folder.is_file():
        return f"{folder} is a file; name the folder of its run: {folder.parent}"
    if not folder.is_dir():
        return f"{folder}: there is no such folder; name the folder of a run, which inventory export prints at its end"
    if (folder / database.FILE_NAME).is_file():
        return (
            f"{folder} contains a run that is not finished (no {FILE_NAME}); continue with: "
            f"inventory export --resume --output {shlex.quote(str(folder))}"
        )
    runs = sorted(path.parent for path in folder.glob(f"*/{FILE_NAME}"))
    message = f"{folder} contains no run (no {FILE_NAME})"
    if not runs:
        return f"{message}; name the folder of a run, which inventory export prints at its end"
    return f"{message}, but folders with runs: {', '.join(map(str, runs[-_MAX_NAMED:]))}; name one of them"


@contextmanager
def _download_errors(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError.from_os_error(
            place, "cannot hold a file of the store", error, "{remedy}, or set TMPDIR"
        ) from None
