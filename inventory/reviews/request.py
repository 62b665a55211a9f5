"""Reviews a run as a user asks: rules, settings, suppressions, baseline."""

from __future__ import annotations

import datetime as dt
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inventory.errors import OutputError, UsageError
from inventory.reviews.baseline import Baseline, baseline_of, is_findings_file, read_baseline
from inventory.reviews.database import run_tables
from inventory.reviews.result import Review, ReviewOptions
from inventory.reviews.reviewed import Details, Reviewed, TrendPoint
from inventory.reviews.selection import SelectedRules, select_rules
from inventory.reviews.suppressions import Suppressions
from inventory.runs.catalog import find_runs
from inventory.runs.files import open_run
from inventory.settings import ReviewSettings
from inventory.user_paths import expand_user

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEFAULT_NAMES = {
    "retries": "{} retries",
    "age_s": "an event age of {} s",
    "status_log": "a status log: {}",
}


class Request(NamedTuple):
    """What a review is asked for.

    Attributes:
        settings: sections of the settings file.
        rules: folder of the user's rules.
        only: ids of the rules that run.
        as_of: the day that suppressions are compared with; None: today in UTC.
        baseline: file of findings, or a run.
        history: folder of runs.
        new_only: outputs have new findings only.
        keep_passes: findings have the verdict ``pass`` too.
        rule_timeout: seconds for one rule.
    """

    settings: ReviewSettings = ReviewSettings()
    rules: Path | None = None
    only: tuple[str, ...] = ()
    as_of: dt.date | None = None
    baseline: str | None = None
    history: str | None = None
    new_only: bool = False
    keep_passes: bool = False
    rule_timeout: float = 60.0

    @property
    def day(self) -> dt.date:
        """The day that suppressions are compared with."""
        return self.as_of or dt.datetime.now(dt.UTC).date()


@dataclass
class _Earlier:
    """Earlier findings, what was left out of them, and the counts of the runs that have them."""

    baseline: Baseline | None = None
    notes: list[str] = field(default_factory=list)
    points: list[TrendPoint] = field(default_factory=list)


@contextmanager
def review_run(place: str | Path, request: Request) -> Iterator[Reviewed]:
    """Reviews a run.

    Raises:
        UsageError: there is no such run, a rule is broken, or the baseline is no review.
        OutputError: a table, rule or baseline cannot be read.
    """
    if request.baseline is not None and request.history is not None:
        raise UsageError("--baseline and --history both name earlier findings: give one of them")
    if request.new_only and request.baseline is None and request.history is None:
        raise UsageError("--new-only needs --baseline or --history: new is what an earlier review does not have")
    selected = select_rules(request.settings, request.rules, request.only)
    with ExitStack() as stack:
        review = stack.enter_context(_evaluate(place, selected, request))
        earlier = _find_baseline(review, selected, request, str(place))
        if earlier.baseline is not None:
            review.compare(earlier.baseline)
            earlier.notes += _not_compared(earlier.baseline, selected)
        if not review.is_limited:
            earlier.notes.append("own rules ran without a limit of their memory: this system has none")
        details = Details(
            str(place),
            request.day,
            request.new_only,
            _assumptions(request.settings),
            earlier.baseline is not None,
            earlier.baseline.name if earlier.baseline else "",
            tuple(earlier.points),
        )
        yield Reviewed(review, _suppressions(selected, request), details, tuple(earlier.notes))


def _evaluate(place: str | Path, selected: SelectedRules, request: Request) -> Review:
    options = ReviewOptions(
        selected.rules,
        selected.parameters,
        request.settings.review.defaults,
        request.rule_timeout,
        request.keep_passes,
        selected.own.intersection(selected.rules),
    )
    return Review(run_tables(open_run(place), all_facts=bool(options.user_rules)), options)


def _suppressions(selected: SelectedRules, request: Request) -> Suppressions:
    return Suppressions(request.settings.suppress, request.day, selected.rules, selected.known)


def _assumptions(settings: ReviewSettings) -> tuple[str, ...]:
    defaults = settings.review.defaults
    return tuple(
        f"URNs without a configuration have {text.format(str(value).lower())} ([review.defaults])"
        for name, text in _DEFAULT_NAMES.items()
        if (value := getattr(defaults, name)) is not None
    )


def _find_baseline(review: Review, selected: SelectedRules, request: Request, place: str) -> _Earlier:
    earlier = _Earlier()
    if request.baseline is not None and is_findings_file(request.baseline):
        earlier.baseline = read_baseline(Path(expand_user(request.baseline)))
    elif request.baseline is not None:
        _review_earlier(request.baseline, earlier, selected, request)
    elif request.history is not None:
        _review_history(review, earlier, selected, request, place)
    return earlier


def _review_history(review: Review, earlier: _Earlier, selected: SelectedRules, request: Request, place: str) -> None:
    """Reviews the earlier runs of a folder, oldest first, so that each finding keeps its first run."""
    assert request.history is not None  # noqa: S101 - the caller checked it
    for run in find_runs(request.history).whole:
        if run.finished < review.taken and str(run.path) != place:
            try:
                _review_earlier(str(run.path), earlier, selected, request)
            except OutputError as error:
                earlier.notes.append(f"left out of the history: {error}")
    if earlier.baseline is None:
        earlier.notes.append(f"{request.history} contains no run before this one: findings have no state")


def _review_earlier(place: str, earlier: _Earlier, selected: SelectedRules, request: Request) -> None:
    try:
        with _evaluate(place, selected, request._replace(keep_passes=False)) as review:
            if earlier.baseline is not None:
                review.compare(earlier.baseline)
            reviewed = Reviewed(review, _suppressions(selected, request), Details(place, request.day))
            earlier.baseline = baseline_of(place, reviewed.findings(), review.rules)
            earlier.points.append(reviewed.point())
    except (UsageError, OutputError) as error:
        error.message = f"the baseline {place}: {error.message}"
        raise


def _not_compared(baseline: Baseline, selected: SelectedRules) -> list[str]:
    new = sorted(set(selected.rules) - (baseline.rules or set(selected.rules)))
    if not new:
        return []
    names = ", ".join(new)
    return [f"not compared, because the baseline did not run them: {names}"]
