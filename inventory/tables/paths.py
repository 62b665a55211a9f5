"""What the files of a table are called: one file, or a folder of parts.

Owns these names, and the rule that of a folder of parts only the parts are ours. Knows nothing of what is in them. The
formats have folders of their own, as readers take a folder for one dataset: ``functions`` for Parquet and
``functions-csv`` for CSV.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from inventory.settings import FORMATS
from inventory.storage.files import temporary_name
from inventory.tables.schema import TABLES

if TYPE_CHECKING:
    from pathlib import Path

_DIGITS: Final = 5
_PART: Final = re.compile(r"part-[0-9]{5,}\.(?:parquet|csv)")


def file_name(table: str, form: str) -> str:
    """The name of a table in one file."""
    return f"{table}.{form}"


def folder_name(table: str, form: str) -> str:
    """The name of the folder of a table's parts."""
    return table if form == "parquet" else f"{table}-{form}"


def part_name(number: int, form: str, most: int) -> str:
    """The name of a part, of ``most`` at most: sorted by name, the parts are in the table's order."""
    return f"part-{number:0{max(_DIGITS, len(str(most)))}}.{form}"


def staging_folder(folder: Path, table: str) -> Path:
    """The folder in which the parts of a table are until all of them are whole."""
    return temporary_name(folder / table)


def is_part(name: str) -> bool:
    """Whether a file of that name is a part of a table."""
    return _PART.fullmatch(name) is not None


def list_parts(folder: Path) -> list[Path]:
    """The parts in a folder; none where it is no folder, or a link to one: what is there is not ours."""
    if folder.is_symlink():
        return []
    try:
        return sorted(path for path in folder.iterdir() if is_part(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_replaceable(folder: Path) -> bool:
    """Whether a folder may be written over: it is not there, or holds nothing but parts."""
    if folder.is_symlink():
        return False
    try:
        return all(is_part(path.name) for path in folder.iterdir())
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        return False


def table_files(run: Path) -> list[Path]:
    """All that a run may have left of tables in its folder, whole or not; not all of it is there."""
    single = [run / file_name(table, form) for table in TABLES for form in FORMATS]
    parts = [part for table in TABLES for form in FORMATS for part in list_parts(run / folder_name(table, form))]
    return [
        *single,
        *parts,
        *(temporary_name(path) for path in single),
        *(staging_folder(run, table) for table in TABLES),
    ]


def remove_table_file(path: Path) -> None:
    """Removes a table's file, a part, or the folder in which parts are staged; a folder without parts goes with it.

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
        with suppress(OSError):  # what else is in there is not ours
            path.parent.rmdir()
