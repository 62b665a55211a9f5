import sqlite3
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from inventory.errors import SourceError, UsageError
from inventory.sources.files import Source
from inventory.sources.memory import to_sources

URN = "urn:fss:r:p:function:default:f"


def read(given, column=None):
    (source,) = to_sources(given, column)
    return source.name, [(entry.line, entry.text, entry.reason) for entry in source.read()]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (URN, "<list>"),
        ([URN], "<list>"),
        ((URN,), "<tuple>"),
        ({URN}, "<set>"),
        ({URN: 1}, "<dict>"),
        (iter([URN]), "<list_iterator>"),
        (pd.Series([URN], name="odd\nname"), "<Series 'odd\\nname'>"),
        (pd.Series([URN], dtype="string[pyarrow]", name="u"), "<Series 'u'>"),
        (pd.Index([URN]), "<Index>"),
        (np.array([URN]), "<ndarray>"),
        (pa.array([URN]), "<StringArray>"),
        (pa.chunked_array([[URN]]), "<ChunkedArray>"),
        (pa.array([URN]).dictionary_encode(), "<DictionaryArray>"),
        (pa.table({"a": [1], "func_urn": [URN]}), "<ChunkedArray>"),
        (pd.DataFrame({"a": [1], "function_urn": [URN]}), "<Series 'function_urn'>"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_gives_texts_one_by_one_is_a_list(given, name):
    assert read(given) == (name, [(1, URN, None)])


def test_what_is_no_text_is_a_reject_with_its_position():
    odd = [None, float("nan"), pd.NA, pd.NaT, np.float64("nan"), 7, b"x", Path("x"), "\ud800", " x "]
    _, entries = read(iter([URN, *odd]))
    assert [line for line, _, _ in entries] == list(range(1, 12))
    assert [reason for _, _, reason in entries[1:6]] == ["no value (null)"] * 5
    assert [reason for _, _, reason in entries[6:9]] == [f"not a text but {n}" for n in ("int", "bytes", "PosixPath")]
    assert entries[9:] == [(10, "\\ud800", "a half character (lone surrogate)"), (11, "x", None)]
    assert read(pa.array([None, URN]))[1] == [(1, "", "no value (null)"), (2, URN, None)]


@pytest.mark.parametrize(
    "given",
    [
        [f"\ufeff{URN}\u200b", f" {URN} "],
        iter([f"\xa0{URN}", URN]),
        pd.DataFrame({"\u200bFunction URN": [f"{URN}\u3000", URN]}),
        pa.table({"urn\xa0": [f"\xad{URN}", URN]}),
    ],
    ids=["list", "iterator", "pandas", "arrow"],
)
def test_invisible_characters_at_the_ends_are_removed(given):
    (source,) = to_sources(given, None)
    assert [(entry.text, entry.cleaned) for entry in source.read()] == [(URN, True), (URN, False)]


def test_texts_are_urns_and_names_of_files_are_files():
    for files in ("urns.txt", Path("a.csv.gz"), ["urns.txt", Path("b.PARQUET")], "-", "/dev/stdin", "/dev/fd/63"):
        assert all(isinstance(source, Source) for source in to_sources(files, None))
    assert read(["short-form", "package:name"])[1] == [(1, "short-form", None), (2, "package:name", None)]
    assert to_sources([], None) == to_sources(None, None) == []
    with pytest.raises(UsageError, match=r"names files \('urns.txt'\) and URNs \('urn:.*give one or the other"):
        to_sources([URN, "urns.txt"], None)
    with pytest.raises(UsageError, match=r"'my-function' is no URN, and no file's name.*in a list: \['name'\]"):
        to_sources("my-function", None)
    with pytest.raises(UsageError, match="int is no list of URNs; give a file's name, an iterable"):
        to_sources(3, None)
    for query in (pl.LazyFrame({"urn": [URN]}), duckdb.sql("SELECT 'urn' AS urn")):
        with pytest.raises(
            UsageError, match=f"{type(query).__name__} is a query that has not run; give what it brings"
        ):
            to_sources(query, None)
    with pytest.raises(UsageError, match="bytes is no list"):
        to_sources(b"urn:", None)
    with pytest.raises(SourceError, match=r"<DataFrame> has no column 'x' \(its columns: 'a'\)"):
        to_sources(pd.DataFrame({"a": [1]}), "x")
    with pytest.raises(SourceError, match="<DataFrame> has two columns 'urn'; give one of them"):
        to_sources(pd.DataFrame([[URN, URN]], columns=["urn", "urn"]), None)


def test_a_list_has_the_digest_of_a_file_with_a_urn_a_line(write_list):
    lines = sorted(f"{URN}{number}" for number in range(50))
    digest = Source(str(write_list(lines))).digest()
    for same in (lines, iter(lines), set(lines), pd.Series(lines)):
        assert to_sources(same, None)[0].digest() == digest
    assert to_sources(lines[1:], None)[0].digest() != digest


def test_what_can_be_read_once_is_read_where_it_is_given():
    rows = sqlite3.connect(":memory:").execute("SELECT ? UNION ALL SELECT NULL", (URN,))
    (source,) = to_sources((urn for (urn,) in rows), None)
    assert [entry.text for entry in source.read()] == [URN, ""]
    assert source.entries == 2

    def broken():
        yield URN
        raise LookupError("page 2")

    with pytest.raises(LookupError, match="page 2"):
        to_sources(broken(), None)


def test_a_list_from_memory_is_read_lazily():
    taken = []

    class Lazy:
        def __iter__(self):
            return (taken.append(number) or URN for number in range(10**9))

    entries = to_sources(Lazy(), None)[0].read()
    assert [next(entries).line for _ in range(3)] == [1, 2, 3]
    assert len(taken) == 3
    with pytest.raises(KeyError):
        to_sources(Lazy(), None)[0].digest(check_cancelled={}.popitem)
