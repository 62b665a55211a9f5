"""The home folder, and names with ``~``, which no shell has read where a Python program gives them.

Owns that reading. Knows no file.
"""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path | None:
    """The home folder; None where there is none: a user that the system does not know, and no ``HOME``."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def exists(path: Path) -> bool:
    """Whether a path can be seen; unlike ``Path.exists``, a folder that may not be entered is no error."""
    return os.path.exists(path)  # noqa: PTH110 - see above


def at_home(name: str | os.PathLike[str]) -> str:
    """A name as a shell would have read it; where there is no such user, and of a URL, as it is."""
    return os.path.expanduser(name)  # noqa: PTH111 - Path's own way fails without such a user, and spoils a URL
