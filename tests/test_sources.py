from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import json
import os
import tracemalloc

import pytest

from inventory.errors import SourceError
from inventory.sources import Entry, Source

A = "urn:fss:cn-north-4:p:function:default:a"
B = "urn:fss:cn-north-4:p:function:default:b:!prod"
TWO = [Entry(2, A), Entry(3, B)]

FORMS = {
    "list.txt": (f"# a comment\n{A}\n{B}\n", TWO),
    "list.csv": (f"function_urn,owner\n{A},me\n{B},you\n", TWO),
    "list.tsv": (f"owner\tfunction_urn\nme\t{A}\nyou\t{B}\n", TWO),
    "list.json": (f'[\n"{A}",\n"{B}"]', TWO),
    "list.jsonl": (f'\n{{"function_urn": "{A}"}}\n"{B}"\n', TWO),
}


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


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["", "bom"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("name", FORMS)
def test_every_text_form(source, name, end, bom, zipped):
    """Each form of the contract, plain and compressed, with a BOM and with CRLF, gives the same entries."""
    text, expected = FORMS[name]
    content = bom + text.replace("\n", end).encode()
    stored = gzip.compress(content) if zipped else content
    read = source(f"{name}.gz" if zipped else name, stored)
    assert list(read.read()) == expected
    assert read.entries == 2
    assert read.sha256 == hashlib.sha256(stored).hexdigest()
    assert Source(read.name).digest() == hashlib.sha256(stored).hexdigest()


def test_a_name_in_capitals_is_the_same_form(source):
    """The form is known by the name's end, in either case."""
    assert list(source("LIST.TXT.GZ", gzip.compress(A.encode())).read()) == [Entry(1, A)]


@pytest.mark.parametrize("name", ["list", "list.xlsx", "list.gz", "list.txt.zip", ".gz"])
def test_a_name_that_says_no_form_is_refused(name):
    """A name of another end is refused before anything is opened, with the ends that are known."""
    with pytest.raises(SourceError, match=r"\.txt, \.csv, \.tsv, \.json, \.jsonl, \.parquet"):
        Source(name)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["e.txt", "e.jsonl"])
def test_an_empty_list_has_no_entries(source, name, zipped):
    """A list of nothing is a list."""
    read = source(f"{name}.gz" if zipped else name, gzip.compress(b"") if zipped else b"")
    assert (list(read.read()), read.entries) == ([], 0)


@pytest.mark.parametrize(
    ("name", "content"), [("e.csv", b""), ("e.csv", b"function_urn\n"), ("e.tsv", b"\n\n"), ("e.json", b"[]")]
)
def test_an_empty_table_has_no_entries(source, name, content):
    """A table without rows, with or without a header, and an empty array are lists of nothing."""
    assert list(source(name, content).read()) == []


def test_text_lines(source):
    """Comments, blank lines, quotes and white space around a URN are not part of it; line numbers count every line."""
    text = f'# head\n\n  {A}  \n{A} # why\n"{B}"\n{A}#not-a-comment\n\t\nlast'
    assert list(source("l.txt", text).read()) == [
        Entry(3, A),
        Entry(4, A),
        Entry(5, B),
        Entry(6, f"{A}#not-a-comment"),
        Entry(8, "last"),
    ]


@pytest.mark.parametrize("header", ["func_urn", "urn", "function_urn", " urn ", '"func_urn"'])
def test_the_columns_that_are_looked_for(source, header):
    """The three names of the contract are found without being told."""
    assert list(source("l.csv", f"x,{header}\n1,{A}\n").read()) == [Entry(2, A)]


def test_the_order_in_which_columns_are_looked_for(source):
    """``function_urn`` goes before ``func_urn`` goes before ``urn``."""
    text = f"urn,func_urn,function_urn\n1,2,{A}\n"
    assert list(source("l.csv", text).read()) == [Entry(2, A)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", f"urn,mine\nx,{A}\n"),
        ("l.json", json.dumps([{"urn": "x", "mine": A}])),
        ("l.jsonl", f'{{"urn":"x","mine":"{A}"}}'),
    ],
)
def test_a_column_that_is_named_is_taken(source, name, content):
    """``--column`` goes before what would be found."""
    assert [entry.text for entry in source(name, content, "mine").read()] == [A]


@pytest.mark.parametrize(
    ("content", "column", "words"),
    [
        (b"name,owner\na,b\n", None, "no column 'function_urn' or 'func_urn' or 'urn' (its columns: 'name', 'owner')"),
        (b"urn\na\n", "mine", "no column 'mine' (its columns: 'urn')"),
        (A.encode() + b"\n", None, "give it a header"),
    ],
)
def test_a_missing_column_names_those_that_are_there(source, content, column, words):
    """Who gives a table without the column reads what it has and what to do."""
    assert words in broken(source("l.csv", content, column))


def test_cells(source):
    """Quoted cells, commas, doubled quotes, several lines in a cell and short rows are read as tables are."""
    text = f'note,urn\n"a, ""b""",{A}\n"two\nlines",{B}\n\nonly one cell\n,\nx,{A},more\n'
    assert list(source("l.csv", text).read()) == [
        Entry(2, A),
        Entry(3, B),
        Entry(6, "only one cell", "the row has only 1 cells"),
        Entry(7, ""),
        Entry(8, A),
    ]


@pytest.mark.parametrize("name", ["l.txt", "l.csv", "l.jsonl"])
def test_a_line_that_is_not_utf8_is_an_entry_with_a_reason(source, name):
    """One bad byte costs its line, not the list."""
    text, _ = FORMS["list" + name[1:]]
    content = text.encode().replace(A.encode(), A.encode()[:-1] + b"\xe9")
    first, second = source(name, content).read()
    assert (first.line, first.text[:-1].endswith("default:") or "default:\ufffd" in first.text) == (2, True)
    assert "UTF-8" in first.reason
    assert second == Entry(3, B)


