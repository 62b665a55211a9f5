"""Commands of a run in shards: shard, gather; options of export that divide it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from inventory.cli.measurement import Measurement, measured
from inventory.cli.options import with_options
from inventory.cli.process import exit_on_error, finish, resumable, run_observed
from inventory.cli.signals import read_stdin
from inventory.cli.stdout import print_data, print_path
from inventory.errors import ExitCode, UsageError
from inventory.settings_sources.run_options import declared_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inventory.display.log import Log
    from inventory.pipeline.discover import Discovery
    from inventory.progress import ProgressObserver
    from inventory.runs.folder import Mode
    from inventory.runs.output import Output
    from inventory.settings import ExportSettings
    from inventory.sharding.plan import Sharding
    from inventory.sources.files import Source

_NAMES: Final = ("engine", "processes", "scheduler", "urns_per_shard", "endpoint_share")
_INDEX: Final = "JOB_COMPLETION_INDEX"

_Place = Annotated[
    str, typer.Argument(metavar="PLACE", help="Folder of the run that all processes see, or its s3:// or obs:// URL.")
]


def take_sharding(options: Mapping[str, Any], output: Output, *, resume: bool) -> Sharding | None:
    """How the options divide a run; None: it has one process.

    Raises:
        UsageError: they contradict each other, or a value cannot be used.
    """
    given = {name: options[name] for name in _NAMES if options[name] is not None}
    if not given and not options["plan_only"] and not resume:
        return None
    from inventory.sharding.engines import DEFAULT, find_engine
    from inventory.sharding.export import recorded_sharding
    from inventory.sharding.plan import Sharding

    _check_bounds(given)
    before = recorded_sharding(output.folder) if resume else None
    if options["plan_only"]:
        if "engine" in given:
            raise UsageError("--plan-only writes the plan and fetches nothing: omit --engine")
        return Sharding(**given)
    if before is None and "engine" not in given:
        if given:
            raise UsageError(f"--{next(iter(given)).replace('_', '-')} needs --engine")
        return None
    sharding = (before or Sharding())._replace(**given)
    find_engine(sharding.engine or DEFAULT)
    return sharding._replace(engine=sharding.engine or DEFAULT)


def _check_bounds(given: Mapping[str, Any]) -> None:
    declared = declared_options()
    for name, value in given.items():
        bounds = declared[name].option.bounds
        if bounds is not None and not bounds.hold(value):
            raise UsageError(f"--{name.replace('_', '-')} {value} cannot be used; give {bounds.text}")


def export_in_shards(
    sources: list[Source] | Discovery,
    output: Output,
    settings: ExportSettings,
    sharding: Sharding,
    *,
    mode: Mode,
    log: Log,
    measurement: Measurement,
) -> None:
    """Runs an export in shards, or writes its plan, and exits."""
    from inventory.display.formatting import format_count
    from inventory.runs.shard_plan import Plan
    from inventory.sharding import export as flow

    with resumable(output):
        result = run_observed(
            lambda observer: flow.export_in_shards(
                sources, output, settings, sharding, mode=mode, environment=os.environ, observer=observer
            ),
            log,
            phases=measurement.phases,
        )
    if isinstance(result, Plan):
        urns = sum(shard.entries for shard in result.shards)
        log.say("plan", f"{format_count(len(result.shards), 'shard')} of {format_count(urns, 'URN')}", urns=urns)
        print_path(output)
        return
    measurement.add_run(result.manifest)
    finish(result, log)


@with_options(
    "number",
    "part",
    "of",
    "work_dir",
    "endpoint_share",
    "max_time",
    "quiet",
    "log_format",
    helps={"endpoint_share": "Share of limits that all processes share (policies ip and api). Default: all."},
)
def shard(
    place: _Place,
    number: Annotated[int | None, typer.Argument(min=0, help="Number of the shard.")] = None,
    part: Annotated[
        int | None, typer.Option(min=0, help=f"Fetch the shards PART, PART + OF, ... Default: ${_INDEX}.")
    ] = None,
    of: Annotated[int | None, typer.Option(min=1, help="Number of parts.")] = None,
    work_dir: Annotated[
        Path | None,
        typer.Option(help="Folder on a local disk for the ledger, which is then copied to PLACE. Default: in PLACE."),
    ] = None,
    more_from_stdin: Annotated[
        bool,
        typer.Option(
            "--more-from-stdin",
            help="Print the exit code, then fetch the shard of the next number on standard input; stop at its end.",
        ),
    ] = False,
    **options: Any,  # noqa: ANN401 - each option has its own type
) -> None:
    """Fetch one shard of a plan, or one part of all shards.

    An engine runs this command; for other schedulers, run it once for each part, then inventory gather. The exit codes
    are those of export.
    """
    with exit_on_error(options["log_format"], quiet=options["quiet"]) as log:
        from inventory.runs.shard_plan import read_plan
        from inventory.scheduling.threads import run_cancellable
        from inventory.sharding.shard import ShardOptions, run_shards
        from inventory.storage.folder_store import open_store

        share = options["endpoint_share"]
        _check_bounds({} if share is None else {"endpoint_share": share})
        opened = open_store(place, os.environ)
        plan = read_plan(opened)
        numbers = [number] if number is not None else _numbers_of_part(part, of, len(plan.shards))
        if number is not None and (part, of) != (None, None):
            raise UsageError("give the NUMBER of a shard, or --part and --of")
        shard_options = ShardOptions(work_dir, share or 1.0, options["max_time"])

        async def fetch(observer: ProgressObserver) -> ExitCode:
            wanted = list(numbers)
            lines = read_stdin(observer) if more_from_stdin else None
            while True:
                code = await run_shards(opened, plan, wanted, shard_options, environment=os.environ, observer=observer)
                if lines is None:
                    return code
                print_data(str(int(code)))
                line = await run_cancellable(observer.check_cancelled, lines.get)
                if not line.strip().isdecimal():
                    return code
                wanted = [int(line)]

        code = run_observed(fetch, log)
        if code:
            raise typer.Exit(code)


def _numbers_of_part(part: int | None, of: int | None, count: int) -> list[int]:
    if part is None and os.environ.get(_INDEX, "").isdecimal():
        part = int(os.environ[_INDEX])
    if part is None or of is None:
        raise UsageError("name a shard by its NUMBER, or give --part and --of")
    if part >= of:
        raise UsageError(f"--part {part} is none of {of} parts, which are counted from 0")
    return [*range(part, count, of)]


@with_options("work_dir", "metrics_file", "quiet", "log_format")
def gather(place: _Place, **options: Any) -> None:  # noqa: ANN401 - each option has its own type
    """Build tables and manifest from the delivered shards of a run.

    URNs of shards that are missing are not_attempted; run it again when they are delivered. The exit codes are those of
    export.
    """
    with (
        exit_on_error(options["log_format"], quiet=options["quiet"]) as log,
        measured("export", options["metrics_file"], log) as measurement,
    ):
        from inventory.runs.output import resolve_output
        from inventory.sharding import export as flow

        output = resolve_output(place, options["work_dir"], os.environ, resume=True)
        with resumable(output):
            result = run_observed(
                lambda observer: flow.gather(output, os.environ, observer), log, phases=measurement.phases
            )
        measurement.add_run(result.manifest)
        finish(result, log)
