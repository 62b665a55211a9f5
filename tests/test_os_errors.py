from __future__ import annotations

import errno

import pytest

from inventory.os_errors import remedy_for


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "free disk space"),
        (errno.EDQUOT, "free disk space"),
        (errno.EMFILE, "open files (ulimit -n)"),
        (errno.ENFILE, "the machine has too many files open"),
        (errno.EROFS, "make the file system writable"),
        (errno.EACCES, "grant write permission"),
        (errno.EFBIG, "ulimit -f"),
        (errno.ENAMETOOLONG, "shorter name"),
        (errno.ELOOP, "links"),
        (errno.ESTALE, "network folder"),
        (errno.EISDIR, "move the folder"),
        (errno.ENXIO, "fix the problem above"),
    ],
)
def test_advice_matches_the_system_error(number, expected):
    assert expected in remedy_for(OSError(number, "x"))


def test_an_error_without_a_number_gets_general_advice():
    assert remedy_for(OSError("x")) == "fix the problem above"
