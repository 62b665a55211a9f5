"""Deletes runs by retention policy; a crash leaves no run half deleted."""

from __future__ import annotations

import itertools
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from inventory.errors import InventoryError, OutputError
from inventory.ledger import database
from inventory.ledger.reader import LedgerView
from inventory.runs import upload
from inventory.runs.catalog import PRUNED_MARK, State, find_runs, is_file
from inventory.runs.facts import RunFacts
from inventory.runs.folder import RunFolder
from inventory.runs.shard_files import shard_ledgers
from inventory.runs.upload import Upload
from inventory.settings import FORMATS
from inventory.storage.file_lock import Lock
from inventory.storage.files import open_new_file, temporary_name
from inventory.tables import paths
from inventory.tables.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from inventory.runs.catalog import OtherEntry, Run

_TOLERANCE: Final = timedelta(days=1)
"""Allowed difference between the clocks of machines that write into one folder."""
_IN_FUTURE: Final = "it ended in the future: a clock is wrong, so the policy ignores it"
_WRITTEN_LAST: Final = "written last, but its time is older: a clock was set back"
_ADVICE: Final = "check that this folder is writable, then prune again"
_DAY: Final = "%Y-%m-%d"
_MONTH: Final = "%Y-%m"


class Policy(NamedTuple):
    """Retention policy. A run is kept if one of the rules keeps it (as in restic).

    Attributes:
        last: number of newest runs.
        daily: number of days (UTC, only days with a run) of which one run is kept.
        monthly: the same for months.
    """

    last: int = 0
    daily: int = 0
    monthly: int = 0


class RunTime(NamedTuple):
    """End (UTC) and exit code of a complete run."""

    time: datetime
    exit_code: int


class PrunePlan(NamedTuple):
    """What happens to each entry of a folder of runs: paths, oldest first, with reasons.

    Attributes:
        kept: complete runs.
        untouched: entries that are not removed under any policy.
        unreadable: entries of which that is unknown.
    """

    removed: list[Path]
    kept: list[tuple[Path, str]]
    untouched: list[tuple[Path, str]]
    unreadable: list[tuple[Path, str]]


def keep_reasons(runs: Sequence[RunTime], policy: Policy) -> list[tuple[str, ...]]:
    """Returns the reasons to keep each run, in the order of ``runs``; a run without a reason goes.

    Of each day or month the best run is kept: exit code 0 before 1 before others; of equal runs the newest. The newest
    and the best run always stay: failing nights do not push out the last good run.
    """
    found: list[list[str]] = [[] for _ in runs]
    newest_first = sorted(range(len(runs)), key=lambda index: (runs[index].time, index), reverse=True)
    for index in newest_first[: policy.last]:
        found[index].append("last")
    for name, form, periods in (("day", _DAY, policy.daily), ("month", _MONTH, policy.monthly)):
        for period, index in list(_best_of_period(runs, newest_first, form).items())[:periods]:
            found[index].append(f"{name} {period}")
    for index in newest_first[:1]:
        found[index].append("newest")
        best = min(newest_first, key=lambda index: _incompleteness(runs[index]))
        found[best].append("newest of the most complete")
    return [tuple(reasons) for reasons in found]


def _best_of_period(runs: Sequence[RunTime], newest_first: list[int], form: str) -> dict[str, int]:
    best: dict[str, int] = {}
    for index in newest_first:
        period = runs[index].time.strftime(form)
        if period not in best or _incompleteness(runs[index]) < _incompleteness(runs[best[period]]):
            best[period] = index
    return best


def _incompleteness(run: RunTime) -> int:
    """0: every URN answered; 1: some failed; 2: the list was not finished."""
    return min(run.exit_code, 2)


def plan_prune(folder: Path, policy: Policy, *, incomplete: bool = False) -> PrunePlan:
    """Decides what to remove; changes nothing.

    Args:
        folder: contains the folders of the runs.
        policy: an empty policy keeps all complete runs.
        incomplete: also remove damaged runs and runs without tables that are older than the newest complete run.

    Raises:
        UsageError: there is no such folder, or it is a run itself.
        OutputError: the folder cannot be read.
    """
    found = find_runs(folder)
    plan = PrunePlan([], [], [], [])
    effective = policy if any(policy) else policy._replace(last=len(found.whole))
    latest = datetime.now(UTC) + _TOLERANCE
    counted = [run for run in found.whole if run.finished <= latest]
    times = [RunTime(run.finished, run.exit_code) for run in counted]
    kept = {run.path: reasons for run, reasons in zip(counted, keep_reasons(times, effective), strict=True)}
    written_last = max(found.whole, key=_write_time, default=None)
    for run in found.whole:
        path = Path(str(run.path))
        reasons = kept.get(run.path, (_IN_FUTURE,))
        if not reasons and run is written_last:
            reasons = (_WRITTEN_LAST,)
        if reasons:
            plan.kept.append((path, ", ".join(reasons)))
        else:
            _place(plan, path, _obstacle)
    newest = max((run.finished.timestamp() for run in counted), default=0.0)
    for other in found.others:
        if other.state is State.UNREADABLE:
            plan.unreadable.append((Path(str(other.path)), other.reason))
        else:
            obstacle = partial(_obstacle_of_other, other, newest=newest, incomplete=incomplete)
            _place(plan, Path(str(other.path)), obstacle)
    return plan


