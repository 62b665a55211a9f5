"""Writes a review as one HTML file that needs nothing else."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib import resources
from typing import IO, TYPE_CHECKING, Any, Final

import jinja2
import pyarrow as pa

from inventory.display.formatting import format_number, format_share
from inventory.printable import printable, shell_word
from inventory.reviews.page import first_screen
from inventory.reviews.page.embed import encode_data
from inventory.reviews.page.pictures import draw_pictures
from inventory.reviews.page.sample import FindingSample
from inventory.settings import SEVERITIES
from inventory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inventory.reviews.reviewed import Reviewed

MAX_BYTES: Final = 5_000_000
_STYLES: Final = ("report.css", "pictures.css")
_SCRIPTS: Final = ("findings.js", "filters.js", "rows.js", "report.js")


def write_page(reviewed: Reviewed, sink: IO[bytes]) -> None:
    """Writes a page of at most 5 MB; if it has not all findings, it has the most severe, and says so."""
    sample = FindingSample(reviewed)
    pictures = draw_pictures(reviewed)
    kept = sample.total
    while True:
        failures, others = sample.take(kept)
        numbers = {
            "total": sample.total,
            "total_open": sample.open_failures,
            "kept": failures.num_rows + others.num_rows,
            "kept_open": failures.num_rows,
        }
        page = _render(reviewed, pa.concat_tables([failures, others]), {**numbers, "pictures": pictures})
        if len(page) <= MAX_BYTES or not numbers["kept"]:
            break
        kept = numbers["kept"] * 9 // 10
    sink.write(page)


def _render(reviewed: Reviewed, rows: pa.Table, values: dict[str, Any]) -> bytes:
    style, script = _inline(_STYLES), _inline(_SCRIPTS)
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"printable": _printable, "number": format_number, "share": format_share}
    template = environment.from_string(_read("report.html.j2"))
    text = template.render(
        **_facts(reviewed, rows),
        **values,
        policy=(
            f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        ),
        style=style,
        script=script,
        data=encode_data(reviewed, rows),
    )
    return text.encode(errors="backslashreplace")


def _facts(reviewed: Reviewed, rows: pa.Table) -> dict[str, Any]:
    details, steps = reviewed.details, first_screen.first_steps(reviewed, rows)
    return {
        "headline": first_screen.headline(reviewed),
        "lede": first_screen.lede(steps),
        "taken": reviewed.taken,
        "facts": first_screen.facts(reviewed),
        "tiles": first_screen.tiles(reviewed),
        "steps": steps,
        "coverage": first_screen.coverage(reviewed),
        "unknown": first_screen.unknown(reviewed),
        "states": first_screen.states(reviewed),
        "trend": first_screen.trend(reviewed),
        "severities": SEVERITIES,
        "rules": reviewed.summary.to_pylist(),
        "notes": [*details.assumptions, *reviewed.warnings],
        "new_only": details.new_only,
        "command": f"inventory review {shell_word(details.run)} --format csv --output findings.csv",
        "version": __version__,
    }


def _printable(text: object) -> str:
    return printable(str(text))


def _read(name: str) -> str:
    return resources.files("inventory.reviews.page").joinpath(name).read_text("utf-8")


def _inline(names: Iterable[str]) -> str:
    return "\n".join(map(_read, names))


def _hash(text: str) -> str:
    """A source expression of a content security policy."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
