"""How a review is drawn: bars with their numbers, and a picture that a screen reader can tell.

Owns colours, sizes and the words of a picture. Knows no question; needs the extra ``notebooks``, and is loaded by who
draws alone. Names of functions are drawn as they are: a ``$`` in one begins no formula.
"""

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
ANSWERS: Final = {"yes": RED, "no": BLUE, "not_configured": YELLOW, "unknown": GREY}
EVENTS: Final = {"on_success": BLUE, "on_failure": RED}
"""Told apart without red and green, and by their lightness; ``unknown`` is hatched too."""

_STYLE: Final[dict[Any, Any]] = {"axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}
_WIDTH, _DPI = 9.0, 144
_WIDEST_LABEL: Final = 48
_WIDEST_TITLE: Final = 88
_ROOM: Final = 64
"""Digits that fit into a bar as long as the axis."""


def canvas(height: float) -> tuple[Figure, Axes]:
    """An empty picture of the width that all have.

    Args:
        height: of it.

    Units:
        inches.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        return figure, figure.subplots()


def show(figure: Figure, told: str) -> None:
    """Shows a picture in the notebook, with what it says in words.

    Args:
        figure: the picture.
        told: what is to be seen on it. It becomes the text that a screen reader reads; nbconvert's pages drop what
            matplotlib's own way of showing might say.
    """
    drawn = io.BytesIO()
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name in a script that the font lacks: boxes
        figure.savefig(drawn, format="png", dpi=_DPI, facecolor="white")
    data = base64.b64encode(drawn.getvalue()).decode()
    style = f"width:{_WIDTH * 96:.0f}px;max-width:100%"
    display(HTML(f'<img alt="{escape(told)}" style="{style}" src="data:image/png;base64,{data}">'))  # type: ignore[no-untyped-call]


def whole_numbers(ax: Axes) -> None:
    """Ticks of an axis that counts: round steps, thousands apart."""
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter("{x:,.0f}")


def bars(
    counts: pd.Series[float],
    title: str,
    *,
    unit: str = "URNs",
    colours: str | Sequence[str] = BLUE,
    words: Callable[[float], str] = "{:,.0f}".format,
) -> None:
    """Bars with a number each, the first on top.

    Args:
        counts: a number a bar, by name.
        title: what they say.
        unit: of the numbers.
        colours: of all bars, or of each.
        words: how a number is written.
    """
    with mpl.rc_context(_STYLE):
        figure, ax = canvas(1.2 + 0.36 * len(counts))
        names = [cut(str(name), _WIDEST_LABEL) for name in counts.index]
        drawn = ax.barh(range(len(counts)), counts.tolist(), color=colours)
        ax.bar_label(drawn, [words(count) for count in counts], padding=3)
        _finish(ax, names, title, unit)
        if pd.api.types.is_integer_dtype(counts.dtype):
            whole_numbers(ax)
        told = ", ".join(f"{name} {words(count)}" for name, count in zip(names, counts, strict=True))
        show(figure, f"{title}. {unit}: {told}")


def stacked(counts: pd.DataFrame, title: str, *, paint: Mapping[str, str], unit: str = "URNs") -> None:
    """Bars in parts, the first on top, with a number in each part that has room for it.

    Args:
        counts: a row a bar, a column a part.
        title: what they say.
        paint: the parts in their order, with their colours.
        unit: of the numbers.
    """
    shown = counts[list(paint)].astype(int)
    longest = max(1, int(shown.sum(axis=1).max()))
    with mpl.rc_context(_STYLE):
        figure, ax = canvas(1.5 + 0.38 * len(shown))
        left = shown.iloc[:, 0] * 0
        for part, colour in paint.items():
            width = shown[part]
            hatch = "///" if part == "unknown" else None
            drawn = ax.barh(
                range(len(shown)), width, left=left, color=colour, label=part, hatch=hatch, edgecolor="white"
            )
            texts = [f"{count:,}" for count in width]
            roomy = [text if len(text) * longest < _ROOM * n else "" for text, n in zip(texts, width, strict=True)]
            for label in ax.bar_label(drawn, roomy, label_type="center", fontsize=9):
                label.set_bbox({"facecolor": colour, "edgecolor": "none", "pad": 0.5} if hatch else None)
            left = left + width
        names = [str(name) for name in shown.index]
        _finish(ax, names, title, unit)
        whole_numbers(ax)
        figure.legend(loc="outside lower center", ncols=len(paint), frameon=False)
        rows = (", ".join(f"{part} {count:,}" for part, count in row.items()) for _, row in shown.iterrows())
        show(figure, f"{title}. {unit}: " + "; ".join(f"{n}: {row}" for n, row in zip(names, rows, strict=True)))


def _finish(ax: Axes, names: Sequence[str], title: str, unit: str) -> None:
    """What all bars have: names from the top down, a title over the whole picture, a unit."""
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    wrapped = textwrap.fill(title, _WIDEST_TITLE)  # over the names too: long ones leave the axes too little room
    ax.get_figure(root=True).suptitle(wrapped, x=0.005, ha="left", fontsize=12)  # type: ignore[union-attr]
    ax.set_xlabel(unit)
    ax.margins(x=0.08, y=0.02)
