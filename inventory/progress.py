"""Who looks at a run: what is told to them, and how they stop it.

Owns the words between a run and its watcher. The progress display and the log are watchers; this one is silent. Its
methods are called from the run's loop or thread, often, and must return at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inventory.errors import InterruptedRunError

if TYPE_CHECKING:
    from collections import Counter


class Progress(NamedTuple):
    """How far the asking is.

    Units: ``paused_for`` in seconds.

    Attributes:
        done: URNs that are settled, those of earlier sessions of the run counted.
        total: distinct URNs.
        calls: calls made in this session.
        statuses: URNs settled in this session, by status.
        paused_for: the longest wait that a scope is in; 0 where none waits.
    """

    done: int
    total: int
    calls: int
    statuses: Counter[str]
    paused_for: float


class Watch:
    """A watcher that says nothing."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def request_stop(self, signal_number: int) -> None:
        """Asks the run to end in good order; safe to call from a signal handler."""
        self.signal_number = signal_number

    def check(self, *, resumable: bool = True) -> None:
        """Ends a stage if a stop was asked for.

        Raises:
            InterruptedRunError: it was.
        """
        if self.signal_number is not None:
            raise InterruptedRunError(self.signal_number, resumable=resumable)

    def loading(self, entries: int) -> None:  # noqa: ARG002 - for those who look
        """So many entries of the list are read; ends the stage if a stop was asked for."""
        self.check(resumable=False)

    def waiting(self) -> None:
        """The list does not go on; ends the stage if a stop was asked for."""
        self.check(resumable=False)

    def asking(self, progress: Progress) -> None:
        """A few times a second while the cloud is asked."""

    def tabulating(self, urns: int, total: int) -> None:  # noqa: ARG002 - for those who look
        """So many URNs are in the tables; ends the stage if a stop was asked for."""
        self.check()

    def delivering(self, sent: int, total: int) -> None:  # noqa: ARG002 - for those who look
        """So many bytes are in the store; ends the stage if a stop was asked for."""
        self.check()
