"""Options that several commands have, in the words of each of them.

Owns their help. Knows no command.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

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
SettingsFile = Annotated[
    Path | None, typer.Option(help="TOML file with options of the export itself; options win.", readable=False)
]


RunOutput = Annotated[
    Path | None, typer.Option(help="Folder of the run. Default: output/<UTC timestamp>.", readable=False)
]
Versions = Annotated[bool, typer.Option("--versions", help="List the versions of each function too.")]
Aliases = Annotated[bool, typer.Option("--aliases", help="List the aliases of each function too.")]
Regions = Annotated[list[str] | None, typer.Option(help="Region to look in; may be given several times.")]
Projects = Annotated[
    list[str] | None, typer.Option(help="Project of the region; may be given several times. Default: IAM is asked.")
]


class TableFormat(StrEnum):
    """The formats of the tables, in a form that typer can repeat."""

    PARQUET = "parquet"
    CSV = "csv"
