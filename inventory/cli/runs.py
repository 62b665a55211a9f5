"""Commands that call no cloud: tables, status, diff, prune, demo, emulate, schema."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from inventory.cli.options import (
    DEFAULT_HISTORY,
    RUN_LOCATION,
    DemoOutput,
    HistoryFolder,
    RunFolder,
    RunsFolder,
    find_run_folder,
    given_options,
    with_options,
)
from inventory.cli.process import (
    exit_on_error,
    print_and_exit,
    run_export,
    run_prune,
    run_status,
    run_tables,
)
from inventory.cli.signals import serve_until_signal
from inventory.cli.stdout import colorizer, is_terminal, open_output, print_data, print_path
from inventory.errors import UsageError

_URNS_ON_TERMINAL: Final = 20
TABLE_SETTINGS: Final = ("format", "naive_timezone", "rows_per_file")


@with_options(
    *TABLE_SETTINGS,
    "drop_bodies",
    "quiet",
    "log_format",
    helps={
        "format": "Format of the tables (repeatable); added to the formats that the run has.",
        "drop_bodies": "Then drop the raw answers from the ledger; after that, a failed URN cannot be exported again.",
    },
)
def tables(folder: RunFolder, history: HistoryFolder = DEFAULT_HISTORY, **options: Any) -> None:  # noqa: ANN401 - each option has its own type
    """Rebuild the tables of a run from its ledger, without calls.

    Options that are not given stay as in the run. Exit codes: 0 tables written, whatever the URNs' statuses; 2 no run,
    or its list is incomplete; 4 ledger locked or damaged, or disk full.
    """
    with exit_on_error(options["log_format"], quiet=options["quiet"]) as log:
        from inventory.cli import summary
        from inventory.runs.upload import upload_hint
        from inventory.settings_sources.combine import chosen_settings
        from inventory.settings_sources.environment import load_environment

        drop_bodies = options.pop("drop_bodies")
        table_options = load_environment(os.environ, TABLE_SETTINGS) | chosen_settings(given_options(options))
        result = run_tables(find_run_folder(folder, history), table_options, log, drop_bodies=drop_bodies)
        what = "The tables are unchanged" if result.nothing_to_do else "Written from the ledger"
        log.say("tables", f"{what}: {summary.row_counts(result)}", **result.manifest)
        for message in filter(None, (result.note, upload_hint(result.output))):
            log.complain(message)
        print_path(result.folder)


def status(
    folder: RunFolder,
    format: Annotated[Literal["text", "json"], typer.Option(help="Format of the output.")] = "text",  # noqa: A002 - the option's name
    history: HistoryFolder = DEFAULT_HISTORY,
) -> None:
    """Show the status of a run, also while it runs.

    It counts the URNs that are done, failed and left, and names the next step. Exit codes: 0 status shown; 2 no run
    there; 4 its ledger cannot be read.
    """
    with exit_on_error("text", quiet=False):
        from inventory.cli.status import as_text

        current = run_status(find_run_folder(folder, history))
        if format == "json":
            import json

            print_data(json.dumps(current.as_object(), indent=2))
        else:
            print_data(as_text(current))


def demo(
    functions: Annotated[int, typer.Option(min=1, help="Number of functions of the emulated cloud.")] = 300,
    output: DemoOutput = None,
) -> None:
    """Export an emulated cloud and review it; no account is needed."""
    with exit_on_error("text", quiet=False) as log:
        from inventory.cli import demo as demonstration
        from inventory.cli import summary
        from inventory.display.formatting import format_count
        from inventory.runs.output import Output, output_for_folder, reserve_folder
        from inventory.scheduling.connection_limit import check_enough, raise_limit

        raise_limit()
        check_enough()
        with (
            reserve_folder(output_for_folder(output)) as place,
            demonstration.start_demo(functions, place.folder) as ready,
        ):
            log.say("demo", *ready.messages)
            result = run_export(
                [ready.source], Output(ready.folder), ready.settings, mode="new", environment=ready.environment, log=log
            )
        log.say("demo", *summary.summary_lines(result), "", "Wrote:")
        for path, rows in summary.table_files(result):
            log.say("demo", f"  {path}  ({format_count(rows, 'row')})")
        log.say("demo", f"  {result.folder / 'manifest.json'}", "")
        log.say("demo", f"Review: {demonstration.write_review(result.folder)}. Open this page in a browser:")
        log.say("demo", f"  {result.folder / demonstration.PAGE_NAME}", "", "Try next:")
        for step in summary.next_steps(result):
            log.say("demo", f"  {step}")
        print_and_exit(result)


def emulate(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0: any free port.")] = 8787,
    functions: Annotated[int, typer.Option(min=0, help="Number of functions of the generated cloud.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the generated cloud; the same seed gives the same cloud.")] = 0,
    limit: Annotated[
        str | None,
        typer.Option(
            help="Rate limit of each project, such as 60/minute or 200/5minute; with :ip (150/second:ip) of all "
            "projects together, with :api of all callers of an operation.",
            metavar="CALLS/PERIOD",
        ),
    ] = None,
    faults: Annotated[
        str | None,
        typer.Option(
            help="Faults, such as latency=20ms,5xx=1%,stall=0.1%,stray=0.5%, or all=5%; inventory/docs/emulator.md.",
            metavar="NAME=SHARE,...",
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            help="JSON file with the functions to serve, instead of generated ones.", readable=False, metavar="FILE"
        ),
    ] = None,
) -> None:
    """Serve a local FunctionGraph for tests and trials."""
    with exit_on_error("text", quiet=False) as log:
        from inventory import emulator as emulation
        from inventory.scheduling.connection_limit import FEW, check_enough

        check_enough(FEW)
        server = emulation.Emulator(
            None if state is None else emulation.load_state(state),
            functions=functions,
            seed=seed,
            port=port,
            limit=None if limit is None else emulation.Limit.parse(limit),
            faults=None if faults is None else emulation.Faults.parse(faults, seed=seed),
        )

        def print_instructions() -> None:
            print_data(server.url)
            log.say(
                "emulate",
                "An emulated FunctionGraph listens; any token is accepted. Ctrl-C stops it.",
                f"  list of URNs  {server.url}/emulator/urns",
                f"  request log   {server.url}/emulator/requests",
                "Try in another terminal:",
                f"  curl -s {server.url}/emulator/urns > urns.txt",
                f"  HW_AUTH_TOKEN=any inventory export urns.txt --endpoint {server.url}",
            )

        with server.in_thread():
            serve_until_signal(print_instructions)


@with_options("dry_run", "quiet", helps={"dry_run": "Show what would be removed, and remove nothing."})
def prune(
    folder: RunsFolder,
    keep_last: Annotated[int | None, typer.Option(min=1, help="Number of newest runs to keep.")] = None,
    keep_daily: Annotated[int | None, typer.Option(min=1, help="Number of days of which to keep the last run.")] = None,
    keep_monthly: Annotated[
        int | None, typer.Option(min=1, help="Number of months of which to keep the last run.")
    ] = None,
    incomplete: Annotated[
        bool,
        typer.Option(
            "--incomplete", help="Remove damaged runs and runs without tables too, if a newer run has its tables."
        ),
    ] = False,
    **options: Any,  # noqa: ANN401 - each option has its own type
) -> None:
    """Remove the runs of a folder that no rule keeps.

    It prints the folders of the removed runs. Days and months are in UTC. Exit codes: 0 done, also if there was nothing
    to remove; 2 no rule, or no folder of runs; 4 a run cannot be read or removed.
    """
    with exit_on_error("text", quiet=options["quiet"]) as log:
        from inventory.runs.prune import Policy

        policy = Policy(keep_last or 0, keep_daily or 0, keep_monthly or 0)
        if not any(policy) and not incomplete:
            raise UsageError("prune needs a rule for what to keep; give --keep-last, --keep-daily or --keep-monthly")
        run_prune(folder, policy, log, incomplete=incomplete, dry_run=options["dry_run"])


def schema(
    table: Annotated[
        str | None, typer.Argument(help="functions, destinations, calls or rejects. Default: all.")
    ] = None,
    format: Annotated[Literal["text", "json", "markdown"], typer.Option(help="Format of the output.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Show the data dictionary."""
    with exit_on_error("text", quiet=False):
        from inventory.tables import dictionary, schema

        tables = tuple(schema.TABLES.values()) if table is None else (schema.find_table(table),)
        if format == "json":
            import json

            print_data(json.dumps(dictionary.to_json_objects(tables), indent=2))
        else:
            print_data(dictionary.to_markdown(tables) if format == "markdown" else dictionary.to_text(tables), end="")


