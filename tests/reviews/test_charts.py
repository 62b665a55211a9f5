"""Pictures and tables of a review: whatever a name holds is drawn as it is, and what is cut is said."""

import runpy
import sys

import pandas as pd
import pytest
from matplotlib.text import Text

from inventory.errors import UsageError
from inventory.reviews.notebook import charts, tables

ODD = r"$\frac{<script>alert(1)</script>&_\""


@pytest.fixture
def shown(monkeypatch):
    """The HTML of what was displayed."""
    pages = []
    for module in (charts, tables):
        monkeypatch.setattr(module, "display", lambda page: pages.append(page.data))
    monkeypatch.setattr(tables.itables, "show", lambda frame, **words: pages.append((frame, words)))
    return pages


def test_a_picture_says_in_words_what_it_shows(shown):
    """Each bar and its number is in the words for a screen reader; no name is a formula or becomes markup."""
    charts.bars(pd.Series({ODD: 1200, "other$": 3}), f"Two {ODD}$")
    charts.stacked(
        pd.DataFrame({"yes": [5], "unknown": [7]}, index=[ODD]), "T", paint={"yes": "red", "unknown": "grey"}
    )
    bars, stacked = shown
    escaped = r"$\frac{&lt;script&gt;alert(1)&lt;/script&gt;&amp;_\&quot;"
    assert f'alt="Two {escaped}$. URNs: {escaped} 1,200, other$ 3"' in bars
    assert f'alt="T. URNs: {escaped}: yes 5, unknown 7"' in stacked


def test_no_word_of_a_title_is_cut_off(monkeypatch):
    """A long title beside long names lies inside the picture, with all of its words."""
    pictures = []
    monkeypatch.setattr(charts, "show", lambda figure, _: pictures.append(figure))
    title = "The finding of a large account, " * 4 + "end"
    charts.bars(pd.Series({"a-name" * 20: 1200}), title)
    (figure,) = pictures
    figure.draw_without_rendering()
    drawn = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_text().endswith("end"))
    assert [" ".join(text.get_text().split()) for text in drawn] == [title]
    left, right = (getattr(drawn[0].get_window_extent(), side) for side in ("x0", "x1"))
    assert 0 <= left < right <= figure.bbox.width


def test_a_large_table_says_how_much_of_it_is_shown(shown):
    """What fits on a page is the first rows, and how many of how many is said; a long text is cut in its middle."""
    tables.browse(pd.DataFrame({"text": ["x" * 1000 + "end"] * 9_000, "number": 1.0}))
    words, (frame, _) = shown
    assert frame["text"].str.len().unique().tolist() == [120]
    assert frame["text"].str.endswith("end").all()
    assert words == f"The first {len(frame):,} of 9,000 rows; these can be searched."
    assert len(frame) * 136 <= 400_000


def test_a_small_table_is_shown_as_it_is(shown):
    """Every row is there, null is an empty cell, and numbers stay numbers, which sort as such."""
    tables.browse(pd.DataFrame({"text": pd.array(["a", None]), "number": [float("inf"), 9.0]}))
    ((frame, words),) = shown
    assert frame.to_dict("list") == {"text": ["a", ""], "number": [float("inf"), 9.0]}
    assert words["maxBytes"] == 0
    assert "&lt;script&gt;" in tables.small(pd.DataFrame({"a": [ODD]})).to_html()


@pytest.mark.parametrize(("module", "needed"), [(charts, "matplotlib"), (tables, "itables")])
def test_what_a_notebook_needs_is_said_with_the_way_to_get_it(module, needed, monkeypatch):
    """Without the extra, one sentence names the package that is missing and the command that installs it."""
    monkeypatch.setitem(sys.modules, needed, None)
    with pytest.raises(UsageError, match=rf"need {needed}: pip install .*\[notebooks\]"):
        runpy.run_path(module.__file__)
