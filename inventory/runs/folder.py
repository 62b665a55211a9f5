"""Folder of one run: file names, and checks before a run starts."""

from __future__ import annotations

import itertools
import stat
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from inventory.errors import OutputError, UsageError
from inventory.ledger import database
from inventory.runs import manifest_reader
from inventory.runs.shard_files import PLAN, remove_shards, shard_ledgers
from inventory.storage.files import temporary_name
from inventory.tables import paths
from inventory.user_paths import exists

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DEFAULT_ROOT: Final = Path("output")

Mode = Literal["new", "resume", "overwrite"]


def default_folder() -> Path:
    """Returns ``output/<UTC timestamp>``, with a number if two runs start in one second."""
    first = DEFAULT_ROOT / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = itertools.chain([first], (first.with_name(f"{first.name}-{number}") for number in itertools.count(2)))
    return next(path for path in names if not exists(path))


class RunFolder:
    """Folder of one run.

    Attributes:
        made: :meth:`prepare` made the folder.
        fresh: :meth:`prepare` found no files of a run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made = False
        self.fresh = False

    @property
    def ledger(self) -> Path:
        """Path of the ledger."""
        return self.path / database.FILE_NAME

    @property
    def manifest(self) -> Path:
        """Path of the manifest."""
        return self.path / manifest_reader.FILE_NAME

    @property
    def is_in_shards(self) -> bool:
        """Whether the run has a plan of shards."""
        return _exists(self.path / PLAN)

    def prepare(self, mode: Mode) -> None:
        """Makes the folder, or checks the run in it. Existing files are not changed.

        Raises:
            UsageError: there is no run to resume.
            OutputError: the folder contains a run, another process works in it, or it cannot be written.
        """
        try:
            held = [path for path in (*self._results(), *database.ledger_files(self.ledger)) if _exists(path)]
        except OSError as error:
            raise OutputError.from_os_error(self.path, "cannot be read", error, "give another --output") from None
        if mode == "resume":
            if self.ledger not in held:
                raise UsageError(f"--resume: {self.path} contains no run; leave --resume out to begin a run there")
            return
        self.check_shards()
        if held and mode == "new":
            if self.ledger in held and database.is_in_use(self.ledger):
                raise OutputError(f"another inventory process works in {self.path}; wait until it ends")
            raise OutputError(
                f"{self.path} contains a run already ({held[0].name}): --resume continues it, --overwrite starts "
                "again, and another --output keeps it"
            )
        self.fresh = not held
        try:
            self.made = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError.from_os_error(self.path, "cannot be written", error, "give another --output") from None

    def check_run(self) -> None:
        """Checks that the folder contains a run.

        Raises:
            UsageError: it contains none.
            OutputError: it cannot be read.
        """
        try:
            has_ledger = _exists(self.ledger)
        except OSError as error:
            raise OutputError.from_os_error(self.path, "cannot be read", error) from None
        if not has_ledger:
            raise UsageError(
                f"{self.path} contains no run: there is no {database.FILE_NAME} in it; name the folder of a run, which "
                "inventory runs lists"
            )

    def check_places(self, formats: Iterable[str], *, in_parts: bool) -> None:
        """Checks that nothing foreign has the name of a table or of the manifest.

        Raises:
            OutputError: a folder has, or something else than a folder of parts.
        """
        try:
            obstacle = next(filter(paths.is_folder, (self.manifest, temporary_name(self.manifest))), None)
            obstacle = obstacle or paths.find_obstacle(self.path, formats, in_parts=in_parts)
        except OSError as error:
            raise OutputError.from_os_error(self.path, "cannot be read", error, "give another --output") from None
        if obstacle is not None:
            raise OutputError(f"{obstacle} has the name of a table and is not of a run; move it away, then run again")

    def remove_manifest(self) -> None:
        """Removes the manifest, before the tables change.

        Raises:
            OutputError: it cannot be removed.
        """
        _remove(self.manifest)

    def holds(self, tables: Iterable[Mapping[str, Any]]) -> bool:
        """Tells whether the tables of a manifest exist in the size that it says."""
        return all(_size(self.path / table["path"]) == table["bytes"] for table in tables)

    def is_whole(self) -> bool:
        """Tells whether the manifest and all its tables exist.

        Raises:
            OutputError: the manifest is damaged.
        """
        return self.manifest.exists() and self.holds(manifest_reader.read(self.manifest)["tables"])

    def remove_results(self, keep: Iterable[str] = ()) -> None:
        """Removes manifest and tables, except the paths in ``keep``.

        Raises:
            OutputError: a file cannot be removed.
        """
        kept = {self.path / name for name in keep}
        for path in self._results():
            if path not in kept:
                _remove(path)

    def check_shards(self) -> None:
        """Checks that no process fetches a shard.

        Raises:
            OutputError: one does.
        """
        if any(map(database.is_in_use, shard_ledgers(self.path))):
            raise OutputError(f"a process fetches a shard of the run in {self.path}; wait until it ends")

    def remove_shards(self) -> None:
        """Removes plan, lists and ledgers of shards.

        Raises:
            OutputError: a process works on one, or a file cannot be removed.
        """
        remove_shards(self.path)

    def remove_all(self) -> None:
        """Removes a run whose list could not be read; its lock file is removed on release."""
        with suppress(OSError, OutputError):  # the user needs the first error
            self.remove_results()
            for path in database.ledger_files(self.ledger):
                path.unlink(missing_ok=True)

    @contextmanager
    def unless_empty(self) -> Iterator[None]:
        """Removes the folder after the block if the run made it and it is empty."""
        try:
            yield
        finally:
            if self.made:
                with suppress(OSError):  # not empty
                    self.path.rmdir()

    def _results(self) -> list[Path]:
        # The manifest first: without it, no table counts as complete.
        return [self.manifest, *paths.table_files(self.path), temporary_name(self.manifest)]


def _size(path: Path) -> int | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _remove(path: Path) -> None:
    try:
        paths.remove_table_file(path)
    except OSError as error:
        raise OutputError.from_os_error(
            path, "cannot be removed", error, "{remedy} and run the command again"
        ) from None


def _exists(path: Path) -> bool:
    """Tells whether a file exists; unlike ``Path.exists``, an inaccessible folder is an OSError."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