def diff(  # noqa: PLR0913, PLR0917 - the options of the command
    old: Annotated[str, typer.Argument(metavar="OLD", help=f"The earlier run: {RUN_LOCATION}.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The later run, in the same form.")],
    format: Annotated[  # noqa: A002 - the option's name
        Literal["text", "json", "csv", "parquet", "markdown"],
        typer.Option(help="Format of the output; all but text contain every change.", rich_help_panel="Tables"),
    ] = "text",
    output: Annotated[
        Path | None, typer.Option(help="File to write. Default: stdout.", readable=False, rich_help_panel="Tables")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="Kind of changes that the text shows (repeatable).", metavar="KIND", rich_help_panel="Tables"
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="URNs that the text shows; 0 for all. Default: 20 on a terminal, all elsewhere.",
            rich_help_panel="Tables",
        ),
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 if something changed.", rich_help_panel="Run")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="With --exit-code: also 1 if a URN of OLD is unknown in NEW.", rich_help_panel="Run"
        ),
    ] = False,
    facts: Annotated[
        bool,
        typer.Option(
            "--facts",
            help="Compare function_facts and aliases too, where both runs have them.",
            rich_help_panel="Input",
        ),
    ] = False,
    fields: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="With --facts: compare these fields too: fail_count, digest, code_size, last_modified.",
            rich_help_panel="Input",
        ),
    ] = None,
    history: HistoryFolder = DEFAULT_HISTORY,
) -> None:
    """Show what changed between two finished runs.

    A URN that failed in NEW is unknown, never removed; a URN that is missing from NEW's list file is not_listed.
    Exit codes: 0 compared; 1 with --exit-code, if something changed; 2 no finished run there, or they cannot be
    compared; 4 a table cannot be read.
    """
    with exit_on_error("text", quiet=False) as log:
        if strict and not exit_code:
            raise UsageError("--strict needs --exit-code, because it decides when that is 1; give both")
        if (kind or limit is not None) and format != "text":
            raise UsageError(
                "--kind and --limit need --format text, as other formats contain every change; leave them out"
            )
        if fields is not None and not facts:
            raise UsageError("--fields needs --facts, whose tables have those fields; give both")
        from inventory.comparison import render
        from inventory.comparison.kinds import FACTS_CHANGED, Kind
        from inventory.comparison.result import diff as compare
        from inventory.display.formatting import format_number
        from inventory.runs.latest import resolve_run

        kinds = (*Kind, FACTS_CHANGED) if facts else tuple(Kind)
        if unknown := sorted(set(kind or ()) - set(kinds)):
            raise UsageError(f"--kind {unknown[0]!r} is no kind of change: {', '.join(kinds)}")
        if limit is None:
            limit = _URNS_ON_TERMINAL if output is None and is_terminal() else 0

        with open_output(output, binary=format == "parquet", escapes=format == "csv") as sink:
            names = [name.strip() for name in (fields or "").split(",") if name.strip()]
            comparison = compare(resolve_run(old, history), resolve_run(new, history), facts=facts, fields=names)
            for message in comparison.warnings:
                log.complain(message)
            render.write(comparison, format, sink, colorizer(output), render.Selection(limit, tuple(kind or ())))
        if kind and not any(comparison.counts[name] for name in kind):
            others = ", ".join(f"{format_number(count)} {name}" for name, count in comparison.counts.items() if count)
            log.complain(f"no change of kind {' or '.join(kind)}; the runs have: {others or 'no URN'}")
        log.say("diff", render.verdict(comparison))
        if exit_code and (comparison.changed or (strict and comparison.untold)):
            raise typer.Exit(1)
