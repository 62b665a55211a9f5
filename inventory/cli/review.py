"""Commands for reliability and cost reviews: review, rules."""

from __future__ import annotations

import math
import shutil
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Final, Literal

import msgspec
import typer

from inventory.cli.measurement import measured
from inventory.cli.options import DEFAULT_HISTORY, RUN_LOCATION
from inventory.cli.process import exit_on_error
from inventory.cli.signals import interrupted_by_signals
from inventory.cli.stdout import colorizer, is_terminal, open_output, print_data
from inventory.display.formatting import format_count, format_exact, format_number
from inventory.errors import ExitCode, UsageError
from inventory.option import VARIABLE_PREFIX

if TYPE_CHECKING:
    from inventory.display.log import Log
    from inventory.reviews.reviewed import Reviewed

_WIDTH: Final = 120
"""Columns of text that is not for a terminal."""
_TABULAR: Final = ("csv", "parquet", "json")


class Show(StrEnum):
    """Kinds of findings that are shown besides failures."""

    UNKNOWN = "unknown"
    PASS = "pass"  # noqa: S105 - a verdict
    SUPPRESSED = "suppressed"


RulesFolder = Annotated[
    Path | None,
    typer.Option(
        "--rules", help="Folder with your own rules, *.sql.", readable=False, metavar="DIR", rich_help_panel="Input"
    ),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option(
        help="TOML file with [review], [rules.ID] and [[suppress]].",
        readable=False,
        metavar="FILE",
        envvar=f"{VARIABLE_PREFIX}SETTINGS",
        rich_help_panel="Input",
    ),
]


def review(  # noqa: PLR0913, PLR0917 - the options of the command
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT", help=f"The run: {RUN_LOCATION}.")],
    format: Annotated[  # noqa: A002 - the option's name
        Literal["text", "json", "csv", "parquet", "markdown", "sarif", "html"],
        typer.Option(help="Format of the output.", rich_help_panel="Tables"),
    ] = "text",
    output: Annotated[
        Path | None, typer.Option(help="File to write. Default: stdout.", readable=False, rich_help_panel="Tables")
    ] = None,
    table: Annotated[
        Literal["findings", "exposure", "envelope", "summary"] | None,
        typer.Option(
            help="With csv, parquet or json: the table to write. Default: findings; json: the whole review.",
            rich_help_panel="Tables",
        ),
    ] = None,
    fail_on: Annotated[
        Literal["critical", "high", "medium", "low", "info"] | None,
        typer.Option(help="Exit with 1 if a finding of this severity or a higher one fails.", rich_help_panel="Run"),
    ] = None,
    min_coverage: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Exit with 6 if a smaller share of the verdicts is known.", rich_help_panel="Run"
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="Earlier findings (.csv, .parquet, .json), or an earlier run.",
            metavar="FINDINGS|SNAPSHOT",
            rich_help_panel="Input",
        ),
    ] = None,
    history: Annotated[
        str | None,
        typer.Option(
            help="Folder of runs; the earlier ones are the baseline. Default for latest: output.",
            metavar="DIR",
            rich_help_panel="Input",
        ),
    ] = None,
    new_only: Annotated[
        bool,
        typer.Option(
            "--new-only", help="Show, and fail on, only what the baseline does not have.", rich_help_panel="Input"
        ),
    ] = False,
    show: Annotated[
        list[Show] | None, typer.Option(help="Show these findings too (repeatable).", rich_help_panel="Tables")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Id of a rule to run, such as FGA101 or 'FGA1*' (repeatable).", metavar="RULE", rich_help_panel="Input"
        ),
    ] = None,
    rules: RulesFolder = None,
    settings: SettingsFile = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 2 if a suppression matches no finding.", rich_help_panel="Run")
    ] = False,
    as_of: Annotated[
        str | None,
        typer.Option(
            help="Day that suppressions are compared with. Default: today, UTC.",
            metavar="DATE",
            rich_help_panel="Input",
        ),
    ] = None,
    rule_timeout: Annotated[
        float, typer.Option(min=0.001, max=86_400, help="Seconds that one rule may take.", rich_help_panel="Run")
    ] = 60.0,
    metrics_file: Annotated[
        Path | None,
        typer.Option(
            help="Metrics of the review in Prometheus' text format.",
            readable=False,
            metavar="FILE",
            rich_help_panel="Run",
        ),
    ] = None,
) -> None:
    """Find configurations that lose events or cost money.

    It says what to do about each finding, and calls no cloud. What could not be checked is unknown, never a pass.
    Exit codes: 0 reviewed; 1 with --fail-on, if an unsuppressed finding fails; 2 wrong usage or a broken rule; 4 a
    table cannot be read or written; 6 coverage below --min-coverage.
    """
    with (
        exit_on_error("text", quiet=False) as log,
        measured("review", metrics_file, log) as measurement,
    ):
        if table is not None and format not in _TABULAR:
            raise UsageError("--table needs --format csv, parquet or json: the other formats show findings")
        for name, value in (("--min-coverage", min_coverage), ("--rule-timeout", rule_timeout)):
            if value is not None and math.isnan(value):  # no bound of a range excludes it
                raise UsageError(f"{name} nan cannot be used; give a number")
        from inventory.reviews.request import Request, review_run
        from inventory.runs.latest import resolve_run
        from inventory.settings import ReviewSettings
        from inventory.settings_sources.toml_file import load_review_settings

        snapshot = resolve_run(snapshot, history or DEFAULT_HISTORY)
        if baseline is not None:
            baseline = resolve_run(baseline, history or DEFAULT_HISTORY)
        shown = frozenset(kind.value for kind in show or ())
        request = Request(
            ReviewSettings() if settings is None else load_review_settings(settings),
            rules,
            tuple(only or ()),
            _parse_day(as_of),
            baseline,
            history,
            new_only,
            Show.PASS in shown,
            rule_timeout,
        )
        with (
            interrupted_by_signals(),
            open_output(output, binary=format in {"parquet", "html"}, escapes=format in _TABULAR) as sink,
            review_run(snapshot, request) as reviewed,
        ):
            _write(reviewed, format, table, sink, shown, output)
            code = _conclude(reviewed, log, fail_on, min_coverage, strict=strict)
            measurement.add_review(reviewed)
        if code:
            raise typer.Exit(code)


