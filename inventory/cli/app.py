"""The command line: the commands that ask the cloud, and the order of all. stdout is data, stderr is words.

Owns what a user types and what the process says when it leaves; the commands that call no cloud stand in
:mod:`inventory.cli.runs`. Heavy modules are loaded by the command that needs
them, so that ``--help`` is quick.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from inventory.cli import runs as offline
from inventory.cli.options import (
    Aliases,
    CaBundle,
    Endpoint,
    ExportOutput,
    IamEndpoint,
    LogForm,
    NaiveTimezone,
    Projects,
    Regions,
    RowsPerFile,
    SettingsFile,
    TableFormat,
    TokenFile,
    Versions,
    WorkDir,
    formats_of,
    only_one,
    sources_named,
    text_of,
)
from inventory.cli.process import finish, leaving, resumable, run_checkup, run_discovery, run_export
from inventory.cli.stdout import put, put_place
from inventory.errors import ExitCode, UsageError

app = typer.Typer(
    help="Exports the async-invoke configuration of Huawei Cloud FunctionGraph functions to Parquet and CSV.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
CLICK_ERROR: Final[type[Exception]] = next(
    one for one in typer.BadParameter.__mro__ if one.__name__ == "ClickException"
)
"""What a wrong command line raises; where typer has a copy of click, this is the copy's."""


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer's form
    if wanted:
        from inventory.version import __version__

        with leaving("text", quiet=False):
            put(f"inventory {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    pass


@app.command()
def export(  # noqa: PLR0913, PLR0917 - typer makes an option of each parameter
    source: Annotated[
        list[str] | None,
        typer.Argument(help="Lists of URNs: .txt .csv .tsv .json .jsonl .parquet, each also .gz; - is standard input."),
    ] = None,
    output: ExportOutput = None,
    work_dir: WorkDir = None,
    format: Annotated[  # noqa: A002 - the option's name
        list[TableFormat] | None, typer.Option(help="May be given twice. Default: parquet.")
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Column of the URNs. Default: function_urn, func_urn or urn.")
    ] = None,
    endpoint: Endpoint = None,
    iam_endpoint: IamEndpoint = None,
    region: Annotated[
        list[str] | None, typer.Option(help="Completes short forms of URNs; with --all, a region to look in.")
    ] = None,
    project_id: Annotated[
        list[str] | None, typer.Option(help="Completes short forms of URNs; with --all, a project to look in.")
    ] = None,
    all_functions: Annotated[
        bool, typer.Option("--all", help="List the functions of --region too, as discover does, and ask for them all.")
    ] = False,
    versions: Versions = False,
    aliases: Aliases = False,
    token_file: TokenFile = None,
    ca_bundle: CaBundle = None,
    settings: SettingsFile = None,
    max_workers: Annotated[int | None, typer.Option(help="Calls in flight, at most. Default: 64.")] = None,
    max_per_second: Annotated[
        float | None, typer.Option(help="Calls per second and scope; 0: no cap. Default: 200, or what the server says.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds for one whole call. Default: 30.")] = None,
    attempts: Annotated[int | None, typer.Option(help="Attempts for one URN. Default: 4.")] = None,
    quota_share: Annotated[
        float | None, typer.Option(help="Part of a limit that the server tells which is used. Default: 1, all of it.")
    ] = None,
    max_time: Annotated[
        float | None, typer.Option(help="Seconds after which a run ends in good order (exit code 5). Default: none.")
    ] = None,
    naive_timezone: NaiveTimezone = None,
    rows_per_file: RowsPerFile = None,
    drop_bodies: Annotated[
        bool, typer.Option("--drop-bodies", help="Drop the raw bodies from the ledger once every URN is answered.")
    ] = False,
    no_batch: Annotated[
        bool, typer.Option("--no-batch", help="Ask for each URN alone, also where one call could tell of many.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin again in a folder that holds a run.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked, and ask nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
    log_format: Annotated[LogForm, typer.Option(help="Words on stderr as text or as JSON lines.")] = "text",
) -> None:
    """Ask for the config of every URN and write tables.

    Exit codes: 0 every URN answered; 1 some failed; 2 usage, settings or source; 3 credentials missing or refused;
    4 output cannot be written; 5 stopped by the service; 70 a fault of the program; 129, 130 and 143 stopped by a
    signal.
    """
    with leaving(log_format, quiet=quiet) as log:
        from inventory.cloud.projects import select_projects
        from inventory.pipeline.discover import Discovery
        from inventory.pipeline.dry_run import estimate
        from inventory.pipeline.load import began_with
        from inventory.runs.output import chosen_output, claimed
        from inventory.settings_file import combine, plain_http_warnings

        given = {
            "format": formats_of(format),
            "column": column,
            "endpoint": endpoint,
            "iam_endpoint": iam_endpoint,
            "region": only_one(region, "--region", several=all_functions),
            "project_id": only_one(project_id, "--project-id", several=all_functions),
            "token_file": text_of(token_file),
            "ca_bundle": text_of(ca_bundle),
            "max_workers": max_workers,
            "max_per_second": max_per_second,
            "timeout": timeout,
            "attempts": attempts,
            "quota_share": quota_share,
            "max_time": max_time,
            "naive_timezone": naive_timezone,
            "rows_per_file": rows_per_file,
            "drop_bodies": True if drop_bodies else None,
            "batch": False if no_batch else None,
        }
        if resume and (overwrite or dry_run):
            raise UsageError("--resume goes on with a run, --overwrite and --dry-run do not: give one of them")
        if resume and output is None:
            raise UsageError("--resume needs --output with the folder of the run")
        if all_functions and (source or dry_run):
            raise UsageError(
                "--all finds the list itself, by calls: give it without a list, and without --dry-run (discover writes "
                "a list)"
            )
        if (versions or aliases) and not all_functions:
            raise UsageError("--versions and --aliases go with --all: a list says which URNs to ask for")
        place = chosen_output(output, work_dir, os.environ, resume=resume)
        combined = combine(settings, given, began_with(place.folder) if resume else None)
        if not source and not resume and not all_functions:
            raise UsageError(
                "no list of URNs: name a file, - for standard input, or --all (see inventory export --help)"
            )
        sources = sources_named(source, combined)
        if dry_run:
            put(estimate(sources, combined))
            return
        for words in plain_http_warnings(combined):
            log.complain(words)
        wanted = (
            Discovery(select_projects(combined, region, project_id), versions, aliases) if all_functions else sources
        )
        mode: Literal["new", "resume", "overwrite"] = "resume" if resume else "overwrite" if overwrite else "new"
        with claimed(place) as place, resumable(place):
            result = run_export(wanted, place, combined, mode=mode, environment=os.environ, log=log)
        finish(result, log)


@app.command()
def discover(  # noqa: PLR0913, PLR0917 - typer makes an option of each parameter
    region: Regions = None,
    project_id: Projects = None,
    versions: Versions = False,
    aliases: Aliases = False,
    output: Annotated[
        Path | None, typer.Option(help="List to write: .txt, .jsonl or .parquet. Default: stdout.", readable=False)
    ] = None,
    endpoint: Endpoint = None,
    iam_endpoint: IamEndpoint = None,
    token_file: TokenFile = None,
    ca_bundle: CaBundle = None,
    settings: SettingsFile = None,
    max_per_second: Annotated[float | None, typer.Option(help="Calls per second and scope; 0: no cap.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
    log_format: Annotated[LogForm, typer.Option(help="Words on stderr as text or as JSON lines.")] = "text",
) -> None:
    """List the functions of projects, for export to read. A list that breaks off is not written."""
    with leaving(log_format, quiet=quiet) as log:
        from inventory.cloud.projects import select_projects
        from inventory.pipeline.discover import Discovery
        from inventory.settings_file import combine, plain_http_warnings
        from inventory.sources.writer import check_list, write_list

        given = {
            "endpoint": endpoint,
            "iam_endpoint": iam_endpoint,
            "token_file": text_of(token_file),
            "ca_bundle": text_of(ca_bundle),
            "max_per_second": max_per_second,
        }
        combined = combine(settings, given)
        search = Discovery(select_projects(combined, region, project_id), versions, aliases)
        if output is not None:
            check_list(output)
        for words in plain_http_warnings(combined):
            log.complain(words)
        urns = run_discovery(search, combined, environment=os.environ, log=log).urns()
        if output is None:
            put("".join(f"{urn}\n" for urn in urns), end="")
        else:
            write_list(output, urns)
            put_place(output)
        log.say("discovered", f"{len(urns):,} URNs", urns=len(urns))


@app.command()
def check(  # noqa: PLR0913, PLR0917 - typer makes an option of each parameter
    source: Annotated[list[str] | None, typer.Argument(help="Lists of URNs, whose scopes are checked.")] = None,
    region: Regions = None,
    project_id: Projects = None,
    column: Annotated[str | None, typer.Option(help="Column of the URNs.")] = None,
    endpoint: Endpoint = None,
    iam_endpoint: IamEndpoint = None,
    token_file: TokenFile = None,
    ca_bundle: CaBundle = None,
    settings: SettingsFile = None,
) -> None:
    """Try endpoint, credential and permissions of each scope, and say what to do about what is wrong.

    Exit codes: 0 all is well; 3 something is not.
    """
    with leaving("text", quiet=False) as log:
        from inventory.cloud.projects import select_projects
        from inventory.settings_file import combine, plain_http_warnings

        given = {
            "endpoint": endpoint,
            "iam_endpoint": iam_endpoint,
            "column": column,
            "token_file": text_of(token_file),
            "ca_bundle": text_of(ca_bundle),
        }
        combined = combine(settings, given)
        places = select_projects(combined, region, project_id) if region or project_id or not source else []
        for words in plain_http_warnings(combined):
            log.complain(words)
        found = run_checkup(sources_named(source, combined), places, combined, os.environ)
        put("".join(f"{one.line()}\n" for one in found), end="")
        if not found:
            raise UsageError("there is no scope to check: the lists hold no function URN")
        if not all(one.ok for one in found):
            raise typer.Exit(ExitCode.CREDENTIALS)


for command in (
    offline.tables,
    offline.status,
    offline.diff,
    offline.prune,
    offline.demo,
    offline.emulate,
    offline.schema,
):
    app.command()(command)


def main_command() -> typer.core.TyperGroup:
    """The whole command line. Called as ``app()``, typer would put its own hook in place of what shows a traceback."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)  # noqa: S101 - it has commands
    return group
