"""The documents: README, guides, architecture and decisions, and the blocks of code in them."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "inventory"
GUIDES = PACKAGE / "docs"
README = ROOT / "README.md"
ARCHITECTURE = PACKAGE / "ARCHITECTURE.md"
MANUAL = (README, *sorted(GUIDES.glob("*.md")))
"""What users read: every command and snippet in it is run."""
DOCUMENTS = (*MANUAL, ARCHITECTURE, *sorted((GUIDES / "decisions").glob("*.md")))


NOTEBOOKS = tuple(sorted((ROOT / "notebooks").glob("*.ipynb")))


class Block(NamedTuple):
    """A fenced block of a document."""

    language: str
    code: str


def text_of(document):
    """The text of README.md, or of a guide by its name."""
    path = GUIDES / document if isinstance(document, str) else document
    return path.read_text(encoding="utf-8")


def blocks(document, *languages):
    """The fenced blocks of a document in their order, of some languages or of all."""
    found = [
        Block(*match) for match in re.findall(r"^```(\w*)\n(.*?)^```$", text_of(document), re.MULTILINE | re.DOTALL)
    ]
    return [block for block in found if not languages or block.language in languages]


def commands(document):
    """The lines of all bash blocks of a document."""
    return [line for block in blocks(document, "bash") for line in block.code.splitlines()]


def generated(document, name):
    """The text between the marks ``<!-- name: ... -->`` and ``<!-- end of name -->``."""
    marks = re.search(rf"<!-- {name}\b[^\n]*-->\n(.*?)<!-- end of {name} -->", text_of(document), re.DOTALL)
    return marks[1]


def table_rows(text):
    """The cells of the rows of the first Markdown table of a text, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[cell.strip() for cell in row] for row in rows[2:]]
