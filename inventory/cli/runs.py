"""The commands that call no cloud: on the folder of a run, on an emulated cloud, and the data dictionary.

Owns their options and what they print; :mod:`inventory.cli.app` gives them their place. Heavy modules are loaded by the
command that needs them, so that ``--help`` is quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from inventory.cli.options import (
    RUN_PLACE,
    FolderOfRuns,
    LogForm,
    NaiveTimezone,
    RowsPerFile,
    RunFolderNamed,
    RunOutput,
    TableFormat,
    formats_of,
)
from inventory.cli.process import leave, leaving, run_export, run_prune, run_status, run_tables, until_stopped
from inventory.cli.stdout import painter, put, put_place, written_to
from inventory.errors import UsageError


def tables(
    folder: RunFolderNamed,
    format: Annotated[  # noqa: A002 - the option's name
        list[TableFormat] | None, typer.Option(help="May be given twice; comes to the formats that the run has.")
    ] = None,
    naive_timezone: NaiveTimezone = None,
    rows_per_file: RowsPerFile = None,
    drop_bodies: Annotated[
        bool,
        typer.Option(
            "--drop-bodies", help="Then drop the raw bodies from the ledger: what failed cannot be asked again there."
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
    log_format: Annotated[LogForm, typer.Option(help="Words on stderr as text or as JSON lines.")] = "text",
) -> None:
    """Build the tables of a run again from its ledger, without a call: no credential is needed.

    What is not said stays as it was. Exit codes: 0 the tables are there, whatever became of the URNs; 2 no run, or one
    without a whole list; 4 ledger in use or of no use, or no room.
    """
    with leaving(log_format, quiet=quiet) as log:
        from inventory.cli import summary as report

        given = {"format": formats_of(format), "naive_timezone": naive_timezone, "rows_per_file": rows_per_file}
        shape = {name: value for name, value in given.items() if value is not None}
        result = run_tables(folder, shape, log, drop_bodies=drop_bodies)
        words = "The tables are as they were" if result.nothing_to_do else "Written from the ledger"
        log.say("tables", f"{words}: {report.rows(result)}", **result.manifest)
        for words in filter(None, (result.note, report.not_sent(result.output))):
            log.complain(words)
        put_place(result.folder)


def status(
    folder: RunFolderNamed,
    format: Annotated[Literal["text", "json"], typer.Option(help="Form of the output.")] = "text",  # noqa: A002
) -> None:
    """Show where a run stands, also while it runs: done, failed and left, how fast, and what to do next.

    Exit codes: 0 whatever it shows; 2 no run there; 4 its ledger cannot be read.
    """
    with leaving("text", quiet=False):
        from inventory.runs import status as standing

        found = run_status(folder)
        if format == "json":
            import json

            put(json.dumps(found.as_object(), indent=2))
        else:
            put(standing.as_text(found))


def demo(
    functions: Annotated[int, typer.Option(min=1, help="Functions that the emulated cloud has.")] = 300,
    output: RunOutput = None,
) -> None:
    """Export an emulated cloud: no account is needed."""
    with leaving("text", quiet=False) as log:
        from inventory.cli import demo as demonstration
        from inventory.cli import summary as report
        from inventory.runs.output import Output, claimed, named_output
        from inventory.scheduling.connection_limit import check_enough, raise_limit

        raise_limit()
        check_enough()
        with claimed(named_output(output)) as place, demonstration.prepared(functions, place.folder) as ready:
            log.say("demo", *ready.words)
            result = run_export(
                [ready.source], Output(ready.folder), ready.settings, mode="new", environment=ready.environment, log=log
            )
        log.say("demo", *report.summary(result), "", "Wrote:")
        for path, rows in report.tables(result):
            log.say("demo", f"  {path}  ({rows:,} rows)")
        log.say("demo", f"  {result.folder / 'manifest.json'}", "", "Try next:")
        for step in report.next_steps(result.folder):
            log.say("demo", f"  {step}")
        leave(result)


def emulate(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0: any that is free.")] = 8787,
    functions: Annotated[int, typer.Option(min=0, help="Functions of the generated cloud.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same cloud.")] = 0,
    limit: Annotated[str | None, typer.Option(help="Throttle of each project, as in 60/minute or 200/5minute.")] = None,
    faults: Annotated[
        str | None,
        typer.Option(help="What goes wrong, as in latency=20ms,5xx=1%,stall=0.1%,storm=1%, or all=5%; see the README."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="JSON file with the functions to serve, instead of generated.", readable=False)
    ] = None,
) -> None:
    """Serve a local FunctionGraph, for tests and trials."""
    with leaving("text", quiet=False) as log:
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

        def tell() -> None:
            put(server.url)
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
            until_stopped(tell)


def prune(
    folder: FolderOfRuns,
    keep_last: Annotated[int | None, typer.Option(min=1, help="Keep so many of the newest runs.")] = None,
    keep_daily: Annotated[int | None, typer.Option(min=1, help="Keep a run of each of the last so many days.")] = None,
    keep_monthly: Annotated[int | None, typer.Option(min=1, help="Keep a run of each of so many months.")] = None,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Remove stopped and damaged runs too, if a newer run is whole.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Remove the runs of a folder that no rule keeps, and print their folders. Days and months are UTC's.

    Exit codes: 0 done, whatever there was to remove; 2 no rule, or no folder of runs; 4 it cannot be read or removed.
    """
    with leaving("text", quiet=quiet) as log:
        from inventory.errors import UsageError
        from inventory.runs.retention import Policy

        policy = Policy(keep_last or 0, keep_daily or 0, keep_monthly or 0)
        if not any(policy) and not incomplete:
            raise UsageError("prune must know what to keep: give --keep-last, --keep-daily or --keep-monthly")
        run_prune(folder, policy, log, incomplete=incomplete, dry_run=dry_run)


