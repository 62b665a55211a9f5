"""Public Python API: review()."""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import pandas as pd
import pyarrow as pa

from inventory.api.arguments import python_messages
from inventory.api.summary import html_table, safe_html
from inventory.display.formatting import format_count, format_number, format_share
from inventory.errors import SettingsError
from inventory.reviews.outputs.text import to_text
from inventory.reviews.outputs.wording import describe
from inventory.reviews.request import Request, review_run
from inventory.reviews.reviewed import schema_of
from inventory.settings import SEVERITIES, ReviewSettings
from inventory.settings_sources.toml_file import load_review_settings
from inventory.storage.files import atomic_write
from inventory.tables.arrow import to_objects
from inventory.user_paths import expand_user

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.api.snapshot import Snapshot
    from inventory.reviews.reviewed import Reviewed

_TEXT_COLUMNS: Final = 100
_SHOWN: Final = 10


class Review:
    """A finished review: findings and computed tables as frames that are loaded at first use.

    It holds the reviewed tables in memory until :meth:`close`, the end of a ``with`` block, or its last reference.

    Examples:
        >>> review = inventory.review("output/today")  # doctest: +SKIP
        >>> review.findings.query("verdict == 'fail' and severity == 'high'")  # doctest: +SKIP

    Attributes:
        coverage: share of the verdicts that are known, pass or fail; None: no rule applies.
        warnings: sentences about suppressions, baseline and rules.
        assumptions: sentences about values that the settings file assumes.
    """

    def __init__(self, reviewed: Reviewed, stack: ExitStack) -> None:
        self._reviewed = reviewed
        self._finalizer = weakref.finalize(self, stack.close)
        self.coverage = reviewed.coverage
        self.warnings = reviewed.warnings
        self.assumptions = reviewed.details.assumptions

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the reviewed tables; frames that were loaded stay."""
        self._finalizer()

    @property
    def taken(self) -> datetime:
        """When the reviewed run ended, in UTC."""
        return self._reviewed.taken

    def table(self, name: str) -> pa.Table:
        """Reads ``findings``, ``summary``, ``exposure`` or ``envelope`` as Arrow."""
        return pa.Table.from_batches(self._reviewed.rows(name), schema_of(name))

    @cached_property
    def findings(self) -> pd.DataFrame:
        """One row per subject that fails a rule, or of which a rule is unknown; most severe first.

        Shape:
            (findings, 22), sorted by severity, rule, subject and event.
        """
        return _frame_of(self.table("findings"))

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per rule: subjects by verdict, and the coverage.

        Shape:
            (rules, 13), sorted by rule.
        """
        return _frame_of(self.table("summary"))

    @cached_property
    def exposure(self) -> pd.DataFrame:
        """One row per URN: what happens to its events when it fails.

        Shape:
            (URNs, 7), sorted by subject.

        Units:
            ``dropped_after_outage_s`` seconds, ``fail_count`` failed executions of one day.
        """
        return _frame_of(self.table("exposure"))

    @cached_property
    def envelope(self) -> pd.DataFrame:
        """One row per URN: fewest and most invocations that one event can cause; infinite into a success cycle.

        Shape:
            (URNs, 6), sorted by subject.

        Units:
            invocations; ``gb_s_per_failing_event`` GB-s.
        """
        return _frame_of(self.table("envelope"))

    @cached_property
    def cycles(self) -> pd.DataFrame:
        """One row per cycle of functions: certainty, kind, size, URNs."""
        return _frame_of(self._reviewed.cycles)

    def to_html(self, path: str | Path) -> Path:
        """Writes the review as one HTML file that needs nothing else, and returns its path.

        Raises:
            OutputError: the file cannot be written.
        """
        from inventory.reviews.page.write import write_page  # noqa: PLC0415 - loads jinja2 and drawsvg

        file = Path(expand_user(path))
        with atomic_write(file) as sink:
            write_page(self._reviewed, sink)
        return file

    def __repr__(self) -> str:
        return to_text(self._reviewed, _TEXT_COLUMNS)

    def _repr_html_(self) -> str:
        return _to_html(self._reviewed)


