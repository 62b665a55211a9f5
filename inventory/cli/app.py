"""The command line: the app and the order of its commands."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from inventory.cli import export, history, review, runs, shards, terraform
from inventory.cli.help import CONTEXT, HelpCommand, HelpGroup
from inventory.cli.process import exit_on_error
from inventory.cli.stdout import print_data

app = typer.Typer(
    help="Exports the async-invoke configuration of Huawei Cloud FunctionGraph functions to Parquet and CSV.",
    cls=HelpGroup,
    context_settings=dict(CONTEXT),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
CLICK_ERROR: Final[type[Exception]] = next(
    cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException"
)
"""What a wrong command line raises; some versions of typer contain a copy of click."""


def _print_version(is_wanted: bool) -> None:  # noqa: FBT001 - typer's signature
    if is_wanted:
        from inventory.version import __version__

        with exit_on_error("text", quiet=False):
            print_data(f"inventory {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


for command in (
    export.export,
    export.discover,
    export.check,
    shards.shard,
    shards.gather,
    runs.tables,
    runs.status,
    history.runs,
    runs.diff,
    review.review,
    terraform.terraform,
    runs.prune,
    runs.demo,
    runs.emulate,
    runs.schema,
):
    app.command(cls=HelpCommand)(command)
app.command("rules", cls=HelpCommand)(review.list_rules)


def main_command() -> typer.core.TyperGroup:
    """The click command of the app. ``app()`` would replace our exception hook by typer's."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)  # noqa: S101 - it has commands
    return group
