"""Sortable and small tables in a notebook; cells are text, never markup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from inventory.display.formatting import format_number
from inventory.errors import UsageError
from inventory.reviews.labels import cut

try:
    import itables
    from IPython.display import HTML, display
except ModuleNotFoundError as missing:
    raise UsageError(f"tables need {missing.name}: pip install 'functiongraph-inventory[notebooks]'") from None

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pandas.io.formats.style import Styler

_MAX_ROWS: Final = 20_000
_MAX_CHARACTERS: Final = 400_000
"""Keeps an exported page small enough to send."""
_CELL_WIDTH: Final = 120
_LEFT, _RIGHT = "text-align: left !important", "text-align: right !important"


def begin() -> None:
    """Loads the scripts of the tables, so that the notebook and its pages work offline."""
    itables.init_notebook_mode(all_interactive=False, connected=False)


def browse(frame: pd.DataFrame, formats: Mapping[str, Callable[[float], str]] | None = None) -> None:
    """Shows a table to sort and search; long tables and cells are cut.

    ``formats`` by column replace the number format.
    """
    shown = frame.head(_MAX_ROWS).copy()
    characters = pd.Series(8 * shown.shape[1], index=shown.index)
    numbers = _number_columns(shown)
    for name in shown.columns.difference(numbers, sort=False):
        shown[name] = pd.Series(_to_cells(shown[name]), index=shown.index, dtype=object)
        characters += shown[name].map(len)
    shown = shown[(characters.cumsum() <= _MAX_CHARACTERS).to_numpy()].copy()
    for name in numbers:
        shown[name] = _to_sortable_text(shown[name], (formats or {}).get(name, format_number))
    if len(shown) < len(frame):
        display(HTML(f"The first {len(shown):,} of {len(frame):,} rows; the search covers only these."))  # type: ignore[no-untyped-call]
    right = [shown.columns.get_loc(name) for name in numbers]
    itables.show(
        shown,
        maxBytes=0,  # by default itables drops rows from the middle
        showIndex=False,
        text_in_header_can_be_selected=False,  # a click on a header sorts
        classes="display compact nowrap",
        scrollX=True,
        columnDefs=[{"className": "dt-right", "targets": right}, {"className": "dt-left", "targets": "_all"}],
    )


def small(frame: pd.DataFrame, formats: Mapping[Any, Any] | None = None, *, na_rep: str = "") -> Styler:
    """Styles a table of a few rows; ``na_rep`` replaces null, ``formats`` by column replace the number format."""
    numbers = _number_columns(frame)
    shown = {**dict.fromkeys(numbers, format_number), **(formats or {})}
    styled = frame.style.hide(axis="index").format(shown, na_rep=na_rep, escape="html")
    right: Any = [
        {"selector": f"th.col{frame.columns.get_loc(name)}, td.col{frame.columns.get_loc(name)}", "props": _RIGHT}
        for name in numbers
    ]
    left: Any = [{"selector": kind, "props": _LEFT} for kind in ("th", "td")]
    return styled.set_table_styles(left + right)


def _number_columns(frame: pd.DataFrame) -> list[Any]:
    return [
        name
        for name, kind in frame.dtypes.items()
        if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)
    ]


def _to_sortable_text(column: pd.Series[Any], format_value: Callable[[float], str]) -> pd.Series[Any]:
    """Formatted numbers as categories in the order of the values, by which itables sorts."""
    texts = {value: format_value(value) for value in sorted(column.dropna().unique().tolist())}
    kind = pd.CategoricalDtype(list(dict.fromkeys(texts.values())), ordered=True)
    return column.astype(object).map(texts).astype(kind)


def _to_cells(column: pd.Series[Any]) -> list[str]:
    return ["" if pd.isna(cell) else cut(str(cell), _CELL_WIDTH) for cell in column.astype(object)]
