"""Command that writes Terraform blocks: terraform."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inventory.cli.options import DEFAULT_HISTORY, RUN_LOCATION, HistoryFolder
from inventory.cli.process import exit_on_error
from inventory.cli.review import RulesFolder
from inventory.cli.signals import interrupted_by_signals
from inventory.cli.stdout import open_output, print_path
from inventory.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inventory.display.log import Log
    from inventory.terraform.generate import Counts, Scope


def _folder(text: str) -> Path:
    if "://" in text:
        raise typer.BadParameter("this must be a local folder: files of Terraform are not uploaded")
    if not text:  # an unset shell variable would otherwise write into the working directory
        raise typer.BadParameter("the name of the folder is empty")
    return Path(text)


def terraform(
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT", help=f"The run: {RUN_LOCATION}.")],
    state: Annotated[
        list[Path] | None,
        typer.Option(
            help="Output of terraform show -json (repeatable).", readable=False, metavar="FILE", rich_help_panel="Input"
        ),
    ] = None,
    findings: Annotated[
        Path | None,
        typer.Option(
            help="Findings of inventory review (.csv, .parquet, .json): their fixes become comments.",
            readable=False,
            metavar="FILE",
            rich_help_panel="Input",
        ),
    ] = None,
    rules: RulesFolder = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder to write: a folder a project. Default: stdout.", parser=_folder, metavar="DIR"),
    ] = None,
    history: HistoryFolder = DEFAULT_HISTORY,
) -> None:
    """Write Terraform blocks of the configurations of a run.

    Each configured URN gets a resource and an import block; what HCL or the provider cannot express is a comment. With
    --state: what is unmanaged, has drifted or is gone. It calls no cloud. Exit codes: 0 written; 2 wrong usage; 4 a
    table or a file cannot be read or written.
    """
    with exit_on_error("text", quiet=False) as log:
        if rules is not None and findings is None:
            raise UsageError("--rules needs --findings: it has the fixes of their rules")
        from inventory.runs.files import open_run
        from inventory.runs.latest import resolve_run
        from inventory.runs.listing_coverage import read_coverage
        from inventory.terraform.generate import Generator
        from inventory.terraform.state import read_states

        with interrupted_by_signals():
            run = open_run(resolve_run(snapshot, history))
            generator = Generator(
                None if state is None else read_states(state), read_coverage(run.manifest), _fixes(findings, rules)
            )
            pieces = generator.generate(run)
            if output is None:
                with open_output(None, binary=False, escapes=True) as sink:
                    for _, text in pieces:
                        sink.write(text.encode())
            else:
                _write_folder(output, pieces, log)
        log.say("terraform", *_summary(generator.counts, has_state=state is not None))


def _fixes(findings: Path | None, folder: Path | None) -> Callable[[str], list[tuple[str, str]]]:
    if findings is None:
        return lambda _: []
    from inventory.reviews.fixes import Fixes
    from inventory.reviews.selection import all_rules
    from inventory.settings import ReviewSettings

    return Fixes(findings, all_rules(ReviewSettings(), folder).rules).of


def _write_folder(output: Path, pieces: Iterator[tuple[Scope, str]], log: Log) -> None:
    from inventory.terraform.output_folder import find_stale, write_folders

    written = write_folders(output, pieces)
    for path in find_stale(output, written):
        log.complain(f"warning: {path} is of an earlier run, and this one has nothing of its project; delete it")
    for path in written:
        print_path(path)


def _summary(counts: Counts, *, has_state: bool) -> Iterator[str]:
    """Words the counts; a count of zero is left out, except that of configured URNs."""
    from inventory.display.formatting import format_count, format_number

    parts = {
        "with blocks": counts.blocks,
        "managed by a state": counts.managed,
        "not expressible": counts.inexpressible,
        "of functions with several": counts.several,
        "listed with and without latest": counts.repeated,
    }
    known = ", ".join(f"{format_number(count)} {words}" for words, count in parts.items() if count)
    yield f"{format_count(counts.configured, 'configuration')}{known and ': '}{known}"
    if has_state:
        resources = {
            "in sync": counts.in_sync,
            "with drift": counts.drift,
            "gone": counts.gone,
            "not compared": counts.not_compared,
        }
        unmanaged = counts.blocks + counts.inexpressible + counts.several
        total = format_count(sum(resources.values()), "resource")
        states = ", ".join(f"{format_number(count)} {words}" for words, count in resources.items())
        yield f"{total} in the states: {states}; {format_number(unmanaged)} unmanaged"
    if counts.unknown:
        yield f"{format_count(counts.unknown, 'URN')} without an answer, which inventory export --resume asks again"
    if counts.fixed:
        yield f"{format_count(counts.fixed, 'URN or function', 'URNs or functions')} with fixes of the review"