@pytest.mark.parametrize("name", ["l.txt", "l.csv", "l.jsonl"])
def test_a_megabyte_line_is_an_entry_with_a_reason(source, name):
    """A line of a megabyte is passed over, counted and explained; the next line is read."""
    text, _ = FORMS["list" + name[1:]]
    first, second = source(name, text.replace(A, A + "x" * 1_000_000)).read()
    assert first.line == 2
    assert "long" in first.reason
    assert len(first.text) <= 262_144
    assert second == Entry(3, B)


@pytest.mark.parametrize("opened", ['"' + ("x" * 99 + "\n") * 10_000 + '"', f'"{A}'], ids=["huge-cell", "never-closed"])
def test_a_quote_does_not_swallow_the_rows_behind_it(source, opened):
    """A huge quoted cell, or a quote that is never closed, hides no rows: they are read, or the list is refused."""
    try:
        texts = [entry.text for entry in source("l.csv", f"urn\n{opened}\n{A}\n{B}\n").read()]
    except SourceError:
        return
    assert texts[-2:] == [A, B]


@pytest.mark.parametrize("name", ["l.txt", "l.csv", "l.jsonl", "l.txt.gz"])
def test_a_line_of_20_megabytes_is_read_in_bounded_memory(source, name):
    """However long a line is, only the beginning of it is held."""
    content = b"urn\n" + b"x" * 20_000_000 + b"\n" + json.dumps(A).encode() + b"\n"
    read = source(name, gzip.compress(content, 1) if name.endswith("gz") else content)
    del content
    tracemalloc.start()
    try:
        entries = list(read.read())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert entries[-1].text == A
    assert peak < 4_000_000


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("b.txt", b"\x7fELF\x02\x01\0\0", "binary file"),
        ("b.csv", b"urn\n\0\n", "binary file"),
        ("b.txt", "urn".encode("utf-16"), "UTF-16"),
        ("b.json", b"\xfe\xff\0[", "UTF-16"),
        ("b.txt", gzip.compress(b"x"), ".gz"),
        ("b.csv", b"PAR1....", ".parquet"),
        ("b.txt.gz", b"no gzip", "gzip"),
        ("b.txt.gz", gzip.compress(os.urandom(5000))[:2000], "binary file|gzip"),
        ("b.txt.gz", gzip.compress(b"urn\n" * 5000)[:-8], "gzip"),
        ("b.txt.gz", gzip.compress(b"urn\n" * 5000)[:-8] + b"\1" * 8, "gzip"),
        ("b.txt.gz", gzip.compress(b"urn\n") + b"trailing", "gzip"),
    ],
)
def test_files_that_are_something_else(source, name, content, words):
    """A binary, a UTF-16 or a damaged compressed file is refused by name with what it is."""
    message = broken(source(name, content))
    assert name in message
    assert any(word in message for word in words.split("|"))


def test_a_folder_is_refused(tmp_path):
    """A folder with the name of a list is no list."""
    (tmp_path / "d.txt").mkdir()
    assert "folder" in broken(Source(str(tmp_path / "d.txt")))


def test_a_missing_file_is_named(tmp_path):
    """A file that is not there is named."""
    assert broken(Source(str(tmp_path / "no.txt"))) == f"{tmp_path / 'no.txt'}: there is no such file"


@pytest.mark.parametrize("name", ["l.txt", "l.txt/x.txt", "x" * 300 + ".txt"])
@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_a_file_that_cannot_be_opened_is_a_source_error(tmp_path, name):
    """Whatever the system says against a path is said in one sentence."""
    (tmp_path / "l.txt").touch(mode=0)
    assert broken(Source(str(tmp_path / name)))


@pytest.mark.parametrize("name", ["l.txt/x.txt", "x" * 300 + ".txt"])
def test_a_path_that_cannot_be_is_a_source_error(tmp_path, name):
    """A path through a file, or a name that is too long, is said in one sentence."""
    (tmp_path / "l.txt").touch()
    assert broken(Source(str(tmp_path / name)))


@pytest.mark.parametrize("name", ["l.txt", "l.csv", "l.jsonl"])
def test_lists_are_read_lazily(source, name):
    """The first entries of a large list come before the rest of it is read."""
    lines = {"l.txt": A, "l.csv": A, "l.jsonl": json.dumps(A)}[name]
    read = source(name, "urn\n" + f"{lines}\n" * 400_000)
    reading = read.read()
    first = list(itertools.islice(reading, 10))
    assert [entry.text for entry in first][1:] == [A] * 9
    with open(read.name, "rb") as file:  # noqa: PTH123 - the same name as the source's
        file.seek(0, 2)
        assert file.tell() > 10_000_000
    assert read.sha256 in {hashlib.sha256(_start(read.name, blocks)).hexdigest() for blocks in range(1, 9)}
    reading.close()


def _start(name: str, blocks: int) -> bytes:
    with open(name, "rb") as file:  # noqa: PTH123 - the same name as the source's
        return file.read(65536 * blocks)


def test_standard_input_is_a_text_list(monkeypatch):
    """``-`` reads lines from standard input, with its BOM taken off and its digest taken."""
    content = b"\xef\xbb\xbf" + f"# piped\r\n{A}\r\n".encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    read = Source("-")
    assert list(read.read()) == [Entry(2, A)]
    assert read.sha256 == hashlib.sha256(content).hexdigest()


def test_binary_standard_input_is_refused(monkeypatch):
    """What is no text is refused on standard input too."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\0\1\2")))
    assert broken(Source("-")).startswith("- is a binary file")
