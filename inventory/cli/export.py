"""Commands that call the cloud: export, discover, check."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from inventory.cli import shards
from inventory.cli.measurement import measured
from inventory.cli.options import REPEATABLE_REGION, given_options, open_sources, with_options
from inventory.cli.process import exit_on_error, finish, resumable, run_checkup, run_discovery, run_export
from inventory.cli.stdout import is_terminal, print_data, print_path
from inventory.errors import ExitCode, UsageError
from inventory.settings_sources.run_options import declared_options

if TYPE_CHECKING:
    from inventory.runs.folder import Mode

Sources = Annotated[
    list[str] | None,
    typer.Argument(help="Lists of URNs: .txt .csv .tsv .json .jsonl .parquet, each also .gz; - is standard input."),
]


@with_options(*declared_options())
def export(source: Sources = None, **options: Any) -> None:  # noqa: ANN401 - each option has its own type
    """Export the configuration of every URN to tables.

    Exit codes: 0 every URN answered; 1 some URNs failed; 2 usage, settings or source; 3 credentials missing or refused;
    4 output cannot be written; 5 stopped by the service; 70 fault of the program; 129, 130 and 143 stopped by a signal.
    """
    metrics_file = None if options["dry_run"] or options["plan_only"] else options["metrics_file"]
    with (
        exit_on_error(options["log_format"], quiet=options["quiet"]) as log,
        measured("export", metrics_file, log) as measurement,
    ):
        from inventory.pipeline.discover import Discovery, chosen_reports
        from inventory.pipeline.load import began_with
        from inventory.runs.output import reserve_folder, resolve_output
        from inventory.settings_sources.checks import check_combination, plain_http_warnings
        from inventory.settings_sources.combine import chosen_settings, combine

        resume, is_discovery = options["resume"], options["all"]
        check_combination(options, has_source=bool(source))
        reports = chosen_reports(options)
        output = resolve_output(options["output"], options["work_dir"], os.environ, resume=resume)
        settings = combine(
            options["settings"],
            chosen_settings(given_options(options), several=is_discovery),
            began_with(output.folder) if resume else None,
        )
        if not source and not resume and not is_discovery:
            raise UsageError(
                "no list of URNs; name a file, - for standard input, or --all (see inventory export --help)"
            )
        sources = open_sources(source, settings)
        if options["dry_run"]:
            from inventory.pipeline.dry_run import estimate

            print_data(estimate(sources, settings))
            return
        for message in plain_http_warnings(settings):
            log.complain(message)
        search = None
        if is_discovery:
            from inventory.cloud.projects import select_projects

            projects = select_projects(settings, options["region"], options["project_id"])
            search = Discovery(projects, options["versions"], options["aliases"], reports)
        mode: Mode = "resume" if resume else "overwrite" if options["overwrite"] else "new"
        sharding = shards.take_sharding(options, output, resume=resume)
        if sharding is not None:
            with reserve_folder(output) as output:
                shards.export_in_shards(
                    search or sources, output, settings, sharding, mode=mode, log=log, measurement=measurement
                )
            return
        with reserve_folder(output) as output, resumable(output):
            result = run_export(
                search or sources,
                output,
                settings,
                mode=mode,
                environment=os.environ,
                log=log,
                phases=measurement.phases,
            )
        measurement.add_run(result.manifest)
        finish(result, log)


@with_options(
    "region",
    "project_id",
    "versions",
    "aliases",
    "output",
    "endpoint",
    "iam_endpoint",
    "token_file",
    "ca_bundle",
    "transport",
    "settings",
    "max_per_second",
    "quiet",
    "log_format",
    helps=REPEATABLE_REGION,
)
def discover(
    output: Annotated[
        Path | None, typer.Option(help="File to write: .txt, .jsonl or .parquet. Default: stdout.", readable=False)
    ] = None,
    **options: Any,  # noqa: ANN401 - each option has its own type
) -> None:
    """List the functions of projects, as input for export.

    A partial list is not written.
    """
    with exit_on_error(options["log_format"], quiet=options["quiet"]) as log:
        from inventory.cloud.projects import select_projects
        from inventory.display.formatting import format_count
        from inventory.pipeline.discover import Discovery
        from inventory.settings_sources.checks import plain_http_warnings
        from inventory.settings_sources.combine import chosen_settings, combine
        from inventory.sources.writer import check_list, write_list

        region, project_id = options.pop("region"), options.pop("project_id")
        settings = combine(options["settings"], chosen_settings(given_options(options)))
        search = Discovery(select_projects(settings, region, project_id), options["versions"], options["aliases"])
        if output is not None:
            check_list(output)
        for message in plain_http_warnings(settings):
            log.complain(message)
        urns = run_discovery(search, settings, environment=os.environ, log=log).urns()
        if output is None:
            print_data("".join(f"{urn}\n" for urn in urns), end="")
        else:
            write_list(output, urns)
            print_path(output)
        log.say("discovered", format_count(len(urns), "URN"), urns=len(urns))


@with_options(
    "region",
    "project_id",
    "column",
    "endpoint",
    "iam_endpoint",
    "token_file",
    "ca_bundle",
    "transport",
    "settings",
    helps=REPEATABLE_REGION,
)
def check(
    source: Annotated[list[str] | None, typer.Argument(help="Lists of URNs whose scopes are checked.")] = None,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["text", "json"], typer.Option(help="Format of the output.", rich_help_panel="Run")
    ] = "text",
    **options: Any,  # noqa: ANN401 - each option has its own type
) -> None:
    """Check endpoint, credential and permissions of each scope.

    It says how to fix each problem. Exit codes: 0 no problem; 3 some scope has a problem.
    """
    with exit_on_error("text", quiet=False) as log:
        from inventory.cloud.projects import select_projects
        from inventory.settings_sources.checks import plain_http_warnings
        from inventory.settings_sources.combine import chosen_settings, combine

        region, project_id = options.pop("region"), options.pop("project_id")
        settings = combine(options["settings"], chosen_settings(given_options(options)))
        projects = select_projects(settings, region, project_id) if region or project_id or not source else []
        for message in plain_http_warnings(settings):
            log.complain(message)
        results = run_checkup(open_sources(source, settings), projects, settings, os.environ)
        if not results:
            raise UsageError("there is no scope to check: the lists contain no function URN; give a list with one")
        if format == "json":
            print_data(json.dumps([result.as_object() for result in results], indent=2))
        else:
            from inventory.cli.check import as_text

            print_data(as_text(results, shutil.get_terminal_size().columns if is_terminal() else None))
        if not all(result.ok for result in results):
            raise typer.Exit(ExitCode.CREDENTIALS)
