"""Charts: alternative text, escaping, titles, missing matplotlib."""

import runpy
import subprocess
import sys

import pandas as pd
import pytest
from matplotlib.text import Text

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
