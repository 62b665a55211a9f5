"""Runs a user's rules in a child process with a limit of its address space.

DuckDB's memory limit does not bound a single large string, so a faulty rule could exhaust the machine.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa

from inventory.errors import InventoryError, OutputError, UsageError
from inventory.reviews.database import open_database, run_tables
from inventory.reviews.evaluate import Evaluator, RuleCounts
from inventory.reviews.graph.graph_tables import compute_graph_tables
from inventory.reviews.rule import Rule  # noqa: TC001 - msgspec reads the type
from inventory.runs.files import open_run
from inventory.settings import AssumedDefaults  # noqa: TC001 - the same

if TYPE_CHECKING:
    from collections.abc import Mapping

ADDRESS_SPACE: Final = 4 * 1024**3
"""Bytes."""
_START_SECONDS: Final = 300.0
"""Time to load the run, beside the time of the rules."""
_FINDINGS: Final = "findings.arrow"
_ROWS_PER_BATCH: Final = 50_000


class _Job(msgspec.Struct):
    run: str
    folder: str
    rules: list[Rule]
    parameters: dict[str, dict[str, Any]]
    defaults: AssumedDefaults
    timeout: float
    keep_passes: bool


class _Answer(msgspec.Struct):
    """Counts of the rules by id: verdicts and reasons; or the error, and whether it is the user's."""

    counts: dict[str, tuple[dict[str, int], dict[str, int]]] = {}
    error: str | None = None
    is_usage: bool = True


def evaluate_in_child(
    run: str,
    rules: Mapping[str, Rule],
    parameters: Mapping[str, Mapping[str, Any]],
    defaults: AssumedDefaults,
    timeout: float,
    *,
    keep_passes: bool,
) -> tuple[dict[str, RuleCounts], pa.Table]:
    """Evaluates rules on a run, named as :func:`inventory.runs.files.open_run` names it.

    Returns:
        The counts by rule, and the rows of the table ``findings`` of :mod:`inventory.reviews.evaluate`.

    Raises:
        UsageError: a rule is broken, or needs too much memory.
        OutputError: the run cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="inventory-") as folder:
        job = _Job(run, folder, list(rules.values()), _plain(parameters), defaults, timeout, keep_passes)
        try:
            child = subprocess.run(
                [sys.executable, "-m", "inventory.reviews.rule_process"],
                input=msgspec.json.encode(job),
                capture_output=True,
                timeout=_START_SECONDS + timeout * len(rules),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UsageError(f"the rules of {_origins(rules)} did not end in time") from None
        try:
            answer = msgspec.json.decode(child.stdout, type=_Answer)
        except msgspec.DecodeError:
            raise UsageError(
                f"the process that ran the rules of {_origins(rules)} ended with code {child.returncode}; a rule may "
                f"need more than {ADDRESS_SPACE // 1024**3} GB of memory"
            ) from None
        if answer.error is not None:
            raise UsageError(answer.error) if answer.is_usage else OutputError(answer.error)
        with pa.memory_map(str(Path(folder) / _FINDINGS)) as source:
            table = pa.ipc.open_stream(source.read_buffer()).read_all()
    counts = {
        name: RuleCounts(Counter(verdicts), Counter(reasons)) for name, (verdicts, reasons) in answer.counts.items()
    }
    return counts, table


def _plain(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: dict(values) for name, values in parameters.items()}


def _origins(rules: Mapping[str, Rule]) -> str:
    return ", ".join(rule.origin for rule in rules.values())


def _evaluate(job: _Job) -> _Answer:
    with open_database(run_tables(open_run(job.run)), job.defaults) as connection:
        compute_graph_tables(connection)
        evaluator = Evaluator(connection, job.timeout, keep_passes=job.keep_passes)
        counts = {rule.id: evaluator.evaluate(rule, job.parameters[rule.id]) for rule in job.rules}
        reader = connection.sql("SELECT * FROM findings").to_arrow_reader(_ROWS_PER_BATCH)
        with (
            pa.OSFile(str(Path(job.folder) / _FINDINGS), "wb") as sink,
            pa.ipc.new_stream(sink, reader.schema) as stream,
        ):
            for batch in reader:
                stream.write_batch(batch)
    return _Answer({name: (dict(count.verdicts), dict(count.reasons)) for name, count in counts.items()})


def _main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = ADDRESS_SPACE if most == resource.RLIM_INFINITY else min(ADDRESS_SPACE, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=_Job)
    try:
        answer = _evaluate(job)
    except InventoryError as error:
        answer = _Answer(error=str(error), is_usage=isinstance(error, UsageError))
    except MemoryError:
        answer = _Answer(error=f"the rules of {', '.join(rule.origin for rule in job.rules)} need too much memory")
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    sys.stdout.flush()
    os._exit(0)  # Arrow's threads would delay the exit


if __name__ == "__main__":
    _main()
