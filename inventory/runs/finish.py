"""End of a run: result, manifest, dropping of bodies."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.display.formatting import format_count
from inventory.errors import ExitCode, Status, UsageError
from inventory.ledger.records import StatusCount
from inventory.runs import manifest, manifest_reader
from inventory.runs.facts import RunEnd, RunFacts, record_end, record_statuses
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
    """Result of a run.

    Attributes:
        nothing_to_do: the run was already complete.
        examples: by error kind, the answer to the first failed URN.
        without_failure_destination: configured URNs whose failures notify nobody; None without new tables.
        note: further message to the user, or empty.
    """

    output: Output
    manifest: dict[str, Any]
    exit_code: ExitCode
    nothing_to_do: bool = False
    examples: Mapping[str, str] = MappingProxyType({})
    without_failure_destination: int | None = None
    note: str = ""

    @property
    def folder(self) -> Path:
        """Work folder of the run."""
        return self.output.folder


def last_end(ledger: LedgerView, folder: RunFolder) -> RunEnd | None:
    """Returns the end of the last session; None if it was killed or interrupted."""
    end = RunFacts(ledger).ended
    if end is None and folder.manifest.exists():
        content = manifest_reader.read(folder.manifest)
        if is_manifest_of(ledger, content):
            return RunEnd(*(content[name] for name in RunEnd._fields))
    return end


def is_manifest_of(ledger: LedgerView, content: dict[str, Any]) -> bool:
    """Tells whether a manifest belongs to the ledger: a killed --overwrite leaves the old manifest."""
    started = RunFacts(ledger).started
    return bool(content["started"] == started and content["input"]["urns"] == ledger.count_urns())


def write_manifest(
    ledger: Ledger, output: Output, end: RunEnd, tables: list[TableFile], counts: manifest.Counts
) -> Result:
    """Writes the manifest, which marks the tables as complete."""
    folder, facts = RunFolder(output.folder), RunFacts(ledger)
    end = end._replace(finished=_not_before(end.finished, ledger, counts))
    statuses = (StatusCount(*key, urns, first, 0, None) for key, (urns, first) in counts.by_scope.items())
    record_statuses(ledger, (count for count in statuses if count.status != Status.NOT_ATTEMPTED))
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
        shards=end.shards,
    )
    folder.remove_results(keep=[table.path for table in tables])
    manifest.write(folder.manifest, written)
    return Result(
        output,
        written,
        code,
        examples=counts.examples,
        without_failure_destination=counts.without_failure_destination,
    )


def count_statuses(ledger: LedgerView) -> Counter[str]:
    """Counts failed, not attempted and answered URNs, without a pass over the outcomes in URN order."""
    urns, failed = ledger.count_urns(), ledger.count_failed()
    left = urns - ledger.count_settled()
    return Counter({Status.FAILED: failed, Status.NOT_ATTEMPTED: left, "answered": max(0, urns - failed - left)})


def _not_before(finished: str, ledger: LedgerView, counts: manifest.Counts) -> str:
    """Corrects an end before the start or the last outcome: the clock may have been set back."""
    last_outcome = manifest_reader.text_of(datetime.fromtimestamp(counts.last_finished / 1e6, UTC))
    return max(finished, RunFacts(ledger).started or "", last_outcome)


def check_bodies(ledger: Ledger, folder: Path, *, again: bool = False) -> None:
    """Checks that tables can be built from a ledger; ``again`` allows dropped bodies if no URN failed.

    Raises:
        UsageError: the bodies are dropped. Nothing was changed.
    """
    if not RunFacts(ledger).bodies_dropped:
        return
    dropped = f"the bodies of the run in {folder} were dropped (--drop-bodies): its tables cannot be built again"
    if not again:
        raise UsageError(f"{dropped}; the existing tables stay; export to another --output")
    failed = ledger.count_failed()
    if failed:
        raise UsageError(
            f"{dropped}, so its {format_count(failed, 'failed URN')} cannot be retried here; select by status in "
            "the table functions, and export this list to another --output"
        )


def drop_bodies(ledger: Ledger, result: Result, observer: ProgressObserver) -> Result:
    """Drops the bodies of a run with complete tables, unless --resume needs them."""
    counts = result.manifest["counts"]["status"]
    left = [f"{format_count(counts[status], 'URN')} {text}" for status, text in _LEFT.items() if counts[status]]
    if left:
        return result._replace(note=f"the bodies are kept in the ledger, as --resume needs them: {', '.join(left)}")
    ledger.drop_bodies(observer.check_cancelled)
    return result


_LEFT: Final = {Status.FAILED: "failed", Status.NOT_ATTEMPTED: "not attempted"}
