"""How a review's tables are shown: large ones to sort and search, small ones as they are.

Owns how much of a table a page holds, and that it needs nothing from elsewhere. Knows no question; needs the extra
``notebooks``, and is loaded by who shows tables alone. Whatever a cell holds, it is text, never markup.
"""

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

_MOST_ROWS: Final = 20_000
_MOST_CHARACTERS: Final = 400_000
"""Of a table's rows: a page with three such tables is still small enough to be sent."""
_WIDEST_CELL: Final = 120
_LEFT: Final = "text-align: left !important"


def begin() -> None:
    """Puts what tables need into the notebook, so that they, and a page made of it, work without a network."""
    itables.init_notebook_mode(all_interactive=False, connected=False)


def browse(frame: pd.DataFrame) -> None:
    """Shows a table to sort and search; of a large one the first rows, and how many these are.

    Args:
        frame: the table. Of a long text its head and its tail are shown.
    """
    shown = frame.head(_MOST_ROWS).copy()
    characters = pd.Series(8 * shown.shape[1], index=shown.index)
    for name in shown.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in shown.dtypes]]:
        shown[name] = pd.Series(_texts(shown[name]), index=shown.index, dtype=object)
        characters += shown[name].map(len)
    shown = shown[(characters.cumsum() <= _MOST_CHARACTERS).to_numpy()]
    if len(shown) < len(frame):
        display(HTML(f"The first {len(shown):,} of {len(frame):,} rows; these can be searched."))  # type: ignore[no-untyped-call]
    with pd.option_context("display.float_format", "{:,.6g}".format):
        itables.show(
            shown,
            maxBytes=0,  # itables would show the first rows and the last
            showIndex=False,
            text_in_header_can_be_selected=False,  # a click on a name sorts
            classes="display compact nowrap",
            scrollX=True,
            columnDefs=[{"className": "dt-left", "targets": "_all"}],
        )


def small(frame: pd.DataFrame, formats: dict[Any, Any] | None = None, *, na_rep: str = "") -> Styler:
    """A table of a few rows, as the last value of a cell.

    Args:
        frame: the table, without its index.
        formats: how a column's cells are written.
        na_rep: for null.
    """
    styled = frame.style.hide(axis="index").format(formats, na_rep=na_rep, escape="html", thousands=",")
    return styled.set_table_styles([{"selector": kind, "props": _LEFT} for kind in ("th", "td")])


def _texts(column: pd.Series[Any]) -> list[str]:
    """The cells of a column as texts that fit; nothing for null."""
    return ["" if pd.isna(cell) else cut(str(cell), _WIDEST_CELL) for cell in column.astype(object)]
