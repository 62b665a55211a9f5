"""Prometheus text files, as node_exporter's textfile collector reads them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inventory.errors import OutputError, UsageError
from inventory.printable import printable
from inventory.storage.files import atomic_write, open_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from inventory.telemetry.metric import Metric

_MAX_BYTES: Final = 1_000_000
_SAMPLE: Final = re.compile(r"^(?P<name>[a-z_]+)(?:\{[^\n]*\})? (?P<value>[0-9.e+]+)$", re.MULTILINE)


def check_metrics_file(path: Path, prefix: str) -> None:
    """Checks before a command that its metrics, whose names begin with ``prefix``, can be written.

    Raises:
        UsageError: the path names no file.
        OutputError: another kind of file has the name, or there is no such folder.
    """
    if not path.name or path.is_dir():
        raise UsageError(f"--metrics-file {str(path)!r} names no file; give one such as nightly.prom")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}; make it, or give another name")
    content = _read(path)
    if content and not content.startswith(f"# HELP {prefix}".encode()):
        raise OutputError(f"{path} is not a file of {prefix}* metrics; move it away, or give another --metrics-file")


def read_sample(path: Path, name: str) -> float | None:
    """Returns the value of a metric in a file of an earlier run, or None."""
    for match in _SAMPLE.finditer(_read(path).decode(errors="replace")):
        if match["name"] == name:
            try:
                return float(match["value"])
            except ValueError:
                return None
    return None


def _read(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            return file.read(_MAX_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise OutputError.from_os_error(path, "cannot be read", error, "give another --metrics-file") from None


def write_metrics_file(path: Path, metrics: Iterable[Metric]) -> None:
    """Writes a file that appears whole; its stem is the label ``file``, so that files in one folder do not collide.

    Raises:
        OutputError: it cannot be written.
    """
    with atomic_write(path, ", or give another --metrics-file") as sink:
        sink.write(to_text(metrics, {"file": printable(path.stem)}).encode())


def to_text(metrics: Iterable[Metric], labels: Mapping[str, str]) -> str:
    """Returns metrics as text; the same metrics give the same text."""
    lines: list[str] = []
    for metric in metrics:
        if metric.samples:
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} gauge"]
        for own, value in metric.samples:
            pairs = ",".join(f'{name}="{_escape(text)}"' for name, text in {**labels, **own}.items())
            lines.append(f"{metric.name}{{{pairs}}} {value!r}")
    return "".join(f"{line}\n" for line in lines)


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
