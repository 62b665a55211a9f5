"""Reviews a run as a user asks: rules, settings, suppressions, baseline."""

from __future__ import annotations

import datetime as dt
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inventory.errors import OutputError, UsageError
from inventory.reviews.baseline import Baseline, baseline_of, is_findings_file, read_baseline
from inventory.reviews.database import run_tables
from inventory.reviews.result import Review, ReviewOptions
from inventory.reviews.reviewed import Details, Reviewed
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
        baseline, notes = _find_baseline(review, selected, request, str(place))
        if baseline is not None:
            review.compare(baseline)
            notes += _not_compared(baseline, selected)
        if not review.is_limited:
            notes.append("own rules ran without a limit of their memory: this system has none")
        as_of = request.as_of or dt.datetime.now(dt.UTC).date()
        yield Reviewed(
            review,
            Suppressions(request.settings.suppress, as_of, selected.rules, selected.known),
            Details(str(place), as_of, request.new_only, _assumptions(request.settings), baseline is not None),
            tuple(notes),
        )


def _evaluate(place: str | Path, selected: SelectedRules, request: Request) -> Review:
    options = ReviewOptions(
        selected.rules,
        selected.parameters,
        request.settings.review.defaults,
        request.rule_timeout,
        request.keep_passes,
        selected.own.intersection(selected.rules),
    )
    return Review(run_tables(open_run(place)), options)


def _assumptions(settings: ReviewSettings) -> tuple[str, ...]:
    defaults = settings.review.defaults
    return tuple(
        f"URNs without a configuration have {text.format(str(value).lower())} ([review.defaults])"
        for name, text in _DEFAULT_NAMES.items()
        if (value := getattr(defaults, name)) is not None
    )


def _find_baseline(
    review: Review, selected: SelectedRules, request: Request, place: str
) -> tuple[Baseline | None, list[str]]:
    if request.baseline is not None:
        if is_findings_file(request.baseline):
            return read_baseline(Path(expand_user(request.baseline))), []
        return _review_earlier(request.baseline, None, selected, request), []
    if request.history is not None:
        return _first_seen(review, selected, request, place)
    return None, []


def _first_seen(
    review: Review, selected: SelectedRules, request: Request, place: str
) -> tuple[Baseline | None, list[str]]:
    """Reviews the earlier runs of a folder, oldest first, so that each finding keeps its first run."""
    assert request.history is not None  # noqa: S101 - the caller checked it
    runs = find_runs(request.history)
    earlier = [run for run in runs.whole if run.finished < review.taken and str(run.path) != place]
    baseline, notes = None, []
    for run in earlier:
        try:
            baseline = _review_earlier(str(run.path), baseline, selected, request)
        except OutputError as error:
            notes.append(f"left out of the history: {error}")
    if baseline is None:
        notes.append(f"{request.history} contains no run before this one: findings have no state")
    return baseline, notes


def _review_earlier(place: str, baseline: Baseline | None, selected: SelectedRules, request: Request) -> Baseline:
    try:
        with _evaluate(place, selected, request._replace(keep_passes=False)) as review:
            if baseline is not None:
                review.compare(baseline)
            return baseline_of(place, review.batches("findings"), review.rules)
    except (UsageError, OutputError) as error:
        error.message = f"the baseline {place}: {error.message}"
        raise


def _not_compared(baseline: Baseline, selected: SelectedRules) -> list[str]:
    new = sorted(set(selected.rules) - (baseline.rules or set(selected.rules)))
    if not new:
        return []
    names = ", ".join(new)
    return [f"not compared, because the baseline did not run them: {names}"]
