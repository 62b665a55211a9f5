"""Names of the files of a run in shards, in its folder or store."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from inventory.errors import OutputError
from inventory.ledger import database

if TYPE_CHECKING:
    from pathlib import Path

PLAN: Final = "plan.json"
FOLDER: Final = "shards"
RUN: Final = f"{FOLDER}/run.json"
"""What identifies the run: a work folder may contain the ledger of an earlier run of the same list."""
PROGRESS: Final = "progress"
"""Folder of the reports of running shards."""
_FILE: Final = re.compile(r"\.?(run\.json|[0-9]{5,}(\.jsonl|\.json|-[0-9a-f]{16}\.sqlite))(\.part)?")
_WORK: Final = re.compile(r"[0-9]{5,}")


def shard_path(number: int, suffix: str = "") -> str:
    """The path of a shard's file in the run's folder; without a suffix, of its work folder."""
    return f"{FOLDER}/{number:05}{suffix}"


def progress_path(number: int) -> str:
    """The path of the report of a running shard."""
    return f"{PROGRESS}/{number:05}.json"


def delivered_path(number: int, sha256: str) -> str:
    """The path of a delivered ledger; its name depends on the content, so a copy never replaces another one."""
    return shard_path(number, f"-{sha256[:16]}.sqlite")


def is_delivery_of(number: int, path: str) -> bool:
    """Whether a path is that of a ledger delivered for a shard."""
    return path.startswith(shard_path(number, "-")) and path.endswith(".sqlite")


def shard_ledgers(run: Path) -> list[Path]:
    """The ledgers in the work folders of a run's shards."""
    return sorted(entry / database.FILE_NAME for entry in _entries(run, FOLDER) if _is_work_folder(entry))


def remove_shards(run: Path) -> None:
    """Removes the plan first, then lists, work folders and deliveries; other files stay.

    Raises:
        OutputError: a file cannot be removed.
    """
    try:
        (run / PLAN).unlink(missing_ok=True)
        for entry in (*_entries(run, FOLDER), *_entries(run, PROGRESS)):
            if _is_work_folder(entry):
                shutil.rmtree(entry)
            elif _FILE.fullmatch(entry.name) and not entry.is_dir():
                entry.unlink()
    except OSError as error:
        raise OutputError.from_os_error(
            error.filename or run / FOLDER, "cannot be removed", error, "{remedy} and run the command again"
        ) from None
    for name in (FOLDER, PROGRESS):
        with suppress(OSError):  # it is missing, or contains other files
            (run / name).rmdir()


def _entries(run: Path, name: str) -> list[Path]:
    folder = run / name
    if folder.is_symlink():
        return []
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise OutputError.from_os_error(folder, "cannot be read", error) from None


def _is_work_folder(entry: Path) -> bool:
    return _WORK.fullmatch(entry.name) is not None and entry.is_dir() and not entry.is_symlink()