def _parse_day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return msgspec.convert(text, date)  # as days of a settings file: YYYY-MM-DD only
    except msgspec.ValidationError:
        raise UsageError(f"--as-of {text!r} is no day; give one such as 2026-11-28") from None


def _write(
    reviewed: Reviewed, form: str, table: str | None, sink: IO[bytes], shown: frozenset[str], output: Path | None
) -> None:
    if form == "json":
        from inventory.reviews.outputs.documents import write_json

        write_json(reviewed, table, sink)
    elif form in _TABULAR:
        from inventory.reviews.outputs.documents import write_csv, write_parquet

        (write_csv if form == "csv" else write_parquet)(reviewed, table or "findings", sink)
    elif form == "html":
        from inventory.reviews.page.write import write_page

        write_page(reviewed, sink)
    elif form == "sarif":
        from inventory.reviews.outputs.sarif import write_sarif

        write_sarif(reviewed, sink, shown)
    else:
        from inventory.reviews.outputs.markdown import to_markdown
        from inventory.reviews.outputs.text import to_text

        on_terminal = output is None and is_terminal()
        width = min(shutil.get_terminal_size().columns, _WIDTH) if on_terminal else _WIDTH
        text = (
            to_markdown(reviewed, shown) if form == "markdown" else to_text(reviewed, width, shown, colorizer(output))
        )
        sink.write(f"{text}\n".encode(errors="surrogateescape"))


def _conclude(
    reviewed: Reviewed, log: Log, fail_on: str | None, min_coverage: float | None, *, strict: bool
) -> ExitCode | None:
    """Logs warnings and what decides the exit code; a failure outranks low coverage."""
    for message in reviewed.warnings:
        log.complain(f"warning: {message}")
    if strict and reviewed.unmatched_suppressions:
        raise UsageError("--strict: a suppression matches no finding")
    code: ExitCode | None = None
    if min_coverage is not None and reviewed.coverage is not None and reviewed.coverage < min_coverage:
        reasons = ", ".join(
            f"{name} {format_number(count)}" for name, count in reviewed.unknown_reasons().most_common()
        )
        coverage = format_exact(math.floor(reviewed.coverage * 10_000) / 10_000)
        log.complain(f"coverage {coverage} is below --min-coverage {format_exact(min_coverage)}; unknown: {reasons}")
        code = ExitCode.COVERAGE
    if fail_on is not None and (failures := reviewed.failures(fail_on)):
        findings = format_count(failures, "new finding" if reviewed.details.new_only else "finding")
        log.complain(f"{findings} at or above {fail_on}")
        code = ExitCode.SOME_FAILED
    return code


def list_rules(
    rule: Annotated[str | None, typer.Argument(metavar="ID", help="Id of a rule. Default: all, a line each.")] = None,
    rules: RulesFolder = None,
    settings: SettingsFile = None,
) -> None:
    """List the review rules, or explain one.

    An explanation has the reason, fix, assumption, source, parameters and example of the rule.
    """
    with exit_on_error("text", quiet=False):
        from inventory.reviews.outputs import rule_pages
        from inventory.reviews.result import bind_parameters
        from inventory.reviews.selection import all_rules
        from inventory.settings import ReviewSettings
        from inventory.settings_sources.toml_file import load_review_settings

        chosen = all_rules(ReviewSettings() if settings is None else load_review_settings(settings), rules)
        if rule is None:
            print_data(rule_pages.list_text(chosen.rules))
            return
        found = rule_pages.find_rule(chosen.rules, rule)
        values = bind_parameters(found, chosen.parameters.get(found.id, {}))
        width = min(shutil.get_terminal_size().columns, _WIDTH) if is_terminal() else _WIDTH
        print_data(rule_pages.page_text(found, values, width))
