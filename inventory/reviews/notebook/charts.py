"""Bar charts with numbers on the bars and alternative text for screen readers."""

from __future__ import annotations

import base64
import io
import textwrap
import warnings
from html import escape
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from inventory.display.formatting import format_number
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

GOOD, BAD, UNSET, UNKNOWN, NEUTRAL = "#2b7bba", "#8f1414", "#a06400", "#767676", "#52606d"
ANSWER_COLOURS: Final = {"yes": BAD, "no": GOOD, "not_configured": UNSET, "unknown": UNKNOWN}
"""Judgement: distinguishable with red-green colour blindness."""
EVENT_COLOURS: Final = {"on_success": "#1a7f74", "on_failure": "#5e3c99"}
"""No judgement: no colour of ``ANSWER_COLOURS``."""
HATCHES: Final = {UNSET: "\\\\\\", UNKNOWN: "///", EVENT_COLOURS["on_failure"]: "..."}
"""Marks of the colours that grey print would confuse with another one."""

ANSWERS, EVENTS = ANSWER_COLOURS, EVENT_COLOURS
BLUE, RED, YELLOW, GREY = GOOD, BAD, UNSET, UNKNOWN
"""Old names."""

# parse_math: a `$` in the name of a function starts no formula
_STYLE: Final[dict[Any, Any]] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
    "hatch.linewidth": 0.6,
}
_WIDTH, _DPI = 9.0, 144
_LABEL_WIDTH: Final = 48
_TITLE_WIDTH: Final = 88
_CHARACTERS_PER_AXIS: Final = 72
"""Characters of a label that fit along the axis."""


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
    ax.xaxis.set_major_formatter(lambda value, _: format_number(value))


def bars(
    counts: pd.Series[float],
    title: str,
    *,
    unit: str = "URNs",
    colours: str | Sequence[str] = NEUTRAL,
    format_value: Callable[[float], str] = format_number,
    words: Callable[[float], str] | None = None,
) -> None:
    """Shows a horizontal bar chart, the first bar on top; ``words`` is the old name of ``format_value``."""
    format_value = words or format_value
    with mpl.rc_context(_STYLE):
        figure, ax = canvas(1.2 + 0.36 * len(counts))
        names = [cut(str(name), _LABEL_WIDTH) for name in counts.index]
        paint = [colours] * len(counts) if isinstance(colours, str) else colours
        drawn = ax.barh(range(len(counts)), counts.tolist(), **_fill(paint))
        ax.bar_label(drawn, [format_value(count) for count in counts], padding=3)
        _finish_axes(ax, names, title, unit)
        if pd.api.types.is_integer_dtype(counts.dtype):
            whole_numbers(ax)
        else:
            ax.xaxis.set_major_formatter(lambda value, _: format_value(value))
        values = ", ".join(f"{name} {format_value(count)}" for name, count in zip(names, counts, strict=True))
        show(figure, f"{title}. {unit}: {values}")


def stacked(counts: pd.DataFrame, title: str, *, paint: Mapping[str, str], unit: str = "URNs") -> None:
    """Shows a stacked bar chart: one bar per row; ``paint`` has the parts in order, with their colours.

    The numbers of parts that are too narrow for them are at the end of the bar.
    """
    parts = counts[list(paint)].astype(int)
    sums = parts.sum(axis=1).tolist()
    longest = max([1, *sums])
    inside, after = _place_labels(parts, longest)
    with mpl.rc_context(_STYLE):
        figure, ax = canvas(1.5 + 0.38 * len(parts))
        left = parts.iloc[:, 0] * 0
        for part, colour in paint.items():
            drawn = ax.barh(range(len(parts)), parts[part], left=left, label=part, **_fill([colour] * len(parts)))
            for label in ax.bar_label(drawn, inside[part], label_type="center", fontsize=9, color="white"):
                label.set_bbox({"facecolor": colour, "edgecolor": "none", "pad": 1.5} if label.get_text() else None)
            left = left + parts[part]
        for row, text in enumerate(after):
            ax.annotate(text, (sums[row], row), (4, 0), textcoords="offset points", va="center", fontsize=9)
        names = [str(name) for name in parts.index]
        _finish_axes(ax, names, title, unit)
        ax.set_xlim(0, _axis_end(sums, after, longest))
        whole_numbers(ax)
        figure.legend(loc="outside lower center", ncols=len(paint), frameon=False)
        rows = (", ".join(f"{part} {count:,}" for part, count in row.items()) for _, row in parts.iterrows())
        values = "; ".join(f"{name}: {row}" for name, row in zip(names, rows, strict=True))
        show(figure, f"{title}. {unit}: {values}")


def area(
    parts: pd.DataFrame,
    title: str,
    *,
    paint: Mapping[str, str],
    axes: Mapping[str, Any],
    format_value: Callable[[float], str] = format_number,
) -> tuple[Figure, Axes]:
    """Draws the columns of a frame as stacked areas over its index; ``axes`` are properties of the axes.

    Returns:
        The figure and its axes, for :func:`show`.
    """
    with mpl.rc_context(_STYLE):
        figure, ax = canvas(4)
        shown = parts[list(paint)]
        drawn = ax.stackplot(shown.index, shown.T.to_numpy(), labels=list(paint), colors=list(paint.values()))
        for part, colour in zip(drawn, paint.values(), strict=True):
            part.set(edgecolor="white", hatch=HATCHES.get(colour), linewidth=0.8)
        ax.set(**axes)
        ax.yaxis.set_major_formatter(lambda value, _: format_value(value))
        _set_title(ax, title)
        figure.legend(loc="outside lower center", ncols=len(paint), frameon=False)
        return figure, ax


def _fill(colours: Sequence[str]) -> dict[str, Any]:
    return {"color": colours, "hatch": [HATCHES.get(colour, "") for colour in colours], "edgecolor": "white"}


def _place_labels(parts: pd.DataFrame, longest: int) -> tuple[dict[str, list[str]], list[str]]:
    """Labels inside the segments that are wide enough, and the others by row, with the names of their parts."""
    inside: dict[str, list[str]] = {str(part): [] for part in parts}
    after: list[str] = []
    for _, row in parts.iterrows():
        narrow = []
        for part, count in row.items():
            text = format_number(count)
            fits = (len(text) + 1) * longest < 0.6 * _CHARACTERS_PER_AXIS * count
            inside[str(part)].append(text if fits else "")
            if count and not fits:
                narrow.append(f"{part} {text}")
        after.append(", ".join(narrow))
    return inside, after


def _axis_end(sums: Sequence[int], after: Sequence[str], longest: int) -> float:
    end = 1.04 * longest
    for length, text in zip(sums, after, strict=True):
        end = max(end, length / max(0.3, 1 - (len(text) + 2) / _CHARACTERS_PER_AXIS))
    return end


def _finish_axes(ax: Axes, names: Sequence[str], title: str, unit: str) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    _set_title(ax, title)
    ax.set_xlabel(unit)
    ax.margins(x=0.12, y=0.02)


def _set_title(ax: Axes, title: str) -> None:
    wrapped = textwrap.fill(title, _TITLE_WIDTH)
    ax.get_figure(root=True).suptitle(wrapped, x=0.005, ha="left", fontsize=12)  # type: ignore[union-attr]
