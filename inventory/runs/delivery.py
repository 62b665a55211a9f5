"""Delivers the ledger of a shard, and checks what was delivered."""

from __future__ import annotations

import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from inventory.errors import ExitCode, LedgerUnusableError, OutputError, Status
from inventory.ledger import database
from inventory.ledger.reader import LedgerView
from inventory.ledger.writer import Ledger
from inventory.runs.facts import RunFacts
from inventory.runs.shard_files import delivered_path, is_delivery_of, shard_path
from inventory.runs.shard_plan import write_json
from inventory.storage.files import atomic_write
from inventory.storage.folder_store import FolderStore, hash_file
from inventory.storage.object_store import Sent  # noqa: TC001 - msgspec reads the types

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from inventory.runs.facts import RunEnd
    from inventory.runs.shard_plan import Place, Shard

ATTEMPTS: Final = "shard-attempts"
"""Fact in the ledger of a shard: how often it was started."""
RUN: Final = "shard-run"
"""Fact in the ledger of a shard: the run that it belongs to."""
_PAUSES: Final = (1.0, 3.0)  # seconds between the attempts of a delivery
_TICK_SECONDS: Final = 0.2


class Record(msgspec.Struct, frozen=True):
    """What is written after a ledger is delivered: its path in the place, its content, and the list it is of."""

    path: str
    content: Sent
    list_sha256: str
    attempts: int
    run: str = ""


class Delivered(NamedTuple):
    """A checked ledger of a shard.

    Attributes:
        is_recorded: its session delivered it; otherwise its process was killed.
        left: URNs without an outcome.
        end: of its last session; None if that was interrupted.
        is_refused: the service refused the credential and accepted no call.
    """

    path: Path
    is_recorded: bool
    urns: int
    left: int
    failed: int
    attempts: int
    end: RunEnd | None
    is_refused: bool

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to fetch."""
        return not self.left and not self.failed


def work_path(number: int) -> str:
    """The path of a shard's ledger in a work folder."""
    return f"{shard_path(number)}/{database.FILE_NAME}"


def is_in_place(place: Place, ledger: Path, number: int) -> bool:
    """Whether a ledger is in the run's own folder, where nothing is copied."""
    return isinstance(place, FolderStore) and ledger.resolve() == (place.folder / work_path(number)).resolve()


def deliver(place: Place, shard: Shard, ledger: Path, check_cancelled: Callable[[], None] | None = None) -> None:
    """Delivers a closed ledger, three times if the place cannot be written; once without ``check_cancelled``.

    Raises:
        OutputError: the place cannot be written; the ledger keeps all answers.
        InterruptedRunError: the run was cancelled between two attempts.
    """
    pauses = [*_PAUSES] if check_cancelled is not None else []
    while True:
        try:
            _deliver(place, shard, ledger)
        except OutputError as error:
            if check_cancelled is None or not pauses:
                raise OutputError(f"{error}; then run the shard again: {ledger} keeps its answers") from None
        else:
            return
        until = time.monotonic() + pauses.pop(0)
        while time.monotonic() < until:
            check_cancelled()
            time.sleep(_TICK_SECONDS)


def _deliver(place: Place, shard: Shard, ledger: Path) -> None:
    """Copies the content, then writes its record. A ledger without the list is not delivered."""
    with LedgerView(ledger, facts_alone=True) as view:
        if view.count_urns() != shard.entries:
            return
        attempts, run = view.fact(ATTEMPTS) or 1, view.fact(RUN) or ""
    content, path = hash_file(ledger), work_path(shard.number)
    if not is_in_place(place, ledger, shard.number):
        path = delivered_path(shard.number, content.sha256)
        if place.put(path, ledger, lambda _sent: None) != content:
            place.remove(path)
            raise OutputError(f"{ledger} was changed by another process during its delivery")
    write_json(place, shard_path(shard.number, ".json"), Record(path, content, shard.sha256, attempts, run))
    for name in place.listed(("shards",)):
        if is_delivery_of(shard.number, name) and name != path:
            place.remove(name)


def is_ledger_of(view: LedgerView, shard: Shard, run: str) -> bool:
    """Whether a ledger has the list of a shard, and belongs to the run."""
    has_list = RunFacts(view).is_loaded and [source.sha256 for source in view.sources()] == [shard.sha256]
    return has_list and (view.fact(RUN) or "") == run