def schema(
    table: Annotated[
        str | None, typer.Argument(help="functions, destinations, calls or rejects. Default: all.")
    ] = None,
    format: Annotated[Literal["text", "json", "markdown"], typer.Option(help="Form of the output.")] = "text",  # noqa: A002
) -> None:
    """Show the data dictionary."""
    with leaving("text", quiet=False):
        from inventory.tables import schema as dictionary

        tables = tuple(dictionary.TABLES.values()) if table is None else (dictionary.find_table(table),)
        if format == "json":
            import json

            put(json.dumps(dictionary.to_json_objects(tables), indent=2))
        else:
            put(dictionary.to_markdown(tables) if format == "markdown" else dictionary.to_text(tables), end="")


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help=f"The earlier run: {RUN_PLACE}.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The later run, likewise.")],
    format: Annotated[  # noqa: A002 - the option's name
        Literal["text", "json", "csv", "parquet", "markdown"], typer.Option(help="Form of the output; all hold all.")
    ] = "text",
    output: Annotated[Path | None, typer.Option(help="File to write, instead of stdout.", readable=False)] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Leave with 1 if something changed.")] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="With --exit-code: also 1 if NEW does not tell of a URN that OLD asked for."),
    ] = False,
) -> None:
    """Show what changed between two finished runs: added, removed, changed field by field, and what is not known.

    A URN that failed in NEW is unknown, and never removed; one that left a list made by hand is not_listed.
    Exit codes: 0; with --exit-code 1 if something changed; 2 no finished run there, or not to be compared; 4 a table
    cannot be read.
    """
    with leaving("text", quiet=False) as log:
        if strict and not exit_code:
            raise UsageError("--strict goes with --exit-code: it says what that is 1 for")
        from inventory.comparison import render
        from inventory.comparison.result import diff as compare

        with written_to(output, binary=format == "parquet") as sink:
            found = compare(old, new)
            for words in found.warnings:
                log.complain(words)
            render.write(found, format, sink, painter(output))
        log.say("diff", render.verdict(found))
        if exit_code and (found.changed or (strict and found.untold)):
            raise typer.Exit(1)
