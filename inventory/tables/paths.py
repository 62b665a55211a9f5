"""Names of a table's files: one file, or a folder of parts for each format."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from inventory.settings import FORMATS
from inventory.storage.files import temporary_name
from inventory.tables.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_DIGITS: Final = 5
_PART: Final = re.compile(r"part-[0-9]{5,}\.(?:parquet|csv)")


def file_name(table: str, form: str) -> str:
    """The name of a table in one file."""
    return f"{table}.{form}"


def folder_name(table: str, form: str) -> str:
    """The name of the folder of a table's parts."""
    return table if form == "parquet" else f"{table}-{form}"


def part_name(number: int, form: str, max_number: int) -> str:
    """The name of a part; names of up to ``max_number`` parts sort in the table's order."""
    return f"part-{number:0{max(_DIGITS, len(str(max_number)))}}.{form}"


def staging_folder(folder: Path, table: str) -> Path:
    """The folder of incomplete parts."""
    return temporary_name(folder / table)


def is_part(name: str) -> bool:
    """Whether a file name is that of a part."""
    return _PART.fullmatch(name) is not None


def list_parts(folder: Path) -> list[Path]:
    """The parts in a folder; none for a link or a file."""
    if folder.is_symlink():
        return []
    try:
        return sorted(path for path in folder.iterdir() if is_part(path.name) and not is_folder(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_replaceable(folder: Path) -> bool:
    """Whether a folder is missing or contains only parts."""
    if folder.is_symlink():
        return False
    try:
        return all(is_part(path.name) and not is_folder(path) for path in folder.iterdir())
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        return not os.path.lexists(folder)


def is_folder(path: Path) -> bool:
    """Whether a folder exists; a link to one is none."""
    return path.is_dir() and not path.is_symlink()


def find_obstacle(run: Path, formats: Iterable[str], *, in_parts: bool) -> Path | None:
    """Returns what keeps the tables from their names, such as a folder ``functions.csv`` of another program."""
    for table, form in itertools.product(TABLES, formats):
        single = run / file_name(table, form)
        for path in (single, temporary_name(single)):
            if is_folder(path):
                return path
        parts = run / folder_name(table, form)
        if in_parts and not is_replaceable(parts):
            return parts
    return None


def table_files(run: Path) -> list[Path]:
    """All paths of tables, complete or not, that a run may leave."""
    single = [run / file_name(table, form) for table in TABLES for form in FORMATS]
    parts = [part for table in TABLES for form in FORMATS for part in list_parts(run / folder_name(table, form))]
    files = [*single, *parts, *(temporary_name(path) for path in single)]
    return [
        *(path for path in files if not is_folder(path)),
        *(staging_folder(run, table) for table in TABLES),
    ]


def remove_table_file(path: Path) -> None:
    """Removes a file, a part or a staging folder, and a folder without parts.

    Raises:
        OSError: it cannot be removed.
    """
    is_staging = path.name in {staging_folder(path.parent, table).name for table in TABLES}
    if is_staging and path.is_dir() and not path.is_symlink():
        with suppress(FileNotFoundError):
            shutil.rmtree(path)
        return
    path.unlink(missing_ok=True)
    if is_part(path.name):
        with suppress(OSError):  # other files stay
            path.parent.rmdir()
