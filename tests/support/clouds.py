"""Emulated clouds with known configs, and the files that a run of them leaves."""

import subprocess
import sys

from inventory.emulator import FileCloud

P = "urn:fss:cn-north-4:0123456789abcdef0123456789abcdef:function:default:"


OTHER = "urn:fss:ap-southeast-1:fedcba9876543210fedcba9876543210:function:default:"


CONFIG = {
    "destination_config": {"on_failure": {"destination": "SMN", "param": "{}"}},
    "last_modified": "2021-03-04 14:50",
}


def cloud_of(count, urn=P):
    return FileCloud({f"{urn}f{number:03}:latest": CONFIG for number in range(count)})


def contents(folder):
    """All files of a run but its ledger, by their paths."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("ledger.sqlite")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def limited(kilobytes, *arguments):
    """The command where no file may be larger: what a full disk does, at a place that can be chosen."""
    line = f'ulimit -f {kilobytes}; exec "$@"'
    command = ["bash", "-c", line, "-", sys.executable, "-m", "inventory", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
