"""Advice for errors of the operating system."""

from __future__ import annotations

import errno
from typing import Final

_REMEDIES: Final = {
    errno.ENOSPC: "free disk space",
    errno.EFBIG: "allow larger files (ulimit -f), or use a file system that supports them",
    errno.EMFILE: "allow this process more open files (ulimit -n)",
    errno.ENFILE: "the machine has too many files open: close some",
    errno.ENOENT: "check that its folder exists",
    errno.ENOTDIR: "check that its folder exists",
    errno.EROFS: "make the file system writable",
    errno.EACCES: "grant write permission",
    errno.EPERM: "grant write permission",
    errno.EIO: "check the disk",
    errno.EISDIR: "move the folder of that name away",
    errno.EEXIST: "move the file of that name away",
    errno.ENOTEMPTY: "move the folder of that name away",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.EXDEV: "keep the folder on one file system",
    errno.ELOOP: "remove the circular links",
    getattr(errno, "ESTALE", errno.ENOENT): "check that its network folder is mounted",
    getattr(errno, "EDQUOT", errno.ENOSPC): "free disk space",  # not on Windows
}
UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP})
"""Errors of a file system without locks or without sync."""


def remedy_for(error: OSError) -> str:
    """Returns advice as a clause; other text can follow it."""
    return _REMEDIES.get(error.errno or 0, "fix the problem above")
