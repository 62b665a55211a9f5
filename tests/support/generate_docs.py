"""Writes the generated parts of the guides: ``python tests/support/generate_docs.py``."""

import sys
from pathlib import Path

import msgspec
import typer

sys.path.insert(0, str(Path(__file__).parents[1]))  # where this file is run as a script

from support.documents import GUIDES, generated, text_of

from inventory.cli.app import app
from inventory.comparison.kinds import CHANGED_KINDS, CHANGES, MEANINGS
from inventory.reviews import findings
from inventory.settings import ExportSettings
from inventory.settings_sources.run_options import declared_options
from inventory.tables.dictionary import to_markdown
from inventory.tables.schema import TABLES


def dictionary():
    """All tables of an export, column by column."""
    return to_markdown(tuple(TABLES.values()))


def changes():
    """The columns of a diff."""
    return to_markdown((CHANGES,))


def kinds():
    """What may have happened to a URN between two runs."""
    rows = [f"| `{kind}` | {'yes' if kind in CHANGED_KINDS else 'no'} | {text} |" for kind, text in MEANINGS.items()]
    return "\n".join(["| kind | a change | meaning |", "|---|---|---|", *rows, ""])


def options():
    """The options of ``inventory export``, from the command itself."""
    command = typer.main.get_command(app).commands["export"]
    keys = {field.encode_name for field in msgspec.structs.fields(ExportSettings)}
    variables = {f"--{declared.command_line_name}" for declared in declared_options().values() if declared.variable}
    lines = ["| option | settings file | environment | meaning |", "|---|---|---|---|"]
    for option in command.params:
        name = next((name for name in option.opts if name.startswith("--")), "--help")
        if name != "--help":
            text = option.help.replace("|", r"\|").replace("<", "&lt;")
            lines.append(f"| `{name}` | {yes(name.removeprefix('--') in keys)} | {yes(name in variables)} | {text} |")
    return "\n".join([*lines, ""])


def yes(is_so):
    """The cell of a column that says yes or nothing."""
    return "yes" if is_so else ""


def reviews():
    """The tables of a review."""
    return to_markdown(tuple(findings.TABLES.values()))


PARTS = {
    "dictionary": ("tables.md", dictionary),
    "kinds": ("diff.md", kinds),
    "changes": ("diff.md", changes),
    "options": ("exporting.md", options),
    "reviews": ("reviews.md", reviews),
}
"""The name of each generated part, its guide, and what makes it."""


def main():
    """Writes every part between its marks."""
    for name, (guide, make) in PARTS.items():
        end = f"<!-- end of {name} -->"
        text = text_of(guide).replace(generated(guide, name) + end, make() + end)
        (GUIDES / guide).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
