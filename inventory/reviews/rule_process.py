"""Runs a user's rules in a child process with a limit of its address space.

DuckDB's memory limit does not bound a single large string, so a faulty rule could exhaust the machine. Systems without
such a limit (Windows) run the rules within their time only; the review says so.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inventory.display.formatting import shorten
from inventory.errors import InventoryError, OutputError, UsageError
from inventory.reviews.database import open_database, run_tables
from inventory.reviews.evaluate import Evaluation, Evaluator, RuleCounts
from inventory.reviews.graph.graph_tables import compute_graph_tables
from inventory.reviews.rule import Rule  # noqa: TC001 - msgspec reads the type
from inventory.reviews.verdicts import SCHEMA, Verdicts, codes, ids
from inventory.runs.files import open_run
from inventory.settings import AssumedDefaults  # noqa: TC001 - the same

try:
    import resource
except ImportError:  # not on this platform
    _LIMITS: ModuleType | None = None
else:
    _LIMITS = resource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

ADDRESS_SPACE: Final = 4 * 1024**3
"""Bytes."""
_START_SECONDS: Final = 300.0
"""Time to load the run, beside the time of the rules."""
_MAX_TEXT: Final = 10_000
"""Characters of one ``evidence`` or ``target``."""
_FINDINGS: Final = "findings.arrow"
_SCHEMA: Final = pa.schema([*SCHEMA, *((name, pa.string()) for name in ("evidence", "target"))])


class _Job(msgspec.Struct):
    run: str
    folder: str
    rules: list[Rule]
    parameters: dict[str, dict[str, Any]]
    defaults: AssumedDefaults
    timeout: float
    keep_passes: bool


class _Answer(msgspec.Struct):
    """By rule: counts of verdicts and reasons, and first row and number of rows; or the error and whose it is.

    ``is_limited``: the memory was.
    """

    counts: dict[str, tuple[dict[str, int], dict[str, int]]] = {}
    rows: dict[str, tuple[int, int]] = {}
    is_limited: bool = True
    error: str | None = None
    is_usage: bool = True


class OwnRules(NamedTuple):
    """Result of a user's rules.

    Attributes:
        evaluations: by rule.
        is_limited: whether the memory was.
    """

    evaluations: dict[str, Evaluation]
    is_limited: bool


def evaluate_in_child(
    run: str,
    rules: Mapping[str, Rule],
    parameters: Mapping[str, Mapping[str, Any]],
    defaults: AssumedDefaults,
    timeout: float,
    *,
    keep_passes: bool,
) -> OwnRules:
    """Evaluates rules on a run, named as :func:`inventory.runs.files.open_run` names it.

    Raises:
        UsageError: a rule is broken, or needs too much memory.
        OutputError: the run cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="inventory-") as folder:
        job = _Job(run, folder, list(rules.values()), _plain(parameters), defaults, timeout, keep_passes)
        try:
            child = subprocess.run(
                [sys.executable, "-P", "-m", "inventory.reviews.rule_process"],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
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
        table = pa.ipc.open_stream((Path(folder) / _FINDINGS).read_bytes()).read_all()
    return OwnRules({name: _evaluation(name, answer, table) for name in rules}, answer.is_limited)


def _evaluation(rule: str, answer: _Answer, table: pa.Table) -> Evaluation:
    verdicts, reasons = answer.counts[rule]
    first, number = answer.rows[rule]
    rows = table.slice(first, number)
    none = np.zeros(number, np.uint8)
    kept = Verdicts(ids(rows), codes(rows, "verdict"), codes(rows, "reason"), codes(rows, "severity"), none, 0)
    return Evaluation(RuleCounts(Counter(verdicts), Counter(reasons)), kept, rows.select(["evidence", "target"]))


def _plain(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: dict(values) for name, values in parameters.items()}


def _origins(rules: Mapping[str, Rule]) -> str:
    return ", ".join(rule.origin for rule in rules.values())


def _evaluate(job: _Job) -> _Answer:
    with open_database(run_tables(open_run(job.run), all_facts=True), job.defaults) as connection:
        compute_graph_tables(connection)
        evaluator = Evaluator(connection, job.timeout, keep_passes=job.keep_passes, few=math.inf)
        answer = _Answer()
        first = 0
        with pa.OSFile(str(Path(job.folder) / _FINDINGS), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as stream:
            for rule in job.rules:
                evaluation = evaluator.evaluate(rule, job.parameters[rule.id])
                rows = _with_details(evaluation)
                _check_evidence(rule, rows)
                stream.write_table(rows)
                counts = evaluation.counts
                answer.counts[rule.id] = dict(counts.verdicts), dict(counts.reasons)
                answer.rows[rule.id] = first, len(rows)
                first += len(rows)
    return answer


def _with_details(evaluation: Evaluation) -> pa.Table:
    assert evaluation.details is not None  # noqa: S101 - no rule has more subjects than infinite
    return pa.table([*evaluation.kept.table().columns, *evaluation.details.columns], _SCHEMA)


def _check_evidence(rule: Rule, rows: pa.Table) -> None:
    """Refuses evidence that is no JSON for other programs (NaN, infinite, nested too deeply), and long texts."""
    for name in ("evidence", "target"):
        longest = pc.max(pc.utf8_length(rows[name])).as_py() or 0
        if longest > _MAX_TEXT:
            raise UsageError(f"{rule.origin}: {name} has {longest:,} characters; at most {_MAX_TEXT:,} are kept")
    for text in rows["evidence"].to_pylist():
        try:
            msgspec.json.decode(text or "null")
        except (msgspec.DecodeError, RecursionError) as error:
            raise UsageError(f"{rule.origin}: the evidence {shorten(text)} is no JSON: {error}") from None


def limit_address_space() -> bool:
    """Limits the memory of this process; False: the system cannot."""
    if _LIMITS is None or not hasattr(_LIMITS, "RLIMIT_AS"):
        return False
    _, most = _LIMITS.getrlimit(_LIMITS.RLIMIT_AS)
    limit = ADDRESS_SPACE if most == _LIMITS.RLIM_INFINITY else min(ADDRESS_SPACE, most)
    try:
        _LIMITS.setrlimit(_LIMITS.RLIMIT_AS, (limit, most))
    except (OSError, ValueError):
        return False
    return True


def _main() -> None:
    is_limited = limit_address_space()
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=_Job)
    try:
        answer = msgspec.structs.replace(_evaluate(job), is_limited=is_limited)
    except InventoryError as error:
        answer = _Answer(error=str(error), is_usage=isinstance(error, UsageError))
    except MemoryError:
        answer = _Answer(error=f"the rules of {', '.join(rule.origin for rule in job.rules)} need too much memory")
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    sys.stdout.flush()
    os._exit(0)  # Arrow's threads would delay the exit


if __name__ == "__main__":
    _main()
