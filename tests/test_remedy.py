from __future__ import annotations

import errno

import pytest

from inventory.remedy import remedy


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.EMFILE, "open files (ulimit -n)"),
        (errno.ENFILE, "the machine has too many files open"),
        (errno.EROFS, "make the file system writable"),
        (errno.EACCES, "let this user write there"),
        (errno.EFBIG, "ulimit -f"),
        (errno.ENAMETOOLONG, "shorter name"),
        (errno.ELOOP, "links"),
        (errno.ESTALE, "network folder"),
        (errno.EISDIR, "move away"),
        (errno.ENXIO, "mend that"),
    ],
)
def test_what_helps_is_what_the_system_refused(number, words):
    """Room where there is none, descriptors where they are used up, rights where they are missing."""
    assert words in remedy(OSError(number, "x"))


def test_a_reason_without_a_number_has_no_special_remedy():
    """Arrow's errors may have none."""
    assert remedy(OSError("x")) == "mend that"
