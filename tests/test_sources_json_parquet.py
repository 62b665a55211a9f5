from __future__ import annotations

import gzip
import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inventory.errors import SourceError
from inventory.sources import Entry, Source

A = "urn:fss:cn-north-4:p:function:default:a"
B = "urn:fss:cn-north-4:p:function:default:b:!prod"


@pytest.fixture
def source(tmp_path):
    """Writes a list and opens it."""

    def source(name: str, content: bytes | str, column: str | None = None) -> Source:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Source(str(path), column)

    return source


def broken(source: Source) -> str:
    """What is wrong with a list that cannot be read."""
    with pytest.raises(SourceError) as caught:
        list(source.read())
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        (json.dumps([A, B]), [Entry(1, A), Entry(1, B)]),
        (json.dumps([A, B], indent=2), [Entry(2, A), Entry(3, B)]),
        (json.dumps([{"func_urn": A}, {"urn": B, "x": [1]}], indent=1), [Entry(2, A), Entry(5, B)]),
        (f'  [ "{A}" , "{B}" ] \n', [Entry(1, A), Entry(1, B)]),
        (f'\n\n["{A}"]', [Entry(3, A)]),
        ("[1, null, true, [2], {}]", None),
    ],
)
def test_arrays(source, text, entries):
    """An array on one line, pretty printed, of texts or of objects: each element is an entry at its line."""
    read = list(source("l.json", text).read())
    if entries is None:
        assert [(entry.line, entry.text) for entry in read] == [
            (1, "1"),
            (1, "null"),
            (1, "true"),
            (1, "[2]"),
            (1, "{}"),
        ]
        assert all(entry.reason for entry in read)
    else:
        assert read == entries


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_larger_than_a_block(source, indent):
    """Elements that are cut by the end of a block are read whole, at their right lines."""
    urns = [f"{A}{n:05d}" + "é" * (n % 7) for n in range(9000)]
    read = source("l.json", json.dumps(urns, indent=indent, ensure_ascii=False))
    entries = list(read.read())
    assert [entry.text for entry in entries] == urns
    assert [entry.line for entry in entries] == ([1] * 9000 if indent is None else list(range(2, 9002)))
    assert read.entries == 9000


def test_a_number_at_the_end_of_a_block_is_one_number(source):
    """A number that goes on in the next block is not two entries."""
    read = source("l.json", "[" + " " * (65536 - 3) + "1234567]")
    assert [entry.text for entry in read.read()] == ["1234567"]


@pytest.mark.parametrize("text", [json.dumps(A), json.dumps({"urns": [A]}), "", "  \n", A, "null", "\ufeff\ufeff[]"])
def test_what_is_no_array_is_refused(source, text):
    """A .json list is one array; anything else is refused with that said."""
    assert "JSON array" in broken(source("l.json", text))


@pytest.mark.parametrize(
    "text", [f'["{A}"', f'["{A}", "urn:fss', f'["{A}",', "[", f'["{A}", nope]', f'["{A}", {{"urn": ]']
)
def test_an_array_that_breaks_off_is_refused(source, text):
    """Half a list is no list: a run never takes the first half for the whole."""
    assert "no whole JSON array" in broken(source("l.json", text))


@pytest.mark.parametrize("text", [f'["{A}"]\n["{B}"]', f'["{A}"] "{B}"', f'["{A}"], "{B}"'])
def test_what_stands_behind_the_array_is_not_lost(source, text):
    """Two arrays in one file are not read as the first alone: every entry is accounted for, or the list is refused."""
    try:
        texts = [entry.text for entry in source("l.json", text).read()]
    except SourceError:
        return
    assert texts == [A, B]


def test_an_array_that_is_not_utf8_is_refused(source):
    """Bytes of another encoding are named."""
    assert "UTF-8" in broken(source("l.json", b'["\xe9"]'))


def test_an_element_of_a_megabyte_is_a_defined_outcome(source):
    """A text of a megabyte is a reject or a refused list, never a crash."""
    read = source("l.json", json.dumps([A, "x" * 1_000_000, B]))
    try:
        entries = list(read.read())
    except SourceError as error:
        assert "l.json" in error.message  # noqa: PT017 - either outcome is friendly
    else:
        assert [entries[0], entries[2]] == [Entry(1, A), Entry(1, B)]