def review(  # noqa: PLR0913 - keyword options
    snapshot: str | Path | Snapshot,
    *,
    settings: str | Path | None = None,
    rules: str | Path | None = None,
    only: str | Sequence[str] = (),
    baseline: str | Path | Snapshot | None = None,
    history: str | Path | None = None,
    new_only: bool = False,
    as_of: date | None = None,
    keep_passes: bool = False,
    rule_timeout: float = 60.0,
) -> Review:
    """Reviews a finished run with the rules of ``inventory rules``; makes no call.

    Args:
        snapshot: the run: its folder, ``s3://bucket/prefix``, ``obs://bucket/prefix``, or a snapshot.
        settings: TOML file with ``[review]``, ``[rules.ID]`` and ``[[suppress]]``.
        rules: folder with your own rules.
        only: ids of the rules that run.
        baseline: file of earlier findings, or an earlier run.
        history: folder of runs; the earlier ones are the baseline.
        new_only: only findings that the baseline does not have.
        as_of: day that suppressions are compared with; default: today in UTC.
        keep_passes: findings have the verdict ``pass`` too.
        rule_timeout: seconds that one rule may take.

    Raises:
        UsageError: there is no finished run, or a rule, setting or baseline is invalid.
        OutputError: a table, rule or baseline cannot be read.
    """
    with python_messages(), ExitStack() as stack:
        if isinstance(as_of, datetime):
            as_of = as_of.date()
        if as_of is not None and not isinstance(as_of, date):
            raise SettingsError(f"as_of must be a date, not {type(as_of).__name__}")
        request = Request(
            ReviewSettings() if settings is None else load_review_settings(Path(expand_user(settings))),
            None if rules is None else Path(expand_user(rules)),
            (only,) if isinstance(only, str) else tuple(only),
            as_of,
            _place(baseline),
            None if history is None else str(history),
            new_only,
            keep_passes,
            rule_timeout,
        )
        reviewed = stack.enter_context(review_run(_place(snapshot) or "", request))
        return Review(reviewed, stack.pop_all())
    raise AssertionError  # the block returns or raises


def _frame_of(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def _place(run: str | Path | Snapshot | None) -> str | None:
    return None if run is None else str(getattr(run, "path", run))


def _to_html(reviewed: Reviewed) -> str:
    share = "nothing to check" if reviewed.coverage is None else format_share(reviewed.coverage)
    title = (
        f"Review of {reviewed.details.run}, finished {reviewed.taken:%Y-%m-%d %H:%M} UTC: "
        f"{format_count(reviewed.urns, 'URN')}, {format_count(len(reviewed.rules), 'rule')}, coverage {share}"
    )
    notes = "".join(f"<p>⚠ {safe_html(text)}</p>" for text in (*reviewed.details.assumptions, *reviewed.warnings))
    counts = [
        (
            severity,
            format_number(reviewed.count("fail", severity)),
            format_number(reviewed.count("unknown", severity)),
            format_number(sum(reviewed.count(verdict, severity, suppressed=True) for verdict in ("fail", "unknown"))),
        )
        for severity in SEVERITIES
    ]
    first: list[dict[str, Any]] = []
    for batch in reviewed.findings():
        rows = to_objects(batch.slice(0, 1000)) if len(first) < _SHOWN else ()
        first += [row for row in rows if row["verdict"] == "fail" and not row["suppressed"]]
    shown = []
    for row in first[:_SHOWN]:
        words = describe(row, reviewed.rules[row["rule"]])
        shown.append((row["severity"], row["rule"], words.title, words.place, words.evidence, words.fix))
    return (
        f"<div><p><b>{safe_html(title)}</b></p>{notes}"
        f"{html_table(('severity', 'fail', 'not checked', 'suppressed'), counts)}"
        f"{html_table(('severity', 'rule', 'what', 'where', 'with', 'what to do'), shown)}"
        "<p><code>.findings</code>, <code>.summary</code>, <code>.exposure</code>, <code>.envelope</code> and "
        "<code>.cycles</code> have all rows</p></div>"
    )