def find_record(place: Place, shard: Shard, run: str) -> Record | None:
    """The record of a shard's delivery; None if there is none, or of another list or run."""
    name = shard_path(shard.number, ".json")
    if place.look_at(name) is None:
        return None
    try:
        record = msgspec.json.decode(place.read(name), type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if (record.list_sha256, record.run) != (shard.sha256, run):
        return None
    return record if record.path == work_path(shard.number) or is_delivery_of(shard.number, record.path) else None


def collect(
    place: Place, shard: Shard, run: str, folder: Path, check_cancelled: Callable[[], None], *, has_bodies: bool = True
) -> Delivered | None:
    """Returns the ledger of a shard after a check of checksum, rows and URNs; None if there is none.

    A ledger in the run's folder whose process was killed needs no record.

    Args:
        place: of the run.
        shard: from the plan.
        run: that the ledger belongs to.
        folder: the run's folder on this machine; a ledger from a store is copied there.
        check_cancelled: raises InterruptedRunError to end the check.
        has_bodies: False if the bodies were dropped, which changed the content after the delivery.

    Raises:
        LedgerUnusableError: it is damaged, or not as planned.
        OutputError: the place cannot be read, or a process works on the shard.
    """
    ledger = folder / work_path(shard.number)
    if database.is_in_use(ledger):
        raise OutputError(database.in_use_message(ledger))
    record = find_record(place, shard, run)
    if record is not None:
        if isinstance(place, FolderStore) or not _has_content(ledger, record.content):
            ledger = folder / record.path
            is_elsewhere = not isinstance(place, FolderStore) and not _has_content(ledger, record.content)
            if is_elsewhere and place.look_at(record.path) is not None:
                fetch(place, record.path, ledger)
        if has_bodies and not _has_content(ledger, record.content):
            raise _damaged(place, shard, record)
    if not ledger.exists():
        return None
    try:
        # With the checksum of its delivery, the build of the tables checks the rows.
        with LedgerView(ledger, check_cancelled, facts_alone=record is not None) as view:
            if is_ledger_of(view, shard, run) and view.scopes() == sorted(shard.scopes):
                return _described(view, is_recorded=record is not None)
    except OutputError:  # damaged, or killed before it had a list
        pass
    if record is not None:
        raise _damaged(place, shard, record)
    return None


def _damaged(place: Place, shard: Shard, record: Record) -> LedgerUnusableError:
    return LedgerUnusableError(
        f"its delivery {place}/{record.path} is missing or damaged, as its SHA-256 shows; fetch it again: "
        f"inventory shard {place} {shard.number}"
    )


def _has_content(path: Path, content: Sent) -> bool:
    return path.exists() and hash_file(path) == content


def _described(view: LedgerView, *, is_recorded: bool) -> Delivered:
    urns = view.count_urns()
    return Delivered(
        view.path,
        is_recorded=is_recorded,
        urns=urns,
        left=urns - view.count_settled(),
        failed=view.count_failed(),
        attempts=view.fact(ATTEMPTS) or 1,
        end=RunFacts(view).ended,
        is_refused=is_refused(view),
    )


def is_refused(view: LedgerView) -> bool:
    """Whether the service refused the credential of a ledger, and accepted no call."""
    end = RunFacts(view).ended
    if end is None or end.exit_code != ExitCode.CREDENTIALS:
        return False
    if all(answer.http_status != HTTPStatus.UNAUTHORIZED for answer in view.answers()):
        return False
    return all(count.status == Status.FAILED for count in view.count_statuses(0))


def fetch(place: Place, name: str, path: Path) -> Sent:
    """Copies a file from the place.

    Raises:
        OutputError: it cannot be read or written.
    """
    with atomic_write(path, ours=True) as sink:
        return place.fetch(name, sink)


def fetch_earlier(place: Place, shard: Shard, run: str, path: Path) -> None:
    """Continues with the ledger that another machine delivered, unless this machine has a later one.

    Raises:
        OutputError: the place cannot be read, or the ledger is in use.
    """
    record = find_record(place, shard, run)
    if record is None or is_in_place(place, path, shard.number):
        return
    with suppress(LedgerUnusableError):
        if path.exists():
            with Ledger(path) as ledger:
                if is_ledger_of(ledger, shard, run) and (ledger.fact(ATTEMPTS) or 0) >= record.attempts:
                    return
    for file in database.ledger_files(path):
        file.unlink(missing_ok=True)
    if place.look_at(record.path) is not None and fetch(place, record.path, path) != record.content:
        path.unlink()  # damaged: the shard starts again