@pytest.mark.parametrize("line", ["{", "nope", '"a" "b"', "[" * 100_000, "9" * 5000, "{'urn': 1}"])
def test_a_broken_line_of_jsonl_is_an_entry_with_a_reason(source, line):
    """A line that is no JSON costs itself, and the next is read at its own line."""
    first, second = source("l.jsonl", f"{line}\n{json.dumps(B)}\n").read()
    assert first.line == 1
    assert first.reason
    assert second == Entry(2, B)


@pytest.mark.parametrize("line", ["12", "null", "[1]", '{"name": "x"}', '{"urn": 5}', '{"urn": null}', "true"])
def test_a_line_without_a_urn_is_an_entry_with_a_reason(source, line):
    """JSON of another shape is not guessed at."""
    (entry,) = source("l.jsonl", line).read()
    assert entry.line == 1
    assert entry.reason


@pytest.mark.parametrize("name", ["l.json", "l.jsonl"])
def test_entries_can_always_be_written_down(source, name):
    r"""JSON can say "\ud800", which no file can hold: such an entry has a reason and a text that encodes."""
    text = f'["{A}\\ud800"]' if name == "l.json" else f'"{A}\\ud800"'
    (entry,) = source(name, text).read()
    assert entry.text.encode()
    assert entry.reason


def table(tmp_path, column, name="function_urn", **more) -> Source:
    """Writes a Parquet list and opens it."""
    path = tmp_path / "l.parquet"
    pq.write_table(pa.table({**more, name: column}), path, row_group_size=3)
    return Source(str(path))


@pytest.mark.parametrize("zipped", [False, True])
def test_parquet(tmp_path, zipped):
    """Rows are counted from 1 through all row groups, plain and compressed; the digest is the file's."""
    read = table(tmp_path, [A, B] * 5, other=list(range(10)))
    if zipped:
        path = tmp_path / "l.parquet.gz"
        path.write_bytes(gzip.compress((tmp_path / "l.parquet").read_bytes()))
        read = Source(str(path))
    assert list(read.read()) == [Entry(n + 1, [A, B][n % 2]) for n in range(10)]
    with open(read.name, "rb") as file:  # noqa: PTH123 - the same name as the source's
        assert read.sha256 == hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_texts_of_every_type(tmp_path, kind):
    """Large and dictionary-encoded texts (pandas categories) are texts."""
    assert list(table(tmp_path, pa.array([A, B, A]).cast(kind)).read()) == [Entry(1, A), Entry(2, B), Entry(3, A)]


def test_parquet_nulls_are_entries_with_a_reason(tmp_path):
    """An empty cell is counted, and its row is right."""
    first, second, third = table(tmp_path, [A, None, B]).read()
    assert (first, third) == (Entry(1, A), Entry(3, B))
    assert (second.line, second.text) == (2, "")
    assert "null" in second.reason


def test_a_parquet_column_of_nulls_only(tmp_path):
    """A column that holds nothing is rows with a reason."""
    assert [entry.line for entry in table(tmp_path, pa.nulls(2)).read() if entry.reason] == [1, 2]


def test_a_parquet_column_of_numbers_is_no_urn(tmp_path):
    """Numbers become entries that no URN parser takes, or a named error."""
    assert [entry.text for entry in table(tmp_path, [1, 2]).read()] == ["1", "2"]


def test_a_parquet_column_of_lists_is_refused(tmp_path):
    """A column of another kind is named."""
    assert "does not hold text" in broken(table(tmp_path, [[A], [B]]))


def test_a_parquet_file_without_the_column(tmp_path):
    """A missing column names those that are there."""
    assert "its columns: 'x', 'y'" in broken(table(tmp_path, [1], "y", x=[2]))


@pytest.mark.parametrize("cut", [0, 4, 100, -1, -20])
def test_a_truncated_parquet_file_is_refused(tmp_path, cut):
    """A Parquet file that is not whole is named, wherever it breaks off."""
    read = table(tmp_path, [A] * 50)
    path = tmp_path / "l.parquet"
    path.write_bytes(path.read_bytes()[:cut])
    assert "l.parquet" in broken(read)


def test_an_empty_parquet_list(tmp_path):
    """A table without rows is a list of nothing."""
    assert list(table(tmp_path, pa.array([], pa.string())).read()) == []
