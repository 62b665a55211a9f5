"""Writes one folder a project; files get their names when all are complete."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from inventory.errors import OutputError
from inventory.storage.files import open_file, open_new_file, sync, temporary_name
from inventory.terraform.generate import HEADER, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BLOCKS: Final = "async_invoke.tf"
VERSIONS: Final = "versions.tf"
_VERSIONS: Final = f"""\
# {HEADER}
terraform {{
  required_version = ">= 1.5"
  required_providers {{
    huaweicloud = {{
      source  = "huaweicloud/huaweicloud"
      version = ">= 1.47.0"
    }}
  }}
}}
"""
_MARK: Final = f"# {HEADER}".encode()
_PLAIN: Final = re.compile(r"[a-z0-9-]+")


def folder_name(scope: Scope) -> str:
    """Returns the name of a project's folder; names with other than small letters, digits and ``-`` get a digest."""
    if all(map(_PLAIN.fullmatch, scope)):
        return "_".join(scope)
    readable = "_".join(re.sub(r"[^A-Za-z0-9-]+", "-", text)[:60] for text in scope)
    return f"{readable}_{hashlib.sha256(':'.join(scope).encode()).hexdigest()[:16]}"


def write_folders(folder: Path, pieces: Iterable[tuple[Scope, str]]) -> list[Path]:
    """Writes pieces of text, those of one project after each other; returns the paths of the blocks.

    Raises:
        OutputError: a file cannot be written, or replaces one that is not of this command.
    """
    written: list[Path] = []
    try:
        for scope, texts in groupby(pieces, itemgetter(0)):
            place = folder / folder_name(scope)
            _stage(place / VERSIONS, [_VERSIONS], written)
            _stage(place / BLOCKS, map(itemgetter(1), texts), written)
        for path in written:
            temporary_name(path).replace(path)
    except OSError as error:
        raise OutputError.from_os_error(
            folder, "cannot be written", error, "{remedy}, or give another --output"
        ) from None
    finally:
        for path in written:
            with suppress(OSError):  # usually renamed already
                temporary_name(path).unlink()
    return [path for path in written if path.name == BLOCKS]


def _stage(path: Path, texts: Iterable[str], written: list[Path]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not _is_ours(path):
        raise OutputError(f"{path} is not a file of inventory terraform; move it away, or give another --output")
    written.append(path)
    with open_new_file(temporary_name(path)) as sink:
        for text in texts:
            sink.write(text.encode())
        sink.flush()
        sync(sink.fileno())


def find_stale(folder: Path, written: Iterable[Path]) -> list[Path]:
    """Returns files of earlier runs of this command that this one did not write."""
    return sorted(path for path in {*folder.glob(f"*/{BLOCKS}")} - {*written} if _is_ours(path))


def _is_ours(path: Path) -> bool:
    with open_file(path) as file:
        return file.read(len(_MARK)) == _MARK
