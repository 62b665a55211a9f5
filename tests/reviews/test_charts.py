import re
import runpy
import subprocess
import sys
from itertools import combinations

import pandas as pd
import pytest
from matplotlib.text import Text
from support.contrast import contrast

from inventory.errors import UsageError
from inventory.reviews.notebook import charts

ODD = r"$\frac{<script>alert(1)</script>&_\""


@pytest.fixture
def displayed(monkeypatch):
    pages = []
    monkeypatch.setattr(charts, "display", lambda page: pages.append(page.data))
    return pages


def test_alt_text_has_every_bar_and_number(displayed):
    charts.bars(pd.Series({ODD: 1200, "other$": 3}), f"Two {ODD}$")
    charts.stacked(
        pd.DataFrame({"yes": [5], "unknown": [7]}, index=[ODD]), "T", paint={"yes": "red", "unknown": "grey"}
    )
    bars, stacked = displayed
    escaped = r"$\frac{&lt;script&gt;alert(1)&lt;/script&gt;&amp;_\&quot;"
    assert f'alt="Two {escaped}$. URNs: {escaped} 1,200, other$ 3"' in bars
    assert f'alt="T. URNs: {escaped}: yes 5, unknown 7"' in stacked


@pytest.mark.parametrize("keyword", ["format_value", "words"])
def test_values_are_formatted(displayed, keyword):
    charts.bars(pd.Series({"a": 0.5}), "T", **{keyword: "{:.0%}".format})
    assert "a 50%" in displayed[0]


def test_a_long_title_is_not_cut_off(monkeypatch):
    figures = []
    monkeypatch.setattr(charts, "show", lambda figure, _: figures.append(figure))
    title = "The finding of a large account, " * 4 + "end"
    charts.bars(pd.Series({"a-name" * 20: 1200}), title)
    (figure,) = figures
    figure.draw_without_rendering()
    drawn = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_text().endswith("end"))
    assert [" ".join(text.get_text().split()) for text in drawn] == [title]
    left, right = (getattr(drawn[0].get_window_extent(), side) for side in ("x0", "x1"))
    assert 0 <= left < right <= figure.bbox.width


PALETTES = (charts.ANSWER_COLOURS, charts.EVENT_COLOURS)


@pytest.mark.parametrize("colour", [*charts.ANSWER_COLOURS.values(), *charts.EVENT_COLOURS.values(), charts.NEUTRAL])
def test_a_colour_contrasts_with_the_page_and_with_its_white_label(colour):
    assert contrast(colour, "#ffffff") >= 4.5


@pytest.mark.parametrize("palette", PALETTES, ids=["judgement", "events"])
def test_colours_of_a_palette_differ_in_grey_print(palette):
    for one, other in combinations(palette.values(), 2):
        assert charts.HATCHES.get(one) != charts.HATCHES.get(other) or contrast(one, other) >= 1.5


def test_events_have_no_colour_of_a_judgement():
    assert not set(charts.EVENT_COLOURS.values()) & {*charts.ANSWER_COLOURS.values(), charts.NEUTRAL}


@pytest.fixture
def figures(monkeypatch):
    shown = []
    monkeypatch.setattr(charts, "show", lambda figure, _: shown.append(figure))
    return shown


@pytest.mark.parametrize("scale", [1, 1_000, 1_000_000])
def test_every_part_of_a_bar_has_its_number_and_the_numbers_do_not_overlap(figures, scale):
    rows = {"wide": [900, 60, 30, 10], "narrow": [3, 2, 1, 1], "tail": [10, 0, 940, 50], "zero": [0, 0, 0, 0]}
    counts = pd.DataFrame.from_dict(rows, orient="index", columns=list(charts.ANSWER_COLOURS)) * scale
    charts.stacked(counts, "T", paint=charts.ANSWER_COLOURS)
    (figure,) = figures
    figure.draw_without_rendering()
    (ax,) = figure.axes
    labels = [text for text in ax.texts if text.get_text()]
    numbers = sorted(number for text in labels for number in re.findall(r"\d[\d,]*(?<!,)", text.get_text()))
    assert numbers == sorted(f"{count:,}" for count in counts.to_numpy().ravel() if count)
    boxes = [text.get_window_extent() for text in labels]
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    assert max(box.x1 for box in boxes) <= figure.bbox.width


def test_parts_of_a_bar_have_their_hatch(figures):
    charts.bars(pd.Series({"good": 1, "unset": 2}), "T", colours=[charts.GOOD, charts.UNSET])
    assert [bar.get_hatch() for bar in figures[0].axes[0].patches] == ["", charts.HATCHES[charts.UNSET]]


def test_numbers_of_an_area_have_no_exponent(figures):
    parts = pd.DataFrame({"a": [1e9, 2.11e9]}, index=[1, 2])
    figure, ax = charts.area(parts, "T", paint={"a": charts.BAD}, axes={"ylabel": "GB"})
    figure.draw_without_rendering()
    assert "2,000,000,000" in [label.get_text() for label in ax.get_yticklabels()]


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"need matplotlib: pip install .*\[notebooks\]"):
        runpy.run_path(charts.__file__)


def test_old_names_load_the_notebook_modules_on_use():
    code = (
        "import sys, inventory.reviews\n"
        "assert not {'matplotlib', 'IPython', 'itables'} & set(sys.modules)\n"
        "from inventory.reviews import charts, sheets\n"
        "from inventory.reviews.notebook import charts as new, tables\n"
        "assert (charts, sheets) == (new, tables)\n"
        "assert not hasattr(inventory.reviews, 'chart')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
