"""Options that several commands have, in the words of each of them, and what is made of what was given.

Owns their help. Knows no command.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from inventory.errors import UsageError

if TYPE_CHECKING:
    from inventory.settings import ExportSettings
    from inventory.sources.files import Source

LogForm = Literal["text", "json"]

Endpoint = Annotated[
    str | None, typer.Option(help="Base URL; may contain {region}. Default: Huawei Cloud's of each region.")
]
IamEndpoint = Annotated[str | None, typer.Option(help="IAM's base URL; may contain {region}.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File that holds an IAM token. Default: what the environment has, see the README.", readable=False
    ),
]
CaBundle = Annotated[
    Path | None,
    typer.Option(
        help="PEM file of the authorities to trust instead of the system's. Default: SSL_CERT_FILE, see the README.",
        readable=False,
    ),
]
SettingsFile = Annotated[
    Path | None, typer.Option(help="TOML file with options of the export itself; options win.", readable=False)
]


def _folder(text: str) -> Path:
    if "://" in text:
        raise typer.BadParameter(
            "a folder is needed here: only export goes to a store; what works on a run takes its work folder"
        )
    return Path(text)


ExportOutput = Annotated[
    str | None,
    typer.Option(
        help="Folder of the run, or s3://bucket/prefix or obs://bucket/prefix. Default: output/<UTC timestamp>."
    ),
]
WorkDir = Annotated[
    Path | None,
    typer.Option(
        help="With s3:// or obs://: folder of the ledger. Default: one of the URL in the user's state directory.",
        readable=False,
    ),
]
RunOutput = Annotated[
    Path | None,
    typer.Option(help="Folder of the run. Default: output/<UTC timestamp>.", metavar="PATH", parser=_folder),
]
Versions = Annotated[bool, typer.Option("--versions", help="List the versions of each function too.")]
Aliases = Annotated[bool, typer.Option("--aliases", help="List the aliases of each function too.")]
Regions = Annotated[list[str] | None, typer.Option(help="Region to look in; may be given several times.")]
Projects = Annotated[
    list[str] | None, typer.Option(help="Project of the region; may be given several times. Default: IAM is asked.")
]


NaiveTimezone = Annotated[
    str | None, typer.Option(help="Zone in which a time without a zone is read. Default: such a time stays text.")
]
RowsPerFile = Annotated[
    int | None,
    typer.Option(help="A table of more rows becomes a folder of files, as functions/part-00000.parquet. 0: one file."),
]
RunFolderNamed = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", help="Folder of the run; of one that goes to a store, its work folder.", parser=_folder
    ),
]
RUN_PLACE: Final = "folder of a finished run, or s3://bucket/prefix or obs://bucket/prefix"


def _folder_of_runs(text: str) -> Path:
    if "://" in text:
        raise typer.BadParameter("a folder is needed here: in a store, a lifecycle rule removes what is old")
    if not text:  # a variable of a shell that is not set: the runs of this folder would go
        raise typer.BadParameter("the name of the folder is empty")
    return Path(text)


FolderOfRuns = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", help="Folder that holds the runs' folders, as output.", parser=_folder_of_runs),
]


class TableFormat(StrEnum):
    """The formats of the tables, in a form that typer can repeat."""

    PARQUET = "parquet"
    CSV = "csv"


def sources_named(names: list[str] | None, settings: ExportSettings) -> list[Source]:
    """The lists that are named, each of which can be opened."""
    from inventory.sources.files import Source, check_unique_streams  # noqa: PLC0415 - heavy, and --help stays quick

    sources = [Source(name, settings.column) for name in names or []]
    check_unique_streams(sources)
    for source in sources:
        source.check()
    return sources


def only_one(given: list[str] | None, name: str, *, several: bool) -> str | None:
    """The one value of an option that may be given several times, where it must not be."""
    if given and len(given) > 1 and not several:
        raise UsageError(f"{name} is given {len(given)} times: several go with --all")
    return given[0] if given and len(given) == 1 else None


def formats_of(given: list[TableFormat] | None) -> tuple[str, ...] | None:
    """The formats that are given, each once."""
    return None if given is None else tuple(dict.fromkeys(one.value for one in given))


def text_of(path: Path | None) -> str | None:
    """A path as the settings hold it."""
    return None if path is None else str(path)
