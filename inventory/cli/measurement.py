"""Measures a command: metrics file, and OTLP where OTEL_* variables ask for it."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import typer

from inventory.errors import ExitCode, InventoryError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inventory.display.log import Log
    from inventory.reviews.reviewed import Reviewed
    from inventory.telemetry.metric import Metric
    from inventory.telemetry.otlp import Report

_COMPLETE: Final = "inventory_{}_last_complete_timestamp_seconds"


class Measurement:
    """What is measured of a command.

    Attributes:
        phases: observer of the phases of an export.
        completed: end of the last complete run, in seconds since 1970-01-01 UTC; None: not known.
    """

    def __init__(self, command: str, completed: float | None) -> None:
        from inventory.telemetry.phases import PhaseObserver

        self.phases = PhaseObserver()
        self.completed = completed
        self._command = command
        self._started = time.time_ns()
        self._clock = time.monotonic()
        self._metrics: list[Metric] = []

    def add_run(self, manifest: dict[str, Any]) -> None:
        """Adds the metrics of a finished run, complete or not."""
        from inventory.telemetry.run_metrics import metrics_of_run

        self._metrics = metrics_of_run(manifest)
        if manifest["complete"]:
            self.completed = datetime.fromisoformat(manifest["finished"]).timestamp()

    def add_review(self, reviewed: Reviewed) -> None:
        """Adds the metrics of a review."""
        from inventory.reviews.outputs.metrics import metrics_of_review

        self._metrics = metrics_of_review(reviewed)
        self.completed = time.time()

    def report(self, exit_code: int) -> Report:
        """Ends the measurement."""
        from inventory.telemetry.metric import gauge
        from inventory.telemetry.otlp import Report

        seconds = time.monotonic() - self._clock
        ended = self._started + round(seconds * 1e9)
        prefix = f"inventory_{self._command}"
        metrics = [
            *self._metrics,
            gauge(f"{prefix}_exit_code", "Exit code of the last run.", int(exit_code)),
            gauge(f"{prefix}_duration_seconds", "Duration of the last run.", round(seconds, 3)),
            gauge(f"{prefix}_end_timestamp_seconds", "End of the last run, complete or not.", round(ended / 1e9, 3)),
        ]
        if self.completed is not None:
            name = _COMPLETE.format(self._command)
            metrics.append(gauge(name, "End of the last complete run.", round(self.completed, 3)))
        return Report(self._command, self._started, ended, exit_code, self.phases.phases(ended), metrics)


@contextmanager
def measured(command: str, path: Path | None, log: Log) -> Iterator[Measurement]:
    """Measures the block; writes and sends the metrics at its end, also after an error.

    Raises:
        OutputError: the metrics file cannot be written.
    """
    completed = None
    if path is not None:
        from inventory.telemetry.prometheus import check_metrics_file, read_sample

        check_metrics_file(path, f"inventory_{command}_")
        completed = read_sample(path, _COMPLETE.format(command))
    measurement = Measurement(command, completed)
    try:
        yield measurement
    except BaseException as error:
        try:
            _publish(measurement, _exit_code_of(error), path, log)
        except OutputError as problem:  # the first error decides the exit code
            log.complain(str(problem))
        raise
    _publish(measurement, ExitCode.ANSWERED, path, log)


def _exit_code_of(error: BaseException) -> int:
    if isinstance(error, typer.Exit | InventoryError):
        return int(error.exit_code)
    return ExitCode.SIGINT if isinstance(error, KeyboardInterrupt) else ExitCode.BUG


def _publish(measurement: Measurement, exit_code: int, path: Path | None, log: Log) -> None:
    from inventory.telemetry.otlp import send, signals

    if path is None and not signals(os.environ):
        return
    report = measurement.report(exit_code)
    if problem := send(report, os.environ):
        log.complain(f"warning: {problem}")
    if path is not None:
        from inventory.telemetry.prometheus import write_metrics_file

        write_metrics_file(path, report.metrics)
