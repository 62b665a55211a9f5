"""The end of a run: its manifest, and what is left of its ledger.

Owns what a run gives back, the facts that a manifest is written from again when the tables are built again, and when
bodies may be dropped. Makes no call.
"""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.errors import ExitCode, Status, UsageError
from inventory.runs import manifest
from inventory.runs.facts import RunEnd, RunFacts, record_end
from inventory.runs.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from inventory.ledger.reader import LedgerView
    from inventory.ledger.writer import Ledger
    from inventory.progress import ProgressObserver
    from inventory.runs.output import Output
    from inventory.tables.writer import TableFile


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


def last_end(ledger: LedgerView, folder: RunFolder) -> RunEnd | None:
    """How the last session of a run ended; None where it was killed or interrupted."""
    end = RunFacts(ledger).ended
    if end is None and folder.manifest.exists():
        content = manifest.read(folder.manifest)
        if is_manifest_of(ledger, content):
            return RunEnd(*(content[name] for name in RunEnd._fields))
    return end


def is_manifest_of(ledger: LedgerView, content: dict[str, Any]) -> bool:
    """Whether a manifest is of the run in a ledger: a killed --overwrite leaves the one of the run before."""
    started = RunFacts(ledger).started
    return bool(content["started"] == started and content["input"]["urns"] == ledger.count_urns())


def write_manifest(
    ledger: Ledger, output: Output, end: RunEnd, tables: list[TableFile], counts: manifest.Counts
) -> Result:
    """Writes the manifest: its presence says that the tables are whole."""
    folder, facts = RunFolder(output.folder), RunFacts(ledger)
    end = end._replace(finished=_not_before(end.finished, ledger, counts))
    record_end(ledger, end)
    code = ExitCode(end.exit_code)
    written = manifest.describe(
        started=facts.started,
        finished=end.finished,
        input_read=manifest.describe_input(
            ledger.sources(),
            counts.status.total(),
            ledger.count_rejects(),
            facts.listed,
            facts.cleaned,
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
    return max(finished, RunFacts(ledger).started or "", last_outcome)


def check_bodies(ledger: Ledger, folder: Path, *, again: bool = False) -> None:
    """Makes sure that tables can be made from a ledger.

    Args:
        ledger: of the run.
        folder: of the run.
        again: whether what failed shall be asked again first, if there is something.

    Raises:
        UsageError: the bodies are gone. Tables, manifest and ledger stay as they are.
    """
    if not RunFacts(ledger).bodies_dropped:
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
