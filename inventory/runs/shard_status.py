"""The shards of a run, as its folder shows them: their states and ledgers."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from inventory.errors import OutputError
from inventory.ledger.chained import ChainedLedger, ChainedView
from inventory.ledger.database import FILE_NAME, is_in_use
from inventory.ledger.reader import LedgerView
from inventory.ledger.writer import Ledger
from inventory.runs.shard_files import FOLDER, is_delivery_of, progress_path, shard_path
from inventory.storage.files import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inventory.runs.folder import RunFolder

_SILENT_SECONDS: Final = 60.0
"""Age of a progress report after which its process is gone."""


class ShardCounts(NamedTuple):
    """Shards by state; ``failed``: its process is gone without a delivery."""

    waiting: int = 0
    running: int = 0
    delivered: int = 0
    failed: int = 0


class _ShardState(NamedTuple):
    state: str
    ledger: Path | None
    done: int


def read_states(run: Path, now: float | None = None) -> list[_ShardState]:
    """The state of each shard, its ledger here, and the URNs that its process reports as done elsewhere."""
    now = time.time() if now is None else now
    return [
        _state(run, int(path.stem), now) for path in sorted((run / FOLDER).glob("*.jsonl")) if path.stem.isdecimal()
    ]


def count_shards(states: list[_ShardState]) -> ShardCounts:
    """Counts shards by state."""
    names = [state.state for state in states]
    return ShardCounts(*(names.count(name) for name in ShardCounts._fields))


def _state(run: Path, number: int, now: float) -> _ShardState:
    work = run / shard_path(number) / FILE_NAME
    record = _read_json(run / shard_path(number, ".json"))
    delivered = next(_delivered(run, number), None)
    if record is not None and is_delivery_of(number, str(record.get("path"))):
        delivered = run / record["path"]
    report = run / progress_path(number)
    if work.exists():
        state = "running" if is_in_use(work) else "failed" if record is None else "delivered"
        return _ShardState(state, delivered if state == "delivered" and delivered else work, 0)
    with suppress(OSError):
        if now - report.stat().st_mtime < _SILENT_SECONDS and record is None:
            return _ShardState("running", None, int((_read_json(report) or {}).get("done", 0)))
    if delivered is not None:
        return _ShardState("delivered", delivered, 0)
    return _ShardState("failed" if report.exists() else "waiting", None, 0)


def _delivered(run: Path, number: int) -> Iterator[Path]:
    return (run / FOLDER).glob(f"{number:05}-*.sqlite")


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(read_file(path), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, ValueError, RecursionError):
        return None


def _by_scope(states: list[_ShardState]) -> dict[tuple[str, str], Path]:
    ledgers: dict[tuple[str, str], Path] = {}
    for state in states:
        if state.ledger is not None:
            with suppress(OutputError), LedgerView(state.ledger, facts_alone=True) as view:  # it has just begun
                ledgers |= {scope[:2]: state.ledger for scope in view.scopes()}
    return ledgers


def open_view(folder: RunFolder) -> LedgerView:
    """Opens the ledger of a run for reading, with those of its shards; looks for no damage.

    Raises:
        OutputError: it cannot be read.
    """
    if not folder.is_in_shards:
        return LedgerView(folder.ledger, facts_alone=True)
    view = ChainedView(folder.ledger, facts_alone=True)
    view.attach(_by_scope(read_states(folder.path)))
    return view


def open_ledger(folder: RunFolder) -> Ledger:
    """Opens the ledger of a run for writing, with those of its shards.

    Raises:
        OutputError: it cannot be written.
    """
    if not folder.is_in_shards:
        return Ledger(folder.ledger)
    ledger = ChainedLedger(folder.ledger)
    ledger.attach(_by_scope(read_states(folder.path)))
    return ledger