def _place(plan: PrunePlan, path: Path, find_obstacle: Callable[[Path], str | None]) -> None:
    try:
        obstacle = find_obstacle(path)
    except (InventoryError, OSError) as error:
        if _exists(path):
            plan.unreadable.append((path, str(error)))
        return
    if obstacle is None:
        plan.removed.append(path)
    else:
        plan.untouched.append((path, obstacle))


def _obstacle_of_other(other: OtherEntry, path: Path, *, newest: float, incomplete: bool) -> str | None:
    """Returns why an entry that is not a complete run stays, or None."""
    if other.state is State.HALF_REMOVED:
        return None
    if other.state not in {State.STOPPED, State.DAMAGED}:
        return other.reason
    if not incomplete:
        return f"{other.reason} (--incomplete removes it)"
    if _last_modified(path) >= newest:
        return f"{other.reason}; there is no newer complete run"
    return _obstacle(path)


def _obstacle(path: Path) -> str | None:
    """Returns why no policy removes a run, or None.

    Raises:
        InventoryError: its ledger or manifest cannot be read.
    """
    ledger = RunFolder(path).ledger
    if any(map(database.is_in_use, (ledger, *shard_ledgers(path)))):
        return "a process is working on it"
    if not is_file(ledger):
        return None
    with LedgerView(ledger, facts_alone=True) as view:
        output = RunFacts(view).output(path)
    return None if Upload(output.url, path, {}).is_done() else f"its results are not in {output.url} yet"


def _write_time(run: Run) -> tuple[int, datetime]:
    """Time of the manifest by the file system's clock: it shows that a clock was set back."""
    try:
        return RunFolder(Path(str(run.path))).manifest.lstat().st_mtime_ns, run.finished
    except OSError:
        return 0, run.finished


def _last_modified(path: Path) -> float:
    folder = RunFolder(path)
    files = (*database.ledger_files(folder.ledger), folder.manifest)
    return max((file.lstat().st_mtime for file in files if is_file(file)), default=0.0)


def remove_run(path: Path) -> list[str] | None:
    """Removes the files of a run, and its folder if nothing else is in it.

    A kill at any moment leaves a complete run, a run for ``--resume``, or a rest that the next prune removes.

    Returns:
        The names of other files in the folder; None: another process has removed the run.

    Raises:
        OutputError: the run cannot be removed, or another process works on it.
    """
    folder = RunFolder(path)
    lock = Lock(database.lock_path(folder.ledger))
    mark = path / PRUNED_MARK
    try:
        lock.take(database.in_use_message(folder.ledger), ", then prune again")
        if not any(map(is_file, (folder.ledger, folder.manifest, mark))):
            lock.release()
            _remove_empty(path)
            return None
        if not lock.held and is_file(folder.ledger):  # no file locks here: SQLite's own lock shows another process
            database.open_writable(folder.ledger, locked=False).close()
        folder.check_shards()
        files = list(_files_of_run(folder))  # before the first change, as a folder of parts may be unreadable
        if is_file(folder.manifest):
            folder.manifest.replace(mark)
        else:
            open_new_file(mark).close()
        for file in files:
            paths.remove_table_file(file)
        for table, form in itertools.product(TABLES, FORMATS):  # an interrupted prune may have left an empty folder
            _remove_empty(path / paths.folder_name(table, form))
        folder.remove_shards()
        lock.release()
        mark.unlink(missing_ok=True)
        others = sorted(entry.name for entry in path.iterdir() if entry != database.lock_path(folder.ledger))
        if not others:
            _remove_empty(path)
    except (OutputError, OSError) as error:
        if not _exists(path):
            return None
        if isinstance(error, OutputError):
            raise
        raise OutputError.from_os_error(path, "cannot be removed", error, _ADVICE) from None
    finally:
        lock.release()
    return others


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it does not exist, or contains other files, such as the lock of another prune
        folder.rmdir()


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:  # it cannot be read
        return True
    return True


def _files_of_run(folder: RunFolder) -> Iterator[Path]:
    """The ledger first; no symbolic links, and nothing behind them."""
    record = folder.path / upload.FILE_NAME
    yield from (file for file in reversed(database.ledger_files(folder.ledger)) if is_file(file))
    for file in paths.table_files(folder.path):
        if not file.is_symlink() and not file.parent.is_symlink():
            yield file
    for file in (record, temporary_name(record), temporary_name(folder.manifest)):
        if is_file(file):
            yield file
