from __future__ import annotations

import csv
import gzip
import hashlib
import io
import itertools
import json
import os
import threading
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.errors import SourceError, UsageError
from inventory.sources.files import Entry, ReadOptions, Source, _Lines, check_unique_streams
from inventory.sources.tabular import read_csv

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
    def source(name: str, content: bytes | str, column: str | None = None) -> Source:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Source(str(path), column)

    return source


def broken(source: Source) -> str:
    with pytest.raises(SourceError) as caught:
        list(source.read())
    return caught.value.message


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["", "bom"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("name", FORMS)
def test_every_text_form(source, name, end, bom, zipped):
    text, expected = FORMS[name]
    content = bom + text.replace("\n", end).encode()
    stored = gzip.compress(content) if zipped else content
    read = source(f"{name}.gz" if zipped else name, stored)
    assert list(read.read()) == expected
    assert read.entries == 2
    assert read.sha256 == hashlib.sha256(stored).hexdigest()
    assert Source(read.name).digest() == hashlib.sha256(stored).hexdigest()


def test_a_name_in_capitals_is_the_same_form(source):
    assert list(source("LIST.TXT.GZ", gzip.compress(A.encode())).read()) == [Entry(1, A)]


def feed(path, content: bytes) -> threading.Thread:
    writer = threading.Thread(target=path.write_bytes, args=(content,))
    writer.start()
    return writer


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_what_a_pipe_holds_is_seen_in_it(tmp_path, name, zipped):
    text, expected = FORMS[name]
    content = gzip.compress(text.encode()) if zipped else b"\xef\xbb\xbf" + text.encode()
    os.mkfifo(tmp_path / "pipe")
    read = Source(str(tmp_path / "pipe"))
    read.check()
    writer = feed(tmp_path / "pipe", content)
    assert list(read.read()) == expected
    writer.join()
    assert read.sha256 == hashlib.sha256(content).hexdigest()


def test_a_large_pipe_is_hashed_as_it_is_read(tmp_path):
    content = f"{A}\n".encode() * 50_000
    os.mkfifo(tmp_path / "pipe")
    writer = feed(tmp_path / "pipe", content)
    assert Source(str(tmp_path / "pipe")).digest() == hashlib.sha256(content).hexdigest()
    writer.join()


def test_a_pipe_without_a_writer_can_be_left(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KeyError):
        Source(str(tmp_path / "pipe")).digest(check_cancelled={}.popitem)


def test_a_descriptor_is_a_list(tmp_path):
    readable, writable = os.pipe()
    os.write(writable, f'{{"functions": [{{"func_urn": "{A}"}}]}}'.encode())
    os.close(writable)
    source = Source(f"/dev/fd/{readable}")
    source.check()
    assert [entry.text for entry in source.read()] == [A]
    os.close(readable)
    assert "there is no such file; give the list to -" in broken(Source("/dev/fd/9999"))


def test_a_pipe_is_named_once(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "l.txt").write_text(A)
    pipe, file = str(tmp_path / "pipe"), str(tmp_path / "l.txt")
    check_unique_streams([Source(name) for name in (file, file, pipe)])
    for names in (["-", "-"], ["-", "/dev/stdin"], [pipe, file, pipe]):
        with pytest.raises(UsageError, match=r"given twice.*can be read once"):
            check_unique_streams([Source(name) for name in names])


@pytest.mark.parametrize("name", ["list", "list.xlsx", "list.gz", "list.txt.zip", ".gz"])
def test_a_name_that_says_no_form_is_refused(name):
    with pytest.raises(SourceError, match=r"\.txt, \.csv, \.tsv, \.json, \.jsonl, \.parquet"):
        Source(name)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["e.txt", "e.jsonl"])
def test_an_empty_list_has_no_entries(source, name, zipped):
    read = source(f"{name}.gz" if zipped else name, gzip.compress(b"") if zipped else b"")
    assert (list(read.read()), read.entries) == ([], 0)


@pytest.mark.parametrize(
    ("name", "content"), [("e.csv", b""), ("e.csv", b"function_urn\n"), ("e.tsv", b"\n\n"), ("e.json", b"[]")]
)
def test_an_empty_table_has_no_entries(source, name, content):
    assert list(source(name, content).read()) == []


def test_text_lines(source):
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
    assert list(source("l.csv", f"x,{header}\n1,{A}\n").read()) == [Entry(2, A)]


def test_the_order_in_which_columns_are_looked_for(source):
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
    assert words in broken(source("l.csv", content, column))


