"""Bar charts with numbers on the bars and alternative text for screen readers."""

from __future__ import annotations

import base64
import io
import textwrap
import warnings
from html import escape
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from inventory.errors import UsageError
from inventory.reviews.labels import cut

try:
    import matplotlib as mpl
    from IPython.display import HTML, display
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
except ModuleNotFoundError as missing:
    raise UsageError(f"charts need {missing.name}: pip install 'functiongraph-inventory[notebooks]'") from None

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes

BLUE, RED, YELLOW, GREY = "#4c78a8", "#e45756", "#eeca3b", "#bab0ac"
ANSWER_COLOURS: Final = {"yes": RED, "no": BLUE, "not_configured": YELLOW, "unknown": GREY}
EVENT_COLOURS: Final = {"on_success": BLUE, "on_failure": RED}
"""Distinguishable with red-green colour blindness."""

ANSWERS, EVENTS = ANSWER_COLOURS, EVENT_COLOURS
"""Old names."""

# parse_math: a `$` in the name of a function starts no formula
_STYLE: Final[dict[Any, Any]] = {"axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}
_WIDTH, _DPI = 9.0, 144
_LABEL_WIDTH: Final = 48
_TITLE_WIDTH: Final = 88
_DIGITS_PER_AXIS: Final = 64
"""Digits that fit along the axis."""


def canvas(height: float) -> tuple[Figure, Axes]:
    """Creates an empty figure of the common width.

    Units:
        ``height``: inches.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        return figure, figure.subplots()


def show(figure: Figure, alt_text: str) -> None:
    """Displays a figure as an HTML image: nbconvert drops matplotlib's alternative text."""
    image = io.BytesIO()
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a character that the font lacks becomes a box
        figure.savefig(image, format="png", dpi=_DPI, facecolor="white")
    data = base64.b64encode(image.getvalue()).decode()
    style = f"width:{_WIDTH * 96:.0f}px;max-width:100%"
    display(HTML(f'<img alt="{escape(alt_text)}" style="{style}" src="data:image/png;base64,{data}">'))  # type: ignore[no-untyped-call]


def whole_numbers(ax: Axes) -> None:
    """Sets integer ticks with thousands separators on the x axis."""
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter("{x:,.0f}")


def bars(
    counts: pd.Series[float],
    title: str,
    *,
    unit: str = "URNs",
    colours: str | Sequence[str] = BLUE,
    format_value: Callable[[float], str] = "{:,.0f}".format,
    words: Callable[[float], str] | None = None,
) -> None:
    """Shows a horizontal bar chart, the first bar on top; ``words`` is the old name of ``format_value``."""
    format_value = words or format_value
    with mpl.rc_context(_STYLE):
        figure, ax = canvas(1.2 + 0.36 * len(counts))
        names = [cut(str(name), _LABEL_WIDTH) for name in counts.index]
        drawn = ax.barh(range(len(counts)), counts.tolist(), color=colours)
        ax.bar_label(drawn, [format_value(count) for count in counts], padding=3)
        _finish_axes(ax, names, title, unit)
        if pd.api.types.is_integer_dtype(counts.dtype):
            whole_numbers(ax)
        values = ", ".join(f"{name} {format_value(count)}" for name, count in zip(names, counts, strict=True))
        show(figure, f"{title}. {unit}: {values}")


def stacked(counts: pd.DataFrame, title: str, *, paint: Mapping[str, str], unit: str = "URNs") -> None:
    """Shows a stacked bar chart: one bar per row; ``paint`` has the parts in order, with their colours."""
    parts = counts[list(paint)].astype(int)
    longest = max(1, int(parts.sum(axis=1).max()))
    with mpl.rc_context(_STYLE):
        figure, ax = canvas(1.5 + 0.38 * len(parts))
        left = parts.iloc[:, 0] * 0
        for part, colour in paint.items():
            width = parts[part]
            hatch = "///" if part == "unknown" else None
            drawn = ax.barh(
                range(len(parts)), width, left=left, color=colour, label=part, hatch=hatch, edgecolor="white"
            )
            texts = [f"{count:,}" for count in width]
            fitting = [
                text if len(text) * longest < _DIGITS_PER_AXIS * count else ""
                for text, count in zip(texts, width, strict=True)
            ]
            for label in ax.bar_label(drawn, fitting, label_type="center", fontsize=9):
                label.set_bbox({"facecolor": colour, "edgecolor": "none", "pad": 0.5} if hatch else None)
            left = left + width
        names = [str(name) for name in parts.index]
        _finish_axes(ax, names, title, unit)
        whole_numbers(ax)
        figure.legend(loc="outside lower center", ncols=len(paint), frameon=False)
        rows = (", ".join(f"{part} {count:,}" for part, count in row.items()) for _, row in parts.iterrows())
        values = "; ".join(f"{name}: {row}" for name, row in zip(names, rows, strict=True))
        show(figure, f"{title}. {unit}: {values}")


def _finish_axes(ax: Axes, names: Sequence[str], title: str, unit: str) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    wrapped = textwrap.fill(title, _TITLE_WIDTH)  # across the figure: with long names the axes are too narrow
    ax.get_figure(root=True).suptitle(wrapped, x=0.005, ha="left", fontsize=12)  # type: ignore[union-attr]
    ax.set_xlabel(unit)
    ax.margins(x=0.08, y=0.02)
