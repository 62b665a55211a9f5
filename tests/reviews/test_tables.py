"""Tables of a notebook: limits, empty cells, escaping, missing itables."""

import runpy
import sys

import pandas as pd
import pytest

from inventory.errors import UsageError
from inventory.reviews.notebook import tables


@pytest.fixture
def displayed(monkeypatch):
    pages = []
    monkeypatch.setattr(tables, "display", lambda page: pages.append(page.data))
    monkeypatch.setattr(tables.itables, "show", lambda frame, **options: pages.append((frame, options)))
    return pages


def test_a_large_table_is_cut_with_a_note(displayed):
    tables.browse(pd.DataFrame({"text": ["x" * 1000 + "end"] * 9_000, "number": 1.0}))
    note, (frame, _) = displayed
    assert frame["text"].str.len().unique().tolist() == [120]
    assert frame["text"].str.endswith("end").all()
    assert note == f"The first {len(frame):,} of 9,000 rows; the search covers only these."
    assert len(frame) * 136 <= 400_000


def test_a_small_table_is_shown_whole(displayed):
    tables.browse(pd.DataFrame({"text": pd.array(["a", None]), "number": [float("inf"), 9.0]}))
    ((frame, options),) = displayed
    assert frame.to_dict("list") == {"text": ["a", ""], "number": [float("inf"), 9.0]}
    assert options["maxBytes"] == 0


def test_cells_are_no_markup():
    assert "&lt;script&gt;" in tables.small(pd.DataFrame({"a": ["<script>"]})).to_html()


def test_without_itables_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "itables", None)
    with pytest.raises(UsageError, match=r"need itables: pip install .*\[notebooks\]"):
        runpy.run_path(tables.__file__)
