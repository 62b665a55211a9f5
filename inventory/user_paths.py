"""The home folder, and ``~`` in paths."""

from __future__ import annotations

import os
from pathlib import Path


def home_folder() -> Path | None:
    """Returns the home folder; None if the system does not know the user and HOME is not set."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def exists(path: Path) -> bool:
    """Tells whether a path is visible; unlike ``Path.exists``, an inaccessible folder raises no error."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises an error for an inaccessible folder


def expand_user(name: str | os.PathLike[str]) -> str:
    """Expands ``~`` as a shell does; a URL, and the name of an unknown user, stay as they are."""
    return os.path.expanduser(name)  # noqa: PTH111 - Path.expanduser fails for an unknown user and changes a URL