def test_cells(source):
    text = f'note,urn\n"a, ""b""",{A}\n"two\nlines",{B}\n\nonly one cell\n,\nx,{A},more\n'
    assert list(source("l.csv", text).read()) == [
        Entry(2, A),
        Entry(3, B),
        Entry(6, "only one cell", "the row has only 1 cells"),
        Entry(8, A),
    ]


@pytest.mark.parametrize("name", ["l.txt", "l.csv", "l.jsonl"])
def test_a_line_that_is_not_utf8_is_an_entry_with_a_reason(source, name):
    text, _ = FORMS["list" + name[1:]]
    content = text.encode().replace(A.encode(), A.encode()[:-1] + b"\xe9")
    first, second = source(name, content).read()
    assert (first.line, first.text[:-1].endswith("default:") or "default:\ufffd" in first.text) == (2, True)
    assert "UTF-8" in first.reason
    assert second == Entry(3, B)


@pytest.mark.parametrize("name", ["l.txt", "l.csv", "l.jsonl"])
def test_a_megabyte_line_is_an_entry_with_a_reason(source, name):
    text, _ = FORMS["list" + name[1:]]
    first, second = source(name, text.replace(A, A + "x" * 1_000_000)).read()
    assert first.line == 2
    assert "long" in first.reason
    assert len(first.text) <= 262_144
    assert second == Entry(3, B)


@pytest.mark.parametrize("opened", ['"' + ("x" * 99 + "\n") * 10_000 + '"', f'"{A}'], ids=["huge-cell", "never-closed"])
def test_a_quote_does_not_swallow_the_rows_behind_it(source, opened):
    try:
        texts = [entry.text for entry in source("l.csv", f"urn\n{opened}\n{A}\n{B}\n").read()]
    except SourceError:
        return
    assert texts[-2:] == [A, B]


@pytest.mark.parametrize("name", ["l.txt", "l.csv", "l.jsonl", "l.txt.gz"])
def test_a_line_of_20_megabytes_is_read_in_bounded_memory(source, name):
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


ROWS = f"owner,function_urn\nme,{A}\nyou,{B}\n"


@pytest.mark.parametrize(
    "text",
    [
        ROWS.replace(",", ";"),
        ROWS.replace(",", "\t"),
        ROWS.replace(",", "|"),
        ROWS.replace(",", ";").replace("\n", ";;\n"),
        ROWS.replace("\n", "\r"),
        ROWS.replace("function_urn", "Function URN"),
        ROWS.replace("function_urn", "\u200bfunction_urn\xa0"),
        ROWS.replace("owner,function_urn", '"owner";"function_urn"').replace("me,", "me;").replace("you,", "you;"),
    ],
)
@pytest.mark.parametrize("name", ["l.csv", "l.tsv", "l.txt"])
def test_the_header_shows_the_delimiter(source, name, text):
    assert list(source(name, text).read()) == TWO


