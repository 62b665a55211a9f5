"""The end of a run: its manifest, and what is left of its ledger.

Owns what a run gives back, the facts that a manifest is written from again when the tables are built again, and when
bodies may be dropped. Makes no call.
"""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.errors import ExitCode, Status, UsageError
from inventory.ledger.reader import DROPPED, LISTED
from inventory.pipeline import load
from inventory.runs import manifest
from inventory.runs.folder import RunFolder
from inventory.runs.output import Output
from inventory.storage.object_store import parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from inventory.ledger.reader import LedgerView
    from inventory.ledger.writer import Ledger
    from inventory.progress import ProgressObserver
    from inventory.tables.writer import TableFile

_ENDED: Final = "ended"
"""The fact how the last session of the run ended; none while one is at work, or where it was killed."""
_STORE: Final = "store"
"""The fact which store the results go up to; none where they stay in the folder."""


class Result(NamedTuple):
    """What a run gives back.

    Attributes:
        output: where the tables are.
        manifest: the content of its ``manifest.json``.
        exit_code: what the process should say.
        nothing_to_do: whether the run was complete already.
        examples: of each kind of failure, what was told of the first.
        note: what else must be said, or nothing.
    """

    output: Output
    manifest: dict[str, Any]
    exit_code: ExitCode
    nothing_to_do: bool = False
    examples: Mapping[str, str] = MappingProxyType({})
    note: str = ""

    @property
    def folder(self) -> Path:
        """The folder that the run worked in."""
        return self.output.folder


class End(NamedTuple):
    """What the manifest says of a run that cannot be counted in its ledger.

    Attributes:
        finished: when it ended.
        exit_code: how.
        scopes: the block of the scopes, with what each learnt and why it stopped.
        settings: the settings, without secrets.
    """

    finished: str
    exit_code: int
    scopes: list[dict[str, Any]]
    settings: dict[str, Any]


def last_end(ledger: LedgerView, folder: RunFolder) -> End | None:
    """How the last session of a run ended; None where it was killed or interrupted."""
    kept = ledger.fact(_ENDED)
    if kept is None and folder.manifest.exists():
        read = manifest.read(folder.manifest)
        kept = read if is_of(ledger, read) else None
    return None if kept is None else End(*(kept[name] for name in End._fields))


def is_of(ledger: LedgerView, read: dict[str, Any]) -> bool:
    """Whether a manifest is of the run in a ledger: a killed --overwrite leaves the one of the run before."""
    return bool(read["started"] == ledger.fact(load.STARTED) and read["input"]["urns"] == ledger.count_urns())


def keep(ledger: Ledger, end: End | None) -> None:
    """Notes how a session ended, before the manifest that says so is removed or written; None: one begins."""
    ledger.set_fact(_ENDED, None if end is None else end._asdict())


def keep_output(ledger: Ledger, output: Output) -> None:
    """Notes where the results of a run go, for those who come to its folder alone."""
    url = None if output.url is None else str(output.url)
    if ledger.fact(_STORE) != url:
        ledger.set_fact(_STORE, url)


def output_of(ledger: LedgerView, folder: Path) -> Output:
    """Where the results of the run in a folder go."""
    url = ledger.fact(_STORE)
    return Output(folder) if url is None else Output(folder, parse(url), work_dir_named=True)


def sign_off(ledger: Ledger, output: Output, end: End, tables: list[TableFile], counts: manifest.Counts) -> Result:
    """Writes the manifest: its presence says that the tables are whole."""
    folder = RunFolder(output.folder)
    end = end._replace(finished=_not_before(end.finished, ledger, counts))
    keep(ledger, end)
    code = ExitCode(end.exit_code)
    written = manifest.describe(
        started=ledger.fact(load.STARTED),
        finished=end.finished,
        input_read=manifest.describe_input(
            ledger.sources(),
            counts.status.total(),
            ledger.count_rejects(),
            ledger.fact(LISTED),
            ledger.fact(load.CLEANED) or 0,
        ),
        counts=counts,
        requests=manifest.describe_requests(ledger.answers(), counts),
        scopes=end.scopes,
        tables=tables,
        settings=end.settings,
        exit_code=code,
    )
    folder.remove_results(keep=[table.path for table in tables])
    manifest.write(folder.manifest, written)
    return Result(output, written, code, examples=counts.examples)


def _not_before(finished: str, ledger: LedgerView, counts: manifest.Counts) -> str:
    """When a run ended: never before it began or its last outcome came, also where the clock went back."""
    last_outcome = manifest.text_of(datetime.fromtimestamp(counts.last_finished / 1e6, UTC))
    return max(finished, ledger.fact(load.STARTED) or "", last_outcome)


def are_dropped(ledger: LedgerView) -> bool:
    """Whether the ledger has forgotten what tables are made from."""
    return bool(ledger.fact(DROPPED))


def check_bodies(ledger: Ledger, folder: Path, *, again: bool = False) -> None:
    """Makes sure that tables can be made from a ledger.

    Args:
        ledger: of the run.
        folder: of the run.
        again: whether what failed shall be asked again first, if there is something.

    Raises:
        UsageError: the bodies are gone. Tables, manifest and ledger stay as they are.
    """
    if not are_dropped(ledger):
        return
    dropped = f"the bodies of the run in {folder} were dropped (--drop-bodies): its tables cannot be written anew"
    if not again:
        raise UsageError(f"{dropped}, and what there is of them stays; a new export to another --output asks again")
    failed = ledger.count_failed()
    if failed:
        raise UsageError(
            f"{dropped}, so its {failed:,} failed URNs cannot be asked again here; its table functions has them, by "
            "status: export a list of them to another --output"
        )


def drop_bodies(ledger: Ledger, result: Result, observer: ProgressObserver) -> Result:
    """Drops the bodies of a run with whole tables, where nothing is left that --resume would need them for."""
    counts = result.manifest["counts"]["status"]
    left = [f"{counts[status]:,} URNs {words}" for status, words in _LEFT.items() if counts[status]]
    if left:
        return result._replace(note=f"the bodies are kept in the ledger, as --resume needs them: {', '.join(left)}")
    ledger.drop_bodies(observer.check_cancelled)
    return result


_LEFT: Final = {Status.FAILED: "failed", Status.NOT_ATTEMPTED: "were not attempted"}
