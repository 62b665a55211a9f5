"""The folder of one run: what may be begun in it, gone on with, or written over.

Owns the names of a run's files and the rule that a run is never lost by accident. Knows nothing of what is in them.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from inventory.errors import OutputError, UsageError
from inventory.ledger import database
from inventory.runs import manifest
from inventory.storage.files import temporary_name
from inventory.tables import paths
from inventory.user_paths import exists

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DEFAULT_ROOT: Final = Path("output")

Mode = Literal["new", "resume", "overwrite"]


def default_folder() -> Path:
    """``output/<UTC timestamp>``, with a number behind it where two runs begin in one second."""
    first = DEFAULT_ROOT / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = itertools.chain([first], (first.with_name(f"{first.name}-{number}") for number in itertools.count(2)))
    return next(path for path in names if not exists(path))


class RunFolder:
    """The folder of one run.

    Attributes:
        path: where it is.
        made: whether :meth:`prepare` made it.
        fresh: whether :meth:`prepare` found nothing of a run there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made = False
        self.fresh = False

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.path / database.FILE_NAME

    @property
    def manifest(self) -> Path:
        """The manifest's file."""
        return self.path / manifest.FILE_NAME

    def prepare(self, mode: Mode) -> None:
        """Makes the folder ready, or says why it cannot be. Nothing of a run that is there is touched.

        Raises:
            UsageError: there is nothing to resume.
            OutputError: the folder holds a run, another process works in it, or it cannot be written.
        """
        try:
            held = [path for path in (*self._results(), *database.ledger_files(self.ledger)) if _exists(path)]
        except OSError as error:
            raise OutputError.from_os_error(
                self.path, "cannot be looked into", error, "give another --output"
            ) from None
        if mode == "resume":
            if self.ledger not in held:
                raise UsageError(f"--resume: {self.path} holds no run; leave --resume out to begin one there")
            return
        if held and mode == "new":
            if self.ledger in held and database.is_in_use(self.ledger):
                raise OutputError(f"another inventory process works in {self.path}; wait for its end")
            raise OutputError(
                f"{self.path} holds a run already ({held[0].name}): --resume goes on with it, --overwrite begins "
                "again, and another --output leaves it alone"
            )
        self.fresh = not held
        try:
            self.made = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError.from_os_error(self.path, "cannot be written", error, "give another --output") from None

    def check_run(self) -> None:
        """Makes sure that the folder holds a run.

        Raises:
            UsageError: it does not.
            OutputError: it cannot be looked into.
        """
        try:
            found = _exists(self.ledger)
        except OSError as error:
            raise OutputError.from_os_error(self.path, "cannot be looked into", error) from None
        if not found:
            raise UsageError(f"{self.path} holds no run: there is no {database.FILE_NAME} in it")

    def remove_manifest(self) -> None:
        """Removes the commit mark, before what it stands for changes.

        Raises:
            OutputError: it cannot be removed.
        """
        _remove(self.manifest)

    def holds(self, tables: Iterable[Mapping[str, Any]]) -> bool:
        """Whether the tables of a manifest are there, as large as it says."""
        return all(_size(self.path / table["path"]) == table["bytes"] for table in tables)

    def is_whole(self) -> bool:
        """Whether there is a manifest, and all the tables that it names.

        Raises:
            OutputError: the manifest is damaged.
        """
        return self.manifest.exists() and self.holds(manifest.read(self.manifest)["tables"])

    def remove_results(self, keep: Iterable[str] = ()) -> None:
        """Removes manifest and tables of an earlier session, but those whose paths in the folder are to be kept.

        Raises:
            OutputError: one cannot be removed.
        """
        kept = {self.path / name for name in keep}
        for path in self._results():
            if path not in kept:
                _remove(path)

    def remove_all(self) -> None:
        """Removes a run that never began: its list could not be read. Its lock goes when it is let go."""
        with suppress(OSError, OutputError):  # what went wrong before is what the user must hear
            self.remove_results()
            for path in database.ledger_files(self.ledger):
                path.unlink(missing_ok=True)

    @contextmanager
    def unless_empty(self) -> Iterator[None]:
        """Removes the folder after the block where it was made for the run, and nothing is in it."""
        try:
            yield
        finally:
            if self.made:
                with suppress(OSError):  # it is not empty
                    self.path.rmdir()

    def _results(self) -> list[Path]:
        """The manifest first: without it, nothing that is there is taken for whole."""
        return [self.manifest, *paths.table_files(self.path), temporary_name(self.manifest)]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _remove(path: Path) -> None:
    try:
        paths.remove_table_file(path)
    except OSError as error:
        raise OutputError.from_os_error(path, "cannot be removed", error, "give another --output") from None


def _exists(path: Path) -> bool:
    """Whether there is a file; unlike ``Path.exists``, it tells "cannot be seen" from "is not there"."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