@pytest.mark.parametrize("said", ["sep=;", '"sep=;"', "SEP=;", "sep=;;"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_first_line_of_excel(source, said, end):
    text = f"{said}\n{ROWS.replace(',', ';')}".replace("\n", end)
    assert list(source("l.csv", text).read()) == [Entry(3, A), Entry(4, B)]


def test_rows_of_empty_cells_are_no_entries(source):
    text = f"urn;owner\n{A};me\n;;;\n;\n \xa0; \n;you\n"
    assert list(source("l.csv", text).read()) == [Entry(2, A), Entry(6, "")]


def test_a_header_over_several_lines(source):
    assert list(source("l.csv", f'"no\nte";urn\n"a\nb";{A}\n').read()) == [Entry(3, A)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.txt", f"\ufeff{A}\n\ufeff# of the next file\n\ufeff\n\ufeff{B}\xa0\n\u3000{A}\n"),
        ("l.csv", f"\ufefffunction_urn\n{A}\n\ufefffunction_urn\n\ufeff{B}\n{A}\u200b\n"),
        ("l.jsonl", f'\ufeff"{A}"\n\ufeff"{B}"\n\ufeff\n"{A}\\u2060"\n'),
        ("l.json", f'\ufeff["{A}"]\n\ufeff["\xad{B}", "{A}\\ufeff"]'),
    ],
)
def test_lists_that_were_joined(source, name, content):
    read = source(name, content)
    assert [(entry.text, entry.cleaned) for entry in read.read()] == [(A, False), (B, True), (A, True)]
    assert read.entries == 3
    assert read.sha256 == hashlib.sha256(content.encode()).hexdigest()


def test_a_line_of_text_as_people_copy_it(source):
    text = f'function_urn\n"{A}",\n  {B};\n,,\n'
    assert list(source("l.txt", text).read()) == TWO


@given(
    st.lists(
        st.text(st.sampled_from("ab;,\t|\"' \xa0\ufeff"), max_size=8).filter(lambda text: text == text.strip("\ufeff")),
        max_size=5,
    ),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_every_table_that_is_written_is_read(notes, delimiter, end):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerows([["note", "function_urn"], *([note, f"{A}{n}"] for n, note in enumerate(notes))])
    header, entries = (
        "function_urn" in text.getvalue(),
        read_csv(_stream(text.getvalue()), ReadOptions("l.csv", None, ",")),
    )
    assert header
    assert [entry.text for entry in entries] == [f"{A}{n}" for n in range(len(notes))]


def _stream(text: str) -> io.BufferedReader:
    return io.BufferedReader(_Lines(b"", io.BufferedReader(io.BytesIO(text.encode()))))


@given(st.text(st.sampled_from("a\r\n"), max_size=30), st.lists(st.integers(1, 5), min_size=40, max_size=40))
def test_line_ends_do_not_depend_on_blocks(text, sizes):
    class Slow(io.BytesIO):
        def read1(self, size=-1):
            return super().read1(min(size, sizes.pop()))

    lines = _Lines(b"", Slow(text.encode())).readall().decode()
    assert lines == io.StringIO(text, newline=None).read()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("b.csv", b"PK\x03\x04....", "save it as CSV"),
        ("b.csv", b"\xd0\xcf\x11\xe0\xa1", "save it as CSV"),
        ("b.csv", b"\n<!DOCTYPE HTML><html>", "web page"),
        ("b.txt", b"<?xml version='1.0'?>", "web page or XML"),
        ("b.csv", "urn,x".encode("utf-16-le"), "UTF-16"),
        ("b.csv", b'[{"urn": "x"}]', "name it .json"),
        ("b.txt", b"BZh91AY", "decompress"),
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
    message = broken(source(name, content))
    assert name in message
    assert any(word in message for word in words.split("|"))


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "d.txt").mkdir()
    assert "folder" in broken(Source(str(tmp_path / "d.txt")))


def test_a_missing_file_is_named(tmp_path):
    assert (
        broken(Source(str(tmp_path / "no.txt"))) == f"{tmp_path / 'no.txt'}: there is no such file; name a list of URNs"
    )


@pytest.mark.parametrize("name", ["l.txt", "l.txt/x.txt", "x" * 300 + ".txt"])
@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_a_file_that_cannot_be_opened_is_a_source_error(tmp_path, name):
    (tmp_path / "l.txt").touch(mode=0)
    assert broken(Source(str(tmp_path / name)))


@pytest.mark.parametrize("name", ["l.txt/x.txt", "x" * 300 + ".txt"])
def test_a_path_that_cannot_be_is_a_source_error(tmp_path, name):
    (tmp_path / "l.txt").touch()
    assert broken(Source(str(tmp_path / name)))


@pytest.mark.parametrize("name", ["l.txt", "l.csv", "l.jsonl"])
def test_lists_are_read_lazily(source, name):
    lines = {"l.txt": A, "l.csv": A, "l.jsonl": json.dumps(A)}[name]
    read = source(name, "urn\n" + f"{lines}\n" * 400_000)
    reading = read.read()
    first = list(itertools.islice(reading, 10))
    assert [entry.text for entry in first][1:] == [A] * 9
    with open(read.name, "rb") as file:  # noqa: PTH123 - the source's name
        file.seek(0, 2)
        assert file.tell() > 10_000_000
    assert read.sha256 in {hashlib.sha256(_start(read.name, blocks)).hexdigest() for blocks in range(1, 9)}
    reading.close()


def _start(name: str, blocks: int) -> bytes:
    with open(name, "rb") as file:  # noqa: PTH123 - the source's name
        return file.read(65536 * blocks)


def test_standard_input_is_a_text_list(monkeypatch):
    content = b"\xef\xbb\xbf" + f"# piped\r\n{A}\r\n".encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    read = Source("-")
    assert list(read.read()) == [Entry(2, A)]
    assert read.sha256 == hashlib.sha256(content).hexdigest()


def test_binary_standard_input_is_refused(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\0\1\2")))
    assert broken(Source("-")).startswith("- is a binary file")
