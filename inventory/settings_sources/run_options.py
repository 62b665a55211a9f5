"""Declares the options of a run that no settings file has, and lists all options."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - the types are read when options are declared
from typing import Annotated

import msgspec

from inventory.option import Bounds, DeclaredOption, Option, declared_in
from inventory.settings import ExportSettings, LogFormat, Report


class RunOptions:
    """The options that no settings file has, because they belong to one run."""

    output: Annotated[
        str | None,
        Option(
            "Folder of the run, or s3://bucket/prefix or obs://bucket/prefix. Default: output/<UTC timestamp>.",
            is_path=True,
            before="format",
            panel="Run",
            metavar="DIR|URL",
        ),
    ] = None
    work_dir: Annotated[
        Path | None,
        Option(
            "With s3:// or obs://: folder of the ledger. Default: a folder in the user's state directory.",
            is_path=True,
            before="format",
            panel="Run",
            metavar="DIR",
        ),
    ] = None
    all: Annotated[
        bool,
        Option(
            "List the functions of --region, as discover does, and export them all.", before="token_file", panel="Input"
        ),
    ] = False
    versions: Annotated[bool, Option("List the versions of each function too.", before="token_file", panel="Input")] = (
        False
    )
    aliases: Annotated[bool, Option("List the aliases of each function too.", before="token_file", panel="Input")] = (
        False
    )
    include: Annotated[
        tuple[Report, ...],
        Option(
            "With --all: a table of top failing functions, reserved instances or quotas too (repeatable).",
            is_repeatable=True,
            before="token_file",
            command_line_name="with",
            panel="Input",
        ),
    ] = ()
    settings: Annotated[
        Path | None,
        Option(
            "TOML file with options; the command line wins.",
            is_path=True,
            before="max_workers",
            has_variable=True,
            panel="Run",
            metavar="FILE",
        ),
    ] = None
    resume: Annotated[bool, Option("Continue the run in --output.", panel="Run")] = False
    overwrite: Annotated[bool, Option("Start again in a folder that contains a run.", panel="Run")] = False
    dry_run: Annotated[
        bool, Option("Show what would be called, and call nothing.", is_python_keyword=False, panel="Run")
    ] = False
    engine: Annotated[
        str | None,
        Option(
            "Engine that fetches in several processes; see inventory/docs/scale-out.md. Default: one process.",
            is_python_keyword=False,
            panel="Run",
            metavar="NAME",
        ),
    ] = None
    processes: Annotated[
        int | None,
        Option(
            "With --engine: number of processes. Default: one for each core.",
            Bounds("a number from 1 to 1000", 1, 1000),
            is_python_keyword=False,
            panel="Run",
        ),
    ] = None
    scheduler: Annotated[
        str | None,
        Option(
            "With --engine: address of its running scheduler. Default: this machine.",
            is_python_keyword=False,
            panel="Run",
            metavar="URL",
        ),
    ] = None
    urns_per_shard: Annotated[
        int | None,
        Option(
            "With --engine or --plan-only: maximum URNs of a shard; a scope is never split. Default: 25000.",
            Bounds("1 or more", 1),
            is_python_keyword=False,
            panel="Run",
        ),
    ] = None
    endpoint_share: Annotated[
        float | None,
        Option(
            "With --engine: share of each process of limits that all share (policies ip and api). Default: equal.",
            Bounds("a share, from above 0 to 1", 0, 1, excludes_minimum=True),
            is_python_keyword=False,
            panel="Run",
        ),
    ] = None
    plan_only: Annotated[
        bool, Option("Write the plan and the lists of the shards, then stop.", is_python_keyword=False, panel="Run")
    ] = False
    metrics_file: Annotated[
        Path | None,
        Option(
            "Metrics of the run in Prometheus' text format, for node_exporter's textfile collector.",
            is_path=True,
            is_python_keyword=False,
            has_variable=True,
            panel="Run",
            metavar="FILE",
        ),
    ] = None
    quiet: Annotated[bool, Option("Show errors only.", is_python_keyword=False, has_variable=True, panel="Run")] = False
    log_format: Annotated[
        LogFormat,
        Option("Messages on stderr as text or as JSON lines.", is_python_keyword=False, has_variable=True, panel="Run"),
    ] = "text"


def declared_options() -> dict[str, DeclaredOption]:
    """Every option of an export by its keyword, in the order of the command line."""
    others = declared_in(RunOptions, vars(RunOptions), is_setting=False)
    defaults = {field.name: field.default for field in msgspec.structs.fields(ExportSettings)}
    ordered: list[DeclaredOption] = []
    for setting in declared_in(ExportSettings, defaults, is_setting=True):
        ordered += [other for other in others if other.option.before == setting.name]
        ordered.append(setting)
    ordered += [other for other in others if not other.option.before]
    return {declared.keyword: declared for declared in ordered}
