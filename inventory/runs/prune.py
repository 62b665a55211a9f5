"""Old runs go: what of a folder of runs a policy lets go, and how a run is removed so that no half of it looks whole.

Owns the order of removal, and the rule that nothing goes that is not ours, is at work, or is not in its store yet. Why
a whole run stays is :mod:`inventory.runs.retention`'s matter. Calls no cloud and no store.
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.errors import LedgerUnusableError, OutputError
from inventory.ledger import database
from inventory.ledger.reader import LedgerView
from inventory.runs import finish, retention
from inventory.runs import upload as delivery
from inventory.runs.catalog import MARK, State, is_file, runs_in
from inventory.runs.folder import RunFolder
from inventory.runs.upload import Delivery
from inventory.settings import FORMATS
from inventory.storage.file_lock import Lock
from inventory.storage.files import opened_new, temporary_name
from inventory.tables import paths
from inventory.tables.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inventory.runs.catalog import Other, Run
    from inventory.runs.retention import Policy

_TOLERANCE: Final = timedelta(days=1)
"""How far the clocks of the machines that write into a folder may be apart."""
_IN_FUTURE: Final = "it ended in the future: a clock is wrong, so no rule counts it"
_WRITTEN_LAST: Final = "written last, though its time is older: a clock went back"
_ADVICE: Final = "see that this folder may be written, then prune again"


class Plan(NamedTuple):
    """What is to become of each thing in a folder of runs.

    Attributes:
        gone: the runs to remove, oldest first.
        kept: the whole runs to keep, oldest first, and why.
        left: what is not touched, and why.
    """

    gone: list[Path]
    kept: list[tuple[Path, str]]
    left: list[tuple[Path, str]]


def planned(folder: Path, policy: Policy, *, incomplete: bool = False) -> Plan:
    """Looks at a folder of runs, and changes nothing.

    Args:
        folder: that holds the runs' folders.
        policy: which whole runs to keep; an empty one keeps all.
        incomplete: whether stopped and damaged runs go too, those that are older than the newest whole run.

    Raises:
        UsageError: there is no such folder, or it is a run itself.
        OutputError: it cannot be read.
    """
    found = runs_in(folder)
    plan = Plan([], [], [])
    everything = policy if any(policy) else policy._replace(last=len(found.whole))
    past = datetime.now(UTC) + _TOLERANCE
    counted = [run for run in found.whole if run.finished <= past]
    dated = [retention.Dated(run.finished, run.exit_code) for run in counted]
    reasons = {run.path: words for run, words in zip(counted, retention.reasons(dated, everything), strict=True)}
    written_last = max(found.whole, key=_written, default=None)
    for run in found.whole:
        path = Path(str(run.path))
        words = reasons.get(run.path, (_IN_FUTURE,))
        if not words and run is written_last:
            words = (_WRITTEN_LAST,)
        if words:
            plan.kept.append((path, ", ".join(words)))
        elif why := _why_not(path):
            plan.left.append((path, why))
        else:
            plan.gone.append(path)
    newest = max((run.finished.timestamp() for run in counted), default=0.0)
    for other in found.others:
        path = Path(str(other.path))
        why = _why_left(other, path, newest, incomplete=incomplete)
        if why is None:
            plan.gone.append(path)
        else:
            plan.left.append((path, why))
    return plan


def _why_left(other: Other, path: Path, newest: float, *, incomplete: bool) -> str | None:
    """Why what is no whole run stays; None: it goes."""
    if other.state is State.HALF_REMOVED:
        return None
    if other.state not in {State.STOPPED, State.DAMAGED}:
        return other.reason
    if not incomplete:
        return f"{other.reason} (--incomplete removes it)"
    if _touched(path) >= newest:
        return f"{other.reason}; there is no newer whole run"
    return _why_not(path)


def _why_not(path: Path) -> str | None:
    """Why a run must not be removed whatever the policy says; None: it may be."""
    ledger = RunFolder(path).ledger
    if database.is_in_use(ledger):
        return "a process is at work on it"
    if not is_file(ledger):
        return None
    try:
        with LedgerView(ledger, facts_alone=True) as view:
            output = finish.output_of(view, path)
    except LedgerUnusableError as error:
        return f"whether its results are in a store cannot be seen: {error}"
    return None if Delivery(output.url, path, {}).is_done() else f"its results are not in {output.url} yet"


def _written(run: Run) -> tuple[int, datetime]:
    """When the manifest of a run was written, by the file system: it tells where a clock went back between two runs."""
    try:
        return RunFolder(Path(str(run.path))).manifest.lstat().st_mtime_ns, run.finished
    except OSError:
        return 0, run.finished


def _touched(path: Path) -> float:
    """When a run was last worked on, in seconds since 1970, as far as its files tell."""
    folder = RunFolder(path)
    times = [one.lstat().st_mtime for one in (*database.ledger_files(folder.ledger), folder.manifest) if is_file(one)]
    return max(times, default=0.0)


def remove(path: Path) -> list[str]:
    """Removes what is ours in the folder of a run, and the folder if nothing else is in it.

    First the manifest gives up its name, then the ledger goes: killed at any moment, it leaves a whole run, one that
    ``--resume`` can go on with, or one that the next prune removes to its end.

    Returns:
        The names of what stays there, for it is not ours.

    Raises:
        OutputError: it cannot be removed, or another process has begun to work on it.
    """
    folder = RunFolder(path)
    lock = Lock(database.lock_path(folder.ledger))
    lock.take(database.in_use_message(folder.ledger), _ADVICE)
    try:
        if not lock.held and is_file(folder.ledger):  # no locks here: SQLite's own tells whether somebody is at work
            database.open_writable(folder.ledger, locked=False).close()
        mark = path / MARK
        if is_file(folder.manifest):
            folder.manifest.replace(mark)
        else:
            opened_new(mark).close()
        for one in _ours(folder):
            paths.remove_table_file(one)
        for table, form in itertools.product(TABLES, FORMATS):  # a killed prune may have removed the last part alone
            with suppress(OSError):  # it is not there, or holds what is not ours
                (path / paths.folder_name(table, form)).rmdir()
        lock.release()
        mark.unlink(missing_ok=True)
        stays = sorted(one.name for one in path.iterdir())
        if not stays:
            path.rmdir()
    except OSError as error:
        raise OutputError.from_os_error(path, "cannot be removed", error, _ADVICE) from None
    finally:
        lock.release()
    return stays


def _ours(folder: RunFolder) -> Iterator[Path]:
    """What a run leaves in its folder, the ledger first; what a symbolic link leads to is not ours, nor is the link."""
    record = folder.path / delivery.FILE_NAME
    yield from (one for one in reversed(database.ledger_files(folder.ledger)) if is_file(one))
    for one in paths.table_files(folder.path):
        if not one.is_symlink() and not one.parent.is_symlink():
            yield one
    for one in (record, temporary_name(record), temporary_name(folder.manifest)):
        if is_file(one):
            yield one
