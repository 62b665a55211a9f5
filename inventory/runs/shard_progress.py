"""The progress of a shard, which its process writes to the place of the run."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from inventory.errors import OutputError, Status
from inventory.progress import Progress, ProgressObserver
from inventory.runs.shard_files import PROGRESS, progress_path
from inventory.runs.shard_plan import Place, write_json
from inventory.storage.folder_store import FolderStore

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from inventory.runs.delivery import Delivered
    from inventory.runs.shard_plan import Plan

_SECONDS_BETWEEN_WRITES: Final = 10.0
"""Of a progress that does not change: a file that is older is of a process that is gone."""


class ShardProgress(msgspec.Struct, frozen=True):
    """The progress of a session, as its process writes it; ``is_accepted``: the service accepted a call."""

    done: int = 0
    calls: int = 0
    statuses: dict[str, int] = {}
    paused_for: float = 0.0
    paused_by: str = ""
    is_accepted: bool = False


def read_progress(place: Place) -> dict[int, ShardProgress]:
    """The reports of running shards, by number; what cannot be read is left out."""
    reports: dict[int, ShardProgress] = {}
    with suppress(OutputError):
        for name in place.listed((PROGRESS,)):
            folder, _, file = name.partition("/")
            if folder == PROGRESS and file.removesuffix(".json").isdecimal():
                with suppress(OutputError, msgspec.DecodeError):  # it is just being replaced or removed
                    reports[int(file.removesuffix(".json"))] = msgspec.json.decode(place.read(name), type=ShardProgress)
    return reports


def remove_progress(place: Place, numbers: Iterable[int]) -> None:
    """Removes reports of shards that have ended."""
    for number in numbers:
        with suppress(OutputError):
            place.remove(progress_path(number))


def sum_progress(
    plan: Plan, delivered: Mapping[int, Delivered], reports: Mapping[int, ShardProgress], running: Collection[int]
) -> Progress:
    """The progress of a run: what is delivered, and what the running shards report."""
    statuses: Counter[str] = Counter()
    for report in reports.values():
        statuses.update(report.statuses)
    current = {number: reports[number] for number in running if number in reports}
    done = {number: own.urns - own.left for number, own in delivered.items()}
    done |= {number: report.done for number, report in current.items()}
    return Progress(
        sum(done.values()),
        sum(shard.entries for shard in plan.shards),
        sum(report.calls for report in reports.values()),
        statuses,
        *max(((report.paused_for, report.paused_by) for report in current.values()), default=(0.0, "")),
    )


class ShardReporter(ProgressObserver):
    """Passes everything to an observer, and writes the progress to the place from a thread."""

    def __init__(self, place: Place, number: int, observer: ProgressObserver) -> None:
        super().__init__()
        self._place, self._name, self._observer = place, progress_path(number), observer
        self._seconds = 0.5 if isinstance(place, FolderStore) else 2.5
        self._thread = ThreadPoolExecutor(1, "inventory-progress")
        self._writing: Future[None] | None = None
        self._last, self._written, self._next = ShardProgress(), ShardProgress(), 0.0
        self._written_at = -_SECONDS_BETWEEN_WRITES

    def check_cancelled(self, *, resumable: bool = True) -> None:
        """See :class:`ProgressObserver`."""
        self._observer.check_cancelled(resumable=resumable)

    def on_fetch(self, progress: Progress) -> None:
        """See :class:`ProgressObserver`."""
        self.signal_number = self._observer.signal_number
        is_accepted = progress.statuses.total() > progress.statuses[Status.FAILED]
        self._last = ShardProgress(
            progress.done, progress.calls, dict(progress.statuses), progress.paused_for, progress.paused_by, is_accepted
        )
        if time.monotonic() >= self._next and (self._writing is None or self._writing.done()):
            self._next = time.monotonic() + self._seconds
            self._writing = self._thread.submit(self._write)
        self._observer.on_fetch(progress)

    def _write(self) -> None:
        if self._last != self._written or time.monotonic() > self._written_at + _SECONDS_BETWEEN_WRITES:
            self._written, self._written_at = self._last, time.monotonic()
            with suppress(OutputError):  # the delivery reports a full disk
                write_json(self._place, self._name, self._last)

    def close(self) -> None:
        """Writes the last progress."""
        self._thread.submit(self._write)
        self._thread.shutdown()
