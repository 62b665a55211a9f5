"""Builds the parameters of commands from the declared options."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from inspect import Parameter, signature
from pathlib import Path
from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from inventory.errors import UsageError
from inventory.option import DeclaredOption
from inventory.settings_sources.run_options import declared_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inventory.settings import ExportSettings
    from inventory.sources.files import Source

Command = TypeVar("Command", bound=Callable[..., None])

REPEATABLE_REGION: Final = {
    "region": "Region to look in (repeatable).",
    "project_id": "Project of the region (repeatable). Default: all that IAM lists.",
}


def _folder(text: str) -> Path:
    if "://" in text:
        raise typer.BadParameter("this must be a local folder; for a run in an object store, give its work folder")
    return Path(text)


def find_run_folder(name: str, history: str) -> Path:
    """The local folder of a run, which may be called ``latest`` or ``latest~1``.

    Raises:
        UsageError: there is no such run, or it is in an object store.
    """
    from inventory.runs.latest import resolve_run

    place = resolve_run(name, history)
    if "://" in place:
        raise UsageError(f"{place} is no local folder; for a run in an object store, give its work folder")
    return Path(place)


def _runs_folder(text: str) -> Path:
    if "://" in text:
        raise typer.BadParameter("this must be a local folder; in an object store, a lifecycle rule removes old runs")
    if not text:  # an unset shell variable would otherwise remove the runs of the working directory
        raise typer.BadParameter("the name of the folder is empty")
    return Path(text)


RunFolder = Annotated[
    str,
    typer.Argument(
        metavar="DIR", help="Folder of the run, or latest or latest~1; for a run in a store, its work folder."
    ),
]
DEFAULT_HISTORY: Final = "output"
HistoryFolder = Annotated[
    str,
    typer.Option(
        help="Folder of runs, in which latest is the newest and latest~1 the one before.",
        metavar="DIR",
        rich_help_panel="Input",
    ),
]
RunsFolder = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", help="Folder that contains run folders, such as output.", parser=_runs_folder),
]
DemoOutput = Annotated[
    Path | None,
    typer.Option(help="Folder of the run. Default: output/<UTC timestamp>.", metavar="PATH", parser=_folder),
]
RUN_LOCATION: Final = "folder of a finished run, latest, latest~1, or s3://bucket/prefix or obs://bucket/prefix"


def _choice_list(choices: Sequence[str]) -> Any:  # noqa: ANN401 - a type
    """The type of an option that accepts several of these texts; typer repeats an enum, but no ``Literal``."""
    make_enum: Any = StrEnum  # mypy checks enums of literal members only
    return GenericAlias(list, (make_enum("Choice", {choice.upper(): choice for choice in choices}),))


def with_options(*names: str, helps: Mapping[str, str] | None = None) -> Callable[[Command], Command]:
    """Adds declared options to a command, which receives them as ``**options``.

    ``names`` has the order of ``--help`` and may contain the command's own parameters; ``helps`` replaces help texts.
    """

    def add(command: Command) -> Command:
        own = {
            name: parameter.replace(kind=Parameter.KEYWORD_ONLY)
            for name, parameter in signature(command, eval_str=True).parameters.items()
            if parameter.kind is not Parameter.VAR_KEYWORD
        }
        declared, texts = declared_options(), helps or {}
        added = {name: own.get(name) or _parameter(declared[name], texts.get(name)) for name in names}
        parameters = [*(own[name] for name in own if name not in names), *added.values()]
        command.declared_options = frozenset(added) - frozenset(own)  # type: ignore[attr-defined] # HelpCommand reads it
        command.__signature__ = signature(command).replace(parameters=parameters)  # type: ignore[attr-defined] # inspect reads it
        return command

    return add


def _parameter(declared: DeclaredOption, text: str | None) -> Parameter:
    option = declared.option
    kind: Any = Path if option.is_path and declared.is_setting else declared.kind
    default: Any = None
    flags = (f"--{option.command_line_name}",) if option.command_line_name else ()
    if kind is bool:
        default, flags = False, (f"--{declared.command_line_name}",)
    elif option.is_repeatable:
        kind = (_choice_list(declared.choices) if declared.choices else list[str]) | None
    elif declared.is_setting or declared.default is None:
        kind = kind | None
    else:
        default = declared.default
    info = typer.Option(
        *flags,
        help=text or declared.help,
        readable=False,
        rich_help_panel=option.panel,
        metavar=option.metavar,
        envvar=None if declared.is_setting else declared.variable,
    )
    return Parameter(declared.keyword, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


def given_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the command line contains."""
    return {name: value for name, value in options.items() if value not in (None, []) and value is not False}


def open_sources(names: list[str] | None, settings: ExportSettings) -> list[Source]:
    """The lists of these names, after a check that each can be opened."""
    from inventory.sources.files import Source, check_unique_streams

    sources = [Source(name, settings.column) for name in names or []]
    check_unique_streams(sources)
    for source in sources:
        source.check()
    return sources
