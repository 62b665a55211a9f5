"""Progress observer: receives the progress of a run and can cancel it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inventory.errors import InterruptedRunError

if TYPE_CHECKING:
    from collections import Counter


class Progress(NamedTuple):
    """Progress of the calls.

    Units: ``paused_for`` in seconds.

    Attributes:
        done: URNs with an outcome, including those of earlier sessions of the run.
        total: distinct URNs.
        calls: calls made in this session.
        statuses: URNs of this session, by status.
        paused_for: the longest pause of a scope; 0 if none is paused.
        paused_by: its reason: ``Retry-After``, a limit, ``429`` or ``no answer``.
    """

    done: int
    total: int
    calls: int
    statuses: Counter[str]
    paused_for: float
    paused_by: str = ""


class ProgressObserver:
    """A silent observer; displays and logs override its methods.

    The methods are called often, from the run's event loop or thread, and must return at once.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def cancel(self, signal_number: int) -> None:
        """Cancels the run; safe to call from a signal handler."""
        self.signal_number = signal_number

    def check_cancelled(self, *, resumable: bool = True) -> None:
        """Ends a stage if the run is cancelled.

        Raises:
            InterruptedRunError: the run is cancelled.
        """
        if self.signal_number is not None:
            raise InterruptedRunError(self.signal_number, resumable=resumable)

    def on_load(self, entries: int) -> None:  # noqa: ARG002 - for subclasses
        """Called while the list is read, with the number of entries so far."""
        self.check_cancelled(resumable=False)

    def on_wait(self) -> None:
        """Called while the list waits for its source."""
        self.check_cancelled(resumable=False)

    def on_fetch(self, progress: Progress) -> None:
        """Called a few times a second while calls are made."""

    def on_build_tables(self, urns: int, total: int) -> None:  # noqa: ARG002 - for subclasses
        """Called while tables are built, with the number of URNs that are written."""
        self.check_cancelled()

    def on_upload(self, sent: int, total: int) -> None:  # noqa: ARG002 - for subclasses
        """Called while files are uploaded, with the number of bytes that are sent."""
        self.check_cancelled()
