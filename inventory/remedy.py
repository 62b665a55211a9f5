"""What to do where the system refuses to write, open or read a file.

Owns one short clause for each reason, to which a sentence adds how to go on, and the reasons which say that a file
system does not have an operation. Knows no file.
"""

from __future__ import annotations

import errno
from typing import Final

_REMEDIES: Final = {
    errno.ENOSPC: "make room",
    errno.EFBIG: "allow larger files (ulimit -f), or use a file system that has them",
    errno.EMFILE: "allow this process more open files (ulimit -n)",
    errno.ENFILE: "the machine has too many files open: close some",
    errno.ENOENT: "see that its folder is there",
    errno.ENOTDIR: "see that its folder is there",
    errno.EROFS: "make the file system writable",
    errno.EACCES: "let this user write there",
    errno.EPERM: "let this user write there",
    errno.EIO: "see to the disk",
    errno.EISDIR: "move away the folder that has its name",
    errno.EEXIST: "move away what has its name",
    errno.ENOTEMPTY: "move away the folder that has its name",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.EXDEV: "keep the folder on one file system",
    errno.ELOOP: "remove the links that lead in a circle",
    getattr(errno, "ESTALE", errno.ENOENT): "see that its network folder is mounted",
    getattr(errno, "EDQUOT", errno.ENOSPC): "make room",  # Windows has none, and its number is another's
}
UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP})
"""What a file system answers to a lock or a sync that it does not have."""


def remedy(error: OSError) -> str:
    """What would help, as the first clause of an advice."""
    return _REMEDIES.get(error.errno or 0, "mend that")
