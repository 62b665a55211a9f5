import re
import runpy
import sys

import pandas as pd
import pytest
from itables import to_html_datatable

from inventory.display.formatting import format_share
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


def test_numbers_are_formatted_right_aligned_and_sorted_by_value(displayed):
    numbers = {"calls": [float("inf"), 12_655, 9.0], "share": [0.2, 0.785, float("nan")], "flag": [True, False, True]}
    tables.browse(pd.DataFrame({"text": pd.array(["a", None, "b"]), **numbers}), {"share": format_share})
    ((frame, options),) = displayed
    assert frame["text"].tolist() == ["a", "", "b"]
    assert frame["calls"].tolist() == ["endless", "12,655", "9"]
    assert frame["calls"].cat.codes.tolist() == [2, 1, 0]
    assert frame["share"].astype(object).fillna("").tolist() == ["20.0%", "78.5%", ""]
    assert options["maxBytes"] == 0
    assert options["columnDefs"][0] == {"className": "dt-right", "targets": [1, 2]}


def test_a_sortable_table_sorts_numbers_by_rank(monkeypatch):
    pages = []
    show = lambda frame, **options: pages.append(to_html_datatable(frame, **options))  # noqa: E731 - one line
    monkeypatch.setattr(tables.itables, "show", show)
    tables.browse(pd.DataFrame({"calls": [12_655.0, 9.0, 100.0]}))
    assert re.search(r"\[\s*\[\s*3\s*\],\s*\[\s*1\s*\],\s*\[\s*2\s*\]\s*\]", pages[0])


def test_numbers_of_a_small_table_are_right_aligned():
    page = tables.small(pd.DataFrame({"name": ["a", "b"], "urns": [12_655, 1], "gb": [2110.4, None]}), na_rep="-")
    html = page.to_html()
    assert re.findall(r">([^<>]+)</td>", html) == ["a", "12,655", "2,110", "b", "1", "-"]
    assert re.search(r"td\.col1 \{\s*text-align: right", html)
    assert not re.search(r"td\.col0 \{\s*text-align: right", html)


def test_cells_are_no_markup():
    assert "&lt;script&gt;" in tables.small(pd.DataFrame({"a": ["<script>"]})).to_html()


def test_without_itables_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "itables", None)
    with pytest.raises(UsageError, match=r"need itables: pip install .*\[notebooks\]"):
        runpy.run_path(tables.__file__)
