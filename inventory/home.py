"""Names with ``~``, which no shell has read where a Python program gives them.

Owns that reading. Knows no file.
"""

from __future__ import annotations

import os


def at_home(name: str | os.PathLike[str]) -> str:
    """A name as a shell would have read it; where there is no such user, and of a URL, as it is."""
    return os.path.expanduser(name)  # noqa: PTH111 - Path's own way fails without such a user, and spoils a URL
