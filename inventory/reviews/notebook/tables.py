"""Sortable and small tables in a notebook; cells are text, never markup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from inventory.errors import UsageError
from inventory.reviews.labels import cut

try:
    import itables
    from IPython.display import HTML, display
except ModuleNotFoundError as missing:
    raise UsageError(f"tables need {missing.name}: pip install 'functiongraph-inventory[notebooks]'") from None

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

_MAX_ROWS: Final = 20_000
_MAX_CHARACTERS: Final = 400_000
"""Keeps an exported page small enough to send."""
_CELL_WIDTH: Final = 120
_LEFT: Final = "text-align: left !important"


def begin() -> None:
    """Loads the scripts of the tables, so that the notebook and its pages work offline."""
    itables.init_notebook_mode(all_interactive=False, connected=False)


def browse(frame: pd.DataFrame) -> None:
    """Shows a table to sort and search. Long tables and cells are cut."""
    shown = frame.head(_MAX_ROWS).copy()
    characters = pd.Series(8 * shown.shape[1], index=shown.index)
    for name in shown.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in shown.dtypes]]:
        shown[name] = pd.Series(_to_cells(shown[name]), index=shown.index, dtype=object)
        characters += shown[name].map(len)
    shown = shown[(characters.cumsum() <= _MAX_CHARACTERS).to_numpy()]
    if len(shown) < len(frame):
        display(HTML(f"The first {len(shown):,} of {len(frame):,} rows; the search covers only these."))  # type: ignore[no-untyped-call]
    with pd.option_context("display.float_format", "{:,.6g}".format):
        itables.show(
            shown,
            maxBytes=0,  # by default itables drops rows from the middle
            showIndex=False,
            text_in_header_can_be_selected=False,  # a click on a header sorts
            classes="display compact nowrap",
            scrollX=True,
            columnDefs=[{"className": "dt-left", "targets": "_all"}],
        )


def small(frame: pd.DataFrame, formats: dict[Any, Any] | None = None, *, na_rep: str = "") -> Styler:
    """Styles a table of a few rows; ``na_rep`` replaces null."""
    styled = frame.style.hide(axis="index").format(formats, na_rep=na_rep, escape="html", thousands=",")
    return styled.set_table_styles([{"selector": kind, "props": _LEFT} for kind in ("th", "td")])


def _to_cells(column: pd.Series[Any]) -> list[str]:
    return ["" if pd.isna(cell) else cut(str(cell), _CELL_WIDTH) for cell in column.astype(object)]
